//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/app"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process/processtest"
	"redial/internal/temporalserver/temporalservertest"
)

// as makes the test binary one of the programs: the code under test, race detector included.
const as = "CLUSTER_TEST_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(as) {
	case "redial":
		app.Main()
	case "cluster":
		_ = os.Setenv(as, "redial") // what it starts
		main()
	}
	os.Exit(m.Run())
}

// patience is how long a condition may take on a machine that does much else.
const patience = 3 * time.Minute

func TestTheWholeTopologyCallsAndStopsInOrderWhateverTheEnvironmentSays(t *testing.T) {
	requireServers(t)
	t.Setenv(as, "redial")
	t.Setenv("TMPDIR", reachableFolder(t))
	for name, value := range map[string]string{"KORE_BASE_URL": "https://platform.invalid", "KORE_CALLER": "+19995550100", "TEMPORAL_ADDRESS": "temporal.invalid:7233",
		"REDIAL_DATABASE": "postgres://nobody@db.invalid/redial", "REDIAL_ALLOW_TO": "+1999"} {
		t.Setenv(name, value)
	}
	var out, progress bytes.Buffer
	require.Zero(t, run([]string{"-once", "-redial", os.Args[0]}, &out, &progress), progress.String())
	require.Contains(t, out.String(), "3 simulated calls, each with the outcome that was expected, through 8 processes")
	require.Contains(t, progress.String(), "KORE_BASE_URL, KORE_CALLER, REDIAL_DATABASE, TEMPORAL_ADDRESS: set in this environment, and ignored")
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "redial-*"))
	require.NoError(t, err)
	require.Empty(t, left, "a temporary folder stays")
}

func TestAClusterStartsAgainWhatIsKilledAndRemembersItsCallsBetweenRuns(t *testing.T) {
	requireServers(t)
	dir := filepath.Join(reachableFolder(t), "kept")

	first := startCluster(t, dir)
	require.Contains(t, first.shell(t, dir, "call --to +14155550100 --id anna --metadata simulate=human --wait"), "redial/-/anna: human")
	for _, name := range []string{"worker-1", "webhook-2"} {
		pid, err := strconv.Atoi(first.says(t, name+` +\S+ +pid (\d+)`))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		first.says(t, name+" is ready again, pid")
	}
	first.shell(t, dir, "call --to +14155550101 --id bert --wait")
	first.interrupt(t)

	second := startCluster(t, dir)
	require.Contains(t, second.shell(t, dir, "show anna"), "human")
	require.NotContains(t, second.shell(t, dir, "call --to +14155550100 --id anna || true"), "started redial")
	second.interrupt(t)
	require.DirExists(t, dir)
}

func TestAWrongCommandLineIsRefusedBeforeAnythingStarts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for arguments, c := range map[string]struct {
		code int
		says string
	}{
		"-once now":                 {2, `unexpected argument "now"`},
		"-twice":                    {2, "not defined"},
		"-redial /nowhere/redial":   {1, "name a binary of redial"},
		"-dir /dev/null/x -redial=": {1, "give a folder that can be written"},
	} {
		var out, progress bytes.Buffer
		args := strings.Fields(arguments)
		if args[len(args)-1] == "-redial=" {
			args[len(args)-1] += os.Args[0]
		}
		require.Equal(t, c.code, run(args, &out, &progress), arguments)
		require.Contains(t, progress.String(), c.says, arguments)
		require.NotContains(t, progress.String(), "Starting", arguments)
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func requireServers(t *testing.T) {
	t.Helper()
	postgrestest.Binary(t)
	temporalservertest.Binaries(t)
}

// reachableFolder is one that PostgreSQL can enter also where it runs as another user.
func reachableFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, f := range []string{folder, filepath.Dir(folder)} {
		require.NoError(t, os.Chmod(f, 0o755))
	}
	return folder
}

// cluster is this program in a process of its own.
type cluster struct {
	*processtest.Child
	said processtest.Transcript
}

func startCluster(t *testing.T, dir string) *cluster {
	t.Helper()
	c := &cluster{}
	command := exec.Command(os.Args[0], "-dir", dir, "-redial", os.Args[0])
	command.Env = append(os.Environ(), as+"=cluster")
	command.Stdout, command.Stderr = &c.said, &c.said
	c.Child = processtest.Start(t, command)
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Log(c.said.String())
		}
	})
	c.says(t, "Ctrl-C stops everything in order")
	return c
}

// says waits until the cluster has said something that matches, and returns its last group.
func (c *cluster) says(t *testing.T, pattern string) string {
	t.Helper()
	return c.Says(t, &c.said, pattern, patience)
}

// shell runs redial as a person would who has read the environment into a shell.
func (c *cluster) shell(t *testing.T, dir, arguments string) string {
	t.Helper()
	cmd := exec.Command("sh", "-euc", fmt.Sprintf(". '%s/env'; '%s' %s", dir, os.Args[0], arguments))
	cmd.Env = append(inherited(), as+"=redial")
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	return string(said)
}

// interrupt stops the cluster, and requires that it ends well and that nobody listens any more.
func (c *cluster) interrupt(t *testing.T) {
	t.Helper()
	address := c.says(t, `webhook-1 +(\S+) +pid`)
	require.NoError(t, c.Command.Process.Signal(os.Interrupt))
	select {
	case <-c.Ended:
	case <-time.After(patience):
		require.FailNow(t, "it does not end")
	}
	require.Zero(t, c.Command.ProcessState.ExitCode())
	require.Contains(t, c.said.String(), "Its data is kept in")
	_, err := http.Get("http://" + address + "/healthz")
	require.ErrorContains(t, err, "refused")
}

func TestTheProxyGivesWhatABrokenWebhookDroppedToTheOtherWhole(t *testing.T) {
	var taken []string
	sound := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		if r.Method == http.MethodPost {
			taken = append(taken, r.URL.Path+" "+string(body)+" "+r.Header.Get("X-Forwarded-For"))
		}
	})
	broken := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.ReadAll(r.Body)
			panic(http.ErrAbortHandler) // it dies with the report in its hands
		}
	})
	p := newProxy(t, broken, sound)
	for n := range 4 {
		require.Equal(t, http.StatusOK, post(t, p, fmt.Sprint(n)))
	}
	require.Equal(t, []string{"/notify/x 0 127.0.0.1", "/notify/x 1 127.0.0.1", "/notify/x 2 127.0.0.1", "/notify/x 3 127.0.0.1"}, taken)
	require.Equal(t, http.StatusRequestEntityTooLarge, post(t, p, strings.Repeat("x", maxBody+1)))
}

func TestTheProxyLeavesOutAWebhookThatIsNotReadyAndWaitsForOneThatIs(t *testing.T) {
	var mu sync.Mutex
	ready, posts := false, 0
	drained := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			posts++
		} else if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	p := newProxy(t, drained)
	require.Eventually(t, func() bool { return !p.webhooks[0].ready.Load() }, patience, 10*time.Millisecond)
	answered := make(chan int)
	go func() { answered <- post(t, p, "x") }()
	mu.Lock()
	require.Zero(t, posts)
	ready = true
	mu.Unlock()
	require.Equal(t, http.StatusOK, <-answered)
}

func newBackend(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func newProxy(t *testing.T, webhooks ...string) *proxy {
	t.Helper()
	p, err := startProxy(webhooks)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.close()) })
	return p
}

func post(t *testing.T, p *proxy, body string) int {
	t.Helper()
	response, err := http.Post(p.url()+"/notify/x", "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
