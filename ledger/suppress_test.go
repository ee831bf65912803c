package ledger_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// kept is the statement of an operator that a number must not be called.
func kept(target, reason string) ledger.Suppression {
	return ledger.Suppression{Kind: ledger.SuppressedNumber, Subject: target, Source: "operator anna", Reason: reason}
}

func keptContact(id, reason string) ledger.Suppression {
	s := kept(id, reason)
	s.Kind = ledger.SuppressedContact
	return s
}

func until(at time.Time, s ledger.Suppression) ledger.Suppression {
	s.ExpiresAt = at
	return s
}

func (b *book) suppress(s ledger.Suppression) bool {
	b.tb.Helper()
	added, err := b.Suppress(ctx, s)
	require.NoError(b.tb, err)
	return added
}

func (b *book) load(list ...ledger.Suppression) int {
	b.tb.Helper()
	added, err := b.ImportSuppressions(ctx, slices.Values(list))
	require.NoError(b.tb, err)
	return added
}

// suppressed is the statement that holds; nil: none does.
func (b *book) suppressed(target, contact string) *ledger.Suppression {
	b.tb.Helper()
	s, err := b.Suppressed(ctx, target, contact)
	require.NoError(b.tb, err)
	return s
}

func (b *book) listed(f ledger.SuppressionFilter) []ledger.Suppression {
	b.tb.Helper()
	list, err := b.Suppressions(ctx, f)
	require.NoError(b.tb, err)
	return list
}

// refused is the refusal of a dial, with whether it leaves the contact open.
func (b *book) refused(r followup.ClearanceRequest) (followup.Refusal, bool) {
	b.tb.Helper()
	c := b.clear(r)
	require.NotNil(b.tb, c.Refused, "%+v", c)
	return *c.Refused, c.Open
}

func TestASuppressedNumberIsRefusedWithSourceAndReason(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		require.True(t, b.suppress(kept(number, "asked by letter")))
		refusal, open := b.refused(ask("a", 1, to(number)))
		require.Equal(t, followup.Refusal{Outcome: call.OutcomeSuppressed, Reason: "asked by letter", Rule: "suppression of the number, by operator anna", Target: true}, refusal)
		require.False(t, open, "it has no other")
		require.Equal(t, call.OutcomeSuppressed, b.show("a").Outcome)
		require.Zero(t, b.dials())
		b.dial(ask("b", 1, to("tel:+12025550102")))
	})
}

func TestASuppressedNumberLeavesTheContactItsOtherTargetsAndASuppressedContactEnds(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		others := func(r *followup.ClearanceRequest) { r.Others = true }
		b.suppress(kept(number, "not here"))
		_, open := b.refused(ask("a", 1, to(number), others))
		require.True(t, open)
		require.Zero(t, b.show("a").ClosedAt)
		b.dial(ask("a", 2, to("tel:+12025550102"), others))

		b.suppress(keptContact("b", "complained"))
		b.suppress(kept("tel:+12025550103", "not here"))
		refusal, open := b.refused(ask("b", 1, to("tel:+12025550103"), others))
		require.False(t, open)
		require.Equal(t, followup.Refusal{Outcome: call.OutcomeSuppressed, Reason: "complained", Rule: "suppression of the contact, by operator anna"}, refusal,
			"the one that forbids more is named")
		require.NotZero(t, b.show("b").ClosedAt)
	})
}

func TestASuppressedContactIsCalledInNoCampaign(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.suppress(keptContact("a", "complained"))
		for _, campaign := range []string{"", "spring"} {
			b.refused(ask("a", 1, func(r *followup.ClearanceRequest) {
				r.Campaign, r.WorkflowID = campaign, "redial/"+campaign+"/a"
				r.Key = call.AttemptKey(r.WorkflowID, r.FirstRunID, 1)
			}))
		}
		b.dial(ask("b", 1))
		b.suppress(keptContact(number, "an id that looks like a number"))
		b.dial(ask("c", 1, to(number)))
	})
}

func TestASuppressionThatExpiredDoesNotHoldAndStaysOnRecord(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.suppress(until(start.Add(time.Hour), kept(number, "for now")))
		b.Advance(time.Hour - time.Microsecond)
		require.NotNil(t, b.suppressed(number, ""))
		b.Advance(time.Microsecond)
		require.Nil(t, b.suppressed(number, ""))
		require.Empty(t, b.listed(ledger.SuppressionFilter{}))
		past := b.listed(ledger.SuppressionFilter{Past: true})
		require.Len(t, past, 1)
		require.False(t, past[0].Holds)
		b.dial(ask("a", 1, to(number)))
		_, err := b.Unsuppress(ctx, ledger.SuppressedNumber, number, "anna", "over")
		require.ErrorContains(t, err, "not suppressed")
	})
}

func TestTheStricterOfTwoSuppressionsStaysAndTheEarlierIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for _, s := range []struct {
			s     ledger.Suppression
			added bool
			holds string // the reason
		}{
			{until(start.Add(time.Hour), kept(number, "first")), true, "first"},
			{until(start.Add(time.Hour), kept(number, "first")), false, "first"},
			{until(start.Add(time.Minute), kept(number, "first")), false, "first"},
			{until(start.Add(2*time.Hour), kept(number, "first")), true, "first"},
			{until(start.Add(time.Minute), kept(number, "second")), true, "first"},
			{kept(number, "third"), true, "third"},
			{kept(number, "fourth"), true, "third"},
			{until(start.Add(9*time.Hour), kept(number, "third")), false, "third"},
		} {
			require.Equal(t, s.added, b.suppress(s.s), s.s.Reason)
			require.Equal(t, s.holds, b.suppressed(number, "").Reason)
		}
		require.Zero(t, b.suppressed(number, "").ExpiresAt)
		all := b.listed(ledger.SuppressionFilter{Subject: number})
		require.Len(t, all, 5)
		require.Equal(t, "first", all[4].Reason)
		require.Equal(t, start, all[4].At)
	})
}

func TestARemovedSuppressionIsKeptWithWhoAndWhyAndMayBeMadeAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		_, err := b.Unsuppress(ctx, ledger.SuppressedNumber, number, "anna", "a mistake")
		require.ErrorContains(t, err, "number tel:…01")
		require.ErrorContains(t, err, "not suppressed")
		b.suppress(kept(number, "first"))
		b.suppress(kept(number, "second"))
		b.Advance(time.Hour)
		n, err := b.Unsuppress(ctx, ledger.SuppressedNumber, number, "operator eva", "signed form 7")
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		require.Nil(t, b.suppressed(number, ""))
		b.place(ask("a", 1, to(number)))
		for _, s := range b.listed(ledger.SuppressionFilter{Past: true}) {
			require.Equal(t, []any{b.Now(), "operator eva", "signed form 7", false}, []any{s.RemovedAt, s.RemovedBy, s.RemovedFor, s.Holds})
		}
		require.True(t, b.suppress(kept(number, "first")))
		require.NotNil(t, b.suppressed(number, ""))
		require.Len(t, b.listed(ledger.SuppressionFilter{Past: true}), 3)
	})
}

func TestSuppressionsWithoutWhoOrWhyAreRefused(t *testing.T) {
	b := databases["SQLite"].open(t)
	for _, s := range []ledger.Suppression{
		{Kind: "line", Subject: number, Source: "x", Reason: "y"},
		{Kind: ledger.SuppressedNumber, Source: "x", Reason: "y"},
		{Kind: ledger.SuppressedNumber, Subject: number, Reason: "y"},
		{Kind: ledger.SuppressedNumber, Subject: number, Source: "x"},
	} {
		_, err := b.Suppress(ctx, s)
		require.Error(t, err)
		require.NotContains(t, err.Error(), number)
		_, err = b.ImportSuppressions(ctx, slices.Values([]ledger.Suppression{kept(number, "good"), s}))
		require.Error(t, err)
	}
	require.Empty(t, b.listed(ledger.SuppressionFilter{Past: true}))
}

func TestSuppressionsAreListedInPagesByKindAndText(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for i := range 5 {
			b.suppress(kept(fmt.Sprintf("tel:+1202555010%d", i), "Complaint 100%_\\"))
		}
		b.suppress(keptContact("anna", "A letter"))
		require.Len(t, b.listed(ledger.SuppressionFilter{}), 6)
		require.Len(t, b.listed(ledger.SuppressionFilter{Kind: ledger.SuppressedContact}), 1)
		require.Len(t, b.listed(ledger.SuppressionFilter{Text: "complAINT 100%_\\"}), 5)
		require.Empty(t, b.listed(ledger.SuppressionFilter{Text: "complaint_100"}))
		require.Len(t, b.listed(ledger.SuppressionFilter{Text: "0103"}), 1)
		require.Len(t, b.listed(ledger.SuppressionFilter{Subject: "anna"}), 1)
		var paged []string
		f := ledger.SuppressionFilter{Limit: 2}
		for page := b.listed(f); len(page) > 0; page = b.listed(f) {
			for _, s := range page {
				paged = append(paged, s.Subject)
			}
			f.Before = page[len(page)-1].ID
		}
		require.Equal(t, "anna tel:+12025550104 tel:+12025550103 tel:+12025550102 tel:+12025550101 tel:+12025550100", strings.Join(paged, " "))
	})
}

// many are statements on numbers of their own.
func many(n int) []ledger.Suppression {
	list := make([]ledger.Suppression, n)
	for i := range list {
		list[i] = kept(fmt.Sprintf("tel:+1415%07d", i), "on a list")
	}
	return list
}

func TestAnImportHoldsAsAWholeAndCountsWhatIsNew(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		list := many(1200)
		b.suppress(list[7])
		require.Equal(t, 1199, b.load(append(list, list[3], list[1100])...), "given twice is given once")
		require.NotNil(t, b.suppressed(list[1199].Subject, ""))
		require.Zero(t, b.load(list...), "again changes nothing")
		b.refused(ask("a", 1, to(list[500].Subject)))
		require.Len(t, b.listed(ledger.SuppressionFilter{Past: true}), 1200)
	})
}

func TestAnImportThatIsInterruptedHoldsNobodyAndIsMadeAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		list := many(1200)
		stopped, stop := context.WithCancel(ctx)
		_, err := b.ImportSuppressions(stopped, func(yield func(ledger.Suppression) bool) {
			for i, s := range list {
				if i == 900 && b.count("SELECT COUNT(*) FROM suppression_entries") > 0 {
					stop()
				}
				if !yield(s) {
					return
				}
			}
		})
		require.Error(t, err)
		require.Positive(t, b.count("SELECT COUNT(*) FROM suppression_entries"))
		require.Nil(t, b.suppressed(list[0].Subject, ""))
		require.Empty(t, b.listed(ledger.SuppressionFilter{Past: true}))
		b.dial(ask("a", 1, to(list[0].Subject)))
		require.Equal(t, 1200, b.load(list...))
		require.NotNil(t, b.suppressed(list[0].Subject, ""))
	})
}

func TestEveryOpenContactConcernedIsWokenWhateverItWaitsForAndEndsWhenItAsks(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		const other = "tel:+12025550102"
		later := followup.Hold{Reason: followup.ReasonFlow, Rule: "flow: later", Until: start.Add(time.Hour)}
		claim := func(contact, target string) followup.Claim { return ask(contact, 1, to(target)).Claim() }
		for contact, target := range map[string]string{"waits": number, "elsewhere": other, "over": number} {
			require.NoError(t, b.Wait(ctx, claim(contact, target), later))
		}
		_, err := b.Finish(ctx, claim("over", number).WorkflowID, call.OutcomeCanceled, "over")
		require.NoError(t, err)
		b.place(ask("was-called", 1, to(other)))
		b.end(ask("was-called", 1, to(other)))
		b.place(ask("was-called", 2, to(number)))
		b.end(ask("was-called", 2, to(number)))
		b.woken()

		b.suppress(kept(number, "asked by letter"))
		for _, d := range b.due(ledger.ToFlows) {
			require.True(t, d.Wake && d.Recheck)
			require.NoError(t, b.Failed(ctx, d, "again", 0))
		}
		require.ElementsMatch(t, []string{"waits", "was-called"}, b.woken())
		b.suppress(keptContact("elsewhere", "complained"))
		require.Equal(t, []string{"elsewhere"}, b.woken())

		for _, goesOn := range []followup.Claim{claim("waits", ""), claim("waits", other), claim("nobody", number)} {
			refused, err := b.Recheck(ctx, goesOn)
			require.NoError(t, err)
			require.Nil(t, refused)
		}
		for range 2 { // asking again gives the same
			refused, err := b.Recheck(ctx, claim("waits", number))
			require.NoError(t, err)
			require.Equal(t, []string{"suppressed", "asked by letter", "suppression of the number, by operator anna"},
				[]string{string(refused.Outcome), refused.Reason, refused.Rule})
		}
		require.Equal(t, call.OutcomeSuppressed, b.show("waits").Outcome)
		require.Empty(t, b.show("was-called").Outcome)
	})
}

func TestAnOptOutWithoutAReasonHoldsAndDoesNotWakeWhoAskedForIt(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		later := followup.Hold{Reason: followup.ReasonFlow, Rule: "flow: later", Until: start.Add(time.Hour)}
		for _, contact := range []string{"a", "b"} {
			require.NoError(t, b.Wait(ctx, ask(contact, 1, to(number)).Claim(), later))
		}
		require.NoError(t, b.OptOut(ctx, ask("a", 1, to(number)).Claim(), "eva", ""))
		require.Equal(t, []string{"b"}, b.woken())
		refusal, _ := b.refused(ask("c", 1, to(number)))
		require.Equal(t, "opted out", refusal.Reason)
		refusal, _ = b.refused(ask("a", 1, to("tel:+12025550102")))
		require.Equal(t, "suppression of the contact, by opt-out, eva", refusal.Rule)
	})
}

func TestABotsOptOutSuppressesNumberAndContactWhateverTheFlowDoes(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1, to(number))
		b.place(r)
		b.say(r.Key, "1", call.BotResult{Kind: call.OptedOut})
		for _, s := range []*ledger.Suppression{b.suppressed(number, ""), b.suppressed("", "a")} {
			require.Equal(t, "bot", s.Source)
			require.Equal(t, "opted out in attempt "+r.Key, s.Reason)
			require.Zero(t, s.ExpiresAt)
		}
		b.end(r)
		b.refused(ask("b", 1, to(number)))
		refusal, _ := b.refused(ask("a", 2, to("tel:+12025550102")))
		require.Equal(t, "suppression of the contact, by bot", refusal.Rule)
		shown := b.show("a").Suppressed
		require.Len(t, shown, 2)
		require.Equal(t, ledger.SuppressedContact, shown[0].Kind)
		require.Len(t, b.show("b").Suppressed, 1)
		b.say(r.Key, "1", call.BotResult{Kind: call.OptedOut})
		require.Len(t, b.listed(ledger.SuppressionFilter{Past: true}), 2)
	})
}

func TestAnOptOutIsHeardInASecondResultToo(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1, to(number))
		b.place(r)
		b.say(r.Key, "1", confirmed)
		require.Nil(t, b.suppressed(number, "a"))
		b.say(r.Key, "2", call.BotResult{Kind: call.OptedOut})
		require.NotNil(t, b.suppressed(number, ""))
		require.NotNil(t, b.suppressed("", "a"))
	})
}

func TestOtherResultsAndAnOptOutThatCannotBeReadSuppressNobody(t *testing.T) {
	b := databases["SQLite"].open(t)
	for i, kind := range call.ResultKinds() {
		r := ask(fmt.Sprintf("c%d", i), 1)
		b.place(r)
		if kind == call.OptedOut {
			require.NoError(t, b.ReceiveResult(ctx, r.Key, []byte("x"), call.BotResult{Kind: kind}, "it is no JSON"))
		} else {
			b.say(r.Key, "1", call.BotResult{Kind: kind, At: start})
		}
	}
	require.Empty(t, b.listed(ledger.SuppressionFilter{Past: true}))
}

func TestWhoWaitsForTheirTurnIsWokenWhenSuppressedAndEnds(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("busy", 1))
		for _, contact := range []string{"a", "b", "c"} {
			require.NotNil(t, b.clear(ask(contact, 1)).Held)
		}
		b.woken()
		b.suppress(keptContact("a", "complained"))
		b.suppress(kept("sip:b@example.com", "complained"))
		require.ElementsMatch(t, []string{"a", "b"}, b.woken())
		b.refused(ask("a", 1))
		b.refused(ask("b", 1))
		b.end(ask("busy", 1))
		require.Equal(t, []string{"c"}, b.woken())
	})
}

// 607 is a person's word; 608 is a machine's on the way, and 480 is that of a phone that is off.
func TestByTheDefaultPolicyOnlyAnUnwantedCallSuppresses(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		for _, c := range []struct {
			sip         int
			disposition call.Disposition
			suppresses  bool
		}{{607, call.Unwanted, true}, {608, call.Blocked, false}, {480, call.Unreachable, false}, {603, call.Declined, false}, {404, call.InvalidNumber, false}} {
			b := at.open(t)
			for n := 1; ; n++ { // to the end of its retries
				r := ask("a", n, to(number))
				b.place(r)
				b.receive(r, call.Event{Status: call.StatusFailed, SIP: c.sip})
				require.Equal(t, c.disposition, b.attempt(r).Disposition)
				d := b.conclude(r, followup.Policy{})
				require.Equal(t, c.suppresses, d.Suppress, c.sip)
				if d.Final() {
					break
				}
				b.Advance(d.At.Sub(b.Now()))
			}
			s := b.suppressed(number, "")
			require.Equal(t, c.suppresses, s != nil, c.sip)
			require.Nil(t, b.suppressed("", "a"), "its other numbers may be called")
			if s != nil {
				require.Equal(t, "policy default: on.unwanted: suppress", s.Source)
			}
		}
	})
}

func TestWhatTheVersionBeforeHasSuppressedHoldsToo(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		db, err := sql.Open(b.driver, strings.TrimPrefix(b.address, "sqlite:"))
		require.NoError(t, err)
		defer db.Close()
		for range 2 {
			_, err = db.Exec(`INSERT INTO suppressions (target, at, reason, source) VALUES ('tel:+12025550101', 7, 'unwanted', 'default: on.unwanted') ON CONFLICT (target) DO NOTHING`)
			require.NoError(t, err)
		}
		b.refused(ask("a", 1, to(number)))
		require.Len(t, b.listed(ledger.SuppressionFilter{}), 1)
	})
}

// A SQLite file has one owner, and no version beside another.
func TestWhatIsSuppressedHoldsForTheVersionBeforeTooWhileThatIsAtWork(t *testing.T) {
	b := databases["PostgreSQL"].open(t)
	known := func(target string) int {
		return b.count(fmt.Sprintf("SELECT COUNT(*) FROM suppressions WHERE target = '%s'", target))
	}
	b.suppress(kept(number, "asked by letter"))
	b.suppress(kept(number, "asked by phone"))
	require.Equal(t, 1, known(number))
	require.Len(t, b.listed(ledger.SuppressionFilter{}), 2, "and it comes not back")
	b.suppress(until(start.Add(time.Hour), kept("tel:+12025550102", "for now")))
	b.suppress(keptContact("tel:+12025550103", "an id that looks like a number"))
	b.load(kept("tel:+12025550104", "a list"), kept("tel:+12025550105", "a list"))
	require.Zero(t, known("tel:+12025550102"), "which knows of no end")
	require.Zero(t, known("tel:+12025550103"))
	require.Equal(t, 1, known("tel:+12025550104"))
	for _, target := range []string{number, "tel:+12025550105"} {
		_, err := b.Unsuppress(ctx, ledger.SuppressedNumber, target, "operator eva", "signed form 7")
		require.NoError(t, err)
		require.Zero(t, known(target))
	}
}

func TestSuppressingAndClearingAtTheSameTimeLeavesOneBeforeTheOther(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		together(16, func(i int) {
			target := fmt.Sprintf("tel:+1202555010%d", i/2)
			if i%2 == 0 {
				if _, err := b.Suppress(ctx, kept(target, "now")); err != nil {
					t.Error(err)
				}
				c, err := b.Clear(ctx, ask(fmt.Sprintf("after-%d", i), 1, to(target)))
				if err != nil || c.Cleared {
					t.Errorf("%s was cleared behind its suppression: %v", target, err)
				}
				return
			}
			if _, err := b.Clear(ctx, ask(fmt.Sprintf("beside-%d", i), 1, to(target))); err != nil {
				t.Error(err)
			}
		})
	})
}
