//go:build linux

package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/devserver/devservertest"
)

// newHost is a program that brings a Temporal server of its own.
func newHost(t *testing.T) program {
	t.Helper()
	return newProgram(t).with("TEMPORAL_CLI_PATH=" + devservertest.Binary(t))
}

// home is a program that runs redial dev on ports of its own, and calls through it.
type home struct {
	program
	arguments []string
	ports     []string
}

func newHome(t *testing.T) home {
	t.Helper()
	temporal, ui, gateway, webhook := freePort(t), freePort(t), freePort(t), freePort(t)
	return home{
		program: newHost(t).with("TEMPORAL_ADDRESS=127.0.0.1:"+temporal, "REDIAL_WEBHOOK_ADDR=127.0.0.1:"+webhook),
		arguments: []string{"dev", "--temporal-port", temporal, "--ui-port", ui, "--simulator-addr", "127.0.0.1:" + gateway,
			"--speed", "100"},
		ports: []string{temporal, ui, gateway, webhook},
	}
}

// dev starts redial dev and waits until it is there.
func (h home) dev(t *testing.T) *process {
	t.Helper()
	q := h.start(t, h.arguments...)
	q.says(t, &q.stdout, "Ctrl-C stops everything")
	return q
}

// children are the processes that this one has started, and that they have started.
func children(pid int) (found []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		var child, parent int
		var state string
		stat, _ := os.ReadFile(file)
		_, afterName, _ := strings.Cut(string(stat), ") ")
		_, _ = fmt.Sscan(string(stat), &child)
		_, _ = fmt.Sscan(afterName, &state, &parent)
		if parent == pid {
			found = append(append(found, child), children(child)...)
		}
	}
	return found
}

// startsTemporal waits until the process has a child, and returns it with all of its own.
func startsTemporal(t *testing.T, q *process) (pids []int) {
	t.Helper()
	eventually(t, "Temporal to be started", func() bool {
		pids = children(q.pid())
		return len(pids) > 0
	})
	return pids
}

// left is what is left of processes and ports: those that run, and those that cannot be used again.
func left(pids []int, ports []string) (remains []string) {
	for _, pid := range pids {
		if !gone(pid) {
			remains = append(remains, fmt.Sprint("process ", pid))
		}
	}
	for _, port := range ports {
		if !portIsFree(port) {
			remains = append(remains, "port "+port)
		}
	}
	return remains
}

func requireNothingLeft(t *testing.T, pids []int, ports ...string) {
	t.Helper()
	require.Empty(t, left(pids, ports))
}

// gone tells whether a process has ended, waited for or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return errors.Is(err, os.ErrNotExist) || strings.HasPrefix(state, "Z")
}

// ways of stopping are what a terminal does, and what a supervisor does.
var ways = []struct {
	name string
	stop func(*process, *testing.T)
}{
	{"Ctrl-C in its terminal", (*process).ctrlC},
	{"SIGINT", func(q *process, t *testing.T) { q.signal(t, syscall.SIGINT) }},
	{"SIGTERM", func(q *process, t *testing.T) { q.signal(t, syscall.SIGTERM) }},
}

func TestUpStoppedWhileTheGatewayHasNotAnsweredHearsItOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	q := s.up(t)
	s.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human+ring=1s+never_ends+slow_answer=3s")
	eventually(t, "the gateway to place the call", func() bool { return len(s.gateway.calls(t, anna)) == 1 })
	q.signal(t, syscall.SIGTERM)
	require.Zero(t, q.wait(t).code)
	require.Equal(t, "200", s.gateway.calls(t, anna)[0].Answer)
	c, err := s.openLedger(t).Show(t.Context(), "anna")
	require.NoError(t, err)
	require.Equal(t, call.StatePlaced, c.Attempts[0].State)

	s.up(t)
	s.gateway.hangUp(t, anna)
	require.Equal(t, []call.Disposition{call.Human}, dispositions(s.result(t, "anna")))
}

func TestDemoStoppedWhileTemporalStartsLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, way := range ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			p := newHost(t)
			q := p.start(t, "demo")
			pids := startsTemporal(t, q)
			way.stop(q, t)
			requireInterrupted(t, q.wait(t))
			requireNothingLeft(t, pids)
			requireEmpty(t, p.environment["TMPDIR"])
		})
	}
}

func TestDemoStoppedHalfwayLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			p := newHost(t)
			q := p.start(t, "demo")
			ui := q.says(t, &q.stdout, `Temporal UI: http://127\.0\.0\.1:(\d+)`)
			q.says(t, &q.stdout, ` [1-9]\d* in a call`)
			pids := startsTemporal(t, q)
			way.stop(q, t)
			requireInterrupted(t, q.wait(t))
			requireNothingLeft(t, pids, ui)
			requireEmpty(t, p.environment["TMPDIR"])
		})
	}
}

// requireInterrupted requires that a command whose work is not done says so, and nothing else.
func requireInterrupted(t *testing.T, e ended) {
	t.Helper()
	require.Equal(t, failed, e.code)
	require.Equal(t, "redial: interrupted\n", e.stderr)
}

func requireEmpty(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestDevStoppedWhileTemporalStartsLeavesNothingAndStartsAgain(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, kill := range []bool{false, true} {
		q := h.start(t, h.arguments...)
		pids := startsTemporal(t, q)
		eventually(t, "Temporal to begin its file", func() bool {
			_, err := os.Stat(filepath.Join(h.folder, "redial-temporal.db"))
			return err == nil
		})
		if kill {
			q.kill()
			eventually(t, "everything to end with it", func() bool { return len(left(pids, h.ports)) == 0 })
			continue
		}
		q.ctrlC(t)
		requireInterrupted(t, tellsNoLog(q.wait(t)))
		requireNothingLeft(t, pids, h.ports...)
	}

	q := h.dev(t)
	q.ctrlC(t)
	require.Zero(t, q.wait(t).code)
}

// tellsNoLog leaves the log out of what a process has said to people.
func tellsNoLog(e ended) ended {
	var lines strings.Builder
	for line := range strings.Lines(e.stderr) {
		if !strings.HasPrefix(line, "{") {
			lines.WriteString(line)
		}
	}
	e.stderr = lines.String()
	return e
}

func TestDevStoppedGoesOnWithItsRunsAtTheNextStart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	policy := h.file(t, "patient.yaml", "on: {busy: {retry: [6s]}, human: done}")
	q := h.dev(t)
	pids := startsTemporal(t, q)
	h.must(t, "call", "--to", anna, "--id", "anna", "--wait")
	h.must(t, "call", "--to", "+14155550101", "--id", "bert", "--policy", policy, "--metadata", "simulate=busy")
	eventually(t, "a run to wait for its retry", func() bool {
		return strings.Contains(h.run(t, "show", "bert").stdout, "not due yet (retry)")
	})
	q.ctrlC(t)
	e := tellsNoLog(q.wait(t))
	require.Zero(t, e.code, "to be stopped is how dev ends")
	require.Empty(t, e.stderr)
	requireNothingLeft(t, pids, h.ports...)

	// What has ended is still known, to the ledger and to Temporal.
	require.Contains(t, h.must(t, "show", "anna"), "outcome  human")
	second := h.dev(t)
	e = h.run(t, "call", "--to", anna, "--id", "anna")
	require.Equal(t, failed, e.code)
	require.Contains(t, e.stderr, "contact anna has been called already, see workflow redial/-/anna")

	// What was waiting goes on: the second attempt is made by the second process.
	var shown struct {
		Outcome  call.Outcome
		Attempts []call.Attempt
	}
	eventually(t, "the second attempt to end", func() bool {
		shown = decode[struct {
			Outcome  call.Outcome
			Attempts []call.Attempt
		}](t, h.must(t, "show", "bert", "--json"))
		return shown.Outcome != ""
	})
	require.Equal(t, call.OutcomeExhausted, shown.Outcome)
	require.Len(t, shown.Attempts, 2)

	pids = startsTemporal(t, second)
	second.kill()
	eventually(t, "everything to end with a process that was killed outright", func() bool { return len(left(pids, h.ports)) == 0 })
	last := h.dev(t)
	last.signal(t, syscall.SIGTERM)
	require.Zero(t, last.wait(t).code)
}
