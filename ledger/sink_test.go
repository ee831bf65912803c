package ledger_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/followup"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

// forSink takes what is due for a sink, and returns whose it is.
func (b *book) forSink() (due []ledger.Delivery, contacts []string) {
	b.tb.Helper()
	due = b.due(ledger.ToSink)
	for _, d := range due {
		contacts = append(contacts, d.WorkflowID[len("redial/-/"):])
	}
	return due, contacts
}

func TestWhatIsInTheInboxIsForASinkUntilItHasTakenIt(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.escalated("anna", "")
		b.escalated("ben", "https://people.example.com/")
		require.Equal(t, &ledger.Escalation{}, b.show("anna").Escalation)
		require.Len(t, b.due(ledger.ToSystems), 1, "a relay without a sink leaves the inbox alone")

		due, contacts := b.forSink()
		require.Equal(t, []string{"anna"}, contacts, "what has a webhook goes there")
		var story ledger.Story
		require.NoError(t, json.Unmarshal(due[0].Story, &story))
		require.Equal(t, []string{"redial/-/anna", "anna", "busy"}, []string{story.WorkflowID, story.ContactID, story.Reason})
		_, contacts = b.forSink()
		require.Empty(t, contacts, "it is out")
		require.NoError(t, b.Failed(ctx, due[0], "the desk is closed", time.Hour))
		e := b.show("anna").Escalation
		require.Equal(t, ledger.Escalation{Tries: 1, LastError: "the desk is closed", NextTryAt: start.Add(time.Hour)}, *e)
		require.Equal(t, []string{"ben", "anna"}, b.escalations(ledger.EscalationFilter{Undelivered: true}))
		require.Equal(t, []string{"ben", "anna"}, b.escalations(ledger.EscalationFilter{}))
		require.Equal(t, ledger.OwedOfKind{Kind: "sink", Owed: 1, Failing: 1, Due: start.Add(time.Hour)}, owed(t, b.figures(), "sink"))

		b.Advance(time.Hour)
		again, _ := b.forSink()
		require.Len(t, again, 1)
		require.Equal(t, string(due[0].Story), string(again[0].Story), "the same story")
		require.NoError(t, b.Delivered(ctx, again[0], false))
		e = b.show("anna").Escalation
		require.Equal(t, []any{2, b.Now(), time.Time{}}, []any{e.Tries, e.DeliveredAt, e.NextTryAt})
		require.Equal(t, []string{"ben"}, b.escalations(ledger.EscalationFilter{Undelivered: true}))
		require.Equal(t, []string{"ben"}, b.escalations(ledger.EscalationFilter{}))
		require.Equal(t, ledger.OwedOfKind{Kind: "sink"}, owed(t, b.figures(), "sink"))
		require.NoError(t, b.Escalate(ctx, followup.Escalated{WorkflowID: "redial/-/anna"}, ""))
		b.Advance(time.Hour)
		_, contacts = b.forSink()
		require.Empty(t, contacts, "once")
	})
}

func TestASinkIsGivenWhatIsInTheInboxWhoeverHasPutItThereAndNothingThatSomebodyHasSeenTo(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.escalated("by-its-policy", "")
		b.place(ask("by-its-flow", 1))
		require.NoError(t, b.Escalate(ctx, followup.Escalated{WorkflowID: "redial/-/by-its-flow"}, ""))
		b.place(ask("by-the-sweeper", 1))
		_, err := b.Abandon(ctx, ledger.OpenContact{WorkflowID: "redial/-/by-the-sweeper", FirstRunID: "run"}, false, "the run is gone")
		require.NoError(t, err)
		b.escalated("seen-to", "")
		b.escalated("seen-to-meanwhile", "")
		seen := func(contact string) {
			_, first, err := b.Acknowledge(ctx, contact, "eva", "")
			require.NoError(t, err)
			require.True(t, first)
		}
		seen("seen-to")
		due, contacts := b.forSink()
		require.ElementsMatch(t, []string{"by-its-policy", "by-its-flow", "by-the-sweeper", "seen-to-meanwhile"}, contacts)
		for _, d := range due {
			require.NoError(t, b.Failed(ctx, d, "closed", time.Minute))
		}
		seen("seen-to-meanwhile")
		require.Zero(t, b.show("seen-to-meanwhile").Escalation.NextTryAt)
		require.NotContains(t, b.escalations(ledger.EscalationFilter{Undelivered: true}), "seen-to-meanwhile")
		b.Advance(time.Minute)
		_, contacts = b.forSink()
		require.ElementsMatch(t, []string{"by-its-policy", "by-its-flow", "by-the-sweeper"}, contacts)
		b.Advance(time.Minute)
		_, contacts = b.forSink()
		require.Len(t, contacts, 3, "a relay that dies gives back what it has taken")
	})
}

func TestTwoRelaysNeverGiveTheirSinksTheSameEscalation(t *testing.T) {
	l := processes(t, 3)
	const contacts = 60
	for i := range contacts {
		id := fmt.Sprintf("c%d", i)
		_, err := l[0].Clear(ctx, ask(id, 1))
		require.NoError(t, err)
		require.NoError(t, l[0].Escalate(ctx, followup.Escalated{WorkflowID: "redial/-/" + id}, ""))
	}
	taken := make([][]ledger.Delivery, len(l))
	together(len(l), func(i int) {
		for {
			due, err := l[i].Due(ctx, ledger.ToSink, 7)
			if err != nil || len(due) == 0 {
				return
			}
			taken[i] = append(taken[i], due...)
		}
	})
	seen := map[int64]bool{}
	for _, due := range taken {
		for _, d := range due {
			require.False(t, seen[d.ID])
			seen[d.ID] = true
		}
	}
	require.Len(t, seen, contacts)
}

func TestWhatASinkHasTakenStaysTakenWhenTheLedgerIsMoved(t *testing.T) {
	b := databases["SQLite"].open(t)
	b.escalated("anna", "")
	b.escalated("ben", "")
	due, _ := b.forSink()
	require.Len(t, due, 2)
	require.NoError(t, b.Delivered(ctx, due[0], false))
	require.NoError(t, b.Failed(ctx, due[1], "closed", 0))
	require.NoError(t, b.Ledger.Close())
	address := postgrestest.Database(t)
	_, err := ledger.Move(ctx, b.address, address)
	require.NoError(t, err)
	left, err := process(t, address).Due(ctx, ledger.ToSink, 10)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, due[1].WorkflowID, left[0].WorkflowID)
}
