package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
)

const parentVariable = "REDIAL_POSTGRES_TEST_PARENT"

func TestMain(m *testing.M) {
	if folder := os.Getenv(parentVariable); folder != "" {
		beParent(folder)
	}
	os.Exit(m.Run())
}

// beParent starts a server, tells its pid and port, and stays until it is killed.
func beParent(folder string) {
	server, err := postgres.Start(context.Background(), postgres.Options{Folder: folder, NoSync: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Threads come and go in a real program; the server must not go with one of them.
	for range 50 {
		ended := make(chan struct{})
		go func() {
			runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
			close(ended)
		}()
		<-ended
	}
	fmt.Println(server.Pid())
	select {
	case <-server.Done():
		fmt.Fprintln(os.Stderr, server.Err())
	case <-time.After(time.Minute):
	}
	os.Exit(1)
}

func TestTheWholeServerDiesWithAKilledParent(t *testing.T) {
	postgrestest.Binary(t)
	folder := filepath.Join(enterable(t), "data")
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+folder)
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	var pid int
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(line, &pid)
	require.NoError(t, err)
	all := tree(t, pid)
	require.Greater(t, len(all), 2)
	require.NoError(t, parent.Process.Kill())
	_ = parent.Wait()
	require.Eventually(t, func() bool { return len(alive(all)) == 0 }, time.Minute, 10*time.Millisecond)

	again := postgrestest.Start(t, postgres.Options{Folder: folder, NoSync: true})
	require.NoError(t, again.Stop(deadline(t)))
}

func processes(tb testing.TB, s *postgres.Server) []int {
	tb.Helper()
	return tree(tb, s.Pid())
}

// tree is a process and its children.
func tree(tb testing.TB, pid int) []int {
	tb.Helper()
	all := []int{pid}
	listed, err := filepath.Glob("/proc/[0-9]*/status")
	require.NoError(tb, err)
	for _, name := range listed {
		status, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(status), "\nPPid:\t"+strconv.Itoa(pid)+"\n") {
			child, err := strconv.Atoi(strings.Split(name, "/")[2])
			require.NoError(tb, err)
			all = append(all, child)
		}
	}
	return all
}

// alive are those that run; the dead may lie unreaped where the init process reaps nobody.
func alive(pids []int) (running []int) {
	for _, pid := range pids {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err == nil && !strings.Contains(string(status), "\nState:\tZ") {
			running = append(running, pid)
		}
	}
	return running
}

func requireGone(tb testing.TB, pids []int) {
	tb.Helper()
	require.Empty(tb, alive(pids))
}
