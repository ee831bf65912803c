package temporalserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process"
	"redial/internal/process/processtest"
	"redial/internal/temporalserver"
	"redial/internal/temporalserver/temporalservertest"
)

const (
	namespace = "redial-test"
	queue     = "test"
)

var state = temporal.NewSearchAttributeKeyKeyword("RedialState")

func TestAKilledServerGoesOnWithItsRunsItsNamespaceAndItsSearchAttributes(t *testing.T) {
	log := filepath.Join(t.TempDir(), "server.log")
	server := temporalservertest.Start(t, temporalserver.Options{
		Namespace: namespace, Retention: 48 * time.Hour, LogFile: log,
	})
	ctx, address := deadline(t), server.Address()
	c := connect(ctx, t, address)
	requireRetention(ctx, t, c, 48*time.Hour)
	register(ctx, t, c)
	runsToItsEnd(ctx, t, c, "before") // at once: what was just registered is known
	eventually(ctx, t, "the run to be found by its search attribute", func() error { return requireFound(ctx, c, "before") })
	waiting := execute(ctx, t, c, "waiting", awaitsSignal)

	pid := server.Pid()
	server.Kill()
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if server.Pid() == pid || server.Address() != address {
		t.Errorf("pid %d of %d at %s of %s", server.Pid(), pid, server.Address(), address)
	}
	requireRetention(ctx, t, c, 48*time.Hour)
	eventually(ctx, t, "the run to be found after the crash", func() error { return requireFound(ctx, c, "before") })
	finish(ctx, t, c, waiting)
	runsToItsEnd(ctx, t, c, "after")

	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := server.Err(); err != nil {
		t.Errorf("Err of a server that was stopped: %v", err)
	}
	if said, err := os.ReadFile(log); err != nil || !strings.Contains(string(said), `"level":"info"`) {
		t.Errorf("the log has %d bytes, %v", len(said), err)
	}
}

func TestASecondServerOnTheSameDatabasesGoesOnWithWhatTheFirstHasLeft(t *testing.T) {
	temporalservertest.Binaries(t)
	options := temporalserver.Options{
		Postgres:  postgrestest.Start(t, postgres.Options{NoSync: true}).URL("postgres"),
		Database:  "engine",
		Namespace: namespace, VisibilityDatabase: "engine_visibility",
	}
	first := temporalservertest.Start(t, options)
	ctx := deadline(t)
	c := connect(ctx, t, first.Address())
	register(ctx, t, c)
	waiting := execute(ctx, t, c, "waiting", awaitsSignal)
	first.Kill()

	second := temporalservertest.Start(t, options)
	if second.Address() == first.Address() {
		t.Errorf("both are at %s", first.Address())
	}
	c = connect(ctx, t, second.Address())
	finish(ctx, t, c, c.GetWorkflow(ctx, waiting.GetID(), waiting.GetRunID()))
	eventually(ctx, t, "the run to be found", func() error { return requireFound(ctx, c, "waiting") })
}

func TestPostgreSQLMayRestartUnderTheServer(t *testing.T) {
	temporalservertest.Binaries(t)
	database := postgrestest.Start(t, postgres.Options{})
	server := temporalservertest.Start(t, temporalserver.Options{Postgres: database.URL("postgres"), Namespace: namespace})
	ctx := deadline(t)
	c := connect(ctx, t, server.Address())
	register(ctx, t, c)
	waiting := execute(ctx, t, c, "waiting", awaitsSignal)
	database.Kill()
	if err := database.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "the server to find its database again", func() error { return c.SignalWorkflow(ctx, waiting.GetID(), "", "another", nil) })
	finish(ctx, t, c, waiting)
	if err := server.Err(); err != nil {
		t.Error(err)
	}
}

func TestADeploymentVersionThatIsMadeCurrentGetsTheWork(t *testing.T) {
	server := temporalservertest.Start(t, temporalserver.Options{Namespace: namespace})
	ctx := deadline(t)
	c := connect(ctx, t, server.Address())
	register(ctx, t, c)
	version := worker.WorkerDeploymentVersion{DeploymentName: "redial", BuildID: "v1"}
	w := work(t, c, worker.Options{DeploymentOptions: worker.DeploymentOptions{
		UseVersioning: true, Version: version, DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
	}})
	defer w.Stop()
	deployment := c.WorkerDeploymentClient().GetHandle(version.DeploymentName)
	eventually(ctx, t, "the version to be made current", func() error {
		_, err := deployment.SetCurrentVersion(ctx, client.WorkerDeploymentSetCurrentVersionOptions{BuildID: version.BuildID})
		return err
	})
	end(ctx, t, c, execute(ctx, t, c, "versioned", awaitsSignal))
	described, err := c.DescribeWorkflowExecution(ctx, "versioned", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := described.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion().GetBuildId(); got != version.BuildID {
		t.Errorf("it ran on %q, want %s", got, version.BuildID)
	}
}

func TestTheDynamicConfigurationReachesTheServer(t *testing.T) {
	server := temporalservertest.Start(t, temporalserver.Options{
		Namespace:     namespace,
		DynamicConfig: map[string]any{"limit.maxIDLength": 20},
	})
	ctx := deadline(t)
	_, err := connect(ctx, t, server.Address()).ExecuteWorkflow(ctx,
		client.StartWorkflowOptions{ID: strings.Repeat("x", 21), TaskQueue: queue}, awaitsSignal)
	if refused, ok := errors.AsType[*serviceerror.InvalidArgument](err); !ok {
		t.Errorf("an id beyond the configured length: %v, %v", err, refused)
	}
}

func TestWhatStopsAStartIsSaidInOneLine(t *testing.T) {
	binaries := temporalserver.Binaries{Server: "/nowhere/temporal-server", SQLTool: "/nowhere/temporal-sql-tool"}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	busy := taken.Addr().(*net.TCPAddr).Port
	nobody, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	away := "127.0.0.1:" + strconv.Itoa(nobody)

	for name, test := range map[string]struct {
		options temporalserver.Options
		says    []string
	}{
		"no URL":        {temporalserver.Options{}, []string{"no PostgreSQL", "postgres://"}},
		"a broken URL":  {temporalserver.Options{Postgres: "postgres://a:b:c"}, []string{"read the URL", "postgres://"}},
		"a socket":      {temporalserver.Options{Postgres: "postgres:///x?host=/var/run"}, []string{"/var/run", "TCP"}},
		"TLS":           {temporalserver.Options{Postgres: "postgres://a@" + away + "/x?sslmode=require"}, []string{"TLS", "sslmode=disable"}},
		"no PostgreSQL": {temporalserver.Options{Postgres: "postgres://a@" + away}, []string{away, "connection refused", "start it"}},
		"a busy port":   {temporalserver.Options{FrontendPort: busy}, []string{strconv.Itoa(busy), "in use", "choose another"}},
		"no folder":     {temporalserver.Options{Folder: "/nowhere"}, []string{"/nowhere", "dynamic configuration", "exists"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Binaries = binaries
			if test.options.Folder == "" {
				test.options.Folder = t.TempDir()
			}
			_, err := temporalserver.Start(t.Context(), test.options)
			processtest.RequireOneLine(t, err, append(test.says, "start the Temporal server")...)
		})
	}
}

func TestABinaryThatIsMissingOrFailsIsQuotedInOneLine(t *testing.T) {
	url, database := withSchema(t)
	for name, test := range map[string]struct {
		binaries temporalserver.Binaries
		says     []string
	}{
		"no tool": {temporalserver.Binaries{Server: processtest.Script(t, "exit 0"), SQLTool: "/nowhere/tool"},
			[]string{"/nowhere/tool", "no such file"}},
		"a tool that fails": {temporalserver.Binaries{Server: processtest.Script(t, "exit 0"), SQLTool: processtest.Script(t, "echo first; echo 'table exists' >&2; exit 1")},
			[]string{"exit status 1", "table exists", "setup-schema"}},
		"no server": {temporalserver.Binaries{Server: "/nowhere/server", SQLTool: processtest.Script(t, "exit 0")},
			[]string{"/nowhere/server", "no such file", "make bin/temporal-server"}},
		"a server that fails": {temporalserver.Binaries{Server: processtest.Script(t, "echo 'no schema here'; exit 4"), SQLTool: processtest.Script(t, "exit 0")},
			[]string{"exit status 4", "no schema here", "PostgreSQL 127.0.0.1:"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := temporalserver.Start(t.Context(), temporalserver.Options{
				Binaries: test.binaries, Postgres: url, Database: database, Folder: t.TempDir(),
			})
			processtest.RequireOneLine(t, err, test.says...)
		})
	}
}

// awaitsSignal is what the tests run: it says so in its search attribute, and ends at a signal.
func awaitsSignal(ctx workflow.Context) (string, error) {
	if err := workflow.UpsertTypedSearchAttributes(ctx, state.ValueSet("waiting")); err != nil {
		return "", err
	}
	workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
	return "ended", nil
}

func connect(ctx context.Context, t *testing.T, address string) client.Client {
	t.Helper()
	c, err := client.DialContext(ctx, client.Options{HostPort: address, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func register(ctx context.Context, t *testing.T, c client.Client) {
	t.Helper()
	_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace:        namespace,
		SearchAttributes: map[string]enumspb.IndexedValueType{state.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func execute(ctx context.Context, t *testing.T, c client.Client, id string, flow any) client.WorkflowRun {
	t.Helper()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: queue, TypedSearchAttributes: temporal.NewSearchAttributes(state.ValueSet("started")),
	}, flow)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func work(t *testing.T, c client.Client, o worker.Options) worker.Worker {
	t.Helper()
	w := worker.New(c, queue, o)
	w.RegisterWorkflow(awaitsSignal)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

// finish brings a run to its end, on a worker of its own.
func finish(ctx context.Context, t *testing.T, c client.Client, run client.WorkflowRun) {
	t.Helper()
	w := work(t, c, worker.Options{})
	defer w.Stop()
	end(ctx, t, c, run)
}

func end(ctx context.Context, t *testing.T, c client.Client, run client.WorkflowRun) {
	t.Helper()
	if err := c.SignalWorkflow(ctx, run.GetID(), "", "end", nil); err != nil {
		t.Fatal(err)
	}
	var said string
	if err := run.Get(ctx, &said); err != nil || said != "ended" {
		t.Fatalf("%s: %q, %v", run.GetID(), said, err)
	}
}

func runsToItsEnd(ctx context.Context, t *testing.T, c client.Client, id string) {
	t.Helper()
	finish(ctx, t, c, execute(ctx, t, c, id, awaitsSignal))
}

func requireRetention(ctx context.Context, t *testing.T, c client.Client, want time.Duration) {
	t.Helper()
	var described *workflowservice.DescribeNamespaceResponse
	// A client that has seen its server die knocks again after a while.
	eventually(ctx, t, "the namespace to be described", func() (err error) {
		described, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
		return err
	})
	if got := described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != want {
		t.Errorf("retention %s, want %s", got, want)
	}
}

func requireFound(ctx context.Context, c client.Client, id string) error {
	found, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: `RedialState = "waiting" AND WorkflowId = "` + id + `"`,
	})
	if err == nil && len(found.GetExecutions()) != 1 {
		err = errors.New("found " + strconv.Itoa(len(found.GetExecutions())))
	}
	return err
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func eventually(ctx context.Context, t *testing.T, what string, holds func() error) {
	t.Helper()
	if err := process.Until(ctx, func(context.Context) error { return holds() }); err != nil {
		t.Fatalf("waited in vain for %s: %v", what, err)
	}
}

// withSchema is a database for servers that are none.
func withSchema(t *testing.T) (url, database string) {
	t.Helper()
	server := postgrestest.Start(t, postgres.Options{NoSync: true})
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "CREATE TABLE cluster_membership ()"); err != nil {
		t.Fatal(err)
	}
	return server.URL("postgres"), "postgres"
}
