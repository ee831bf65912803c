//go:build linux

package app_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/followup"
)

func (s stage) waitsForItsNextAttempt(t *testing.T, id string) {
	t.Helper()
	l := s.openLedger(t)
	eventually(t, id+" to wait for its next attempt", func() bool {
		c, err := l.Show(t.Context(), id)
		return err == nil && c.Wait != nil && c.Wait.Reason == followup.ReasonRetry
	})
}

// TestInAnotherNamespaceNoRoleStartsAndNobodyIsTakenForGone: else its sweeper would take every run for gone, and tell people of everybody.
func TestInAnotherNamespaceNoRoleStartsAndNobodyIsTakenForGone(t *testing.T) {
	t.Parallel()
	s := newStage(t, "REDIAL_DATABASE=sqlite:redial.db", "REDIAL_LOG_LEVEL=error")
	up := s.up(t)
	s.must(t, "call", "--to", anna, "--id", "anna", "--policy", s.file(t, "late.yaml", "on: {busy: {retry: [1h]}, human: done}"), "--metadata", "simulate=busy+ring=1s")
	s.waitsForItsNextAttempt(t, "anna")
	up.ctrlC(t)
	require.Zero(t, up.wait(t).code)

	name, _ := newNamespace(t)
	other := s.with("TEMPORAL_NAMESPACE=" + name)
	other.with("REDIAL_DATABASE=sqlite:other.db").must(t, "setup") // it is as good as any, for another ledger
	refusal := []string{"ledger sqlite:redial.db: its runs are in Temporal namespace " + s.environment["TEMPORAL_NAMESPACE"] + " (id ",
		"and this is namespace " + name + " (id ", "at " + s.environment["TEMPORAL_ADDRESS"], "set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE", "redial setup --adopt-namespace"}
	for _, command := range []string{"up", "worker", "webhook", "setup"} {
		requireToldWhy(t, other.with("REDIAL_WEBHOOK_ADDR=127.0.0.1:0", "REDIAL_HEALTH_ADDR=127.0.0.1:0"),
			mistake{"", nil, []string{command}, failed, refusal})
	}
	anna := s.show(t, "anna")
	require.Empty(t, anna.Outcome)
	require.Nil(t, anna.Escalation)

	s.up(t)
	requireToldWhy(t, other, mistake{"", nil, []string{"setup", "--adopt-namespace"}, failed, []string{"another redial process owns it"}})
}

func TestDevGoesOnInItsOwnServerAndInAnotherOnlyWhenToldTo(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	restart := func(arguments ...string) {
		again := h
		again.arguments = append(h.arguments[:len(h.arguments):len(h.arguments)], arguments...)
		q := again.dev(t)
		q.ctrlC(t)
		require.Zero(t, q.wait(t).code)
	}
	restart()
	restart()
	runs, err := filepath.Glob(filepath.Join(h.folder, "redial-temporal.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, runs)
	for _, file := range runs {
		require.NoError(t, os.Remove(file))
	}
	e := h.run(t, h.arguments...)
	require.Equal(t, failed, e.code)
	require.Contains(t, e.stderr, "its runs are in Temporal namespace default (id ")
	require.Contains(t, e.stderr, "redial dev has the same flag")
	restart("--adopt-namespace")
	restart()
}
