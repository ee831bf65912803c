//go:build unix

package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"redial/call"
	"redial/followup"
	"redial/internal/devserver/devservertest"
	"redial/workflows"
)

func TestTheOperatorsCommandsSteerAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash")
	binary := devservertest.Binary(t)
	tools := t.TempDir()
	require.NoError(t, os.Symlink(binary, filepath.Join(tools, "temporal")))
	s := newStage(t)
	s.program = s.with("PATH=" + tools + string(os.PathListSeparator) + s.environment["PATH"])
	s.up(t)
	const number, letter = "+14155550133", "+14155550134"
	s.sleeper(t, "anna-7", number)

	said := s.shellOf(t, "docs/operating.md", "steering from Temporal")
	require.Equal(t, 3, strings.Count(said, "Result "), said)
	moved := s.show(t, "anna-7").Wait
	require.Equal(t, []any{followup.ReasonRescheduled, someDay() + " 15:00"}, []any{moved.Reason, moved.Until.UTC().Format("2006-01-02 15:04")})
	said = s.shellOf(t, "docs/operating.md", "steering")
	require.Contains(t, said, "redial/-/anna-7 is paused: it dials nothing until it is resumed\n")
	require.Regexp(t, `rescheduled to `+someDay()+` (19|20):00:00Z \(`+someDay()+` 15:00 in America/New_York\)`, said)
	require.Equal(t, call.OutcomeCanceled, s.result(t, "anna-7").Outcome)

	second := newStage(t)
	second.up(t)
	second.sleeper(t, "anna-7", number)
	second.sleeper(t, "other", letter)
	second.shellOf(t, "docs/operating.md", "opting out")
	require.Equal(t, call.OutcomeOptedOut, second.result(t, "anna-7").Outcome)
	require.Equal(t, call.OutcomeSuppressed, second.result(t, "other").Outcome)

	third := newStage(t)
	third.up(t)
	third.file(t, "reminder.yaml", "{name: reminder, on: {busy: {retry: [1h]}}}")
	third.file(t, "fewer.yaml", "{name: reminder, attempts: 2}")
	said = third.shellOf(t, "docs/operating.md", "policies")
	require.Contains(t, said, "reminder, version 2 holds")
	require.Contains(t, said, "version 1  since ")
	for _, g := range []gateway{s.gateway, second.gateway} {
		require.Len(t, g.calls(t, number), 1)
	}
}

// views are the queries of docs/operating.md, by their names.
func views(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	for _, b := range blocksOf(t, "docs/operating.md") {
		if name, view := strings.CutPrefix(b.mark, "view: "); view {
			queries[name] = strings.TrimSpace(b.text)
		} else {
			require.Contains(t, b.mark, "checked: ", b.text)
		}
	}
	return queries
}

// populate makes a contact of each kind that the views tell apart.
func (s stage) populate(t *testing.T) {
	t.Helper()
	start := func(id, number, script, policy string, more ...string) {
		file := s.file(t, id+".yaml", policy)
		s.must(t, append([]string{"call", "--id", id, "--to", number, "--policy", file, "--metadata", "simulate=" + script}, more...)...)
	}
	const later = "on: {busy: {retry: [1h]}}"
	start("waits", "+14155550101", "busy+ring=1s", later, "--campaign", "spring")
	start("paused", "+14155550102", "busy+ring=1s", later)
	start("moved", "+14155550103", "busy+ring=1s", later)
	start("limited", "+14155550104", "busy+ring=1s", "{limits: [{calls: 1, per: 24h}], on: {busy: {retry: [10ms]}}}")
	start("talks", "+14155550105", "human+never_ends", later)
	eventually(t, "the call", func() bool { return len(s.gateway.calls(t, "+14155550105")) == 1 })
	start("behind", "+14155550105", "human", later)
	start("often", "+14155550106", "busy+ring=1s,busy+ring=1s", "on: {busy: {retry: [10ms, 1h]}}")
	start("people", "+14155550107", "blocked+ring=1s", "on: {blocked: escalate}")
	start("out", "+14155550108", "busy+ring=1s", later)
	start("exhausted", "+14155550109", "busy+ring=1s,busy+ring=1s", "on: {busy: {retry: [10ms]}}")
	for _, id := range []string{"waits", "paused", "moved", "out"} {
		s.asleep(t, id)
	}
	s.must(t, "pause", "paused", "--reason", "a complaint")
	s.must(t, "reschedule", "moved", "--at", "2h")
	s.must(t, "opt-out", "out", "--reason", "said so")
	start("out-too", "+14155550108", "human", later)
}

func TestTheOperatorsViewsFindTheRunsThatTheyName(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.populate(t)
	found := func(query string) (ids []string) {
		list, err := s.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
		require.NoError(t, err, query)
		for _, e := range list.Executions {
			_, id, _ := workflows.ParseWorkflowID(e.Execution.WorkflowId)
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return ids
	}
	queries := views(t)
	for name, want := range map[string][]string{
		"waiting":            {"moved", "often", "waits"},
		"paused":             {"paused"},
		"rescheduled":        {"moved"},
		"held by a rule":     {"limited"},
		"held for room":      {"behind"},
		"due":                {"behind", "limited", "moved", "often", "waits"},
		"overdue":            nil,
		"often dialed":       {"often"},
		"left of a campaign": {"waits"},
		"escalated":          {"people"},
		"opted out":          {"out", "out-too"},
		"never reached":      {"exhausted"},
	} {
		require.NotEmpty(t, queries[name], "the view %s is gone", name)
		var ids []string
		eventually(t, "the view "+name, func() bool { ids = found(queries[name]); return slices.Equal(ids, want) })
		delete(queries, name)
	}
	require.Empty(t, queries, "a view that nobody checks")
}
