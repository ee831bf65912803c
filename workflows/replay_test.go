package workflows_test

import (
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"redial/workflows"
)

// Recorded runs are kept under testdata, named after what happens in them. A change of a flow that breaks one of them
// would break runs that are under way: it needs a version gate. New ones are recorded with
//
//	go test ./app -run TestRecordHistories -record
func TestRecordedRunsReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no recorded runs under workflows/testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflowWithOptions(workflows.Standard.Workflow(), workflow.RegisterOptions{Name: workflows.Standard.Name()})
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(nil, file); err != nil {
				t.Error(err)
			}
		})
	}
}
