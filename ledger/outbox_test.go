package ledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// Promise 2: no acknowledged notification is lost.

func TestAnEndIsOwedOnceUntilItIsDelivered(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		require.Empty(t, b.deliveries())
		b.end(r)
		require.True(t, b.changed())
		first := b.deliveries()
		require.Len(t, first, 1)
		require.Equal(t, b.attempt(r), *first[0].Attempt)
		require.Equal(t, r.WorkflowID, first[0].WorkflowID)
		require.Empty(t, b.deliveries(), "it is out")

		b.Advance(30 * time.Second) // its relay died
		again := b.deliveries()
		require.Len(t, again, 1)
		require.Equal(t, 1, again[0].Tries)
		require.NoError(t, b.Delivered(ctx, again[0], false))
		b.Advance(time.Hour)
		require.Empty(t, b.deliveries())
		require.Zero(t, b.count("SELECT COUNT(*) FROM outbox"))
	})
}

func TestWhatIsOwedSurvivesReopening(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		b.deliveries()
		b.reopen()
		b.Advance(30 * time.Second)
		require.Len(t, b.deliveries(), 1)
	})
}

func TestAFailedDeliveryIsDueAgainWhenItWasPutOffTo(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		for try := range 3 {
			due := b.deliveries()
			require.Len(t, due, 1)
			require.Equal(t, try, due[0].Tries)
			b.changed()
			require.NoError(t, b.Failed(ctx, due[0], "nobody answers", time.Minute))
			require.True(t, b.changed(), "the relay sleeps until the lease ends, and that may be later")
			b.Advance(time.Minute - time.Microsecond)
			require.Empty(t, b.deliveries())
			b.Advance(time.Microsecond)
		}
	})
}

func TestAnExchangeSettlesWhatWasDeliveredAndTakesWhatIsDue(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(2, 0, 0)
		exchange := func(delivered []ledger.Delivery, room int) ([]ledger.Delivery, ledger.Agenda) {
			t.Helper()
			due, agenda, err := b.Exchange(ctx, delivered, map[ledger.Lane]int{ledger.ToFlows: room})
			require.NoError(t, err)
			return due, agenda
		}
		b.place(ask("a", 1))
		b.place(ask("b", 1))
		b.end(ask("a", 1))
		first, agenda := exchange(nil, 10)
		require.Len(t, first, 1)
		require.Equal(t, call.Human, first[0].Attempt.Disposition)
		require.Equal(t, ledger.Agenda{Next: b.Now().Add(30 * time.Second)}, agenda, "should it not be settled")

		b.end(ask("b", 1))
		due, agenda := exchange(first, 0)
		require.Empty(t, due, "there is no room")
		require.Equal(t, b.Now(), agenda.Next)
		require.Equal(t, 1, b.count("SELECT COUNT(*) FROM outbox"))
		due, _ = exchange(first, 10)
		require.Len(t, due, 1)
		require.Equal(t, ask("b", 1).WorkflowID, due[0].WorkflowID)

		b.limits(1, 0, 0)
		b.place(ask("c", 1))
		require.NotNil(t, b.clear(ask("d", 1)).Held)
		_, agenda = exchange(due, 10)
		require.True(t, agenda.Tick, "somebody waits")
		require.Zero(t, b.count("SELECT COUNT(*) FROM outbox"))
	})
}

// settledOnce are the two words that a relay may say late about a delivery that was owed anew meanwhile.
var settledOnce = map[string]func(b *book, d ledger.Delivery) error{
	"delivered": func(b *book, d ledger.Delivery) error { return b.Delivered(ctx, d, false) },
	"failed": func(b *book, d ledger.Delivery) error {
		return b.Failed(ctx, d, "late", 24*time.Hour)
	},
}

func TestALateWordOnAnOldVersionDoesNotLoseANewerOne(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		for word, say := range settledOnce {
			t.Run(word, func(t *testing.T) {
				b := at.open(t)
				r := ask("a", 1, midCall)
				b.place(r)
				b.receive(r, call.Event{Status: call.StatusAnswered})
				old := b.deliveries()[0]
				b.end(r)
				require.NoError(t, say(b, old))
				newer := b.deliveries()
				require.Len(t, newer, 1)
				require.Equal(t, call.Human, newer[0].Attempt.Disposition)
			})
			t.Run(word+" after another try settled it", func(t *testing.T) {
				b := at.open(t)
				r := ask("a", 1, midCall)
				b.place(r)
				b.receive(r, call.Event{Status: call.StatusAnswered})
				slow := b.deliveries()[0]
				b.Advance(30 * time.Second)
				require.NoError(t, b.Delivered(ctx, b.deliveries()[0], false))
				b.end(r)
				require.NoError(t, say(b, slow))
				require.Len(t, b.deliveries(), 1)
			})
		}
	})
}

func TestLanesAreSeparate(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		b.end(r)
		require.NoError(t, b.Escalate(ctx, followup.Escalated{WorkflowID: r.WorkflowID}, "https://example.com"))
		require.Len(t, b.due(ledger.ToFlows), 1)
		systems := b.due(ledger.ToSystems)
		require.Len(t, systems, 1)
		require.NotNil(t, systems[0].Webhook)
	})
}

func TestEscalatingAgainChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.place(ask("a", 1))
		first := followup.Escalated{WorkflowID: "redial/-/a", ContactID: "a", Reason: "first", Attempts: []call.Attempt{{N: 1}}}
		second := first
		second.Reason = "second"
		require.NoError(t, b.Escalate(ctx, first, "https://example.com/hook"))
		due := b.due(ledger.ToSystems)
		require.Len(t, due, 1)
		require.NoError(t, b.Escalate(ctx, second, "https://example.com/other"))
		require.Empty(t, b.due(ledger.ToSystems))
		require.Equal(t, "https://example.com/hook", due[0].Webhook.URL)
		require.NotEmpty(t, due[0].Webhook.ID)
		var body followup.Escalated
		require.NoError(t, json.Unmarshal(due[0].Webhook.Body, &body))
		require.Equal(t, first, body)

		require.NoError(t, b.Failed(ctx, due[0], "the receiver answered 500", time.Minute))
		e := b.show("a").Escalation
		require.Equal(t, "the receiver answered 500", e.LastError)
		require.Zero(t, e.DeliveredAt)
		b.Advance(time.Minute)
		again := b.due(ledger.ToSystems)
		require.Equal(t, due[0].Webhook, again[0].Webhook, "the same message under the same id")
		require.NoError(t, b.Delivered(ctx, again[0], false))
		require.Equal(t, b.Now(), b.show("a").Escalation.DeliveredAt)
		require.NoError(t, b.Escalate(ctx, second, "https://example.com/hook"))
		b.Advance(time.Hour)
		require.Empty(t, b.due(ledger.ToSystems), "also after it was delivered")
	})
}

func TestAnEscalationWithoutAURLIsInTheInbox(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.place(ask("a", 1))
		require.NoError(t, b.Escalate(ctx, followup.Escalated{WorkflowID: "redial/-/a"}, ""))
		require.Empty(t, b.due(ledger.ToSystems))
		require.Equal(t, &ledger.Escalation{}, b.show("a").Escalation)
	})
}
