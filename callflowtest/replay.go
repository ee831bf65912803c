package callflowtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"redial/internal/logging"
	"redial/workflows"
)

// Replay lets flows go through the histories that a pattern matches, as filepath.Glob reads it, and fails where a flow of this
// build would not do what its run did: a worker of this build could not go on with such runs. Every file is a subtest.
// Histories are saved with redial histories save. OutboundCall is known without being given. Without a file the test is
// skipped.
func Replay(t *testing.T, pattern string, flows ...workflows.Definition) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatalf("callflowtest.Replay: pattern %q: %v", pattern, err)
	}
	if len(files) == 0 {
		t.Skipf("there are no histories in %s: save some with redial histories save", pattern)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if err := ReplayFile(file, flows...); err != nil {
				t.Error(err)
			}
		})
	}
}

// ReplayFile is Replay of one history; its error says where the flow would do something else.
func ReplayFile(file string, flows ...workflows.Definition) error {
	history, err := readHistory(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	name := history.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
	i := slices.IndexFunc(flows, func(f workflows.Definition) bool { return f.Name() == name })
	flow := workflows.Standard
	switch {
	case i >= 0:
		flow = flows[i]
	case name != flow.Name():
		return fmt.Errorf("%s is a run of %s, which is not among the flows: a build without it could not go on with the run", file, name)
	}
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DisableRegistrationAliasing: true,
		Interceptors: []interceptor.WorkerInterceptor{&workflows.Interceptor{Upgrade: upgraded(history)}}})
	if err != nil {
		return err
	}
	replayer.RegisterWorkflowWithOptions(flow.Workflow(), workflow.RegisterOptions{Name: name})
	if err := replayer.ReplayWorkflowHistory(logging.ForTemporal(zap.NewNop()), history); err != nil {
		return fmt.Errorf("%s: this build does not do what the run did, and could not go on with it: gate the change with workflow.GetVersion: %w", file, err)
	}
	return nil
}

func readHistory(file string) (*historypb.History, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	history, err := client.HistoryFromJSON(f, client.HistoryJSONOptions{})
	if err != nil {
		return nil, fmt.Errorf("it is no history: %w", err)
	}
	if len(history.Events) == 0 || history.Events[0].GetWorkflowExecutionStartedEventAttributes() == nil {
		return nil, fmt.Errorf("it is no history: it does not begin with the start of a run")
	}
	return history, nil
}

// upgraded tells whether a run was continued because another build had become current, which only flows do that are hosted so.
func upgraded(h *historypb.History) bool {
	if h.Events[len(h.Events)-1].GetWorkflowExecutionContinuedAsNewEventAttributes() == nil {
		return false
	}
	return slices.ContainsFunc(h.Events, func(e *historypb.HistoryEvent) bool {
		return e.GetWorkflowTaskStartedEventAttributes().GetTargetWorkerDeploymentVersionChanged()
	})
}
