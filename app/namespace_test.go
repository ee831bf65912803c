package app

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redial/call"
	"redial/followup"
	"redial/internal/config"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/logging"
	"redial/ledger"
	"redial/relay"
	"redial/workflows"
)

func TestUnderARoleThatWorksAServerStartedAnewWithoutItsDataMakesNobodyGone(t *testing.T) {
	t.Parallel()
	server := devservertest.Start(t, devserver.Options{Headless: true}) // in memory: a restart forgets
	var ahead atomic.Int64
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), ledger.Options{
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	temporal, err := connect(t.Context(), client.Options{HostPort: server.Address()}, logging.ForTemporal(zap.NewNop()))
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	h := newHome(temporal, config.Config{Database: "sqlite:redial.db"}, l)
	require.NoError(t, h.join(t.Context()))

	run, err := temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "redial/-/anna", TaskQueue: "nobody's"}, workflows.NameOutboundCall)
	require.NoError(t, err)
	c, err := l.Clear(t.Context(), followup.ClearanceRequest{Key: call.AttemptKey(run.GetID(), run.GetRunID(), 1), N: 1, WorkflowID: run.GetID(),
		FirstRunID: run.GetRunID(), ContactID: "anna", Request: call.DialRequest{To: call.Target{URI: "tel:+12025550101"}}, HearFor: time.Second, Owner: "o"})
	require.NoError(t, err)
	require.True(t, c.Cleared)

	server.Kill()
	require.NoError(t, server.Restart(t.Context()))
	core, logs := observer.New(zap.WarnLevel)
	sweeping := runPart(t.Context(), relay.Sweeper{Ledger: l, Runs: h, Logger: zap.New(core), Every: 5 * time.Millisecond}.Run)
	t.Cleanup(func() { require.NoError(t, sweeping.close()) })
	swept := func(until func() bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			ahead.Add(int64(time.Minute)) // a contact has to be open for a while, and is looked at now and then
			return until()
		}, time.Minute, 5*time.Millisecond)
	}
	swept(func() bool { return logs.FilterMessage("the sweep was cut short").Len() > 5 })
	var other *ledger.NamespaceError
	require.ErrorAs(t, h.SignalWorkflow(t.Context(), run.GetID(), "", workflows.SignalWake, nil), &other, "the flow would never be told")
	outcome := func() call.Outcome {
		contact, err := l.Show(t.Context(), "anna")
		require.NoError(t, err)
		return contact.Outcome
	}
	require.Empty(t, outcome())
	require.ErrorAs(t, newHome(temporal, config.Config{}, l).guard(t.Context(), zap.NewNop()), &other, "a role that starts now ends")

	n, err := temporal.identify(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Adopt(t.Context(), n))
	swept(func() bool { return outcome() != "" })
}
