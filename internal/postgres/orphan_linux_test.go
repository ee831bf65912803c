package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process/processtest"
)

func TestMain(m *testing.M) {
	processtest.Main(m, func(folder string) (processtest.Server, error) {
		return postgres.Start(context.Background(), postgres.Options{Folder: folder, NoSync: true})
	})
}

func TestTheWholeServerDiesWithAKilledParent(t *testing.T) {
	postgrestest.Binary(t)
	folder := filepath.Join(enterable(t), "data")
	pid, kill := processtest.Parent(t, folder)
	all := tree(t, pid)
	require.Greater(t, len(all), 2)
	kill()
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

// alive are those that run.
func alive(pids []int) (running []int) {
	for _, pid := range pids {
		if processtest.Running(pid) {
			running = append(running, pid)
		}
	}
	return running
}

func requireGone(tb testing.TB, pids []int) {
	tb.Helper()
	require.Empty(tb, alive(pids))
}
