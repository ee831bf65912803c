package workflows_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/workflows"
)

// written is a policy as it stands in a file.
func written(t *testing.T, text string) followup.Policy {
	t.Helper()
	p, err := followup.Parse([]byte("name: reminder\njitter: 0\n" + text))
	require.NoError(t, err)
	return p
}

// document is a policy as somebody writes it into an update.
func document(p followup.Policy) json.RawMessage {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return data
}

// follows lets a run follow the policy that the ledger keeps as reminder.
func follows(in *workflows.Input) { in.Follows = "reminder" }

func further(number string) func(*workflows.Input) {
	return func(in *workflows.Input) { in.Further = []call.Target{{URI: "tel:" + number}} }
}

// change is another policy for a run, in the two ways in which it may come: to the run alone, and to all that follow it.
var change = map[string]func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input){
	"of the run": func(kit *callflowtest.Kit, at time.Duration, p followup.Policy) func(*workflows.Input) {
		kit.SteerAfter(at, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(p), Reason: "too many complaints"})
		return func(*workflows.Input) {}
	},
	"that the run follows": func(kit *callflowtest.Kit, at time.Duration, p followup.Policy) func(*workflows.Input) {
		kit.After(at, func() { kit.PutPolicy(p) })
		return follows
	},
}

func eachChange(t *testing.T, test func(*testing.T, func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input))) {
	for name, way := range change {
		t.Run("the policy "+name, func(t *testing.T) { test(t, way) })
	}
}

func TestASleeperGoesByAPolicyThatHasChangedAsIfItHadBeenDecidedByIt(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		t.Run("sooner", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [10m]}}"))
			run := kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(10*time.Minute+time.Second))
			require.Equal(t, "reminder: on.busy.retry[0]: 10m", run.Decisions()[len(run.Decisions())-3].Rule, run.Timeline())
		})
		t.Run("later", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [3h]}}"))
			kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(3*time.Hour+time.Second))
		})
		t.Run("at once, because it would have been called before now", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [1m]}}"))
			kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(5*time.Minute))
		})
		t.Run("never again", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: stop}"))
			lasts(t, kit.Call(anna, nil, steady, with).Outcome(call.Outcome(call.Busy)).DialedAt(monday))
		})
		t.Run("to people", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: escalate}"))
			run := kit.Call(anna, nil, steady, with).Outcome(call.OutcomeEscalated).DialedAt(monday)
			lasts(t, run)
			require.Len(t, run.Escalations(), 1)
		})
		t.Run("at another number", func(t *testing.T) {
			kit := asleep(t)
			kit.On(bertsNumber).Human(time.Minute)
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: next_number}"))
			kit.Call(anna, nil, steady, further(bertsNumber), with).Outcome("human").Dialed(anna, bertsNumber)
		})
		t.Run("back at the number before", func(t *testing.T) {
			kit := asleep(t)
			kit.On(bertsNumber).Human(time.Minute)
			before := written(t, "on: {busy: next_number}\nlimits: [{calls: 1, per: 30m, by: contact}]")
			with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [1h]}}"))
			kit.Call(anna, nil, further(bertsNumber), func(in *workflows.Input) { in.Policy = before.WithDefaults() }, with).Outcome("human").
				Dialed(anna, anna).Gaps(time.Hour + time.Second)
		})
	})
}

func TestAPolicyThatChangesWhileARunIsPausedHoldsOnceItIsResumed(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := asleep(t)
		kit.SteerAfter(time.Minute, workflows.UpdatePause, workflows.Steering{})
		with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [5h]}}"))
		var status workflows.Status
		kit.After(time.Hour, func() { status = kit.Status() })
		kit.SteerAfter(2*time.Hour, workflows.UpdateResume, workflows.Steering{})
		kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(5*time.Hour+time.Second))
		require.Equal(t, followup.ReasonPaused, status.Wait.Reason)
	})
}

func TestWhatAnOperatorHasChosenStandsWhenThePolicyChanges(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := asleep(t)
		kit.SteerAfter(time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.Add(2 * time.Hour)})
		with := comes(kit, 5*time.Minute, written(t, "on: {busy: stop}"))
		kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(2*time.Hour))
	})
}

func TestAPolicyThatTightensBindsAtTheNextDial(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		t.Run("of a run that sleeps", func(t *testing.T) {
			kit := asleep(t)
			with := comes(kit, 5*time.Minute, written(t, "limits: [{calls: 1, per: 6h}]"))
			kit.Call(anna, nil, steady, with).Outcome("human").AtMost(1, 6*time.Hour-time.Second)
		})
		t.Run("of a run that waits by its flow's own choice, and was not dialed yet", func(t *testing.T) {
			kit := callflowtest.New(t, nextDay).At(monday)
			kit.On(anna).Human(time.Minute)
			with := comes(kit, 5*time.Minute, written(t, `window: {timezone: UTC, days: {mon-sun: ["15:00-20:00"]}}`))
			kit.Call(anna, nil, steady, with).Outcome("human").NeverDialedOutside("15:00-20:00", time.UTC)
		})
		t.Run("of a run that is in a call", func(t *testing.T) {
			kit := callflowtest.New(t, workflows.Standard).At(monday)
			kit.On(anna).Machine(callflowtest.Beep).Talk(6 * time.Minute).Then().Human(time.Minute)
			with := comes(kit, 5*time.Minute, written(t, "on: {machine: {retry: [1h]}}"))
			run := kit.Call(anna, nil, steady, with).Outcome("human")
			require.InDelta(t, time.Hour+6*time.Minute, run.Dials()[1].At.Sub(monday), float64(time.Minute))
		})
	})
}

func TestARunThatWasContinuedGoesByThePolicyThatItWasGiven(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := callflowtest.New(t, workflows.Standard).At(monday).Renew()
		kit.On(anna).Busy().Then().Busy().Then().Busy().Then().Human(time.Minute)
		with := comes(kit, 5*time.Minute, written(t, "on: {busy: {retry: [10m, 1h, 2h]}}"))
		run := kit.Call(anna, nil, steady, with).Outcome("human")
		require.NotZero(t, run.Renewals())
		run.Gaps(10*time.Minute+time.Second, time.Hour+time.Second, 2*time.Hour+time.Second) // a busy call takes a second
	})
}

func TestAPolicyThatCannotHoldIsRefusedAndChangesNothing(t *testing.T) {
	kit := asleep(t)
	bad := written(t, "on: {busy: stop}")
	bad.Attempts = 1000
	needsConsent := written(t, "window: {presets: [us-federal]}")
	refused := map[string]*callflowtest.Steered{
		"attempts: 1000 is out of range": kit.SteerAfter(time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(bad)}),
		"consent: it is missing":         kit.SteerAfter(2*time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(needsConsent)}),
		"unknown field \"windows\"":      kit.SteerAfter(210*time.Second, workflows.UpdateChangePolicy, workflows.Steering{Policy: json.RawMessage(`{"name": "mine", "windows": {}}`)}),
		"it says nothing":                kit.SteerAfter(220*time.Second, workflows.UpdateChangePolicy, workflows.Steering{Policy: json.RawMessage(`{ }`)}),
		"give either a policy":           kit.SteerAfter(3*time.Minute, workflows.UpdateChangePolicy, workflows.Steering{}),
		"the ledger has no policy":       kit.SteerAfter(4*time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Follows: "spring"}),
	}
	kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(20*time.Minute+time.Second))
	for why, steered := range refused {
		require.ErrorContains(t, steered.Err(), why)
	}
}

func TestWhoIsResumedUnderAnotherPolicyIsToldOfWhatIsPlannedNow(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		for name, ends := range map[string]bool{"busy: {retry: [3h]}": false, "busy: stop": true} {
			t.Run(name, func(t *testing.T) {
				kit := asleep(t)
				var attributes []temporal.SearchAttributes
				kit.Environment(func(env *testsuite.TestWorkflowEnvironment) {
					env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
						attributes = append(attributes, args.Get(0).(temporal.SearchAttributes))
					}).Return(nil)
				})
				kit.SteerAfter(2*time.Minute, workflows.UpdatePause, workflows.Steering{})
				with := comes(kit, 3*time.Minute, written(t, "on: {"+name+"}"))
				kit.SteerAfter(4*time.Minute, workflows.UpdateResume, workflows.Steering{})
				var resumed workflows.Status
				kit.After(5*time.Minute, func() { resumed = kit.Status() })
				run := kit.Call(anna, nil, steady, with).Ended()
				state, _ := attributes[len(attributes)-1].GetKeyword(workflows.AttributeState)
				require.Equal(t, string(workflows.StateDone), state)
				if ends {
					run.Outcome(call.Outcome(call.Busy)).DialedAt(monday)
					return
				}
				run.Outcome("human").DialedAt(monday, monday.Add(3*time.Hour+time.Second))
				require.Equal(t, []any{workflows.StateWaiting, monday.Add(3*time.Hour + time.Second)}, []any{resumed.State, resumed.Wait.Until})
				for _, d := range run.Decisions() {
					require.False(t, d.At.Equal(monday.Add(4*time.Minute)) && d.Kind == "held" && d.Until.Equal(monday.Add(20*time.Minute+time.Second)), "what is not planned any more is not told:\n%s", run.Timeline())
				}
			})
		}
	})
}

func TestTheBotsResultIsWaitedForAsThePolicySaysNow(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		for when, at := range map[string]time.Duration{"before the call": 5 * time.Minute, "in the call": 21 * time.Minute} {
			t.Run(when, func(t *testing.T) {
				kit := callflowtest.New(t, workflows.Standard).At(monday)
				kit.On(anna).Busy().Then().Human(2 * time.Minute).Result(call.Refused).After(2 * time.Minute)
				with := comes(kit, at, written(t, "on: {busy: {retry: [20m]}, human: {wait_result: 10m, declined: escalate, none: stop}}"))
				kit.Call(anna, nil, steady, with).Outcome(call.OutcomeEscalated)
			})
		}
	})
}

func TestWhoFollowsAPolicyIsDialedAsItsNewestVersionSaysFromTheFirstCallOn(t *testing.T) {
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Human(time.Minute)
	kit.PutPolicy(written(t, "dial: {machine_detection: disabled}"))
	run := kit.Call(anna, nil, steady, follows).Outcome(call.Outcome(call.Answered))
	require.False(t, run.Result().Attempts[0].Detection)
}

func TestWhatAnOperatorHasChosenStandsInAHeldRunToo(t *testing.T) {
	held := func(t *testing.T) *callflowtest.Kit {
		kit := asleep(t).Lines(1).OtherCall("+14155550199", 15*time.Minute, time.Hour)
		kit.SteerAfter(30*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.Add(4 * time.Hour)})
		return kit
	}
	t.Run("when a line is free", func(t *testing.T) {
		held(t).Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(4*time.Hour))
	})
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := held(t)
		with := comes(kit, 40*time.Minute, written(t, "on: {busy: stop}"))
		kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(4*time.Hour))
	})
	t.Run("in a run that was continued", func(t *testing.T) {
		eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
			kit := asleep(t).Renew().Lines(1).OtherCall("+14155550199", time.Hour, 4*time.Hour)
			kit.SteerAfter(5*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.Add(2 * time.Hour)})
			with := comes(kit, 3*time.Hour, written(t, "on: {busy: stop}"))
			require.NotZero(t, kit.Call(anna, nil, steady, with).Outcome("human").Renewals())
		})
	})
}

func TestWhoIsHeldAndPausedAsksAgainOnceItIsResumed(t *testing.T) {
	kit := asleep(t).Lines(1).OtherCall("+14155550199", 15*time.Minute, time.Hour)
	kit.SteerAfter(30*time.Minute, workflows.UpdatePause, workflows.Steering{})
	kit.SteerAfter(100*time.Minute, workflows.UpdateResume, workflows.Steering{})
	kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(100*time.Minute))
}

func TestARunThatIsContinuedBeforeItsDialCallsTheNumberThatWasDecidedAnew(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := asleep(t).Renew().Lines(1).OtherCall("+14155550199", 15*time.Minute, time.Hour)
		kit.On(bertsNumber).Human(time.Minute)
		with := comes(kit, 30*time.Minute, written(t, "on: {busy: next_number}"))
		kit.Call(anna, nil, steady, further(bertsNumber), with).Outcome("human").Dialed(anna, bertsNumber)
	})
}

func TestATimeOfTheFlowsOwnStandsWhenThePolicyChanges(t *testing.T) {
	later := workflows.Define("Later", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		for {
			a, err := f.Call(ctx)
			if err != nil {
				return err
			}
			d, err := f.Conclude(ctx, a)
			if err != nil || d.Final() {
				return err
			}
			d.At = d.At.Add(24 * time.Hour)
			if err := f.WaitForRetry(ctx, d); err != nil {
				return err
			}
		}
	})
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := callflowtest.New(t, later).At(monday)
		kit.On(anna).Busy().Then().Human(time.Minute)
		with := comes(kit, 5*time.Minute, written(t, "attempts: 3"))
		kit.Call(anna, nil, steady, with).Outcome("human").DialedAt(monday, monday.Add(24*time.Hour+20*time.Minute+time.Second))
	})
}

func TestCallsAtOnceThatAreHeldAskAgainWhenThePolicyChanges(t *testing.T) {
	eachChange(t, func(t *testing.T, comes func(*callflowtest.Kit, time.Duration, followup.Policy) func(*workflows.Input)) {
		kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
			_, err := f.CallAny(ctx, workflows.AtOnce, three, workflows.Human)
			return err
		})
		kit.On(anna).Human(time.Minute)
		kit.OnAny().Busy()
		shut := written(t, `window: {timezone: UTC, days: {mon-sun: ["15:00-20:00"]}}`).WithDefaults()
		with := comes(kit, 5*time.Minute, written(t, ""))
		run := kit.Call("", nil, func(in *workflows.Input) { in.Policy = shut }, with)
		require.Len(t, run.Dials(), 3)
		for _, d := range run.Dials() {
			require.Less(t, d.At.Sub(monday), 6*time.Minute)
		}
	})
}

func TestAPolicyOfTheLedgerThatCannotHoldForAContactIsRefused(t *testing.T) {
	kit := asleep(t)
	kit.PutPolicy(written(t, "window: {presets: [us-federal]}"))
	refused := kit.SteerAfter(time.Minute, workflows.UpdateChangePolicy, workflows.Steering{Follows: "reminder"})
	kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(20*time.Minute+time.Second))
	require.ErrorContains(t, refused.Err(), "consent: it is missing")
}
