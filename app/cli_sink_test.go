//go:build unix

package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/ledger"
)

// pigeonholes is a sink that puts each story it is told into a folder, and does with it what a file beside them says: "closed" takes none,
// "slow" is killed over it.
type pigeonholes string

func (p pigeonholes) Escalate(ctx context.Context, id string, story ledger.Story) error {
	content, err := json.Marshal(story)
	if err != nil {
		return err
	}
	hole, err := os.CreateTemp(string(p), url.PathEscape(id)+" *")
	if err != nil {
		return err
	}
	if _, err := hole.Write(content); err != nil {
		return err
	}
	if err := hole.Close(); err != nil {
		return err
	}
	switch mood, _ := os.ReadFile(filepath.Join(string(p), "mood")); string(mood) {
	case "closed":
		return errors.New("the desk is closed for " + story.To)
	case "slow":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (p pigeonholes) is(t *testing.T, mood string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(string(p), "mood"), []byte(mood), 0o600))
}

// told is what it was told of a contact, as often as that was.
func (p pigeonholes) told(t *testing.T, contact string) (stories []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(string(p), url.PathEscape("escalation/redial/-/"+contact)+" *"))
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		stories = append(stories, string(data))
	}
	return stories
}

// escalate calls somebody whose network has blocked the number, which is left to people.
func (s stage) escalate(t *testing.T, id, number string) {
	t.Helper()
	policy := s.file(t, "strict.yaml", "name: strict\non: {blocked: escalate}")
	r := decode[call.Result](t, s.must(t, "call", "--id", id, "--to", number, "--policy", policy, "--metadata", "simulate=blocked+ring=1s", "--wait", "--json"))
	require.Equal(t, call.OutcomeEscalated, r.Outcome)
}

func TestASinkOfOnesOwnIsTriedUntilItHasTakenAnEscalationAndOperatorsSeeHowThatStands(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	plain := s.up(t) // redial itself, before the sink was written
	s.escalate(t, "before", "+14155550141")
	s.escalate(t, "seen-to", "+14155550142")
	s.must(t, "escalations", "ack", "seen-to", "--by", "eva")
	require.Contains(t, s.must(t, "escalations", "list"), "people    it is in the inbox\n")
	plain.ctrlC(t)
	require.Zero(t, plain.wait(t).code)

	sink := pigeonholes(t.TempDir())
	sink.is(t, "closed")
	s.program = s.with(withSink + "=" + string(sink))
	up := s.up(t)
	s.escalate(t, "anna", "+14155550143")
	eventually(t, "two tries for each", func() bool { return len(sink.told(t, "anna")) >= 2 && len(sink.told(t, "before")) >= 2 })
	undelivered := s.must(t, "escalations", "list", "--undelivered")
	require.Regexp(t, `(?m)^\S+ \S+Z  anna\n.*\n.*\n  people    the sink has not taken it yet: the desk is closed for tel:\+14155550143 \(\d+ tries, the next at .+Z\)$`, undelivered)
	require.NotContains(t, undelivered, "seen-to")
	require.Contains(t, s.must(t, "show", "anna"), "people   could not be told yet by the sink: the desk is closed")
	require.Contains(t, s.must(t, "doctor", "--json"), "go to the sink of this binary")

	sink.is(t, "open")
	eventually(t, "both to be taken", func() bool { return s.must(t, "escalations", "list") == "no escalation waits for anybody\n" })
	e := s.show(t, "anna")
	require.Equal(t, len(sink.told(t, "anna")), e.Escalation.Tries)
	require.False(t, e.Escalation.DeliveredAt.IsZero())
	text := s.must(t, "show", "anna")
	require.Contains(t, text, "people   were told by the sink, ")
	require.Regexp(t, `told +the sink has taken the escalation \(\d+ tries\)`, text)
	stories := sink.told(t, "anna")
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(stories))), 1, "the same story each time")
	story := decode[ledger.Story](t, stories[0])
	require.Equal(t, []any{"redial/-/anna", "tel:+14155550143", "blocked", "strict: on.blocked: escalate"}, []any{story.WorkflowID, story.To, story.Reason, story.Rule})
	require.Equal(t, e.Folded(), story.Attempts)
	require.Empty(t, sink.told(t, "seen-to"), "somebody had seen to it before")

	up.ctrlC(t)
	ended := up.wait(t)
	require.Zero(t, ended.code)
	require.NotContains(t, ended.stdout+ended.stderr, "415555014", "what the sink says is in no log")
}

func TestASinkThatIsKilledOverAnEscalationIsToldItAgainUnderTheSameID(t *testing.T) {
	t.Parallel()
	sink := pigeonholes(t.TempDir())
	sink.is(t, "slow")
	s := newStage(t, withSink+"="+string(sink))
	up := s.up(t)
	s.escalate(t, "anna", "+14155550143")
	eventually(t, "the sink to be at it", func() bool { return len(sink.told(t, "anna")) == 1 })
	up.signal(t, syscall.SIGKILL)
	up.wait(t)
	require.Zero(t, s.show(t, "anna").Escalation.DeliveredAt)

	sink.is(t, "open")
	s.up(t)
	eventually(t, "the sink to be told again", func() bool { return len(sink.told(t, "anna")) == 2 })
	eventually(t, "that to be written down", func() bool { return !s.show(t, "anna").Escalation.DeliveredAt.IsZero() })
	told := sink.told(t, "anna")
	require.Equal(t, told[0], told[1])
	require.NotContains(t, s.must(t, "escalations", "list"), "anna")
}
