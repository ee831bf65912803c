package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/callflowtest"
	"redial/workflows"
)

// on is a stage for a flow of a test's own, on which everybody is reached.
func on(t *testing.T, flow func(workflow.Context, *workflows.Flow) error) *callflowtest.Kit {
	kit := callflowtest.New(t, workflows.Define("Test", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error { return flow(ctx, f) }))
	kit.On(anna).Human(talk)
	return kit
}

func TestACallInAQueryHandlerIsRefusedInWordsAndChangesNothing(t *testing.T) {
	for _, waitsInHandle := range []bool{true, false} {
		var env *testsuite.TestWorkflowEnvironment
		var asked error
		kit := on(t, func(ctx workflow.Context, f *workflows.Flow) error {
			if err := workflow.SetQueryHandler(ctx, "call", func() (string, error) {
				f.Note(ctx, "a note")
				_, err := f.Call(ctx)
				return "called", err
			}); err != nil {
				return err
			}
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			if !waitsInHandle {
				if err := workflow.Sleep(ctx, time.Hour); err != nil {
					return err
				}
			} else if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Hour), "an hour"); err != nil {
				return err
			}
			_, err := f.Call(ctx)
			return err
		})
		kit.Environment(func(e *testsuite.TestWorkflowEnvironment) { env = e })
		kit.After(time.Minute, func() { _, asked = env.QueryWorkflow("call") })
		r := kit.Call(anna, nil).Result()
		require.ErrorContains(t, asked, "was called in a query handler")
		require.Len(t, r.Attempts, 2)
		require.Equal(t, 2, r.Attempts[1].N)
	}
}

func TestTwoThingsAtATimeAreRefusedInWords(t *testing.T) {
	var said any
	on(t, func(ctx workflow.Context, f *workflows.Flow) error {
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer func() { said = recover() }()
			_, _ = f.Call(ctx)
		})
		_, err := f.Call(ctx)
		return err
	}).Call(anna, nil).Ended()
	require.Contains(t, said, "Flow.Call was called while the flow is in Flow.Call")
}

func TestACanceledActivityOfTheFlowsOwnIsACanceledFlow(t *testing.T) {
	on(t, func(ctx workflow.Context, f *workflows.Flow) error {
		if _, err := f.Call(ctx); err != nil {
			return err
		}
		return workflow.Sleep(ctx, 24*time.Hour)
	}).CancelAfter(time.Hour).Call(anna, nil).Outcome(call.OutcomeCanceled)
}

func TestAnInputIsReadStrictly(t *testing.T) {
	d := workflows.Define("Test", func(workflow.Context, *workflows.Flow, picky) error { return nil })
	for given, says := range map[string]string{
		`{"sise": 1}`:     `unknown field "sise"`,
		`{"size": "big"}`: "size",
		`{"size": 7}`:     "size: 7 is too big",
		`{"size": 1} {}`:  "something after",
		`[`:               "unexpected",
		``:                "",
		`{"size": 1}`:     "",
		string(make([]byte, workflows.MaxData+1)): "bytes are too many",
	} {
		data, err := d.Parse([]byte(given))
		if says != "" {
			require.ErrorContains(t, err, says)
			continue
		}
		require.NoError(t, err)
		require.NotEmpty(t, data)
	}
	for _, name := range []string{"", "7", "a b", "a/b"} {
		require.Panics(t, func() {
			workflows.Define(name, func(workflow.Context, *workflows.Flow, workflows.None) error { return nil })
		})
	}
}

type picky struct {
	Size int `json:"size"`
}

func (p picky) Validate() error {
	if p.Size > 5 {
		return errors.New("size: 7 is too big")
	}
	return nil
}
