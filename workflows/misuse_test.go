package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/workflows"
)

// playFlow plays a flow of a test's own on the stage.
func (s *stage) playFlow(flow func(workflow.Context, *workflows.Flow) error) call.Result {
	s.t.Helper()
	d := workflows.Define("Test", func(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error { return flow(ctx, f) })
	s.ExecuteWorkflow(d.Workflow(), s.in)
	require.True(s.t, s.IsWorkflowCompleted(), "the flow never ends")
	require.NoError(s.t, s.GetWorkflowError())
	var r call.Result
	require.NoError(s.t, s.GetWorkflowResult(&r))
	return r
}

func TestACallInAQueryHandlerIsRefusedInWordsAndChangesNothing(t *testing.T) {
	for _, waitsInHandle := range []bool{true, false} {
		s := newStage(t, act{end: call.Human, after: ring}, act{end: call.Human, after: ring})
		var asked error
		s.RegisterDelayedCallback(func() { _, asked = s.QueryWorkflow("call") }, time.Minute)
		r := s.playFlow(func(ctx workflow.Context, f *workflows.Flow) error {
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
		require.ErrorContains(t, asked, "was called in a query handler")
		require.Len(t, r.Attempts, 2)
		require.Equal(t, 2, r.Attempts[1].N)
	}
}

func TestTwoThingsAtATimeAreRefusedInWords(t *testing.T) {
	s := newStage(t, act{end: call.Human, after: ring}, act{end: call.Human, after: ring})
	var said any
	s.playFlow(func(ctx workflow.Context, f *workflows.Flow) error {
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer func() { said = recover() }()
			_, _ = f.Call(ctx)
		})
		_, err := f.Call(ctx)
		return err
	})
	require.Contains(t, said, "Flow.Call was called while the flow is in Flow.Call")
}

func TestACanceledActivityOfTheFlowsOwnIsACanceledFlow(t *testing.T) {
	s := newStage(t, act{end: call.Busy, after: ring})
	s.RegisterDelayedCallback(s.CancelWorkflow, time.Hour)
	r := s.playFlow(func(ctx workflow.Context, f *workflows.Flow) error {
		if _, err := f.Call(ctx); err != nil {
			return err
		}
		return workflow.Sleep(ctx, 24*time.Hour)
	})
	require.Equal(t, call.OutcomeCanceled, r.Outcome)
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
