package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

const second, third = "+14155550111", "+14155550122"

func own(flow func(workflow.Context, *workflows.Flow) error) workflows.Definition {
	return workflows.Define("Own", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error { return flow(ctx, f) })
}

func kitOf(t *testing.T, flow func(workflow.Context, *workflows.Flow) error) *callflowtest.Kit {
	return callflowtest.New(t, own(flow)).At(monday)
}

var three = []call.Target{callflowtest.Target(anna), callflowtest.Target(second), callflowtest.Target(third)}

func confirmed(f *workflows.Flow) func(call.Attempt) bool {
	return func(a call.Attempt) bool { return f.Result(a).Kind == call.Confirmed }
}

func TestACallThatIsNotNeededAnyMoreIsNotMade(t *testing.T) {
	flow := func(ctx workflow.Context, f *workflows.Flow) error {
		_, err := f.CallAny(ctx, workflows.AtOnce, three, workflows.Human)
		return err
	}
	kit := kitOf(t, flow).Lines(1)
	kit.On(anna).Human(2 * time.Minute)
	kit.Call("", nil).Outcome("human").Dialed(anna)

	kit = kitOf(t, flow).Lines(1)
	kit.On(anna).Machine(callflowtest.Beep).Talk(2 * time.Minute)
	kit.SteerAfter(time.Minute, workflows.UpdateCancel, workflows.Steering{})
	kit.Call("", nil).Outcome(call.OutcomeCanceled).Dialed(anna).Ended()
}

func TestARunThatIsCanceledWhileAllItsCallsAreHeldIsCanceledAndTheFlowIsToldSo(t *testing.T) {
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		reached, err := f.CallAny(ctx, workflows.AtOnce, three, workflows.Human)
		if _, found := reached.First(); err == nil && !found {
			return f.Escalate(ctx, "nobody was reached")
		}
		return err
	}).Lines(1).OtherCall("+14155550199", 0, time.Hour)
	kit.CancelAfter(10 * time.Minute)
	kit.Call("", nil).Outcome(call.OutcomeCanceled).Dialed().Ended()
}

func TestAContactThatHasItsOutcomeIsNotDialedAndOneThatWasNeverDialedIsKnown(t *testing.T) {
	var refused *workflows.RefusedError
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		if err := f.Finish(ctx, call.OutcomeCanceled, "the order was returned"); err != nil {
			return err
		}
		_, err := f.Call(ctx)
		if !errors.As(err, &refused) {
			return errors.New("it was dialed")
		}
		return nil
	})
	run := kit.Call(anna, nil).Outcome(call.OutcomeCanceled).Dialed().Ended()
	require.Equal(t, "the order was returned", run.Result().Reason)
	require.Equal(t, call.OutcomeCanceled, refused.Outcome)
}

func TestANoteIsWrittenOnceHoweverOftenTheFlowIsContinued(t *testing.T) {
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		for range 3 {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			f.Note(ctx, "before the hold")
			if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "an hour"); err != nil {
				return err
			}
			f.Note(ctx, "behind it")
		}
		return nil
	}).Renew()
	kit.On(anna).Busy()
	run := kit.Call(anna, nil).Ended()
	require.Positive(t, run.Renewals())
	require.Equal(t, []string{"before the hold", "behind it", "before the hold", "behind it", "before the hold", "behind it"}, run.Notes())
}

func TestTheBotMayConfirmAMomentAfterTheCall(t *testing.T) {
	for _, order := range []workflows.Order{workflows.InTurn, workflows.AtOnce} {
		kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
			reached, err := f.CallAny(ctx, order, three[:2], confirmed(f), workflows.ResultWithin(10*time.Second))
			if _, found := reached.First(); err == nil && !found {
				err = errors.New("nobody was reached")
			}
			return err
		})
		kit.On(anna).Human(20 * time.Second).Result(call.Confirmed).After(2 * time.Second)
		kit.On(second).NoAnswer()
		run := kit.Call("", nil).Ended()
		require.NoError(t, run.Err())
		if order == workflows.InTurn {
			run.Dialed(anna)
		}
	}
}

func TestAResultIsHeardAfterTheContactHasItsOutcome(t *testing.T) {
	var heard call.BotResult
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		if _, err := f.Conclude(ctx, attempt); err != nil {
			return err
		}
		heard, err = f.AwaitResult(ctx, attempt, time.Minute)
		return err
	})
	kit.On(anna).Human(20 * time.Second).Result(call.Confirmed).After(5 * time.Second)
	kit.Call(anna, nil).Outcome("human")
	require.Equal(t, call.Confirmed, heard.Kind)
}

func TestACallThatCannotBeMadeInTimeIsGivenUpAndTheFlowGoesOn(t *testing.T) {
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		_, err := f.Call(ctx, workflows.Before(workflow.Now(ctx).Add(10*time.Minute)))
		var late *workflows.RefusedError
		if !errors.As(err, &late) || late.Outcome != call.OutcomeExpired {
			return errors.New("it was dialed")
		}
		return f.Escalate(ctx, "not reached in time")
	}).Lines(1).OtherCall(second, 0, time.Hour)
	run := kit.Call(anna, nil).EscalatedWith("not reached in time").Dialed().Ended()
	require.LessOrEqual(t, run.Lasted(), 11*time.Minute)
}

func TestAFlowThatWaitsOnAfterALateEndIsLeftToWait(t *testing.T) {
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		if _, err := f.Call(ctx); err != nil {
			return err
		}
		for tomorrow := workflow.Now(ctx).Add(24 * time.Hour); workflow.Now(ctx).Before(tomorrow); {
			if err := f.Hold(ctx, tomorrow, "tomorrow"); err != nil {
				return err
			}
		}
		return nil
	})
	kit.On(anna).Human(time.Minute).Late(3 * time.Hour)
	run := kit.Call(anna, nil).Outcome("human").Ended()
	require.Greater(t, run.Lasted(), 24*time.Hour)
}

func TestWhatCannotBeAnOutcomeIsRefusedInWords(t *testing.T) {
	for _, outcome := range []call.Outcome{"", "banana"} {
		kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error { return f.Finish(ctx, outcome, "x") })
		require.ErrorContains(t, kit.Call(anna, nil).Err(), "is no outcome")
	}
	kit := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		_, err := f.Conclude(ctx, f.Last())
		return err
	})
	require.ErrorContains(t, kit.Call(anna, nil).Err(), "call first")
	kit = kitOf(t, func(ctx workflow.Context, _ *workflows.Flow) error { return workflow.NewContinueAsNewError(ctx, "Own") })
	require.ErrorContains(t, kit.Call(anna, nil).Err(), "its handle does so")
}
