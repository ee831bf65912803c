package relay_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"redial/call"
	"redial/followup"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/logging"
	"redial/ledger"
	"redial/relay"
)

// sweepStage is a ledger whose clock can be moved, and a real Temporal server.
type sweepStage struct {
	t        *testing.T
	ledger   *ledger.Ledger
	temporal client.Client
	ahead    atomic.Int64
}

func newSweepStage(t *testing.T) *sweepStage {
	t.Helper()
	s := &sweepStage{t: t}
	var err error
	s.ledger, err = ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.ledger.Close()) })
	server := devservertest.Start(t, devserver.Options{Headless: true, ExtraArgs: []string{
		"--dynamic-config-value", `history.transferProcessorUpdateAckInterval="100ms"`,
		"--dynamic-config-value", `history.visibilityProcessorUpdateAckInterval="100ms"`,
		"--dynamic-config-value", `history.timerProcessorUpdateAckInterval="100ms"`}})
	s.temporal, err = client.Dial(client.Options{HostPort: server.Address(), Logger: log.Logger(logging.ForTemporal(zap.NewNop()))})
	require.NoError(t, err)
	t.Cleanup(s.temporal.Close)
	return s
}

// open starts a run that sleeps and claims its contact, with an attempt that is under way.
func (s *sweepStage) open(id string, flow any) (workflowID string) {
	s.t.Helper()
	run, err := s.temporal.ExecuteWorkflow(s.t.Context(), client.StartWorkflowOptions{ID: "redial/-/" + id, TaskQueue: "test"}, flow)
	require.NoError(s.t, err)
	c, err := s.ledger.Clear(s.t.Context(), followup.ClearanceRequest{Key: call.AttemptKey(run.GetID(), run.GetRunID(), 1), N: 1,
		WorkflowID: run.GetID(), FirstRunID: run.GetRunID(), ContactID: id, Request: call.DialRequest{To: call.Target{URI: "tel:+1202555" + id}},
		HearFor: time.Second, Owner: "o"})
	require.NoError(s.t, err)
	require.True(s.t, c.Cleared)
	return run.GetID()
}

// sweep lets a minute pass and sweeps until done says so.
func (s *sweepStage) sweep(done func() bool) {
	s.t.Helper()
	s.ahead.Add(int64(2 * time.Minute))
	ctx, stop := context.WithCancel(s.t.Context())
	sweeper := relay.Sweeper{Ledger: s.ledger, Runs: s.temporal, Logger: zaptest.NewLogger(s.t), Every: 5 * time.Millisecond}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sweeper.Run(ctx)
	}()
	require.Eventually(s.t, done, 30*time.Second, 5*time.Millisecond)
	stop()
	<-ended
}

func (s *sweepStage) shown(workflowID string) ledger.Contact {
	s.t.Helper()
	c, err := s.ledger.Show(s.t.Context(), workflowID)
	require.NoError(s.t, err)
	return c
}

func sleeps(ctx workflow.Context) error { return workflow.Sleep(ctx, time.Hour) }
func fails(workflow.Context) error      { return context.DeadlineExceeded }

func TestAContactWhoseRunWasTerminatedFailedOrIsGoneStillGetsItsOutcome(t *testing.T) {
	s := newSweepStage(t)
	w := worker.New(s.temporal, "test", worker.Options{})
	w.RegisterWorkflow(sleeps)
	w.RegisterWorkflow(fails)
	require.NoError(t, w.Start())
	defer w.Stop()

	alive, terminated, failed, gone := s.open("0101", sleeps), s.open("0102", sleeps), s.open("0103", fails), s.open("0104", sleeps)
	require.NoError(t, s.temporal.TerminateWorkflow(t.Context(), terminated, "", "by hand"))
	_, err := s.temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{Namespace: "default",
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: gone}})
	require.NoError(t, err)
	require.Error(t, s.temporal.GetWorkflow(t.Context(), failed, "").Get(t.Context(), nil))
	require.Eventually(t, func() bool {
		_, err := s.temporal.DescribeWorkflowExecution(t.Context(), gone, "")
		return err != nil
	}, 30*time.Second, 10*time.Millisecond)

	s.sweep(func() bool {
		return s.shown(terminated).Outcome != "" && s.shown(failed).Outcome != "" && s.shown(gone).Outcome != "" &&
			s.shown(alive).Attempts[0].Disposition != ""
	})
	require.Equal(t, call.OutcomeCanceled, s.shown(terminated).Outcome)
	require.Nil(t, s.shown(terminated).Escalation)
	for _, id := range []string{failed, gone} {
		c := s.shown(id)
		require.Equal(t, call.OutcomeEscalated, c.Outcome)
		require.NotNil(t, c.Escalation, "people are not told")
		require.Equal(t, call.Unknown, c.Attempts[0].Disposition)
	}
	require.Empty(t, s.shown(alive).Outcome, "a contact whose run is alive is left alone")
	require.Equal(t, call.Unknown, s.shown(alive).Attempts[0].Disposition, "an attempt that must be over is closed")
}

func TestAContactIsLeftToItsFlowForAMinute(t *testing.T) {
	s := newSweepStage(t)
	s.open("0101", sleeps)
	open, err := s.ledger.ToSweep(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, open)
	expired, err := s.ledger.ExpireAttempts(t.Context(), 10)
	require.NoError(t, err)
	require.Zero(t, expired)
}
