package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

const bertsNumber = "+12025550188"

// lasts requires that a run has ended within seconds of what happened at 10:05.
func lasts(t *testing.T, run *callflowtest.Run) {
	t.Helper()
	require.InDelta(t, 5*time.Minute, run.Lasted(), float64(5*time.Second))
}

func TestAContactThatWaitsEndsAtOnceWhenItsNumberMustNotBeCalledAnyMore(t *testing.T) {
	suppressedAt1005 := func(kit *callflowtest.Kit, number string) {
		kit.After(5*time.Minute, func() { kit.Suppress(number) })
	}
	t.Run("between attempts", func(t *testing.T) {
		kit := asleep(t)
		suppressedAt1005(kit, anna)
		run := kit.Call(anna, nil, steady).Outcome(call.OutcomeSuppressed).DialedAt(monday)
		lasts(t, run)
		require.Equal(t, "the number is on the suppression list", run.Result().Reason)
	})
	t.Run("between attempts, while it is paused", func(t *testing.T) {
		kit := asleep(t)
		kit.SteerAfter(time.Minute, workflows.UpdatePause, workflows.Steering{})
		suppressedAt1005(kit, anna)
		lasts(t, kit.Call(anna, nil, steady).Outcome(call.OutcomeSuppressed).DialedAt(monday))
	})
	t.Run("between attempts, in a run that was continued", func(t *testing.T) {
		kit := asleep(t).Renew()
		suppressedAt1005(kit, anna)
		lasts(t, kit.Call(anna, nil, steady).Outcome(call.OutcomeSuppressed).DialedAt(monday))
	})
	t.Run("in a wait of the flow's own choice", func(t *testing.T) {
		kit := callflowtest.New(t, nextDay).At(monday)
		suppressedAt1005(kit, anna)
		lasts(t, kit.Call(anna, nil).Outcome(call.OutcomeSuppressed).DialedAt())
	})
	t.Run("in a call that another follows, in a run that would be continued after it", func(t *testing.T) {
		kit := callflowtest.New(t, workflows.Standard).At(monday).Renew()
		kit.On(anna).Machine(callflowtest.Beep).Talk(6 * time.Minute)
		suppressedAt1005(kit, anna)
		run := kit.Call(anna, nil, steady).Outcome(call.OutcomeSuppressed).DialedAt(monday)
		require.Less(t, run.Lasted(), 8*time.Minute)
	})
}

func TestAContactThatWaitsGoesOnWhenWhatIsSuppressedIsNotItsLastNumber(t *testing.T) {
	t.Run("somebody else's", func(t *testing.T) {
		kit := asleep(t)
		kit.After(5*time.Minute, func() { kit.Suppress(bertsNumber) })
		kit.Call(anna, nil, steady).Outcome("human").DialedAt(monday, monday.Add(20*time.Minute+time.Second))
	})
	t.Run("it has a further one", func(t *testing.T) {
		kit := asleep(t)
		kit.On(bertsNumber).Human(time.Minute)
		kit.After(5*time.Minute, func() { kit.Suppress(anna) })
		kit.Call(anna, nil, steady, func(in *workflows.Input) { in.Further = []call.Target{callflowtest.Target(bertsNumber)} }).
			Outcome("human").Dialed(anna, bertsNumber)
	})
	t.Run("the flow calls others", func(t *testing.T) {
		kit := callflowtest.New(t, workflows.Define("Others", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
			if _, err := f.Call(ctx, workflows.To(callflowtest.Target(bertsNumber))); err != nil {
				return err
			}
			if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "later"); err != nil {
				return err
			}
			_, err := f.Call(ctx, workflows.To(callflowtest.Target(bertsNumber)))
			return err
		})).At(monday)
		kit.On(bertsNumber).Busy().Then().Human(time.Minute)
		kit.After(5*time.Minute, func() { kit.Suppress(anna) })
		kit.Call(anna, nil).Outcome("human").Dialed(bertsNumber, bertsNumber)
	})
}

// nextDay waits for a day before it calls.
var nextDay = workflows.Define("NextDay", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	if err := f.Hold(ctx, workflow.Now(ctx).Add(24*time.Hour), "not before tomorrow"); err != nil {
		return err
	}
	_, err := f.Call(ctx)
	return err
})

func TestAPausedContactWhoseWaitIsOverEndsAtOnceToo(t *testing.T) {
	kit := asleep(t)
	kit.SteerAfter(time.Minute, workflows.UpdatePause, workflows.Steering{})
	kit.After(40*time.Minute, func() { kit.Suppress(anna) })
	kit.SteerAfter(2*time.Hour, workflows.UpdateResume, workflows.Steering{})
	run := kit.Call(anna, nil, steady).Outcome(call.OutcomeSuppressed).DialedAt(monday)
	require.InDelta(t, 40*time.Minute, run.Lasted(), float64(5*time.Second))
}
