package devserver_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/process/processtest"
)

func TestStartedServerIsUsableAtOnceAndStopLeavesNothing(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "192.0.2.1:1") // a client's setting must not reach the server
	log := filepath.Join(t.TempDir(), "temporal.log")
	server := devservertest.Start(t, devserver.Options{
		Namespace:        "redial-test",
		SearchAttributes: map[string]string{"RedialState": "Keyword", "RedialAttempts": "Int", "RedialNextAction": "Datetime"},
		LogFile:          log,
	})
	ctx := deadline(t)
	conn := dial(t, server)

	startWorkflow(ctx, t, conn, "redial-test", "first")
	attributes, err := operatorservice.NewOperatorServiceClient(conn).ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: "redial-test"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]enumspb.IndexedValueType{
		"RedialState":      enumspb.INDEXED_VALUE_TYPE_KEYWORD,
		"RedialAttempts":   enumspb.INDEXED_VALUE_TYPE_INT,
		"RedialNextAction": enumspb.INDEXED_VALUE_TYPE_DATETIME,
	} {
		if got := attributes.CustomAttributes[name]; got != want {
			t.Errorf("search attribute %s is %v, want %v", name, got, want)
		}
	}
	page, err := http.Get(server.UIURL())
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	if page.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s", server.UIURL(), page.Status)
	}

	pid := server.Pid()
	for range 2 { // stopping twice is as good as once
		if err := server.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if processtest.Running(pid) {
		t.Errorf("pid %d still runs after Stop", pid)
	}
	if err := free(server.Address()); err != nil {
		t.Errorf("after Stop: %v", err)
	}
	if err := server.Err(); err != nil {
		t.Errorf("a server that was stopped has Err() = %v", err)
	}
	if said, err := os.ReadFile(log); err != nil || !strings.Contains(string(said), "Stopping server") {
		t.Errorf("the log file has %q (%v), want the server's output to its end", said, err)
	}
}

func TestRunsSurviveARestartAndACrash(t *testing.T) {
	server := devservertest.Start(t, devserver.Options{
		DatabaseFile: filepath.Join(t.TempDir(), "temporal.db"),
		Headless:     true,
	})
	ctx := deadline(t)
	if server.UIURL() != "" {
		t.Errorf("a headless server has a UI at %s", server.UIURL())
	}
	address := server.Address()
	startWorkflow(ctx, t, dial(t, server), "default", "kept")

	before, ended := server.Pid(), server.Done()
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	<-ended
	if server.Pid() == before || processtest.Running(before) {
		t.Errorf("Restart left pid %d in place", before)
	}
	requireRunning(ctx, t, dial(t, server), "kept")

	server.Kill()
	select {
	case <-server.Done():
	default:
		t.Error("Kill returned before the process was gone")
	}
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if server.Address() != address {
		t.Errorf("the address moved from %s to %s", address, server.Address())
	}
	requireRunning(ctx, t, dial(t, server), "kept")
}

func TestAServerThatEndsByItselfSaysSo(t *testing.T) {
	server := devservertest.Start(t, devserver.Options{Headless: true})
	if err := server.Err(); err != nil {
		t.Fatalf("a server that runs has Err() = %v", err)
	}
	process, err := os.FindProcess(server.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-server.Done():
	case <-deadline(t).Done():
		t.Fatal("Done was not closed")
	}
	if err := server.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Err() = %v, want that it was killed", err)
	}
	if err := server.Stop(t.Context()); err != nil {
		t.Errorf("Stop of a server that is gone: %v", err)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port

	for _, o := range []devserver.Options{{FrontendPort: port}, {UIPort: port}} {
		o.Binary = "/bin/false" // the ports are looked at before anything is started
		_, err = devserver.Start(t.Context(), o)
		processtest.RequireOneLine(t, err, "port "+strconv.Itoa(port), "in use", "choose another port")
	}
}

func TestABinaryThatIsNotThereIsNamed(t *testing.T) {
	_, err := devserver.Start(t.Context(), devserver.Options{Binary: "/nowhere/temporal"})
	processtest.RequireOneLine(t, err, "/nowhere/temporal", "no such file", "make bin/temporal", "TEMPORAL_CLI_PATH")
}

func TestAServerThatFailsToStartIsQuoted(t *testing.T) {
	_, err := devserver.Start(t.Context(), devserver.Options{
		Binary: processtest.Script(t, `echo "first line"; echo "no room left for the database" >&2; exit 3`),
	})
	processtest.RequireOneLine(t, err, "exit status 3", "no room left for the database", "server start-dev")
}

func TestAStartIsBoundedByItsContext(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := devserver.Start(ctx, devserver.Options{Binary: processtest.Script(t, `echo $$ >`+pidFile+`; exec sleep 600`)})
		result <- err
	}()
	var pid int
	eventually(t, "the child to write its pid", func() bool {
		said, err := os.ReadFile(pidFile)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(said)))
		return err == nil
	})
	cancel()
	err := <-result
	processtest.RequireOneLine(t, err, "did not answer")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap context.Canceled", err)
	}
	if processtest.Running(pid) {
		t.Errorf("pid %d was left behind", pid)
	}
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := deadline(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func dial(t *testing.T, server *devserver.Server) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(server.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func startWorkflow(ctx context.Context, t *testing.T, conn *grpc.ClientConn, namespace, id string) {
	t.Helper()
	_, err := workflowservice.NewWorkflowServiceClient(conn).StartWorkflowExecution(ctx,
		&workflowservice.StartWorkflowExecutionRequest{
			Namespace:    namespace,
			WorkflowId:   id,
			RequestId:    id,
			WorkflowType: &commonpb.WorkflowType{Name: "nobody-runs-it"},
			TaskQueue:    &taskqueuepb.TaskQueue{Name: "nobody-listens"},
		})
	if err != nil {
		t.Fatalf("start a workflow in %s: %v", namespace, err)
	}
}

func requireRunning(ctx context.Context, t *testing.T, conn *grpc.ClientConn, id string) {
	t.Helper()
	described, err := workflowservice.NewWorkflowServiceClient(conn).DescribeWorkflowExecution(ctx,
		&workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: "default",
			Execution: &commonpb.WorkflowExecution{WorkflowId: id},
		})
	if err != nil {
		t.Fatalf("describe %s: %v", id, err)
	}
	if got := described.WorkflowExecutionInfo.Status; got != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("%s is %v, want running", id, got)
	}
}

func free(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}
