package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"redial/activities"
	"redial/call"
	"redial/followup"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/logging"
	"redial/workflows"
)

// Canceling what an emergency stop holds back must leave nothing to dial when the stop is lifted.
func TestARunThatIsCanceledBeforeItsDialHasStartedNeverDials(t *testing.T) {
	types := map[string]string{}
	for _, key := range workflows.SearchAttributes() {
		types[key.GetName()] = key.GetValueType().String()
	}
	server := devservertest.Start(t, devserver.Options{Headless: true, SearchAttributes: types})
	c, err := client.Dial(client.Options{HostPort: server.Address(), Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(t, err)
	defer c.Close()
	flows := worker.New(c, workflows.TaskQueue, worker.Options{})
	flows.RegisterWorkflowWithOptions(workflows.Standard.Workflow(), workflow.RegisterOptions{Name: workflows.NameOutboundCall})
	flows.RegisterActivityWithOptions(func(_ context.Context, in activities.FinishInput) (call.Outcome, error) { return in.Outcome, nil },
		activity.RegisterOptions{Name: activities.NameFinish})
	require.NoError(t, flows.Start())
	defer flows.Stop()

	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "redial/-/anna", TaskQueue: workflows.TaskQueue}, workflows.NameOutboundCall,
		workflows.Input{ContactID: "anna", To: call.Target{URI: "tel:+14155550100"}, Policy: followup.Policy{}.WithDefaults()})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		d, err := c.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
		return err == nil && len(d.GetPendingActivities()) == 1
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, c.CancelWorkflow(t.Context(), run.GetID(), run.GetRunID()))
	var r call.Result
	require.NoError(t, run.Get(t.Context(), &r))
	require.Equal(t, call.OutcomeCanceled, r.Outcome)
	require.Empty(t, r.Attempts)
	if *record {
		saveAs(t, c, run.GetID(), "testdata/canceled-before-its-dial-has-begun.json", run.GetRunID())
	}

	// The stop is lifted: no dial is left on the queue.
	queue, err := c.DescribeTaskQueue(t.Context(), workflows.DialTaskQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
	require.NoError(t, err)
	require.Empty(t, queue.GetPollers())
	dials := worker.New(c, workflows.DialTaskQueue, worker.Options{DisableWorkflowWorker: true})
	dialed := make(chan struct{}, 1)
	dials.RegisterActivityWithOptions(func(context.Context, activities.DialoutInput) (activities.DialoutResult, error) {
		dialed <- struct{}{}
		return activities.DialoutResult{}, nil
	}, activity.RegisterOptions{Name: activities.NameDialout})
	require.NoError(t, dials.Start())
	defer dials.Stop()
	second, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "redial/-/bert", TaskQueue: workflows.TaskQueue}, workflows.NameOutboundCall,
		workflows.Input{ContactID: "bert", To: call.Target{URI: "tel:+14155550101"}, Policy: followup.Policy{}.WithDefaults()})
	require.NoError(t, err)
	<-dialed // the second's, which came after it on the queue
	require.NoError(t, c.TerminateWorkflow(t.Context(), second.GetID(), "", "test"))
	require.Empty(t, dialed)
}
