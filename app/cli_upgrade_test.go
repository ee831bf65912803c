//go:build unix

package app_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/call"
	"redial/callflowtest"
	"redial/internal/logging"
	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/temporalserver"
	"redial/internal/temporalserver/temporalservertest"
)

// TestARunIsContinuedByTheBuildThatIsCurrentAtItsNextWait needs a server that tells pinned runs of a newer build, which the dev
// server of CLI 1.5.1 does not.
func TestARunIsContinuedByTheBuildThatIsCurrentAtItsNextWait(t *testing.T) {
	t.Parallel()
	binaries := temporalservertest.Binaries(t)
	database := postgrestest.Start(t, postgres.Options{NoSync: true})
	require.NoError(t, database.CreateDatabase(t.Context(), "redial", ""))
	temporal := temporalservertest.Start(t, temporalserver.Options{Binaries: binaries, Postgres: database.URL("postgres"),
		DynamicConfig: map[string]any{"system.enableSendTargetVersionChanged": true}})
	c, err := client.Dial(client.Options{HostPort: temporal.Address(), Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	s := newStageOn(t, temporal.Address(), client.DefaultNamespace, c, "REDIAL_DATABASE="+database.URL("redial"), "REDIAL_DRAIN_DELAY=0s")
	a := apart{s, newProxy(t, "127.0.0.1:"+s.webhook)}
	a.webhook(t)
	a.build(t, "v1")

	policy := a.file(t, "patient.yaml", "dial: {ring_timeout: 120s}\non: {busy: {retry: [2s, 2s, 2s]}}\n")
	a.must(t, "call", "--to", anna, "--id", "anna", "--policy", policy, "--metadata", "simulate=busy,busy+ring=100s,busy,human")
	eventually(t, "the second attempt", func() bool { return len(a.gateway.calls(t, anna)) == 2 })
	first := a.running(t, "anna")
	require.Equal(t, "v1", first.build)
	a.build(t, "v2")

	eventually(t, "another run, of the new build", func() bool { now := a.running(t, "anna"); return now.run != first.run && now.build == "v2" })
	r := a.result(t, "anna")
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Len(t, r.Attempts, 4)
	require.Len(t, a.gateway.calls(t, anna), 4, "nothing is dialed twice")

	a.must(t, "histories", "save", "anna")
	saved, err := filepath.Glob(filepath.Join(a.folder, "testdata/histories/OutboundCall-anna-*.json"))
	require.NoError(t, err)
	require.Len(t, saved, 2, "each run has a file")
	for _, file := range saved {
		require.NoError(t, callflowtest.ReplayFile(file))
	}
}

// build starts a worker of a build, and makes it the current version of the deployment.
func (a apart) build(t *testing.T, id string) {
	t.Helper()
	a.worker(t, "REDIAL_DEPLOYMENT=redial", "REDIAL_BUILD_ID="+id, "REDIAL_VERSIONING=upgrade-at-wait")
	deployment := a.temporal.WorkerDeploymentClient().GetHandle("redial")
	eventually(t, "the build to be current", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		v, err := deployment.DescribeVersion(ctx, client.WorkerDeploymentDescribeVersionOptions{BuildID: id})
		if err != nil || len(v.Info.TaskQueuesInfos) < 2 {
			return false
		}
		_, err = deployment.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: id})
		return err == nil
	})
}

// where is the run that a contact is in, and the build that has it.
type where struct{ run, build string }

func (s stage) running(t *testing.T, id string) where {
	t.Helper()
	d, err := s.temporal.DescribeWorkflowExecution(t.Context(), "redial/-/"+id, "")
	require.NoError(t, err)
	info := d.GetWorkflowExecutionInfo()
	return where{info.GetExecution().GetRunId(), info.GetVersioningInfo().GetDeploymentVersion().GetBuildId()}
}
