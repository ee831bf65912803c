package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func (b *book) figures() ledger.Figures {
	b.tb.Helper()
	f, err := b.Figures(ctx)
	require.NoError(b.tb, err)
	c, err := b.Capacity(ctx)
	require.NoError(b.tb, err)
	f.At, c.At = f.At.UTC(), c.At.UTC()
	require.Equal(b.tb, c, f.Capacity, "both tell the same")
	return f
}

// owed is what is owed of a kind.
func owed(tb testing.TB, f ledger.Figures, kind string) ledger.OwedOfKind {
	tb.Helper()
	require.Len(tb, f.Owed, 5, "each kind is told, also when nothing of it is owed")
	for _, o := range f.Owed {
		if o.Kind == kind {
			return o
		}
	}
	require.FailNow(tb, "no kind "+kind)
	return ledger.OwedOfKind{}
}

func TestFiguresOfAnEmptyLedgerAreZeroAndNameEveryClassAndKind(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		f := d.open(t).figures()
		require.Equal(t, ledger.Capacity{At: start, Queue: []ledger.QueuedOfClass{{Class: "callback"}, {Class: "retry"}, {Class: "first"}}}, f.Capacity)
		require.Equal(t, []ledger.OwedOfKind{{Kind: "attempt"}, {Kind: "result"}, {Kind: "wake"}, {Kind: "webhook"}, {Kind: "sink"}}, f.Owed)
		require.Zero(t, f.OpenContacts+f.AttemptsInDoubt)
	})
}

func TestCapacityTellsWhatIsInUseWhatIsPromisedAndWhoWaitsSinceWhen(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.called("d", "e")
		b.limits(2, 5, time.Minute)
		b.place(ask("a", 1))
		b.place(ask("b", 1))
		b.Advance(time.Second)
		first := b.Now()
		require.NotNil(t, b.clear(ask("c", 1)).Held)
		b.Advance(time.Second)
		retry := b.Now()
		require.NotNil(t, b.clear(ask("d", 2)).Held)
		require.NotNil(t, b.clear(ask("e", 2)).Held)

		f := b.figures()
		require.Equal(t, ledger.Lines{Limit: 2, InUse: 2}, f.Lines)
		require.Equal(t, ledger.DialRate{Limit: 5, Window: 60, Used: 2}, f.Rate)
		require.Nil(t, f.Paused)
		require.Equal(t, []ledger.QueuedOfClass{{Class: "callback"}, {Class: "retry", Length: 2, Oldest: retry}, {Class: "first", Length: 1, Oldest: first}}, f.Queue)
		require.Equal(t, 5, f.OpenContacts)

		b.end(ask("a", 1))
		require.Equal(t, []string{"d"}, b.wakes())
		require.Equal(t, ledger.Lines{Limit: 2, InUse: 1, Reserved: 1}, b.figures().Lines)
	})
}

func TestCapacityCountsLinesAlsoWithoutALimit(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.place(ask("a", 1))
		require.Equal(t, ledger.Lines{InUse: 1}, b.figures().Lines)
		require.Zero(t, b.figures().Rate)
	})
}

func TestAPauseIsToldUntilItIsOverAndTheFailureUntilARequestGetsThrough(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.dial(ask("a", 1))
		b.answer(ask("a", 1), call.DialAnswer{Class: call.AnswerThrottled, RetryAfter: time.Minute, Message: "too many"})
		f := b.figures()
		require.Equal(t, &ledger.Pause{Until: start.Add(time.Minute), Reason: followup.ReasonThrottled}, f.Paused)
		require.True(t, f.Failing)

		b.Advance(time.Minute + time.Second)
		f = b.figures()
		require.Nil(t, f.Paused)
		require.True(t, f.Failing)

		b.place(ask("b", 1))
		require.False(t, b.figures().Failing)
	})
}

func TestFiguresTellWhatIsOwedSinceWhenAndWhatIsTriedInVain(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.place(ask("a", 1))
		b.end(ask("a", 1))
		b.Advance(time.Minute)
		require.Equal(t, ledger.OwedOfKind{Kind: "attempt", Owed: 1, Due: start}, owed(t, b.figures(), "attempt"))

		due := b.due(ledger.ToFlows)
		require.Len(t, due, 1)
		require.NoError(t, b.Failed(ctx, due[0], "nobody answers", time.Hour))
		require.Equal(t, ledger.OwedOfKind{Kind: "attempt", Owed: 1, Failing: 1, Due: b.Now().Add(time.Hour)}, owed(t, b.figures(), "attempt"))

		require.NoError(t, b.Delivered(ctx, due[0], false))
		require.Equal(t, ledger.OwedOfKind{Kind: "attempt"}, owed(t, b.figures(), "attempt"))
	})
}

func TestFiguresCountAttemptsInDoubt(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.dial(ask("a", 1))
		b.answer(ask("a", 1), call.DialAnswer{Class: call.AnswerUnknown, Message: "the connection broke"})
		require.Equal(t, 1, b.figures().AttemptsInDoubt)
		_, err := b.Resolve(ctx, ask("a", 1).Key, call.Busy, "somebody", "was told")
		require.NoError(t, err)
		require.Zero(t, b.figures().AttemptsInDoubt)
	})
}

func TestPagesOfContactsHoldEachContactOnce(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		spring := func(r *followup.ClearanceRequest) { r.Campaign, r.WorkflowID = "spring", "redial/spring/"+r.ContactID }
		for i := range 7 {
			b.place(ask(fmt.Sprintf("c%d", i), 1))
		}
		b.place(ask("c0", 1, spring, func(r *followup.ClearanceRequest) {
			r.Key, r.Request.To.URI = call.AttemptKey(r.WorkflowID, "run", 1), "sip:spring@example.com"
		}))
		none, named := "", "spring"
		for _, c := range []struct {
			campaign *string
			want     int
		}{{nil, 8}, {&none, 7}, {&named, 1}} {
			seen := map[string]bool{}
			after := ""
			for {
				page, err := b.Contacts(ctx, ledger.ContactFilter{Campaign: c.campaign, After: after, Limit: 3})
				require.NoError(t, err)
				for _, line := range page {
					require.False(t, seen[line.WorkflowID])
					seen[line.WorkflowID] = true
					require.Equal(t, 1, line.Attempts)
					require.Equal(t, followup.ReasonCall, line.Wait.Reason)
					after = line.WorkflowID
				}
				if len(page) < 3 {
					break
				}
			}
			require.Len(t, seen, c.want)
		}
	})
}

func TestAnIDNamesOneContactOrAllThatShareIt(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.place(ask("anna", 1))
		b.place(ask("anna", 1, func(r *followup.ClearanceRequest) {
			r.Campaign, r.WorkflowID, r.Key, r.Request.To.URI = "spring", "redial/spring/anna", "redial/spring/anna/run/1", "sip:spring@example.com"
		}))
		for _, id := range []string{"redial/-/anna", "redial/spring/anna"} {
			require.Equal(t, id, b.show(id).WorkflowID)
		}
		_, err := b.Show(ctx, "anna")
		var several *ledger.AmbiguousError
		require.ErrorAs(t, err, &several)
		require.Equal(t, []string{"redial/-/anna", "redial/spring/anna"}, several.WorkflowIDs)
		require.ErrorContains(t, err, "name one by its workflow id, such as redial/-/anna")
		_, err = b.Show(ctx, "nobody")
		var unknown *ledger.NotFoundError
		require.ErrorAs(t, err, &unknown)
	})
}
