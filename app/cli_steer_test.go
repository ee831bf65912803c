//go:build unix

package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/workflows"
)

// standing is what a run itself says, as redial show and the commands that steer print it.
func (s stage) standing(t *testing.T, id string) workflows.State {
	t.Helper()
	shown := decode[struct{ Run *workflows.Status }](t, s.must(t, "show", id, "--json"))
	if shown.Run == nil {
		return ""
	}
	return shown.Run.State
}

// sleeper starts a contact that is busy at its first call and due again in an hour, and waits until it sleeps.
func (s stage) sleeper(t *testing.T, id, number string, flags ...string) {
	t.Helper()
	policy := s.file(t, "slowly.yaml", "on: {busy: {retry: [1h]}}")
	s.must(t, append([]string{"call", "--to", number, "--id", id, "--policy", policy, "--metadata", "simulate=busy+ring=1s"}, flags...)...)
	s.asleep(t, id)
}

func (s stage) asleep(t *testing.T, id string) {
	t.Helper()
	l := s.openLedger(t)
	eventually(t, id+" to wait", func() bool {
		c, err := l.Show(t.Context(), id)
		return err == nil && c.Wait != nil && c.Wait.Reason == followup.ReasonRetry && s.standing(t, id) == workflows.StateWaiting
	})
}

func TestSteeringByTheCommandLineDoesWhatItSays(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.sleeper(t, "anna", anna)
	steered := func(args ...string) workflows.Status {
		return decode[workflows.Status](t, s.must(t, append(args, "--json")...))
	}

	require.Equal(t, "redial/-/anna is paused: it dials nothing until it is resumed\n", s.must(t, "pause", "anna", "--reason", "a complaint", "--by", "eva"))
	require.Contains(t, s.must(t, "show", "anna"), "paused by eva: a complaint")
	require.Equal(t, workflows.StateWaiting, steered("resume", "anna").State)
	day := someDay()
	require.Equal(t, "redial/-/anna is rescheduled to "+day+" 06:00:00Z ("+day+" 15:00 in Asia/Tokyo): it waits until then, and the rules for calling hold\n",
		s.must(t, "reschedule", "anna", "--at", day+" 15:00", "--zone", "Asia/Tokyo"))
	requireToldWhy(t, s.program, mistake{"", nil, []string{"reschedule", "anna", "--at", "2099-12-01 15:00"}, failed,
		[]string{"at: 2099-12-01T15:00:00Z is after the contact's lifetime of 14d"}})
	require.Regexp(t, `^redial/-/anna is rescheduled to \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ: it waits`, s.must(t, "reschedule", "redial/-/anna", "--at", "1d"))
	moved := s.show(t, "anna").Wait
	require.Equal(t, followup.ReasonRescheduled, moved.Reason)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), moved.Until, time.Minute)
	require.Contains(t, s.must(t, "resume", "--help"), "Exit status: 0 done; 1 refused")

	require.Len(t, s.gateway.calls(t, anna), 1)
	require.Contains(t, s.must(t, "call-now", "anna"), "redial/-/anna is asked to call now: ")
	eventually(t, "the call", func() bool { return len(s.gateway.calls(t, anna)) == 2 })
	story := s.must(t, "show", "anna")
	require.Equal(t, 3, strings.Count(story, " (dropped at "), "the retry, and two other times: %s", story)

	const bert, eva = "+14155550101", "+14155550102"
	s.sleeper(t, "bert", bert)
	require.Regexp(t, `^redial/-/bert is canceled: (the run ends as soon as no call is in the air|its outcome is canceled)\n$`,
		s.must(t, "cancel", "bert", "--reason", "the order was returned"))
	r := s.result(t, "bert")
	require.Equal(t, call.OutcomeCanceled, r.Outcome)
	require.Regexp(t, `^canceled by .+: the order was returned$`, r.Reason)
	s.sleeper(t, "eva", eva)
	require.Regexp(t, `^redial/-/eva is opted out: `, s.must(t, "opt-out", "eva", "--reason", "said so in the shop"))
	require.Equal(t, call.OutcomeOptedOut, s.result(t, "eva").Outcome)
	require.True(t, s.check(t, eva).Suppressed)
	require.True(t, s.check(t, "--contact", "eva").Suppressed)
	for _, number := range []string{bert, eva} {
		require.Len(t, s.gateway.calls(t, number), 1)
	}
}

func TestACancelInMidCallIsShownAtOnceAndWhoIsPausedUnderAnotherPolicyIsToldSo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human+never_ends+lost+ring=1s")
	eventually(t, "the call", func() bool {
		return len(s.gateway.calls(t, anna)) == 1 && s.standing(t, "anna") == workflows.StateCalling
	})
	s.must(t, "pause", "anna", "--reason", "a complaint", "--by", "eva")
	require.Contains(t, columns(s.must(t, "show", "anna")), "nothing follows the call: it is paused by eva: a complaint, until somebody resumes it")
	require.Equal(t, "redial/-/anna is canceled: the run ends as soon as no call is in the air\n", s.must(t, "cancel", "anna", "--reason", "returned", "--by", "ben"))
	story := columns(s.must(t, "show", "anna"))
	require.Contains(t, story, "nothing follows the call: the run ends with it, canceled by ben: returned")
	require.Contains(t, story, "note canceled by ben: returned")
	require.NotContains(t, story, "redial resume")

	const bert = "+14155550101"
	s.sleeper(t, "bert", bert)
	s.must(t, "pause", "bert", "--reason", "a complaint")
	same := s.file(t, "same.yaml", "{on: {busy: {retry: [1h]}}, attempts: 5}")
	s.must(t, "change-policy", "bert", "--policy", same, "--reason", "more calls")
	require.Contains(t, s.must(t, "resume", "bert"), "[default: on.busy.retry[0]: 1h]")
	require.NotContains(t, s.must(t, "show", "bert"), "replanned", "what is planned now is what was planned before")
	eventually(t, "the ledger to know what bert waits for", func() bool { return s.show(t, "bert").Wait.Reason == followup.ReasonRetry })
	s.must(t, "pause", "bert", "--reason", "a complaint")
	later := s.file(t, "later.yaml", "on: {busy: {retry: [3h]}}")
	require.Equal(t, "redial/-/bert goes by policy default: it dials nothing until it is resumed\n",
		s.must(t, "change-policy", "bert", "--policy", later, "--reason", "she is ill"))
	require.Contains(t, columns(s.must(t, "show", "bert")), "unless its policy, which may have changed, says something else then")
	require.Contains(t, s.must(t, "resume", "bert"), "[default: on.busy.retry[0]: 3h]")
}

func TestAnOptOutOfANumberEndsWhoWaitsToCallIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.sleeper(t, "anna", anna)
	s.sleeper(t, "ann", anna, "--campaign", "spring")
	require.Equal(t, "number tel:+14155550100 is suppressed; every run that waits to call it is told\n",
		s.must(t, "opt-out", "--to", anna, "--reason", "asked by letter", "--by", "eva"))
	require.Equal(t, call.OutcomeSuppressed, s.result(t, "anna").Outcome)
	require.Equal(t, "opt-out, eva", s.check(t, anna).By.Source)
	eventually(t, "the other campaign's to end", func() bool { return s.show(t, "ann").Outcome == call.OutcomeSuppressed })
	require.Len(t, s.gateway.calls(t, anna), 2)
	require.False(t, decode[struct{ Added bool }](t, s.must(t, "opt-out", "--to", anna, "--reason", "asked by letter", "--by", "eva", "--json")).Added)
}

func TestASteeredContactIsNamedAsForShow(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.program = s.with("REDIAL_ID_SECRET=a secret for ids of this test")
	s.up(t)
	s.must(t, "call", "--to", anna, "--id", "anna", "--wait")
	s.must(t, "call", "--to", anna, "--id", "anna", "--campaign", "spring", "--wait")
	requireToldWhy(t, s.program, mistake{"", nil, []string{"cancel", "anna", "--reason", "x"}, failed,
		[]string{`contact id "anna" is used in several campaigns`, "redial/-/anna"}})
	requireToldWhy(t, s.program, mistake{"", nil, []string{"cancel", "redial/spring/anna", "--reason", "x"}, failed,
		[]string{"the run is over: redial/spring/anna ended as human"}})

	policy := s.file(t, "slowly.yaml", "on: {busy: {retry: [1h]}}")
	started := decode[struct {
		ContactID string `json:"contact_id"`
	}](t, s.must(t, "call", "--to", anna, "--id", "+1 415 555 0177", "--policy", policy, "--metadata", "simulate=busy+ring=1s", "--json"))
	s.asleep(t, started.ContactID)
	said := s.must(t, "cancel", "+1 415 555 0177", "--reason", "x")
	require.Contains(t, said, started.ContactID)
	require.NotContains(t, said, "0177")
}

func TestAMistakeInSteeringIsToldInOneLineAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.sleeper(t, "anna", anna)
	s.must(t, "call", "--to", "+14155550101", "--id", "over", "--wait")
	with := func(command string, args ...string) []string { return append([]string{command}, args...) }
	at := func(text string, more ...string) []string {
		return append([]string{"reschedule", "anna", "--at", text}, more...)
	}
	const digits = "4155550142" // of a number that must not be told
	for _, m := range []mistake{
		{"no id", nil, with("pause", "--reason", "x"), misuse, []string{"redial pause takes one id, and was given 0"}},
		{"two ids", nil, with("resume", "anna", "bert"), misuse, []string{"redial resume takes one id, and was given 2"}},
		{"an id and a number", nil, with("opt-out", "anna", "--to", anna, "--reason", "x"), misuse, []string{"one and --to"}},
		{"an id that is none", nil, with("cancel", "a/b", "--reason", "x"), misuse, []string{"contact id", "1 to 120 letters"}},
		{"an id that is a number without a key", []string{"REDIAL_NOTIFY_SECRET="}, with("cancel", "+1"+digits, "--reason", "x"), misuse, []string{"contact id", "REDIAL_ID_SECRET"}},
		{"an unknown id", nil, with("resume", "nobody"), failed, []string{"no such run: redial/-/nobody", "ledger", `"nobody"`, "check the id"}},
		{"an unknown workflow", nil, with("resume", "redial/spring/nobody"), failed, []string{"no such run: redial/spring/nobody", "TEMPORAL_NAMESPACE"}},
		{"a run that is over", nil, with("resume", "over"), failed, []string{"the run is over: redial/-/over ended as human", "nothing to steer"}},
		{"an opt-out of a run that is over", nil, with("opt-out", "over", "--reason", "x"), failed, []string{"is over", "redial suppress add --contact"}},
		{"what it refuses", nil, with("resume", "anna"), failed, []string{"redial/-/anna refuses to resume: it is not paused"}},
		{"a pause without a reason", nil, with("pause", "anna"), misuse, []string{"--reason is missing"}},
		{"a cancel for a blank", nil, with("cancel", "anna", "--reason", " "), misuse, []string{"--reason is missing"}},
		{"an opt-out without a reason", nil, with("opt-out", "--to", anna), misuse, []string{"--reason is missing"}},
		{"a reason on two lines", nil, with("resume", "anna", "--reason", "a\nb"), misuse, []string{"--reason", "on one line"}},
		{"a reason that is a novel", nil, with("resume", "anna", "--reason", strings.Repeat("x", 501)), misuse, []string{"--reason", "at most 500"}},
		{"by a novel", nil, with("resume", "anna", "--by", strings.Repeat("x", 121)), misuse, []string{"--by", "at most 120"}},
		{"no time", nil, with("reschedule", "anna"), misuse, []string{"--at", "it is missing"}},
		{"a bad time", nil, at("tomorrow"), misuse, []string{"--at", `"tomorrow"`, "2026-12-01 15:00"}},
		{"a time that is past", nil, at("2020-01-01T09:00:00Z"), misuse, []string{"--at", "is past"}},
		{"a local time that is past", nil, at("2020-01-01 09:00"), misuse, []string{"--at", "is past"}},
		{"no time from now", nil, at("0s"), misuse, []string{"--at", "is past"}},
		{"a time that clocks leap over", nil, at("2099-03-08 02:30", "--zone", "America/New_York"), misuse, []string{"--at", "does not exist in America/New_York"}},
		{"a zone that is none", nil, at("2h", "--zone", "Mars/Olympus"), misuse, []string{"--zone", "Mars/Olympus", "Europe/Paris"}},
		{"a number that is none", nil, with("opt-out", "--to", digits, "--reason", "x"), misuse, []string{"--to", "…42", "no country code"}},
		{"no ledger", []string{"REDIAL_DATABASE=sqlite:none.db"}, with("resume", "anna"), misuse, []string{"REDIAL_DATABASE", "none.db"}},
		{"no Temporal", []string{"TEMPORAL_ADDRESS=127.0.0.1:1"}, with("resume", "anna"), failed, []string{"cannot be reached", "TEMPORAL_ADDRESS"}},
		{"no namespace", []string{"TEMPORAL_NAMESPACE=nowhere"}, with("resume", "anna"), failed, []string{"nowhere", "TEMPORAL_NAMESPACE"}},
		{"a flag of another", nil, with("pause", "anna", "--at", "2h"), misuse, []string{"--at", "redial pause --help"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			requireToldWhy(t, s.program, m)
			require.NotContains(t, s.with(m.settings...).run(t, m.args...).stderr, digits)
		})
	}
	require.Equal(t, followup.ReasonRetry, s.show(t, "anna").Wait.Reason)
	require.False(t, s.check(t, anna).Suppressed)
	require.Len(t, s.gateway.calls(t, anna), 1)
}

// A contact that the ledger does not know yet is found by its id, and nobody is waited for without end.
func TestWithoutAWorkerSteeringEndsInTimeAndSaysWhatToStart(t *testing.T) {
	t.Parallel()
	s := newStage(t) // and no redial up
	s.must(t, "call", "--to", anna, "--id", "anna")
	begin := time.Now()
	requireToldWhy(t, s.program, mistake{"", nil, []string{"pause", "anna", "--reason", "x"}, failed,
		[]string{"no worker answers for redial/-/anna", "redial up", "redial worker", "may still be done"}})
	require.Less(t, time.Since(begin), 40*time.Second)
	requireToldWhy(t, s.program, mistake{"", nil, []string{"opt-out", "anna", "--reason", "x"}, failed, []string{"redial opt-out --to NUMBER needs no worker"}})
	s.must(t, "opt-out", "--to", anna, "--reason", "x")
	s.up(t)
	require.NotEmpty(t, s.result(t, "anna").Outcome)
	require.Empty(t, s.gateway.calls(t, anna))
}
