//go:build unix

package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func TestAPolicyIsChangedUnderWayByTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	file := s.file(t, "reminder.yaml", "{name: reminder, on: {busy: {retry: [1h]}}}")
	require.Equal(t, "the ledger keeps no policy: redial policy put FILE puts one there\n", s.must(t, "policy", "list"))
	require.Equal(t, "reminder, version 1 holds; no run that is open follows it\n", s.must(t, "policy", "put", file, "--reason", "spring", "--by", "eva"))
	require.Equal(t, "reminder, version 1 is what the ledger has: nothing has changed\n", s.must(t, "policy", "put", file, "--reason", "again"))

	const bert = "+14155550101"
	for id, number := range map[string]string{"anna": anna, "bert": bert} {
		s.must(t, "call", "--to", number, "--id", id, "--policy", "ledger:reminder", "--metadata", "simulate=busy+ring=1s")
		s.asleep(t, id)
	}
	require.Contains(t, s.must(t, "show", "anna"), "policy   follows reminder, which the ledger keeps")
	gentle := s.file(t, "gentle.yaml", "{name: gentle, on: {busy: stop}}")
	require.Regexp(t, `^redial/-/anna goes by policy gentle: `, s.must(t, "change-policy", "anna", "--policy", gentle, "--reason", "she is ill", "--by", "eva"))
	require.Equal(t, call.Outcome(call.Busy), s.result(t, "anna").Outcome)
	require.Contains(t, s.must(t, "show", "anna"), "another policy was given by eva: she is ill")

	list := decode[[]ledger.PolicyLine](t, s.must(t, "policy", "list", "--json"))
	require.Len(t, list, 1)
	require.Equal(t, 1, list[0].Open, "anna goes by her own")
	stop := s.file(t, "reminder.yaml", "{name: reminder, on: {busy: escalate}}")
	require.Equal(t, "reminder, version 2 holds; the run that follows it is woken\n", s.must(t, "policy", "put", stop, "--reason", "complaints"))
	require.Equal(t, call.OutcomeEscalated, s.result(t, "bert").Outcome)
	for _, number := range []string{anna, bert} {
		require.Len(t, s.gateway.calls(t, number), 1)
	}
	require.Regexp(t, `(?s)version 2  since .+ by .+: complaints\nversion 1  since .+ by eva: spring\n\nPolicy reminder\n`, s.must(t, "policy", "show", "reminder"))
	require.Contains(t, s.must(t, "policy", "explain", "ledger:reminder"), "people are told")
	require.Contains(t, s.must(t, "policy", "list"), "reminder  2 ")

	requireToldWhy(t, s.program, mistake{"", nil, []string{"call", "--to", anna, "--id", "anna", "--policy", gentle}, failed,
		[]string{"duplicate_id", "redial change-policy anna --policy " + gentle}})
	for _, m := range []mistake{
		{"", nil, []string{"call", "--to", anna, "--policy", "ledger:spring"}, misuse, []string{`the ledger has no policy "spring"`, "redial policy put"}},
		{"", nil, []string{"policy", "show", "spring"}, failed, []string{`the ledger has no policy "spring"`}},
		{"", nil, []string{"policy", "put", stop}, misuse, []string{"--reason is missing"}},
		{"", nil, []string{"policy", "put", stop, "--reason", "x", "--pace", "0"}, misuse, []string{"--pace 0", "1 to 1000"}},
		{"", nil, []string{"policy", "put", s.file(t, "nameless.yaml", "{attempts: 2}"), "--reason", "x"}, misuse, []string{"name: it is missing", "name: reminder"}},
		{"", nil, []string{"policy", "put"}, misuse, []string{"takes one file, and was given 0"}},
		{"", nil, []string{"change-policy", "bert", "--reason", "x"}, misuse, []string{"--policy is missing"}},
		{"", nil, []string{"change-policy", "bert", "--policy", gentle, "--reason", "x"}, failed, []string{"the run is over", "escalated"}},
	} {
		requireToldWhy(t, s.program, m)
	}
	fromInput := s.reading("{name: given, attempts: 2}").must(t, "policy", "put", "-", "--reason", "spring")
	require.Equal(t, "given, version 1 holds; no run that is open follows it\n", fromInput)
	require.Contains(t, s.must(t, "policy", "explain", "ledger:given"), "Policy given\n")
	put := []string{"policy", "put", "-", "--reason", "x"}
	requireToldWhy(t, s.reading("name: x\nattempt: 2\n"), mistake{"", nil, put, misuse, []string{"line 2", "attempt"}})
	requireToldWhy(t, s.reading(strings.Repeat("#", followup.MaxPolicySize+1)), mistake{"", nil, put, misuse, []string{"standard input has more than"}})
	requireToldWhy(t, s.program, mistake{"", nil, put, misuse, []string{"the policy is empty"}})
}
