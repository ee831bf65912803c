package callflowtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/phone"
	"redial/workflows"
)

const (
	anna = "+14155550100"
	bert = "+14155550101"
	talk = 40 * time.Second
)

// report is a test that is only told.
type report struct {
	testing.TB
	said  string
	ended bool
}

func (r *report) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }
func (r *report) Fatalf(format string, args ...any) { r.end(fmt.Sprintf(format, args...)) }
func (r *report) Fatal(args ...any)                 { r.end(fmt.Sprint(args...)) }

func (r *report) end(line string) {
	r.said += line
	r.ended = true
	panic(r)
}

// told is what a test is told by do.
func told(t *testing.T, do func(testing.TB)) string {
	r := &report{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != r {
				panic(p)
			}
		}()
		do(r)
	}()
	return r.said
}

func standard(t testing.TB) *callflowtest.Kit { return callflowtest.New(t, workflows.Standard) }

func zone(t *testing.T, name string) *time.Location {
	z, err := phone.Zone(name)
	require.NoError(t, err)
	return z
}

func TestEveryDispositionIsReachable(t *testing.T) {
	for _, d := range call.Dispositions() {
		kit := standard(t)
		kit.On(anna).Ends(d)
		run := kit.Call(anna, nil).Ended().OneInFlightPerNumber()
		require.Equal(t, d, run.Result().Attempts[0].Disposition)
	}
}

func TestStepsFollowOneAnotherAndTheLastRepeats(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Busy().Times(2).Then().Machine(callflowtest.Beep)
	var ends []call.Disposition
	for _, a := range kit.Call(anna, nil).Outcome(call.OutcomeEscalated).EscalatedWith("machine 4 times").Result().Attempts {
		ends = append(ends, a.Disposition)
	}
	require.Equal(t, []call.Disposition{call.Busy, call.Busy, call.Machine, call.Machine, call.Machine, call.Machine}, ends)
}

func TestADialThatTheScriptDoesNotHaveFailsTheTest(t *testing.T) {
	for name, script := range map[string]func(*callflowtest.Kit){
		"no script": func(k *callflowtest.Kit) { k.On(bert).Busy() },
		"no more":   func(k *callflowtest.Kit) { k.On(anna).Busy().NoMore() },
	} {
		t.Run(name, func(t *testing.T) {
			said := told(t, func(tb testing.TB) {
				kit := standard(tb)
				script(kit)
				kit.Call(anna, nil)
			})
			require.Contains(t, said, `an unexpected dial to +14155550100: script it with kit.On("+14155550100")`)
			require.Contains(t, said, "no call", "the timeline")
		})
	}
}

func TestNumbersAreWrittenWithTheirPlusAndCountry(t *testing.T) {
	for _, good := range []string{anna, "tel:" + anna, "sip:anna@example.com"} {
		kit := standard(t)
		kit.On(good).Human(talk)
		kit.Call(good, nil).Outcome("human")
	}
	for _, bad := range []string{"", "14155550100", "+1 415 555 0100", "tel:4155550100", "+0155550100", "sip:anna", "anna"} {
		require.Contains(t, told(t, func(tb testing.TB) { standard(tb).On(bad) }), "write a number with its plus and country", bad)
		require.Panics(t, func() { callflowtest.Target(bad) }, bad)
	}
}

func TestWhatHasNoMeaningAfterAStepEndsTheTest(t *testing.T) {
	for name, script := range map[string]func(*callflowtest.Script){
		"Result":               func(s *callflowtest.Script) { s.Busy().Result(call.Confirmed) },
		"Talk":                 func(s *callflowtest.Script) { s.NoAnswer().Talk(time.Second) },
		"Data before a Result": func(s *callflowtest.Script) { s.Human(talk).Data("x") },
		"Early":                func(s *callflowtest.Script) { s.Throttled(0).Early() },
		"no sign of a machine": func(s *callflowtest.Script) { s.Machine(call.AMDHuman) },
		"no disposition":       func(s *callflowtest.Script) { s.Ends("gone") },
	} {
		require.Contains(t, told(t, func(tb testing.TB) { script(standard(tb).On(anna)) }), name)
	}
}

func TestFaultsBetweenTheGatewayAndTheFlowChangeNoOutcome(t *testing.T) {
	for name, fault := range map[string]func(*callflowtest.Step) *callflowtest.Step{
		"none": func(s *callflowtest.Step) *callflowtest.Step { return s }, "early": (*callflowtest.Step).Early,
		"late":         func(s *callflowtest.Step) *callflowtest.Step { return s.Late(30 * time.Second) },
		"hours late":   func(s *callflowtest.Step) *callflowtest.Step { return s.Late(3 * time.Hour) },
		"duplicate":    (*callflowtest.Step).Duplicate,
		"out of order": (*callflowtest.Step).OutOfOrder, "answer lost": (*callflowtest.Step).AnswerLost, "worker dies": (*callflowtest.Step).WorkerDies,
		"worker dies early": func(s *callflowtest.Step) *callflowtest.Step { return s.Early().WorkerDies() },
	} {
		t.Run(name, func(t *testing.T) {
			kit := standard(t)
			fault(kit.On(anna).Human(talk)).NoMore()
			kit.Call(anna, nil).Outcome("human").Dialed(anna).Ended()
		})
	}
}

func TestACallOfWhichNothingIsHeardIsUnknownAtItsWatchdog(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk).Lost().Then().Human(talk)
	run := kit.Call(anna, nil).Outcome("human")
	require.Equal(t, call.Unknown, run.Result().Attempts[0].Disposition)
	require.GreaterOrEqual(t, run.Dials()[1].At.Sub(run.Dials()[0].At), (followup.Policy{}).WithDefaults().Dial.HearFor())
}

func TestAPhoneThatRingsLongerThanItIsAllowedToIsNotAnswered(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk).Ring(2 * time.Minute)
	require.Equal(t, call.NoAnswer, kit.Call(anna, nil).Result().Attempts[0].Disposition)
}

func TestRequestsThatAreNoCallAreSentAgainWhenTheAccountMay(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Throttled(time.Minute).Then().Throttled(0).Then().GatewayDown().Then().Human(talk)
	start := kit.Now()
	run := kit.Call(anna, nil).Outcome("human")
	require.Len(t, run.Result().Attempts, 1)
	run.DialedAt(start.Add(time.Minute + followup.Throttle(0, 2) + followup.Outage(3)))
}

func TestAShortHoldThatIsCanceledDialsNothing(t *testing.T) {
	kit := standard(t).CancelAfter(2 * time.Second)
	kit.On(anna).GatewayDown().NoMore()
	kit.Call(anna, nil).Outcome(call.OutcomeCanceled).Dialed()
}

func TestLimitsHoldACallUntilThereIsRoom(t *testing.T) {
	for reason, limit := range map[followup.Reason]func(*callflowtest.Kit){
		followup.ReasonLinesBusy: func(k *callflowtest.Kit) { k.Lines(1).OtherCall(bert, 0, time.Minute) },
		followup.ReasonRate:      func(k *callflowtest.Kit) { k.Rate(1, time.Minute).OtherCall(bert, 0, time.Second) },
		followup.ReasonNumber:    func(k *callflowtest.Kit) { k.OtherCall(anna, 0, time.Minute) },
	} {
		t.Run(string(reason), func(t *testing.T) {
			kit := standard(t)
			limit(kit)
			kit.On(anna).Human(talk)
			start := kit.Now()
			run := kit.Call(anna, nil).Outcome("human").DialedAt(start.Add(time.Minute))
			held := run.Decisions()[0]
			require.Equal(t, "held", held.Kind)
			require.Equal(t, string(reason), held.Reason)
		})
	}
}

func TestAPolicysRulesHoldACallUntilTheyAllowIt(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	p, err := followup.Parse([]byte("window: {timezone: Europe/Berlin, days: {mon-fri: [\"09:00-12:00\"]}}\nlimits: [{calls: 1, per: 20h}]\non: {busy: {retry: [1h, 1h, 1h], then: stop}}"))
	require.NoError(t, err)
	kit := standard(t).At(time.Date(2026, 3, 27, 18, 0, 0, 0, berlin)) // a Friday; the clocks change on Sunday
	kit.On(anna).Busy()
	run := kit.Call(anna, nil, func(in *workflows.Input) { in.Policy = p }).Ended().NeverDialedOutside("09:00-12:00", berlin).AtMost(1, 20*time.Hour)
	require.Len(t, run.Dials(), 4)
	require.Equal(t, time.Monday, run.Dials()[0].At.In(berlin).Weekday())
	require.Contains(t, run.Timeline(), "the clocks have changed by +1h: CEST")
	require.Equal(t, string(followup.ReasonWindow), run.Decisions()[0].Reason)
}

func TestAContactsFurtherNumbersAreScriptedEachByItself(t *testing.T) {
	kit := standard(t)
	kit.On(anna).InvalidNumber()
	kit.On(bert).Human(talk)
	kit.Call(anna, nil, func(in *workflows.Input) { in.Further = []call.Target{callflowtest.Target(bert)} }).Outcome("human").Dialed(anna, bert)
}

func TestASuppressedNumberIsNotDialed(t *testing.T) {
	kit := standard(t).Suppress(anna)
	kit.Call(anna, nil).Outcome(call.OutcomeSuppressed).Dialed()
}

func TestANumberOfWhichNobodyKnowsTheZoneIsPassedOver(t *testing.T) {
	const nowhere = "sip:nowhere@example.com"
	byTheirClock := parse(`{window: {days: {mon-sun: ["00:00-24:00"]}}, on: {busy: next_number}}`)
	call := func(number string, further ...string) *callflowtest.Run {
		kit := standard(t)
		kit.On(anna).Busy()
		kit.On(bert).Human(talk)
		return kit.Call(number, nil, func(in *workflows.Input) {
			in.Policy = byTheirClock
			for _, number := range further {
				in.Further = append(in.Further, callflowtest.Target(number))
			}
		})
	}
	call(nowhere, bert).Outcome("human").Dialed(bert)
	call(anna, nowhere, bert).Outcome("human").Dialed(anna, bert)
	call(nowhere).Outcome("suppressed").Dialed()
	call(anna, nowhere).Outcome("suppressed").Dialed(anna)
}

func TestANumberMayBeSuppressedMeanwhile(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Busy()
	kit.After(10*time.Minute, func() { kit.Suppress(anna) })
	kit.Call(anna, nil).Outcome(call.OutcomeSuppressed).Dialed(anna)
}

func TestTheStatusIsAskedForMeanwhile(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Busy().Then().Human(talk)
	var status workflows.Status
	kit.After(10*time.Minute, func() { status = kit.Status() })
	kit.Call(anna, nil)
	require.Equal(t, workflows.StateWaiting, status.State)
	require.Equal(t, followup.ReasonRetry, status.Wait.Reason)
}

func TestAContactIDIsDialedByOneRunOnly(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk)
	kit.Call(anna, nil).Outcome("human")
	kit.Call(anna, nil).Outcome(call.OutcomeDuplicateID).Dialed().Ended()
	kit.Call(anna, nil, func(in *workflows.Input) { in.ContactID = "another" }).Outcome("human")
}

// survey asks once and waits for the bot's word.
var survey = workflows.Define("Survey", func(ctx workflow.Context, f *workflows.Flow, in question) error {
	attempt, err := f.Call(ctx, workflows.Tell("question", in.Question))
	if err != nil {
		return err
	}
	said, err := f.AwaitResult(ctx, attempt, time.Hour)
	if err != nil {
		return err
	}
	f.Note(ctx, "the bot said "+string(said.Kind))
	if said.Kind == call.Callback {
		if err := f.Hold(ctx, said.At, "asked to be called back"); err != nil {
			return err
		}
		if _, err := f.Call(ctx); err != nil {
			return err
		}
	}
	return f.Finish(ctx, call.Outcome(f.Last().Disposition), string(said.Kind)+string(said.Data))
})

type question struct {
	Question string `json:"question"`
}

func (q question) Validate() error {
	if q.Question == "" {
		return errors.New("question: say what is to be asked")
	}
	return nil
}

func TestTheBotSaysItsResultInTimeLateOrNever(t *testing.T) {
	for reason, said := range map[string]func(*callflowtest.Step){
		"confirmed":        func(s *callflowtest.Step) { s.Result(call.Confirmed) },
		"declined":         func(s *callflowtest.Step) { s.Result(call.Refused).After(59 * time.Minute) },
		`opted_out{"a":1}`: func(s *callflowtest.Step) { s.Result(call.OptedOut).Data(map[string]int{"a": 1}) },
		"":                 func(*callflowtest.Step) {},
		"unfinished":       func(s *callflowtest.Step) { s.Result(call.Unfinished).Result(call.Confirmed).After(time.Minute) },
	} {
		t.Run(reason, func(t *testing.T) {
			kit := callflowtest.New(t, survey)
			said(kit.On(anna).Human(talk))
			run := kit.Call(anna, question{"when?"}).Outcome("human")
			require.Equal(t, reason, run.Result().Reason)
			require.Equal(t, "when?", run.Dials()[0].Metadata["question"])
			require.Len(t, run.Notes(), 1)
		})
	}
}

func TestAFlowIsToldInMidCallWhereItAsksForThat(t *testing.T) {
	for faults, after := range map[string]struct {
		plant  func(*callflowtest.Step)
		answer time.Duration
		said   time.Duration
	}{
		"none":         {func(*callflowtest.Step) {}, 8 * time.Second, 10 * time.Second},
		"early":        {func(s *callflowtest.Step) { s.Early() }, 0, 0},
		"out of order": {func(s *callflowtest.Step) { s.OutOfOrder() }, 50 * time.Second, 50 * time.Second}, // once it is settled
	} {
		t.Run(faults, func(t *testing.T) {
			heard := map[string]time.Duration{}
			var start time.Time
			note := func(what string) workflows.Reaction {
				return func(ctx workflow.Context, _ call.Attempt) error {
					heard[what] = workflow.Now(ctx).Sub(start)
					return nil
				}
			}
			kit := callflowtest.New(t, workflows.Define("Listening", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
				_, err := f.Call(ctx, workflows.OnAnswered(note("answered")), workflows.OnVerdict(note("verdict")))
				return err
			}))
			start = kit.Now()
			after.plant(kit.On(anna).Human(talk))
			kit.Call(anna, nil).Outcome("human")
			require.Equal(t, map[string]time.Duration{"answered": after.answer, "verdict": after.said}, heard)
		})
	}
}

func TestACallbackIsAskedForAtATime(t *testing.T) {
	kit := callflowtest.New(t, survey)
	at := kit.Now().Add(24 * time.Hour)
	kit.On(anna).Human(talk).Callback(at)
	kit.Call(anna, question{"when?"}).DialedAt(kit.Ledger().Decisions("redial/-/anna")[0].At, at)

	kit = callflowtest.New(t, survey)
	kit.On(anna).Human(talk).CallbackIn(2 * time.Hour)
	kit.Call(anna, question{"when?"}).Gaps(2*time.Hour + 47*time.Second)
}

func TestAnInputFailsAsItWouldInProduction(t *testing.T) {
	for want, own := range map[string]any{"say what is to be asked": question{}, "unknown field": map[string]string{"q": "?"}, "cannot unmarshal": 7} {
		run := callflowtest.New(t, survey).Call(anna, own)
		require.ErrorContains(t, run.Err(), want)
		require.Empty(t, run.Dials())
	}
	run := standard(t).Call(anna, nil, func(in *workflows.Input) { in.Policy.Attempts = 1000 })
	require.ErrorContains(t, run.Err(), "policy: attempts: 1000 is out of range")
}

// book is an activity of an author.
func book(_ context.Context, slot string) (string, error) { return slot + ": booked", nil }

var booking = workflows.Define("Booking", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	var said string
	if err := f.Do(ctx, book, &said, "monday"); err != nil {
		return err
	}
	return f.Escalate(ctx, said)
}).WithActivities(book)

func TestAFlowsOwnActivitiesRunOrAreMocked(t *testing.T) {
	callflowtest.New(t, booking).Call(anna, nil).EscalatedWith("monday: booked")
	kit := callflowtest.New(t, booking).Environment(func(env *testsuite.TestWorkflowEnvironment) {
		env.OnActivity(book, mock.Anything, "monday").Return("taken", nil)
	})
	kit.Call(anna, nil).EscalatedWith("taken")
}

func TestAFlowThatIsRenewedDialsWhatItWouldHaveDialed(t *testing.T) {
	play := func(renew func(*callflowtest.Kit)) *callflowtest.Run {
		kit := callflowtest.New(t, reminder)
		renew(kit)
		kit.On(anna).Human(talk).Lost().Then().Human(talk).Late(time.Hour).Then().Busy().Duplicate()
		return kit.Call(anna, nil).Ended()
	}
	as := func(r *callflowtest.Run) string { return fmt.Sprint(r.Dials(), r.Result().Outcome, r.Result().Reason) }
	plain := play(func(*callflowtest.Kit) {})
	require.Zero(t, plain.Renewals())
	for n := 1; n <= 3; n++ {
		renewed := play(func(k *callflowtest.Kit) { k.RenewEvery(n) })
		require.Positive(t, renewed.Renewals())
		require.Equal(t, as(plain), as(renewed))
	}
	kit := standard(t).Renew()
	kit.On(anna).Busy().Then().Human(talk).Late(3 * time.Hour)
	require.Equal(t, 2, kit.Call(anna, nil).Outcome("human").Dialed(anna, anna).Renewals())
}

func TestAFlowThatNeverEndsIsFoundOut(t *testing.T) {
	for name, step := range map[string]func(workflow.Context, *workflows.Flow) error{
		"the flow had not ended after 1000 dials and waits": func(ctx workflow.Context, f *workflows.Flow) error {
			return f.Hold(ctx, workflow.Now(ctx).Add(time.Minute), "once more")
		},
		"the flow had not ended after 20000 timers and activities": func(ctx workflow.Context, _ *workflows.Flow) error {
			return workflow.Sleep(ctx, time.Second)
		},
		"the flow had not ended after 400 days": func(ctx workflow.Context, f *workflows.Flow) error {
			return workflow.Await(ctx, func() bool { return false })
		},
	} {
		t.Run(name, func(t *testing.T) {
			flow := workflows.Define("Endless", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
				for {
					if err := step(ctx, f); err != nil {
						return err
					}
				}
			})
			require.Contains(t, told(t, func(tb testing.TB) { callflowtest.New(tb, flow).Call(anna, nil).Ended() }), name)
		})
	}
}

func TestAFlowThatFailsSaysSo(t *testing.T) {
	for name, fails := range map[string]func() error{"out of ideas": func() error { return errors.New("out of ideas") }, "a bug": func() error { panic("a bug") }} {
		flow := workflows.Define("Failing", func(workflow.Context, *workflows.Flow, workflows.None) error { return fails() })
		run := callflowtest.New(t, flow).Call(anna, nil)
		require.ErrorContains(t, run.Err(), name)
		require.Contains(t, told(t, func(tb testing.TB) { callflowtest.New(tb, flow).Call(anna, nil).Outcome("human") }), name)
		require.Contains(t, run.Timeline(), "failed")
	}
}

// chorus calls two at once.
var chorus = workflows.Define("Chorus", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	_, err := f.CallAny(ctx, workflows.AtOnce, []call.Target{callflowtest.Target(anna), callflowtest.Target(bert), callflowtest.Target("+14155550102")}, workflows.Human)
	return err
})

func TestCallsAtTheSameTimeGoTheSameWayEveryTime(t *testing.T) {
	play := func() string {
		kit := callflowtest.New(t, chorus).Lines(2).Faults(7)
		kit.OnAny().Human(talk).Then().Busy().Then().NoAnswer()
		return kit.Call("", nil).Ended().OneInFlightPerNumber().Timeline()
	}
	once := play()
	for range 30 {
		require.Equal(t, once, play())
	}
}

func TestFaultsAtRandomAreTheSameForASeed(t *testing.T) {
	play := func(seed uint64, of ...callflowtest.Fault) string {
		kit := standard(t).Faults(seed, of...)
		kit.On(anna).Busy().Times(2).Then().Machine(callflowtest.Greeting)
		return kit.Call(anna, nil).Ended().OneInFlightPerNumber().Timeline()
	}
	different := false
	for seed := range uint64(20) {
		require.Equal(t, play(seed), play(seed))
		different = different || play(seed) != play(0)
	}
	require.True(t, different)
	require.NotContains(t, play(1, callflowtest.FaultDuplicate), "Early")
}

func TestATimelineIsInTheZoneOfTheStartAndShowsWhenItsClocksChange(t *testing.T) {
	kit := callflowtest.New(t, reminder).At(time.Date(2026, 3, 8, 0, 30, 0, 0, zone(t, "America/Los_Angeles")))
	kit.On(anna).Busy()
	require.Equal(t, strings.TrimPrefix(`
redial/-/anna · from Sun 8 Mar 2026 00:30:00 PST
  Sun  8 Mar  00:30:00      +00:00:00   #1  dial       +14155550100
              00:30:01      +00:00:01   #1  end        busy, 486 Busy Here
              00:30:01      +00:00:01       held       flow until 03:30:01  (Reminder: nobody has confirmed yet)
                        ──  the clocks have changed by +1h: PDT  ──
              03:30:01      +02:00:01   #2  dial       +14155550100
              03:30:02      +02:00:02   #2  end        busy, 486 Busy Here
              03:30:02      +02:00:02       held       flow until 05:30:02  (Reminder: nobody has confirmed yet)
              05:30:02      +04:00:02   #3  dial       +14155550100
              05:30:03      +04:00:03   #3  end        busy, 486 Busy Here
              05:30:03      +04:00:03       held       flow until 07:30:03  (Reminder: nobody has confirmed yet)
              07:30:03      +06:00:03       outcome    escalated  (nobody has confirmed)
              07:30:03      +06:00:03       escalated  nobody has confirmed  (flow Reminder)
`, "\n"), kit.Call(anna, nil).Timeline())
}

func TestABrokenPromiseFailsTheTestWithTheTimeline(t *testing.T) {
	for want, check := range map[string]func(*callflowtest.Run){
		"outside 09:00-10:05":              func(r *callflowtest.Run) { r.NeverDialedOutside("09:00-10:05", time.UTC) },
		"at most 1 are allowed in 1h0m0s":  func(r *callflowtest.Run) { r.AtMost(1, time.Hour) },
		"should be busy, and is human":     func(r *callflowtest.Run) { r.Outcome("busy") },
		"were told 0 times":                func(r *callflowtest.Run) { r.EscalatedWith("anything") },
		"there should be dials at []":      func(r *callflowtest.Run) { r.DialedAt() },
		"dialed should be [+14155550100],": func(r *callflowtest.Run) { r.Dialed(anna) },
		"there should be [1s] between":     func(r *callflowtest.Run) { r.Gaps(time.Second) },
		"too bad":                          func(r *callflowtest.Run) { r.Keeps(func(*callflowtest.Run) error { return errors.New("too bad") }) },
	} {
		said := told(t, func(tb testing.TB) {
			kit := standard(tb)
			kit.On(anna).Busy().Then().Human(talk)
			check(kit.Call(anna, nil))
		})
		require.Contains(t, said, want)
		require.Contains(t, said, "#2  dial       +14155550100")
	}
}

func TestAPromiseThatIsKeptSaysNothing(t *testing.T) {
	kit := callflowtest.New(t, reminder)
	kit.On(anna).Busy().Then().Human(talk).Result(call.Confirmed)
	kit.Call(anna, nil).NeverDialedOutside("09:00-20:00", time.UTC).AtMost(2, 3*time.Hour).AtMost(1, 2*time.Hour).OneInFlightPerNumber().Ended().
		Gaps(2*time.Hour+time.Second).Dialed(anna, anna)
	for window, kept := range map[string]bool{"10:00-10:01": true, "00:00-24:00": true, "10:01-24:00": false, "22:00-10:01": true, "22:00-10:00": false, "10:01-10:00": false} {
		kit := callflowtest.New(t, reminder)
		kit.On(anna).Human(talk).Result(call.Confirmed)
		require.Equal(t, kept, callflowtest.NeverDialedOutside(window, time.UTC)(kit.Call(anna, nil)) == nil, window)
	}
	for _, window := range []string{"", "9-20", "09:00", "09:00-24:30", "25:00-26:00"} {
		require.Panics(t, func() { callflowtest.NeverDialedOutside(window, time.UTC) }, window)
	}
}

func TestTwoCallsToANumberAtOnceAreFoundOut(t *testing.T) {
	hasty := followup.Policy{Dial: followup.Dial{MaxCall: followup.Duration(time.Minute)},
		On: map[call.Disposition]followup.Rule{call.Unknown: {Retry: []followup.Delay{{After: followup.Duration(time.Minute)}}}}}
	said := told(t, func(tb testing.TB) {
		kit := standard(tb)
		kit.On(anna).Human(20 * time.Minute).Lost().Then().Human(talk)
		kit.Call(anna, nil, func(in *workflows.Input) { in.Policy = hasty }).OneInFlightPerNumber()
	})
	require.Contains(t, said, "attempt 2 dialed +14155550100 while a call to it was under way")
}

func TestTheActivitiesAreTheProductsOwn(t *testing.T) {
	kit := standard(t)
	kit.On(anna).Human(talk)
	d := kit.Call(anna, nil, func(in *workflows.Input) { in.Metadata = map[string]any{"name": "Anna"} }).Dials()[0]
	require.Equal(t, "Anna", d.Metadata["name"])
	require.Contains(t, d.Metadata, activities.MetadataResultURL)
}

// fortnight is two weeks of a contact, at the pace of the default policy and beyond.
func fortnight(tb testing.TB) *callflowtest.Run {
	kit := standard(tb)
	kit.On(anna).Busy().Times(3).Then().NoAnswer().Times(3).Then().Machine(callflowtest.Beep).Times(3).Then().Unreachable().Times(3).Then().Human(talk)
	retries := followup.Rule{Retry: []followup.Delay{{After: followup.Duration(26 * time.Hour)}, {After: followup.Duration(27 * time.Hour)}, {After: followup.Duration(31 * time.Hour)}}}
	return kit.Call(anna, nil, func(in *workflows.Input) {
		in.Policy = followup.Policy{Attempts: 20, Lifetime: followup.Duration(20 * 24 * time.Hour), On: map[call.Disposition]followup.Rule{
			call.Busy: retries, call.NoAnswer: retries, call.Machine: retries, call.Unreachable: retries}}
	})
}

func TestTwoWeeksOfAContactTakeNoTime(t *testing.T) {
	const most = 50 * time.Millisecond
	fastest := time.Hour
	for since := time.Now(); fastest >= most && time.Since(since) < 2*time.Minute; { // others use this machine, too: the first that was left alone counts
		began := time.Now()
		run := fortnight(t)
		fastest = min(fastest, time.Since(began))
		run.Outcome("human")
		require.Greater(t, run.Lasted(), 14*24*time.Hour)
		require.Len(t, run.Dials(), 13)
	}
	require.Less(t, fastest, most)
}

func BenchmarkTwoWeeksOfAContact(b *testing.B) {
	for b.Loop() {
		fortnight(b)
	}
}
