package app

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/workflows"
)

// freeSlot is an activity of a flow's own.
func freeSlot(_ context.Context, day string) (string, error) { return day + ", 9:30", nil }

type office struct{}

func (office) freeSlot(context.Context) error { return nil }

func TestAFlowRunsAnActivityThatItBringsAlong(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		offering := define("Offering", func(ctx workflow.Context, f *workflows.Flow) error {
			var slot, inMidCall string
			if err := f.Do(ctx, freeSlot, &slot, "Monday"); err != nil {
				return err
			}
			_, err := f.Call(ctx, workflows.Tell("slot", slot), workflows.OnAnswered(func(ctx workflow.Context, _ call.Attempt) error {
				return f.Do(ctx, freeSlot, &inMidCall, "Tuesday")
			}))
			if err != nil {
				return err
			}
			return f.Finish(ctx, call.Outcome(call.Human), fmt.Sprintf("%s; %s", slot, inMidCall))
		}).WithActivities(freeSlot)
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{offering}})
		r := w.result(w.flow(offering, "offered", w.script("+12025550101", "human+ring=1s")))
		require.Equal(t, "Monday, 9:30; Tuesday, 9:30", r.Reason)
	})
}

func TestABinaryWhoseActivitiesShareANameSaysSoAndDoesNothing(t *testing.T) {
	idle := func(name string, activity any) workflows.Definition {
		return define(name, func(workflow.Context, *workflows.Flow) error { return nil }).WithActivities(activity)
	}
	_, err := withFlows(t.Context(), []workflows.Definition{idle("First", freeSlot), idle("Second", office{}.freeSlot)})
	require.ErrorContains(t, err, "app.Main: flow Second brings an activity freeSlot, and flow First has one")
}
