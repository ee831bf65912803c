package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// sleeps opens a contact that waits for an hour, for a number.
func (b *book) sleeps(contact, target string) {
	b.tb.Helper()
	later := followup.Hold{Reason: followup.ReasonFlow, Rule: "flow: later", Until: start.Add(time.Hour)}
	require.NoError(b.tb, b.Wait(ctx, ask(contact, 1, to(target)).Claim(), later))
}

// heard lets a relay tell of what was imported until all is told, and returns who was woken, as often as that was.
func (b *book) heard() (woken []string) {
	b.tb.Helper()
	for b.count("SELECT COUNT(*) FROM suppression_imports WHERE completed_at > 0 AND told_at = 0") > 0 {
		woken = append(woken, b.wakes()...)
	}
	return append(woken, b.wakes()...)
}

func TestAnImportWakesEveryOpenContactConcernedWhenItHolds(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		list := many(1200) // in several transactions
		b.sleeps("first", list[0].Subject)
		b.sleeps("last", list[1199].Subject)
		b.sleeps("twin", list[1199].Subject)
		b.sleeps("by-its-id", "tel:+12025550102")
		b.sleeps("elsewhere", "tel:+12025550103")
		b.sleeps("over", list[7].Subject)
		_, err := b.Finish(ctx, ask("over", 1).WorkflowID, call.OutcomeCanceled, "over")
		require.NoError(t, err)
		b.place(ask("was-called", 1, to(list[600].Subject)))
		b.end(ask("was-called", 1, to(list[600].Subject)))
		b.place(ask("was-called", 2, to("tel:+12025550104")))
		b.end(ask("was-called", 2, to("tel:+12025550104")))
		b.limits(1, 0, 0)
		b.place(ask("busy", 1))
		require.NotNil(t, b.clear(ask("in-the-queue", 1, to(list[900].Subject))).Held)
		b.woken()

		b.load(append(list, keptContact("by-its-id", "complained"))...)
		concerned := []string{"first", "last", "twin", "by-its-id", "was-called", "in-the-queue"}
		require.ElementsMatch(t, concerned, b.heard())
		require.Empty(t, b.heard(), "once")
		refused, err := b.Recheck(ctx, ask("last", 1, to(list[1199].Subject)).Claim())
		require.NoError(t, err)
		require.Equal(t, call.OutcomeSuppressed, refused.Outcome)

		b.load(list...)
		require.Empty(t, b.heard(), "what was said before is not said again")
		b.load(kept(list[0].Subject, "for another reason"))
		require.Equal(t, []string{"first"}, b.heard())
	})
}

func TestTheWakesOfAnImportAskForARecheck(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.sleeps("a", number)
		b.load(kept(number, "on a list"))
		_, err := b.Tick(ctx)
		require.NoError(t, err)
		due := b.due(ledger.ToFlows)
		require.Len(t, due, 1)
		require.True(t, due[0].Wake && due[0].Recheck)
	})
}

func TestWhatIsImportedHoldsSinceTheImportWasComplete(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.suppress(keptContact("a", "complained"))
		list := many(600) // in two transactions
		b.sleeps("a", list[0].Subject)
		_, err := b.ImportSuppressions(ctx, func(yield func(ledger.Suppression) bool) {
			for i, s := range list {
				if i == 550 {
					b.Advance(time.Minute) // each time that the list is gone through
				}
				if !yield(s) {
					return
				}
			}
		})
		require.NoError(t, err)
		complete := b.Now()
		require.Less(t, b.count("SELECT MIN(at) FROM suppression_entries WHERE import_id <> 0"), int(complete.UnixMicro()), "the first were written before")
		b.Advance(time.Hour)
		all, err := b.Suppressions(ctx, ledger.SuppressionFilter{Kind: ledger.SuppressedNumber})
		require.NoError(t, err)
		require.Len(t, all, len(list))
		for _, s := range all {
			require.Equal(t, complete, s.At)
		}
		require.Equal(t, complete, b.suppressed(list[0].Subject, "").At)
		held := b.show("a").Suppressed
		require.Len(t, held, 2)
		require.Equal(t, []time.Time{start, complete}, []time.Time{held[0].At, held[1].At}, "what was said by itself holds since it was said")
	})
}

func TestAnImportThatIsInterruptedWakesNobody(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		list := many(600)
		b.sleeps("a", list[0].Subject)
		stopped, stop := context.WithCancel(ctx)
		_, err := b.ImportSuppressions(stopped, func(yield func(ledger.Suppression) bool) {
			for i, s := range list {
				if i == 550 && b.count("SELECT COUNT(*) FROM suppression_entries") > 0 {
					stop()
				}
				if !yield(s) {
					return
				}
			}
		})
		require.Error(t, err)
		require.Empty(t, b.heard())
	})
}

func TestAnotherRelayGoesOnWithTellingOfAnImportWhereOneHasEnded(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		list := many(1700)
		var contacts []string
		for i := 0; i < len(list); i += 100 {
			contacts = append(contacts, fmt.Sprint("c", i))
			b.sleeps(contacts[len(contacts)-1], list[i].Subject)
		}
		b.load(list...)
		_, err := b.Tick(ctx)
		require.NoError(t, err)
		b.reopen()
		woken := b.due(ledger.ToFlows)
		require.Len(t, woken, 5, "of the first entries")
		for _, d := range woken {
			require.NoError(t, b.Delivered(ctx, d, false))
		}
		require.ElementsMatch(t, contacts[5:], b.heard(), "each is woken once")
	})
}

func TestRelaysThatTellOfAnImportTogetherWakeEachContactOnce(t *testing.T) {
	b := databases["PostgreSQL"].open(t)
	list := many(2500)
	for i := 0; i < len(list); i += 50 {
		b.sleeps(fmt.Sprint("c", i), list[i].Subject)
	}
	b.load(list...)
	relays := []*ledger.Ledger{b.Ledger, process(t, b.address), process(t, b.address)}
	together(len(relays), func(i int) {
		for range 20 {
			_, err := relays[i].Tick(ctx)
			require.NoError(t, err)
		}
	})
	require.Zero(t, b.count("SELECT COUNT(*) FROM suppression_imports WHERE told_at = 0"))
	require.Equal(t, 50, b.count("SELECT COUNT(*) FROM outbox WHERE body = 'recheck'"))
	require.Equal(t, 50, b.count("SELECT SUM(version) FROM outbox"), "none is owed again")
}

func TestTheEndsOfCallsDoNotWaitBehindAllWakesOfAnImport(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		const contacts = 2500
		list := many(contacts)
		b.statement(fmt.Sprintf(`INSERT INTO contacts (workflow_id, contact_id, campaign, first_run_id, target, opened_at)
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT 'redial/-/c' || i, 'c' || i, '', 'run', 'tel:+1415' || SUBSTR('0000000' || i, LENGTH('0000000' || i) - 6), 1 FROM n`, contacts-1))
		b.load(list...)
		for range 10 { // while nobody takes what is due
			_, err := b.Tick(ctx)
			require.NoError(t, err)
		}
		owed := b.count("SELECT COUNT(*) FROM outbox")
		require.Positive(t, owed)
		require.LessOrEqual(t, owed, 1000)
		require.Len(t, b.heard(), contacts, "and all are woken in the end")
	})
}
