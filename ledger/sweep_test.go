package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func TestMachinesThatHangUpAtOnceAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for contact, duration := range map[string]time.Duration{"a": 2 * time.Second, "b": 30 * time.Second, "c": time.Second} {
			r := ask(contact, 1)
			b.dial(r)
			require.NoError(t, b.Receive(ctx, r.Key, []byte("{}"), []call.Event{{Status: call.StatusCompleted, AMD: call.AMDMachine,
				EndedBy: call.PartyCallee, Duration: duration}}, ""))
		}
		d, err := b.Detected(ctx, b.Now().Add(-time.Hour))
		require.NoError(t, err)
		require.Equal(t, 3, d.Machines)
		require.Equal(t, 2, d.SuspectedHumans)
		b.Advance(time.Hour)
		d, err = b.Detected(ctx, b.Now())
		require.NoError(t, err)
		require.Zero(t, d.Machines)
	})
}

func TestWhoIsEscalatedIsOwedToPeopleFromTheMomentTheContactIsClosed(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.dial(r)
		require.NoError(t, b.Receive(ctx, r.Key, []byte("{}"), []call.Event{{Status: call.StatusFailed, SIP: 486}}, ""))
		policy := followup.Policy{On: map[call.Disposition]followup.Rule{call.Busy: {Do: followup.VerbEscalate}}}
		policy.Escalate.Webhook = "https://people.example.com"
		_, err := b.Conclude(ctx, r.WorkflowID, r.Key, policy)
		require.NoError(t, err)
		due, err := b.Due(ctx, ledger.ToSystems, 10) // and its flow never says so
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.Contains(t, string(due[0].Webhook.Body), `"reason":"busy"`)
		require.NoError(t, b.Escalate(ctx, followup.Escalated{WorkflowID: r.WorkflowID}, policy.Escalate.Webhook))
		due, err = b.Due(ctx, ledger.ToSystems, 10)
		require.NoError(t, err)
		require.Empty(t, due, "people are told once")
	})
}

func TestAnAnswerToAnEarlierRequestDoesNotLiftAPause(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		first, second := ask("a", 1), ask("b", 1)
		b.dial(first)
		b.dial(second)
		b.answer(first, call.DialAnswer{Class: call.AnswerThrottled, RetryAfter: time.Minute})
		b.answer(second, call.DialAnswer{Class: call.AnswerPlaced}) // it left before the refusal
		held := b.clear(ask("c", 1)).Held
		require.NotNil(t, held)
		require.Equal(t, followup.ReasonThrottled, held.Reason)
	})
}

func TestTheNextAttemptIsNotDialedWhileTheEndOfADoubtIsOnItsWay(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		first, second := ask("a", 1), ask("a", 2)
		b.dial(first)
		_, err := b.GiveUp(ctx, first.Key, "nothing was heard")
		require.NoError(t, err)
		_, err = b.Conclude(ctx, first.WorkflowID, first.Key, followup.Policy{})
		require.NoError(t, err)
		require.NoError(t, b.Receive(ctx, first.Key, []byte("{}"), []call.Event{{Status: call.StatusCompleted, AMD: call.AMDHuman}}, ""))
		require.NotNil(t, b.clear(second).Held, "somebody who was reached is rung again")
		_, err = b.Conclude(ctx, first.WorkflowID, first.Key, followup.Policy{On: map[call.Disposition]followup.Rule{call.Human: {Retry: []followup.Delay{{After: 1}}}}})
		require.NoError(t, err)
		b.dial(second)
	})
}
