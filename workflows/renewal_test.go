package workflows_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protojson"

	"redial/activities"
	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/logging"
	"redial/workflows"
)

// world is what flows on a real server act on: each dial is busy, and counted.
type world struct {
	mu     sync.Mutex
	dialed []activities.DialoutInput
	notes  []followup.Note
	asked  []int // what the flow's own activity was asked
	holds  int
}

func (w *world) dialout(_ context.Context, in activities.DialoutInput) (activities.DialoutResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialed = append(w.dialed, in)
	w.notes = append(w.notes, in.Notes...)
	a := call.Attempt{N: in.N, Key: call.AttemptKey("w", in.FirstRunID, in.N), State: call.StateEnded, Disposition: call.Busy, Seq: 2}
	return activities.DialoutResult{Attempt: &a}, nil
}

func (w *world) ask(_ context.Context, n int) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, n)
	return fmt.Sprint("answer ", n), nil
}

func (w *world) hold(_ context.Context, in activities.HoldInput) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds++
	w.notes = append(w.notes, in.Notes...)
	return nil
}

func (w *world) finish(_ context.Context, in activities.FinishInput) (call.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, in.Notes...)
	return in.Outcome, nil
}

// serve hosts flows on a server that suggests a new run after a few events.
func (w *world) serve(t *testing.T, flows ...workflows.Definition) client.Client {
	types := map[string]string{}
	for _, key := range workflows.SearchAttributes() {
		types[key.GetName()] = key.GetValueType().String()
	}
	server := devservertest.Start(t, devserver.Options{Headless: true, SearchAttributes: types,
		ExtraArgs: []string{"--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20"}})
	c, err := client.Dial(client.Options{HostPort: server.Address(), Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	hosts := worker.New(c, workflows.TaskQueue, worker.Options{Interceptors: []interceptor.WorkerInterceptor{&workflows.Interceptor{}}})
	for _, f := range flows {
		hosts.RegisterWorkflowWithOptions(f.Workflow(), workflow.RegisterOptions{Name: f.Name()})
	}
	for name, fn := range map[string]any{activities.NameHold: w.hold, activities.NameFinish: w.finish, "Ask": w.ask} {
		hosts.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	require.NoError(t, hosts.Start())
	t.Cleanup(hosts.Stop)
	dials := worker.New(c, workflows.DialTaskQueue, worker.Options{DisableWorkflowWorker: true})
	dials.RegisterActivityWithOptions(w.dialout, activity.RegisterOptions{Name: activities.NameDialout})
	require.NoError(t, dials.Start())
	t.Cleanup(dials.Stop)
	return c
}

// patient calls four times. What it does depends on everything that a flow may look at.
func patient(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	began := workflow.Now(ctx)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	for n := 1; n <= 4; n++ {
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		f.Note(ctx, fmt.Sprintf("attempt %d of %d was %s", attempt.N, len(f.Attempts()), attempt.Disposition))
		var answer string
		if err := f.Do(ctx, "Ask", &answer, n); err != nil {
			return err
		}
		if answer != fmt.Sprint("answer ", n) || workflow.GetVersion(ctx, "gate", workflow.DefaultVersion, 1) != 1 {
			return fmt.Errorf("attempt %d: %q", n, answer)
		}
		if err := f.Hold(ctx, workflow.Now(ctx).Add(time.Second), "a moment"); err != nil {
			return err
		}
	}
	if took := workflow.Now(ctx).Sub(began); took < 4*time.Second {
		return fmt.Errorf("four holds of a second took %s", took)
	}
	return f.Finish(ctx, call.OutcomeExhausted, "four times busy")
}

func TestAFlowIsContinuedInNewRunsAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	var w world
	flow := workflows.Define("Patient", patient)
	c := w.serve(t, flow)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "w", TaskQueue: workflows.TaskQueue,
		TypedSearchAttributes: temporal.NewSearchAttributes(workflows.AttributeCampaign.ValueSet("spring"))}, flow.Name(),
		workflows.Input{ContactID: "anna", To: call.Target{URI: "tel:+14155550100"}})
	require.NoError(t, err)
	first := run.GetRunID()
	var r call.Result
	require.NoError(t, run.Get(t.Context(), &r))
	require.NotEqual(t, first, r.RunID, "the flow ended in the run that it began in")
	require.Equal(t, call.OutcomeExhausted, r.Outcome)
	require.Len(t, r.Attempts, 4)
	require.Equal(t, []int{1, 2, 3, 4}, w.asked)
	require.Len(t, w.dialed, 4)
	require.Equal(t, 4, w.holds)
	for i, d := range w.dialed {
		require.Equal(t, i+1, d.N)
		require.Equal(t, first, d.FirstRunID, "the key of an attempt stays the same")
	}
	for i, n := range w.notes {
		require.Equal(t, i+1, n.N)
		require.Equal(t, fmt.Sprintf("attempt %d of %d was busy", i+1, i+1), n.Text)
	}
	require.Len(t, w.notes, 4)
	d, err := c.DescribeWorkflow(t.Context(), "w", "")
	require.NoError(t, err)
	attempts, _ := d.TypedSearchAttributes.GetInt64(workflows.AttributeAttempts)
	require.EqualValues(t, 4, attempts)
	if *record {
		save(t, c, "patient-in-its-first-run", first)
		save(t, c, "patient-in-its-last-run", r.RunID)
	}
	campaign, _ := d.TypedSearchAttributes.GetKeyword(workflows.AttributeCampaign)
	require.Equal(t, "spring", campaign)
}

var record = flag.Bool("record", false, "record the histories of a flow that is continued, under testdata/continued")

func save(t *testing.T, c client.Client, name, runID string) {
	require.NoError(t, os.MkdirAll("testdata/continued", 0o755))
	saveAs(t, c, "w", "testdata/continued/"+name+".json", runID)
}

func saveAs(t *testing.T, c client.Client, workflowID, file, runID string) {
	var h historypb.History
	for i := c.GetWorkflowHistory(t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); i.HasNext(); {
		e, err := i.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, e)
	}
	data, err := protojson.MarshalOptions{Indent: " "}.Marshal(&h)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, data, 0o644))
}

// What a continued run has in its input is what an earlier build has put there. New recordings are made with
//
//	go test ./workflows -run TestAFlowIsContinued -record
func TestRecordedRunsThatWereContinuedReplay(t *testing.T) {
	callflowtest.Replay(t, "testdata/continued/*.json", workflows.Define("Patient", patient))
}

// stubborn does what no journal holds: it sleeps past its handle.
func stubborn(ctx workflow.Context, f *workflows.Flow, _ workflows.None) error {
	for range 4 {
		if _, err := f.Call(ctx); err != nil {
			return err
		}
		if err := workflow.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		if err := f.Hold(ctx, workflow.Now(ctx).Add(100*time.Millisecond), "a moment"); err != nil {
			return err
		}
	}
	return nil
}

func TestAFlowThatActsPastItsHandleIsNotContinuedAndEndsInItsOneRun(t *testing.T) {
	t.Parallel()
	var w world
	flow := workflows.Define("Stubborn", stubborn)
	c := w.serve(t, flow)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "w", TaskQueue: workflows.TaskQueue}, flow.Name(),
		workflows.Input{ContactID: "anna", To: call.Target{URI: "tel:+14155550100"}})
	require.NoError(t, err)
	first := run.GetRunID()
	var r call.Result
	require.NoError(t, run.Get(t.Context(), &r))
	require.Equal(t, first, r.RunID)
	require.Len(t, r.Attempts, 4)
	require.Equal(t, call.Outcome(call.Busy), r.Outcome, "a flow that says nothing ends with what became of its last attempt")
	iter := c.GetWorkflowHistory(t.Context(), "w", first, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	events := 0
	for iter.HasNext() {
		_, err := iter.Next()
		require.NoError(t, err)
		events++
	}
	require.Greater(t, events, 40, "the server has suggested a new run")
}
