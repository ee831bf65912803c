//go:build unix

package app_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"redial/call"
	"redial/followup"
)

const anna = "+14155550100"

// kind tells whether a JSON value is what the contract says.
type kind func(v any) bool

func text(v any) bool    { s, ok := v.(string); return ok && s != "" }
func anyText(v any) bool { _, ok := v.(string); return ok }
func truth(v any) bool   { _, ok := v.(bool); return ok }
func list(v any) bool    { _, ok := v.([]any); return ok }

func whole(v any) bool {
	n, ok := v.(json.Number)
	_, err := n.Int64()
	return ok && err == nil
}

func moment(v any) bool {
	s, _ := v.(string)
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

func oneOf(words ...string) kind {
	return func(v any) bool {
		s, ok := v.(string)
		for _, word := range words {
			if ok && s == word {
				return true
			}
		}
		return false
	}
}

func like(expression string) kind {
	compiled := regexp.MustCompile(expression)
	return func(v any) bool { s, ok := v.(string); return ok && compiled.MatchString(s) }
}

// The result of one call, as the contract documents it. Further fields are additions, which are free.
var (
	resultFields = map[string]kind{
		"workflow_id": like(`^redial/-/`), "run_id": text, "outcome": text, "escalated": truth, "reason": anyText, "attempts": list,
	}
	attemptFields = map[string]kind{
		"n": whole, "key": like(`^redial/-/.+/.+/\d+$`), "disposition": text, "status": oneOf("completed", "failed"), "amd": text, "sip": whole,
		"reason": text, "reason_code": text, "ended_by": oneOf("callee", "bot", "gateway"),
		"sid": text, "call_id": text, "conversation_id": text, "session_id": text,
		"dialed_at": moment, "answered_at": moment, "ended_at": moment, "duration_s": whole,
	}
	// onlyAnswered are fields that a call has nothing to say in until somebody answers.
	onlyAnswered = []string{"ended_by", "answered_at", "session_id", "amd"}
)

func requireFields(t *testing.T, object map[string]any, fields map[string]kind, absent ...string) {
	t.Helper()
	for name, is := range fields {
		v, found := object[name]
		if !found {
			require.Contains(t, absent, name, "the field is missing")
			continue
		}
		require.True(t, is(v), "%s: %v", name, v)
	}
}

func TestCallWaitPrintsTheResultOfTheContract(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	policy := s.file(t, "quick.yaml", "on: {busy: {retry: [10ms]}}")

	printed := s.must(t, "call", "--to", anna, "--id", "anna", "--policy", policy, "--metadata", "simulate=busy+gen2,human+gen2+talk=40s+ended_by=bot",
		"--wait", "--json")
	decoder := json.NewDecoder(strings.NewReader(printed))
	decoder.UseNumber()
	var result map[string]any
	require.NoError(t, decoder.Decode(&result))
	require.False(t, decoder.More(), "one document is printed")

	requireFields(t, result, resultFields)
	require.Equal(t, "redial/-/anna", result["workflow_id"])
	require.Equal(t, "human", result["outcome"])
	require.Equal(t, false, result["escalated"])
	require.Equal(t, "", result["reason"])
	attempts := result["attempts"].([]any)
	require.Len(t, attempts, 2)
	busy, human := attempts[0].(map[string]any), attempts[1].(map[string]any)

	requireFields(t, busy, attemptFields, onlyAnswered...)
	require.Equal(t, "busy", busy["disposition"])
	require.Equal(t, "failed", busy["status"])
	require.Equal(t, json.Number("486"), busy["sip"])
	require.Equal(t, json.Number("0"), busy["duration_s"])

	requireFields(t, human, attemptFields)
	require.Equal(t, json.Number("2"), human["n"])
	require.Equal(t, "redial/-/anna/"+result["run_id"].(string)+"/2", human["key"])
	require.Equal(t, "human", human["disposition"])
	require.Equal(t, "amd_human_detected", human["amd"])
	require.Equal(t, json.Number("200"), human["sip"])
	require.Equal(t, "bot", human["ended_by"])
	require.Equal(t, json.Number("40"), human["duration_s"])

	calls := s.gateway.calls(t, anna)
	require.Len(t, calls, 2)
	require.Equal(t, calls[1].SID, human["sid"])
	require.Equal(t, calls[1].CallID, human["call_id"])
	require.Equal(t, calls[1].ConversationID, human["conversation_id"])
}

func TestCallGoesOnWithoutItsCommandAndShowTellsItsStory(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	said := s.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human+never_ends")
	require.Regexp(t, `^started redial/-/anna \(run \S+\); see: \S+ show anna\n$`, said)
	eventually(t, "the call to be placed", func() bool { return len(s.gateway.calls(t, anna)) == 1 })
	l := s.openLedger(t)
	eventually(t, "the ledger to know", func() bool {
		c, err := l.Show(t.Context(), "anna")
		return err == nil && len(c.Attempts) == 1 && c.Attempts[0].State == call.StatePlaced
	})

	open := s.show(t, "anna")
	require.Empty(t, open.Outcome)
	require.Equal(t, followup.ReasonCall, open.Wait.Reason)
	require.Regexp(t, `now +it waits until .* at the latest,\n +because an attempt is under way \(in_call\),\n +under the rule \[.*\],\n +or until the gateway reports its end\nrun +calling\n`, s.must(t, "show", "redial/-/anna"))

	s.gateway.hangUp(t, anna)
	require.Equal(t, call.Outcome(call.Human), s.result(t, "anna").Outcome)
	closed := s.show(t, "anna")
	require.Equal(t, call.Outcome(call.Human), closed.Outcome)
	require.Nil(t, closed.Wait)
	require.NotEmpty(t, closed.Notifications)
	var kinds []string
	for _, d := range closed.Decisions {
		kinds = append(kinds, d.Kind)
	}
	require.Equal(t, []string{"cleared", "decided"}, kinds)

	story := s.must(t, "show", "anna")
	require.Regexp(t, `(?s)^contact  anna\nworkflow redial/-/anna\n.*outcome  human.*#1  dial .*#1  heard .*#1  end .*#1  decided .* outcome +human`, story)
	require.NotContains(t, story, strings.TrimPrefix(anna, "+"), "a story is for many eyes")
}

func TestAnIDIsCalledOnceWhateverTemporalRemembers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	first := s.must(t, "call", "--to", anna, "--id", "anna", "--wait", "--json")
	again := func() ended { return s.run(t, "call", "--to", anna, "--id", "anna", "--wait", "--json") }

	e := again()
	require.Equal(t, failed, e.code)
	require.Empty(t, e.stdout)
	require.Contains(t, e.stderr, "redial: duplicate_id: contact anna has been called already")
	require.Len(t, s.gateway.calls(t, anna), 1)

	s.forget(t, "redial/-/anna")
	e = again()
	require.Equal(t, failed, e.code)
	require.Contains(t, e.stderr, "redial: duplicate_id: ")
	require.Contains(t, e.stderr, "nothing was dialed")
	refused := decode[call.Result](t, e.stdout)
	require.Equal(t, call.OutcomeDuplicateID, refused.Outcome)
	require.NotEqual(t, decode[call.Result](t, first).RunID, refused.RunID)
	require.Empty(t, refused.Attempts)
	require.Len(t, s.gateway.calls(t, anna), 1)

	// What the ledger keeps of the contact is its first call.
	require.Equal(t, call.Outcome(call.Human), s.show(t, "anna").Outcome)
}

// forget deletes a run from Temporal, and waits until it is gone.
func (s stage) forget(t *testing.T, workflowID string) {
	t.Helper()
	description, err := s.temporal.DescribeWorkflow(t.Context(), workflowID, "")
	require.NoError(t, err)
	_, err = s.temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace:         s.environment["TEMPORAL_NAMESPACE"],
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: description.WorkflowExecution.RunID}})
	require.NoError(t, err)
	eventually(t, "Temporal to forget "+workflowID, func() bool {
		_, err := s.temporal.DescribeWorkflow(t.Context(), workflowID, "")
		var absent *serviceerror.NotFound
		return errors.As(err, &absent)
	})
}

func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	whole := p.must(t, "--help")
	require.Equal(t, whole, p.must(t), "without a command it says what there is")
	_, available, found := strings.Cut(whole, "Available Commands:\n")
	require.True(t, found)
	available, _, _ = strings.Cut(available, "\n\n")
	commands := regexp.MustCompile(`(?m)^  (\w+) +\S`).FindAllStringSubmatch(available, -1)
	require.GreaterOrEqual(t, len(commands), 8)
	for _, command := range commands {
		name := command[1]
		help := p.must(t, name, "--help")
		if name != "help" {
			require.Regexp(t, `(?s)Examples:\n.*redial `+name, help)
		}
	}
}

func TestShowSaysThatAContactWaitsForAWorkerBeforeTheLedgerKnowsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t) // and no redial up
	s.must(t, "call", "--to", anna, "--id", "anna")
	e := s.run(t, "show", "anna")
	require.Equal(t, 1, e.code)
	require.Contains(t, e.stderr, "redial/-/anna was started and has not asked to dial yet: it waits for a worker")
}
