package workflows_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/workflows"
)

type calendar struct{}

func (calendar) Book(context.Context, string) (string, error) { return "", nil }

func lookUp(context.Context, string) (int, error) { return 0, nil }

func tellNobody(context.Context) {}

func Book(context.Context) error { return nil }

// Hold is the name of an activity that the handle has.
func Hold(context.Context) error { return nil }

func idle(name string) workflows.Definition {
	return workflows.Define(name, func(workflow.Context, *workflows.Flow, workflows.None) error { return nil })
}

func TestActivitiesOfFlowsAreHostedUnderTheirGoNames(t *testing.T) {
	own, err := workflows.ActivitiesOf(idle("First").WithActivities(lookUp).WithActivities(calendar{}.Book), idle("Second"))
	require.NoError(t, err)
	require.Len(t, own, 2)
	require.Contains(t, own, "lookUp")
	require.Contains(t, own, "Book")
}

func TestTwoActivitiesOfOneNameAreRefusedWhoeverBringsThem(t *testing.T) {
	own, err := workflows.ActivitiesOf(idle("First").WithActivities(lookUp), idle("Second").WithActivities(lookUp))
	require.NoError(t, err, "the same function")
	require.Len(t, own, 1)
	_, err = workflows.ActivitiesOf(idle("First").WithActivities(calendar{}.Book), idle("Second").WithActivities(calendar{}.Book))
	require.EqualError(t, err, "flow Second brings an activity Book, and flow First has one: rename it, or give it to one flow only, "+
		"from which all flows of the binary have it")
	_, err = workflows.ActivitiesOf(idle("First").WithActivities(Book), idle("Second").WithActivities(calendar{}.Book))
	require.ErrorContains(t, err, "flow Second brings an activity Book")
	_, err = workflows.ActivitiesOf(idle("First").WithActivities(Hold))
	require.ErrorContains(t, err, "flow First brings an activity Hold, and Redial has one")
}

func TestWhatCannotBeAnActivityIsRefusedAtTheStart(t *testing.T) {
	for name, test := range map[string]struct {
		fn   any
		says string
	}{
		"nothing":   {nil, "workflows: activity of flow First: <nil> is no function"},
		"a value":   {calendar{}, "workflows: activity of flow First: workflows_test.calendar is no function"},
		"a literal": {func(context.Context) error { return nil }, "workflows: activity of flow First: a func(context.Context) error without a name: declare it as a function or a method"},
		"no error":  {tellNobody, "workflows: activity of flow First: tellNobody is a func(context.Context): return an error, or a value and an error"},
	} {
		t.Run(name, func(t *testing.T) {
			require.PanicsWithValue(t, test.says, func() { idle("First").WithActivities(test.fn) })
		})
	}
}
