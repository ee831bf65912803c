package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/workflows"
)

var monday = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// asleep is a contact that was busy at its first call and is due again at 10:20; each action is asked at 10:05.
func asleep(t *testing.T) *callflowtest.Kit {
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Busy().Then().Human(40 * time.Second)
	return kit
}

func TestAPausedContactIsNotDialedUntilItIsResumed(t *testing.T) {
	kit := asleep(t)
	paused := kit.SteerAfter(5*time.Minute, workflows.UpdatePause, workflows.Steering{Reason: "a complaint"})
	var status workflows.Status
	kit.After(40*time.Minute, func() { status = kit.Status() })
	again := kit.SteerAfter(41*time.Minute, workflows.UpdatePause, workflows.Steering{})
	now := kit.SteerAfter(42*time.Minute, workflows.UpdateCallNow, workflows.Steering{})
	resumed := kit.SteerAfter(2*time.Hour, workflows.UpdateResume, workflows.Steering{})
	run := kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(2*time.Hour))
	require.NoError(t, paused.Err())
	require.NoError(t, resumed.Err())
	require.ErrorContains(t, again.Err(), "it is paused by the test: a complaint already")
	require.ErrorContains(t, now.Err(), "resume it first")
	require.Equal(t, workflows.StatePaused, status.State)
	require.Equal(t, followup.ReasonPaused, status.Wait.Reason)
	require.Contains(t, run.Notes(), "paused by the test: a complaint")
}

func TestAContactThatIsPausedAndResumedInTimeIsDialedWhenItWasDue(t *testing.T) {
	kit := asleep(t)
	kit.SteerAfter(5*time.Minute, workflows.UpdatePause, workflows.Steering{})
	kit.SteerAfter(6*time.Minute, workflows.UpdateResume, workflows.Steering{})
	kit.Call(anna, nil, steady).DialedAt(monday, monday.Add(20*time.Minute+time.Second))
}

// What is asked in mid-call is written down at once, and what the contact waits for when the call is over is that it is resumed.
func TestAPauseInMidCallIsToldAtOnceAndIsWhatFollowsTheCall(t *testing.T) {
	const pause, resume = "paused by the test: a complaint", "resumed by the test"
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Machine(callflowtest.Beep).Talk(time.Minute).Then().Human(time.Minute)
	for at, update := range map[time.Duration]string{20 * time.Second: workflows.UpdatePause, 22 * time.Second: workflows.UpdateResume,
		24 * time.Second: workflows.UpdatePause, time.Hour: workflows.UpdateResume} {
		asked := kit.SteerAfter(at, update, workflows.Steering{Reason: map[string]string{workflows.UpdatePause: "a complaint"}[update]})
		defer func() { require.NoError(t, asked.Err(), "%s after %s", update, at) }()
	}
	var calling, waiting workflows.Status
	kit.After(30*time.Second, func() { calling = kit.Status() })
	kit.After(30*time.Minute, func() { waiting = kit.Status() })
	run := kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(4*time.Hour+68*time.Second))
	require.Equal(t, []any{workflows.StateCalling, pause}, []any{calling.State, calling.Paused})
	require.Equal(t, []any{workflows.StatePaused, pause, followup.ReasonPaused}, []any{waiting.State, waiting.Paused, waiting.Wait.Reason})
	told := map[string]time.Duration{}
	for _, d := range run.Decisions() {
		if d.Kind == "note" || d.Reason == string(followup.ReasonPaused) {
			told[d.Kind+" "+d.Reason] = d.At.Sub(monday) // the last time
		}
	}
	require.Equal(t, 24*time.Second, told["note "+pause])
	require.Equal(t, time.Hour, told["note "+resume])
	require.Less(t, told["held paused"], 2*time.Minute)
}

func TestCallNowEndsTheWaitAndTheRulesStillHold(t *testing.T) {
	kit := asleep(t)
	kit.SteerAfter(5*time.Minute, workflows.UpdateCallNow, workflows.Steering{})
	kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(5*time.Minute))

	kit = asleep(t).Ceilings(followup.Limit{Calls: 1, Per: followup.Span{For: followup.Duration(time.Hour)}})
	kit.SteerAfter(5*time.Minute, workflows.UpdateCallNow, workflows.Steering{})
	kit.Call(anna, nil, steady).Outcome("human").AtMost(1, time.Hour-time.Second)
}

func TestARescheduledContactIsDialedAtItsNewTime(t *testing.T) {
	kit := asleep(t)
	over := kit.SteerAfter(4*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday})
	kit.SteerAfter(5*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.Add(3 * time.Hour)})
	kit.SteerAfter(6*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.Add(2 * time.Hour)})
	run := kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(2*time.Hour))
	require.ErrorContains(t, over.Err(), "is over")
	require.NotEmpty(t, run.Notes())
}

func TestWhoOptsOutIsNotCalledAgainWhateverTheFlowIsDoing(t *testing.T) {
	for name, at := range map[string]time.Duration{"in a call": 20 * time.Second, "asleep": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			kit := callflowtest.New(t, workflows.Standard).At(monday)
			kit.On(anna).Machine(callflowtest.Beep).Talk(time.Minute).Then().Human(time.Minute)
			asked := kit.SteerAfter(at, workflows.UpdateOptOut, workflows.Steering{By: "the\tshop", Reason: "said so in the shop"})
			run := kit.Call(anna, nil, steady).Outcome(call.OutcomeOptedOut).DialedAt(monday).Ended()
			require.NoError(t, asked.Err())
			require.Equal(t, "opted out by the\tshop: said so in the shop", run.Result().Reason)
			require.Len(t, run.Result().Attempts, 1)
			require.NotEmpty(t, run.Result().Attempts[0].Disposition, "what is in the air is heard out")
			require.Empty(t, run.Escalations())
			// Another contact of the same number is refused, and so is the contact elsewhere.
			kit.Call(anna, nil, steady, func(in *workflows.Input) { in.ContactID = "bert" }).Outcome(call.OutcomeSuppressed)
		})
	}
}

func TestACanceledContactEndsAndSaysByWhom(t *testing.T) {
	for _, at := range []time.Duration{0, 20 * time.Second, 5 * time.Minute} {
		kit := callflowtest.New(t, workflows.Standard).At(monday)
		kit.On(anna).Machine(callflowtest.Beep).Talk(time.Minute).Then().Human(time.Minute)
		kit.SteerAfter(at, workflows.UpdateCancel, workflows.Steering{Reason: "the order was returned"})
		late := kit.SteerAfter(6*time.Minute, workflows.UpdatePause, workflows.Steering{})
		run := kit.Call(anna, nil, steady).Outcome(call.OutcomeCanceled).Ended()
		require.Equal(t, "canceled by the test: the order was returned", run.Result().Reason)
		require.Error(t, late.Err())
	}
}

// The call may come to what settles the contact: who has asked for the end, and why, is told all the same.
func TestACancelInMidCallIsToldAtOnceWhateverTheCallComesTo(t *testing.T) {
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Human(time.Minute)
	kit.SteerAfter(15*time.Second, workflows.UpdatePause, workflows.Steering{})
	asked := kit.SteerAfter(20*time.Second, workflows.UpdateCancel, workflows.Steering{Reason: "the order was returned"})
	var status workflows.Status
	kit.After(30*time.Second, func() { status = kit.Status() })
	run := kit.Call(anna, nil).Outcome("human").DialedAt(monday).Ended()
	require.NoError(t, asked.Err())
	const canceled = "canceled by the test: the order was returned"
	require.Equal(t, []any{workflows.StateCalling, canceled}, []any{status.State, status.Ending})
	for _, d := range run.Decisions() {
		if d.Reason == canceled {
			require.Equal(t, 20*time.Second, d.At.Sub(monday))
		}
	}
	require.Contains(t, run.Notes(), canceled)
}

func TestAContactIsNotRescheduledBehindItsLifetimeWhereItWouldEndWithoutACall(t *testing.T) {
	kit := asleep(t).Renew()
	late := kit.SteerAfter(5*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.AddDate(0, 0, 8)})
	moved := kit.SteerAfter(6*time.Minute, workflows.UpdateReschedule, workflows.Steering{At: monday.AddDate(0, 0, 6)})
	laterStill := kit.SteerAfter(5*24*time.Hour, workflows.UpdateReschedule, workflows.Steering{At: monday.AddDate(0, 0, 7).Add(time.Second)})
	week := func(in *workflows.Input) { steady(in); in.Policy.Lifetime = followup.Duration(7 * 24 * time.Hour) }
	kit.Call(anna, nil, week).Outcome("human").DialedAt(monday, monday.AddDate(0, 0, 6))
	require.ErrorContains(t, late.Err(), "at: 2026-03-10T10:00:00Z is after the contact's lifetime of 7d, which is over at 2026-03-09T10:00:00Z")
	require.NoError(t, moved.Err())
	require.ErrorContains(t, laterStill.Err(), "is after the contact's lifetime")
}

func TestSteeringThatMakesNoSenseIsRefusedWithTheReason(t *testing.T) {
	kit := callflowtest.New(t, workflows.Standard).At(monday)
	kit.On(anna).Human(5 * time.Minute)
	for _, c := range []struct {
		update string
		s      workflows.Steering
		says   string
	}{
		{workflows.UpdateCallNow, workflows.Steering{}, "an attempt is being made"},
		{workflows.UpdateReschedule, workflows.Steering{At: monday.Add(time.Hour)}, "an attempt is being made"},
		{workflows.UpdateReschedule, workflows.Steering{}, "at: it is missing"},
		{workflows.UpdateResume, workflows.Steering{}, "it is not paused"},
		{workflows.UpdatePause, workflows.Steering{By: string(make([]byte, 200))}, "by: 200 bytes are too long"},
		{workflows.UpdatePause, workflows.Steering{By: "e\x1b[31mva"}, "by: it holds a control character"},
		{workflows.UpdateCancel, workflows.Steering{Reason: "a\nb"}, "reason: it holds a control character"},
	} {
		asked := kit.SteerAfter(time.Minute, c.update, c.s)
		defer func() { require.ErrorContains(t, asked.Err(), c.says, c.update) }()
	}
	kit.Call(anna, nil, steady).Outcome("human")
}

func TestSteeringWorksInAFlowOfOnesOwn(t *testing.T) {
	patient := workflows.Define("Patient", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
		if err := f.Hold(ctx, workflow.Now(ctx).Add(24*time.Hour), "not before tomorrow"); err != nil {
			return err
		}
		_, err := f.Call(ctx)
		return err
	})
	kit := callflowtest.New(t, patient).At(monday)
	kit.On(anna).Human(time.Minute)
	kit.SteerAfter(time.Hour, workflows.UpdateCallNow, workflows.Steering{})
	kit.Call(anna, nil).Outcome("human").DialedAt(monday.Add(time.Hour))

	kit = callflowtest.New(t, patient).At(monday)
	kit.SteerAfter(time.Hour, workflows.UpdateOptOut, workflows.Steering{})
	kit.Call(anna, nil).Outcome(call.OutcomeOptedOut).DialedAt()
}
