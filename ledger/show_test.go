package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

const (
	second = "tel:+81312345642"
	tokyo  = "Asia/Tokyo"
)

// at asks for a number with a stated zone.
func at(uri, zone string) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Request.To = call.Target{URI: uri, Zone: zone} }
}

func others(r *followup.ClearanceRequest) { r.Others = true }

// isAt checks the number that a contact is at, wherever that is told.
func (b *book) isAt(contact, number, zone string) {
	b.tb.Helper()
	c := b.show(contact)
	require.Equal(b.tb, []string{number, zone}, []string{c.Target, c.Zone})
	for r, err := range b.ExportContacts(ctx, ledger.ExportFilter{Until: b.Now().Add(time.Hour)}) {
		require.NoError(b.tb, err)
		if r.ContactID == contact {
			require.Equal(b.tb, number, r.Target)
			return
		}
	}
	require.Fail(b.tb, "it is not exported")
}

func TestAContactIsAtTheNumberThatItAskedForLast(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.suppress(kept(number, "a letter"))
		refused := b.clear(ask("a", 1, to(number), others))
		require.True(t, refused.Open)
		b.isAt("a", number, "")
		b.limits(1, 0, 0)
		b.place(ask("busy", 1))
		require.NotNil(t, b.clear(ask("a", 1, at(second, tokyo))).Held)
		b.isAt("a", second, tokyo)
		require.Equal(t, number, b.show("a").Opened)
		require.Equal(t, []string{number, second}, b.show("a").Numbers())
		require.Len(t, b.show("a").Suppressed, 1)
		b.suppress(kept(second, "a letter, too"))
		require.Len(t, b.show("a").Suppressed, 2, "also of a number that was never dialed")

		claim := ask("a", 1, at(second, tokyo)).Claim()
		gone, err := b.Recheck(ctx, claim)
		require.NoError(t, err)
		require.Equal(t, call.OutcomeSuppressed, gone.Outcome)
		b.isAt("a", second, tokyo)
		var about []string
		for _, d := range b.show("a").Decisions {
			about = append(about, d.Kind+" "+d.Target().URI)
		}
		require.Equal(t, []string{"refused " + number, "held " + second, "refused " + second}, about)
	})
}

func TestAContactThatGoesOnWithItsNextNumberIsAtThatAndEachAttemptKeepsItsOwn(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		first := ask("a", 1, at(number, "America/New_York"))
		b.place(first)
		b.receive(first, busy)
		b.isAt("a", number, "America/New_York")
		next := on(call.Busy, followup.Rule{Do: followup.VerbNextNumber})
		decided, err := b.Conclude(ctx, first.WorkflowID, first.Key, next, first.Request.To, call.Target{URI: second, Zone: tokyo})
		require.NoError(t, err)
		require.Equal(t, second, decided.Target.URI)
		b.isAt("a", second, tokyo)
		b.place(ask("a", 2, at(second, tokyo)))
		c := b.show("a")
		require.Equal(t, []string{number, "America/New_York", second, tokyo},
			[]string{c.Attempts[0].Target, c.Attempts[0].Zone, c.Attempts[1].Target, c.Attempts[1].Zone})
		b.receive(ask("a", 2), busy)
		b.conclude(ask("a", 2), on(call.Busy, followup.Rule{Retry: []followup.Delay{{After: followup.Duration(time.Hour)}}}))
		b.isAt("a", second, tokyo)

		b.statement(`UPDATE decisions SET evidence = ''`) // as a version before this one has written them
		b.isAt("a", second, tokyo)
		require.Equal(t, []string{number, second}, b.show("a").Numbers())
	})
}

func TestAContactThatHasAskedForNothingYetIsAtTheNumberThatItWasOpenedFor(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		claim := ask("a", 1, at(number, tokyo)).Claim()
		require.NoError(t, b.Wait(ctx, claim, followup.Hold{Reason: followup.ReasonFlow, Rule: "flow: later", Until: start.Add(time.Hour)}))
		b.isAt("a", number, tokyo)
	})
}

func TestAnAttemptInDoubtIsWrittenDownWhenThatIsNoticedOnce(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		doubted := func(b *book, contact string) (at []time.Duration) {
			for _, d := range b.show(contact).Decisions {
				if d.Kind == "doubted" {
					require.Equal(t, ask(contact, 1).Key, d.AttemptKey)
					require.Equal(t, b.attempt(ask(contact, 1)).Error, d.Reason)
					at = append(at, d.At.Sub(start))
				}
			}
			return at
		}
		b := d.open(t)
		for _, contact := range []string{"killed", "lost", "silent", "left", "ended"} {
			b.dial(ask(contact, 1))
		}
		b.Advance(40 * time.Second)
		require.True(t, b.clear(ask("killed", 1, by("run/2/1"))).Recorded)
		require.True(t, b.clear(ask("killed", 1, by("run/3/1"))).Recorded)
		require.Equal(t, []time.Duration{40 * time.Second}, doubted(b, "killed"))
		b.answer(ask("lost", 1), call.DialAnswer{Class: call.AnswerUnknown, Message: "the connection broke"})
		for _, placed := range []string{"silent", "left", "ended"} {
			b.answer(ask(placed, 1), call.DialAnswer{Class: call.AnswerPlaced, SID: placed})
		}
		b.end(ask("ended", 1))
		b.Advance(20 * time.Minute)
		for _, contact := range []string{"lost", "silent", "ended"} {
			_, err := b.GiveUp(ctx, ask(contact, 1).Key, "no end was heard")
			require.NoError(t, err)
		}
		_, err := b.ExpireAttempts(ctx, 10)
		require.NoError(t, err)
		late := 20*time.Minute + 40*time.Second
		require.Equal(t, []time.Duration{40 * time.Second}, doubted(b, "lost"), "it was in doubt before it was given up")
		require.Equal(t, []time.Duration{late}, doubted(b, "silent"))
		require.Equal(t, []time.Duration{late}, doubted(b, "left"))
		require.Empty(t, doubted(b, "ended"))
	})
}
