//go:build unix

package app_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"redial/call"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/logging"
	"redial/internal/process/processtest"
	"redial/ledger"
	"redial/simulator"
)

// program is redial in the hands of one user: in one folder, under one environment, which is all that it inherits.
type program struct {
	binary      string // "": this test's own
	folder      string
	environment map[string]string
	stdin       io.Reader // nil: there is nothing to read
	stdout      *os.File  // nil: what it says is kept
}

func newProgram(t *testing.T) program {
	t.Helper()
	home := t.TempDir()
	p := program{folder: t.TempDir(), environment: map[string]string{
		asProgram: "1", "PATH": os.Getenv("PATH"), "HOME": home, "TMPDIR": t.TempDir(),
		// The race detector would sleep a second before each exit; what it has found makes the exit code 66.
		"GORACE": "atexit_sleep_ms=0",
		// Tests call a number as often as they like.
		"REDIAL_CEILINGS": "none",
	}}
	return p
}

// with is the program under further settings, NAME=value each; one without a value is taken away.
func (p program) with(settings ...string) program {
	p.environment = maps.Clone(p.environment)
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		if p.environment[name] = value; value == "" {
			delete(p.environment, name)
		}
	}
	return p
}

// reading is the program with this on its standard input, for one command.
func (p program) reading(text string) program {
	p.stdin = strings.NewReader(text)
	return p
}

// file writes a file into the program's folder, and returns its name.
func (p program) file(t *testing.T, name, content string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(p.folder, name), []byte(content), 0o600))
	return name
}

// process is the program at work. It leads a process group of its own, as one that a shell has started.
type process struct {
	*processtest.Child
	args           []string
	stdout, stderr processtest.Transcript
}

// start starts a command that stays. It is gone when the test is over, and what it said is shown when the test failed.
func (p program) start(t *testing.T, args ...string) *process {
	t.Helper()
	q := p.launch(t, args...)
	t.Cleanup(func() {
		q.kill()
		if t.Failed() {
			t.Logf("redial %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), tail(q.stdout.String()), tail(q.stderr.String()))
		}
	})
	return q
}

func (p program) launch(t *testing.T, args ...string) *process {
	t.Helper()
	q := &process{args: args}
	command := exec.Command(cmp.Or(p.binary, os.Args[0]), args...)
	command.Dir = p.folder
	for name, value := range p.environment {
		command.Env = append(command.Env, name+"="+value)
	}
	command.Stdin, command.Stdout, command.Stderr = p.stdin, &q.stdout, &q.stderr
	if p.stdout != nil {
		command.Stdout = p.stdout
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	q.Child = processtest.Start(t, command)
	return q
}

// tail is the end of what a process said, as much of it as a person reads.
func tail(text string) string { return text[max(0, len(text)-4000):] }

func (q *process) pid() int { return q.Command.Process.Pid }

func (q *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(q.pid(), s))
}

// ctrlC is what a terminal does: the signal goes to every process of the group.
func (q *process) ctrlC(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(-q.pid(), syscall.SIGINT))
}

// kill is kill -9, of this process alone.
func (q *process) kill() { q.Kill() }

// wait waits for the end of the process.
func (q *process) wait(t *testing.T) ended {
	t.Helper()
	select {
	case <-q.Ended:
	case <-time.After(patience):
		require.FailNow(t, "redial "+strings.Join(q.args, " ")+" has not ended")
	}
	return ended{q.Command.ProcessState.ExitCode(), q.stdout.String(), q.stderr.String()}
}

// says waits until the process has said something that matches, and returns its last group, or all of it.
func (q *process) says(t *testing.T, out *processtest.Transcript, pattern string) string {
	t.Helper()
	return q.Says(t, out, pattern, patience)
}

// ended is what a command left behind.
type ended struct {
	code           int
	stdout, stderr string
}

// run runs one command to its end.
func (p program) run(t *testing.T, args ...string) ended {
	t.Helper()
	q := p.launch(t, args...)
	defer q.kill() // when it has not ended
	return q.wait(t)
}

// must runs a command that has to succeed, and returns what it printed.
func (p program) must(t *testing.T, args ...string) string {
	t.Helper()
	e := p.run(t, args...)
	require.Zero(t, e.code, "redial %s\n%s%s", strings.Join(args, " "), e.stdout, e.stderr)
	return e.stdout
}

// patience is how long a condition may take that takes seconds at worst on an idle machine, or a Dialout's 35 s.
const patience = 60 * time.Second

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			require.FailNow(t, "waited in vain for "+what)
		}
	}
}

// freePort is a port from below the range that the kernel hands out by itself, so that it stays free until it is used.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(10_000 + rand.IntN(10_000))
		if portIsFree(port) {
			return port
		}
	}
	require.FailNow(t, "no port is free")
	return ""
}

func portIsFree(port string) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// engine is the Temporal server that the tests share. Each has a namespace of its own on it: the names of the task queues
// are fixed, and a worker of another test must not take this one's work.
var engine struct {
	once   sync.Once
	server *devserver.Server
	err    error
}

func startEngine(t *testing.T) *devserver.Server {
	t.Helper()
	binary := devservertest.Binary(t)
	engine.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// What is deleted is gone when the queues have said how far they are; by default they say so every half minute.
		engine.server, engine.err = devserver.Start(ctx, devserver.Options{Binary: binary, Headless: true, ExtraArgs: []string{
			"--dynamic-config-value", `history.transferProcessorUpdateAckInterval="500ms"`,
			"--dynamic-config-value", `history.visibilityProcessorUpdateAckInterval="500ms"`}})
	})
	require.NoError(t, engine.err)
	return engine.server
}

func stopEngine() {
	if engine.server != nil {
		engine.server.Kill() // all in memory: there is nothing to keep
	}
}

// newNamespace makes a namespace and returns a client of it.
func newNamespace(t *testing.T) (name string, c client.Client) {
	t.Helper()
	server := startEngine(t)
	name = fmt.Sprintf("test-%d", rand.Uint64())
	c, err := client.Dial(client.Options{HostPort: server.Address(), Namespace: name, Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = c.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour)})
	require.NoError(t, err)
	eventually(t, "the namespace to be there", func() bool {
		_, err := c.DescribeWorkflowExecution(t.Context(), "nobody", "")
		var absent *serviceerror.NotFound
		return err != nil && errors.As(err, &absent)
	})
	return name, c
}

// stage is a whole deployment, as a user sets one up: a namespace prepared by redial setup, a ledger, a simulated gateway
// as a process of its own, and every setting that redial up needs.
type stage struct {
	program
	temporal client.Client
	gateway  gateway
	webhook  string // port
}

func newStage(t *testing.T, settings ...string) stage {
	t.Helper()
	namespace, temporal := newNamespace(t)
	return newStageOn(t, engine.server.Address(), namespace, temporal, settings...)
}

// newStageOn is newStage on another Temporal server.
func newStageOn(t *testing.T, address, namespace string, temporal client.Client, settings ...string) stage {
	t.Helper()
	p := newProgram(t).with(settings...)
	g := startGateway(t, p)
	webhook := freePort(t)
	s := stage{temporal: temporal, gateway: g, webhook: webhook, program: p.with(
		"TEMPORAL_ADDRESS="+address, "TEMPORAL_NAMESPACE="+namespace,
		"KORE_BASE_URL="+string(g), "KORE_BOT_ID="+simulator.DefaultBotID, "KORE_CLIENT_ID="+simulator.DefaultClientID,
		"KORE_CLIENT_SECRET="+simulator.DefaultClientSecret, "KORE_CALLER=+12025550100",
		"REDIAL_WEBHOOK_ADDR=127.0.0.1:"+webhook, "REDIAL_NOTIFY_URL=http://127.0.0.1:"+webhook,
		"REDIAL_NOTIFY_SECRET=a secret of this test alone",
		"REDIAL_CONSOLE_ADDR=127.0.0.1:0", // else each up of each test would want the same port
	)}
	s.must(t, "setup")
	return s
}

// up starts redial up and waits until it serves.
func (s stage) up(t *testing.T) *process {
	t.Helper()
	q := s.start(t, "up")
	q.ready(t, "127.0.0.1:"+s.webhook)
	return q
}

// ready waits until the process says that it is, at its address for probes.
func (q *process) ready(t *testing.T, address string) {
	t.Helper()
	eventually(t, "redial "+strings.Join(q.args, " ")+" to be ready", func() bool {
		select {
		case <-q.Ended:
			require.FailNow(t, "redial "+strings.Join(q.args, " ")+" has ended", q.stderr.String())
		default:
		}
		return readiness(address) == http.StatusOK
	})
}

// readiness is what a role answers to a probe; 0: nothing.
func readiness(address string) int {
	response, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// show is what redial show --json prints of a contact.
func (s stage) show(t *testing.T, id string) ledger.Contact {
	t.Helper()
	return decode[ledger.Contact](t, s.must(t, "show", id, "--json"))
}

// result is the result of a contact's run.
func (s stage) result(t *testing.T, id string) call.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var r call.Result
	require.NoError(t, s.temporal.GetWorkflow(ctx, "redial/-/"+id, "").Get(ctx, &r))
	return r
}

// openLedger opens the deployment's ledger beside whoever owns it, for tests that watch it closely.
func (s stage) openLedger(t *testing.T) *ledger.Ledger {
	t.Helper()
	address := "sqlite:" + filepath.Join(s.folder, "redial.db")
	if given := s.environment["REDIAL_DATABASE"]; strings.HasPrefix(given, "postgres") {
		address = given
	}
	l, err := ledger.Open(t.Context(), address, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// gateway is the URL of a simulated gateway. What it says was placed is what counts.
type gateway string

func startGateway(t *testing.T, p program) gateway {
	t.Helper()
	q := p.start(t, "simulator", "--addr", "127.0.0.1:0", "--speed", "20")
	return gateway(q.says(t, &q.stdout, `simulated voice gateway at (http://\S+)\n`))
}

// calls are the calls that were really placed to a target.
func (g gateway) calls(t *testing.T, target string) []simulator.Call {
	t.Helper()
	return get[struct{ Calls []simulator.Call }](t, string(g)+"/simulator/calls?target="+url.QueryEscape(target)).Calls
}

func (g gateway) stats(t *testing.T) simulator.Stats {
	t.Helper()
	return get[simulator.Stats](t, string(g)+"/simulator/stats")
}

// detected is how long detection may take: twenty seconds of the gateway's clock, and its timers end after fifteen.
const detected = time.Second

// hangUp ends the live call to a target in the name of the person called, who was taken for one by then.
func (g gateway) hangUp(t *testing.T, target string) {
	t.Helper()
	var calls []simulator.Call
	eventually(t, "the call to be answered by a person", func() bool {
		calls = g.calls(t, target)
		if len(calls) == 0 {
			return false
		}
		answered := calls[len(calls)-1].AnsweredAt
		return !answered.IsZero() && time.Since(answered) > detected
	})
	response, err := http.Post(string(g)+"/simulator/calls/"+calls[len(calls)-1].SID+"/end?by=caller", "", nil)
	require.NoError(t, err)
	_ = response.Body.Close()
	require.Equal(t, http.StatusAccepted, response.StatusCode)
}

func get[T any](t *testing.T, url string) T {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	var v T
	require.NoError(t, json.NewDecoder(response.Body).Decode(&v))
	return v
}

// decode reads one JSON document, and nothing behind it.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}
