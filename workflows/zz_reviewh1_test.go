package workflows_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

func kitOf(t *testing.T, flow func(workflow.Context, *workflows.Flow) error, acts ...any) *callflowtest.Kit {
	return callflowtest.New(t, workflows.Define("Test", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error { return flow(ctx, f) }).WithActivities(acts...))
}

// 1 note directly before the wait
func TestZH1NoteDup(t *testing.T) {
	k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		for i := range 3 {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			f.Note(ctx, fmt.Sprintf("note %d", i))
			if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "x"); err != nil {
				return err
			}
		}
		return nil
	}).Renew()
	k.OnAny().Busy()
	r := k.Call(anna, nil)
	fmt.Println(r.Timeline())
}

var looked int

func zhLook(context.Context) (string, error) { looked++; return "vip", nil }

// 2 reaction's Do
func TestZH2ReactionState(t *testing.T) {
	for _, renew := range []bool{false, true} {
		k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
			var who string
			if _, err := f.Call(ctx, workflows.OnAnswered(func(ctx workflow.Context, a call.Attempt) error {
				return f.Do(ctx, zhLook, &who)
			})); err != nil {
				return err
			}
			if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "x"); err != nil {
				return err
			}
			return f.Finish(ctx, "human", "who="+who)
		}, zhLook)
		if renew {
			k.Renew()
		}
		k.OnAny().Human(20 * time.Second)
		r := k.Call(anna, nil)
		fmt.Println("renew", renew, "reason:", r.Result().Reason)
	}
}

// 3 own activity past the handle while CallAny lines are in the air
func TestZH3PastWhileInAir(t *testing.T) {
	for _, renew := range []bool{false, true} {
		looked = 0
		k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
			ctx = workflow.WithStartToCloseTimeout(ctx, time.Minute)
			_, err := f.CallAny(ctx, workflows.AtOnce, []call.Target{callflowtest.Target("+14155550111"), callflowtest.Target("+14155550122")}, func(a call.Attempt) bool { return a.Disposition == call.Human })
			if err != nil {
				return err
			}
			var s string
			if err := workflow.ExecuteActivity(ctx, "zhLook").Get(ctx, &s); err != nil {
				return err
			}
			if err := f.Hold(ctx, workflow.Now(ctx).Add(10*time.Minute), "x"); err != nil { // in air
				return err
			}
			for range 3 {
				if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "x"); err != nil {
					return err
				}
			}
			return f.Finish(ctx, "human", "ok")
		}, zhLook)
		if renew {
			k.Renew()
		}
		k.On("+14155550111").Human(5 * time.Second)
		k.On("+14155550122").Human(200 * time.Second)
		r := k.Call("", nil)
		fmt.Println("renew", renew, "looked", looked, r.Result().Reason)
		if renew {
			fmt.Println(r.Timeline())
		}
	}
}

// 4 update handler + await
func TestZH4Update(t *testing.T) {
	for _, renew := range []bool{false, true} {
		var env *testsuite.TestWorkflowEnvironment
		k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
			answer := ""
			if err := workflow.SetUpdateHandler(ctx, "answer", func(ctx workflow.Context, s string) error { answer = s; return nil }); err != nil {
				return err
			}
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			if err := workflow.Await(ctx, func() bool { return answer != "" }); err != nil {
				return err
			}
			for range 3 {
				if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "x"); err != nil {
					return err
				}
			}
			return f.Finish(ctx, "human", "answer="+answer)
		})
		if renew {
			k.Renew()
		}
		k.OnAny().Human(5 * time.Second)
		k.Environment(func(e *testsuite.TestWorkflowEnvironment) { env = e })
		k.After(10*time.Minute, func() {
			env.UpdateWorkflowNoRejection("answer", "id1", t, "yes")
		})
		r := k.Call(anna, nil)
		fmt.Println(r.Timeline())
	}
}

// 7 InTurn with result just after
func TestZH7InTurnLateResult(t *testing.T) {
	k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		r, err := f.CallAny(ctx, workflows.InTurn, []call.Target{callflowtest.Target("+14155550111"), callflowtest.Target("+14155550122")}, func(a call.Attempt) bool { return f.Result(a).Kind == call.Confirmed })
		if err != nil {
			return err
		}
		_, ok := r.First()
		return f.Finish(ctx, "human", fmt.Sprint(ok))
	})
	k.On("+14155550111").Human(5 * time.Second).Result(call.Confirmed).After(2 * time.Second)
	k.On("+14155550122").Human(20 * time.Second)
	fmt.Println(k.Call("", nil).Timeline())
}

// 7b at once
func TestZH7bAtOnceLateResult(t *testing.T) {
	k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		r, err := f.CallAny(ctx, workflows.AtOnce, []call.Target{callflowtest.Target("+14155550111"), callflowtest.Target("+14155550122")}, func(a call.Attempt) bool { return f.Result(a).Kind == call.Confirmed })
		if err != nil {
			return err
		}
		_, ok := r.First()
		return f.Finish(ctx, "human", fmt.Sprint(ok))
	})
	k.On("+14155550111").Human(50 * time.Second).Result(call.Confirmed).After(3 * time.Second)
	k.On("+14155550122").Busy()
	fmt.Println(k.Call("", nil).Timeline())
}

// 8 InTurn with an earlier attempt in doubt that ends as enough
func TestZH8InTurnSettled(t *testing.T) {
	k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		if _, err := f.Call(ctx); err != nil {
			return err
		}
		r, err := f.CallAny(ctx, workflows.InTurn, []call.Target{callflowtest.Target("+14155550111"), callflowtest.Target("+14155550122")}, workflows.Human)
		if err != nil {
			return err
		}
		_, ok := r.First()
		return f.Escalate(ctx, fmt.Sprintf("reached=%v dialed=%d", ok, len(r.Attempts)))
	})
	k.On(anna).Human(20 * time.Second).Late(3 * time.Hour)
	k.Rate(1, 6*time.Hour)
	k.On("+14155550111").Human(20 * time.Second)
	fmt.Println(k.Call(anna, nil).Timeline())
}

// 9 Conclude before AwaitResult
func TestZH9ConcludeThenAwait(t *testing.T) {
	k := kitOf(t, func(ctx workflow.Context, f *workflows.Flow) error {
		a, err := f.Call(ctx)
		if err != nil {
			return err
		}
		if _, err := f.Conclude(ctx, a); err != nil {
			return err
		}
		r, err := f.AwaitResult(ctx, a, 10*time.Minute)
		if err != nil {
			return err
		}
		f.Note(ctx, "the bot says "+string(r.Kind))
		return nil
	})
	k.OnAny().Human(20 * time.Second).Result(call.Confirmed).After(5 * time.Second)
	fmt.Println(k.Call(anna, nil).Timeline())
}
