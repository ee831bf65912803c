//go:build unix

package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redial/followup"
	"redial/ledger"
)

func TestAPolicyByTheRecipientsClockIsNotPutWhereNobodyKnowsThat(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.must(t, "policy", "put", s.file(t, "reminder.yaml", "{name: reminder, on: {busy: {retry: [1h]}}}"), "--reason", "spring")
	s.must(t, "call", "--to", "sip:busy+ring=0s@example.net", "--id", "clockless", "--policy", "ledger:reminder")
	s.asleep(t, "clockless")
	hours := `days: {mon-sun: ["00:00-24:00"]}`
	theirs := s.file(t, "theirs.yaml", "{name: reminder, window: {timezone: recipient, "+hours+"}, on: {busy: {retry: [1h]}}}")
	requireToldWhy(t, s.program, mistake{"", nil, []string{"policy", "put", theirs, "--reason", "hours"}, failed,
		[]string{"policy reminder cannot be put: no time zone is known for the open contact clockless", "timezone: Europe/Paris", "redial change-policy"}})
	require.Equal(t, 1, decode[[]ledger.PolicyLine](t, s.must(t, "policy", "list", "--json"))[0].Version)
	c, err := s.openLedger(t).Show(t.Context(), "clockless")
	require.NoError(t, err)
	require.Equal(t, followup.ReasonRetry, c.Wait.Reason, "it still waits as it did")

	named := s.file(t, "named.yaml", "{name: reminder, window: {timezone: America/New_York, "+hours+"}, on: {busy: {retry: [1s, 1h]}}}")
	require.Equal(t, "reminder, version 2 holds; the run that follows it is woken\n", s.must(t, "policy", "put", named, "--reason", "hours"))
	l := s.openLedger(t)
	eventually(t, "the second dial", func() bool {
		c, err := l.Show(t.Context(), "clockless")
		return err == nil && len(c.Attempts) == 2
	})
	require.Contains(t, columns(s.must(t, "show", "clockless")), "#2 dial no rule forbids the call; the clocks of America/New_York (named by the policy) [reminder]")

	daily := s.file(t, "daily.yaml", "{name: daily, window: {timezone: America/New_York, "+hours+"}, limits: [{calls: 5, per: day}]}")
	s.must(t, "call", "--to", anna, "--id", "anna", "--policy", daily, "--metadata", "simulate=human+ring=0s", "--wait")
	require.Contains(t, columns(s.must(t, "show", "anna")), "the clocks of America/New_York (named by the policy), and of America/Los_Angeles (by the number) [daily]")
}
