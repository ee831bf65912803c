package ledger_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

func TestContactsAreFoundByWhereTheyStandTheNewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		claim := func(contact string) followup.Claim { return ask(contact, 1).Claim() }
		b.place(ask("calling", 1))
		waits := map[string]followup.Reason{}
		for _, r := range ledger.Reasons() {
			b.Advance(time.Minute)
			contact := strings.ReplaceAll(string(r), "_", "-")
			waits[contact] = r
			require.NoError(t, b.Wait(ctx, claim(contact), followup.Hold{Reason: r, Rule: "a rule", Until: start}))
		}
		b.Advance(time.Minute)
		require.NoError(t, b.Wait(ctx, claim("done"), followup.Hold{Reason: followup.ReasonFlow, Rule: "a rule", Until: start}))
		_, err := b.Finish(ctx, claim("done").WorkflowID, call.OutcomeCanceled, "over")
		require.NoError(t, err)

		list := func(f ledger.ContactFilter) (ids []string) {
			t.Helper()
			page, err := b.Contacts(ctx, f)
			require.NoError(t, err)
			for _, line := range page {
				ids = append(ids, line.ContactID)
			}
			return ids
		}
		all := list(ledger.ContactFilter{Newest: true})
		require.Len(t, all, len(waits)+2)
		require.Equal(t, []string{"done", "calling"}, []string{all[0], all[len(all)-1]})
		require.Len(t, list(ledger.ContactFilter{Open: true}), len(waits)+1)
		require.Equal(t, []string{"done"}, list(ledger.ContactFilter{Outcome: call.OutcomeCanceled}))
		require.Len(t, list(ledger.ContactFilter{Since: start.Add(time.Second)}), len(waits)+1)
		for contact, r := range waits {
			want := []string{contact}
			if r == followup.ReasonCall {
				want = append(want, "calling")
			}
			require.Equal(t, want, list(ledger.ContactFilter{Reason: r, Newest: true}), r)
		}
		inStates := 0
		for _, s := range ledger.ContactStates() {
			page, err := b.Contacts(ctx, ledger.ContactFilter{State: s})
			require.NoError(t, err)
			require.NotEmpty(t, page, s)
			for _, line := range page {
				require.Equal(t, s, line.State, line.ContactID)
			}
			inStates += len(page)
		}
		require.Equal(t, len(all), inStates, "each contact is in one state")
		var paged []string
		for after := ""; ; {
			page, err := b.Contacts(ctx, ledger.ContactFilter{Newest: true, After: after, Limit: 3})
			require.NoError(t, err)
			for _, line := range page {
				paged, after = append(paged, line.ContactID), line.WorkflowID
			}
			if len(page) < 3 {
				break
			}
		}
		require.Equal(t, all, paged)
	})
}

func TestEveryReasonPutsAContactIntoAState(t *testing.T) {
	source, err := os.ReadFile("../followup/clearance.go")
	require.NoError(t, err)
	var declared []followup.Reason
	for _, m := range regexp.MustCompile(`Reason\w+ +Reason = "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, followup.Reason(m[1]))
	}
	require.NotEmpty(t, declared)
	require.ElementsMatch(t, declared, ledger.Reasons())
}

func TestALineSaysHowOftenAContactWasCalledAndWhatCameOfItLast(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.place(ask("anna", 1))
		b.receive(ask("anna", 1), busy)
		b.place(ask("anna", 2))
		b.end(ask("anna", 2))
		page, err := b.Contacts(ctx, ledger.ContactFilter{})
		require.NoError(t, err)
		require.Equal(t, 2, page[0].Attempts)
		require.Equal(t, call.Human, page[0].Last)
	})
}

// manyAttempts writes attempts past the ledger, a hundred contacts with a hundred each.
func (b *book) manyAttempts() int {
	b.tb.Helper()
	for i := range 100 {
		contact := fmt.Sprintf("c%02d", i)
		b.place(ask(contact, 1))
		b.end(ask(contact, 1))
		b.Advance(time.Second)
	}
	copies := `INSERT INTO attempts (key, workflow_id, n, target, state, disposition, attempt, request, owner, sends, send_by, rate_until, line_until, dialed_at, subject)
		SELECT a.key || '0' || m.n, a.workflow_id, m.n, a.target, a.state, a.disposition, a.attempt, a.request, a.owner, 1, a.send_by, a.rate_until, a.line_until, a.dialed_at + m.n %% 7, a.subject
		FROM attempts a, (%s) AS m`
	series := "WITH RECURSIVE s(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM s WHERE n < 100) SELECT n FROM s"
	b.statement(fmt.Sprintf(copies, series))
	return 10_000
}

func TestTenThousandAttemptsAreExportedInOrderEachOnceWithinLittleMemory(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		want := b.manyAttempts()
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		seen, most := map[string]bool{}, uint64(0)
		for r, err := range b.ExportAttempts(ctx, ledger.ExportFilter{}) {
			require.NoError(t, err)
			require.NotEmpty(t, r.ContactID)
			if len(seen)%1000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
			seen[fmt.Sprint(r.WorkflowID, len(seen))] = true
		}
		require.Len(t, seen, want)
		require.Less(t, int64(most)-int64(before.HeapAlloc), int64(8<<20), "an export holds a page, not all")

		keys, last := 0, time.Time{}
		for r, err := range b.ExportAttempts(ctx, ledger.ExportFilter{Since: start.Add(50 * time.Second), Until: start.Add(60 * time.Second)}) {
			require.NoError(t, err)
			require.False(t, r.DialedAt.Before(last))
			require.False(t, r.DialedAt.Before(start.Add(50*time.Second)))
			keys, last = keys+1, r.DialedAt
		}
		require.Equal(t, 1000, keys)
		for range b.ExportAttempts(ctx, ledger.ExportFilter{}) {
			break // whoever has seen enough may stop
		}
	})
}

func TestWhoDialsIsNotHeldUpByAnExport(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.manyAttempts()
		rows := 0
		for _, err := range b.ExportAttempts(ctx, ledger.ExportFilter{}) {
			require.NoError(t, err)
			if rows++; rows%2500 == 0 {
				b.place(ask(fmt.Sprintf("new%d", rows), 1)) // between its pages, and within one
			}
		}
		require.Equal(t, 10_000, rows, "what was dialed since is not in it")
	})
}

func TestContactsAreExportedAsTheyStand(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		for i := range 1203 {
			b.Advance(time.Duration(i%2) * time.Second)
			require.NoError(t, b.Wait(ctx, ask(fmt.Sprintf("c%04d", i), 1).Claim(), followup.Hold{Reason: followup.ReasonFlow, Rule: "a rule", Until: start}))
		}
		b.Advance(time.Second)
		seen := map[string]bool{}
		for r, err := range b.ExportContacts(ctx, ledger.ExportFilter{}) {
			require.NoError(t, err)
			require.Equal(t, ledger.ContactWaiting, r.State)
			seen[r.WorkflowID] = true
		}
		require.Len(t, seen, 1203)
		none, other := "", "spring"
		for campaign, want := range map[*string]int{&none: 1203, &other: 0} {
			n := 0
			for range b.ExportContacts(ctx, ledger.ExportFilter{Campaign: campaign}) {
				n++
			}
			require.Equal(t, want, n)
		}
	})
}

// escalated are contacts that people are told of: at a webhook where one is given.
func (b *book) escalated(contact, webhook string) {
	b.tb.Helper()
	b.place(ask(contact, 1))
	b.receive(ask(contact, 1), busy)
	_, err := b.Conclude(ctx, ask(contact, 1).WorkflowID, ask(contact, 1).Key, followup.Policy{Name: "strict",
		On: map[call.Disposition]followup.Rule{call.Busy: {Do: followup.VerbEscalate}}, Escalate: followup.Escalation{Webhook: webhook}})
	require.NoError(b.tb, err)
}

func (b *book) escalations(f ledger.EscalationFilter) (ids []string) {
	b.tb.Helper()
	list, err := b.Escalations(ctx, f)
	require.NoError(b.tb, err)
	for _, e := range list {
		ids = append(ids, e.ContactID)
	}
	return ids
}

func TestEscalationsWaitInTheInboxUntilSomebodyAcknowledgesThem(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.escalated("anna", "")
		b.escalated("ben", "")
		require.Equal(t, []string{"ben", "anna"}, b.escalations(ledger.EscalationFilter{}))
		require.Empty(t, b.escalations(ledger.EscalationFilter{Undelivered: true}))
		b.Advance(time.Hour)
		e, first, err := b.Acknowledge(ctx, "anna", "eva", "called her")
		require.NoError(t, err)
		require.True(t, first)
		require.Equal(t, []any{"eva", "called her", start.Add(time.Hour), 1, call.Busy, "strict: on.busy: escalate"}, []any{e.AckedBy, e.AckedNote, e.AckedAt, e.Attempts, e.Last, e.Rule})
		e, first, err = b.Acknowledge(ctx, "redial/-/anna", "ben", "")
		require.NoError(t, err)
		require.False(t, first)
		require.Equal(t, "eva", e.AckedBy, "the first stands")
		require.Equal(t, []string{"ben"}, b.escalations(ledger.EscalationFilter{}))
		require.Equal(t, []string{"ben"}, b.escalations(ledger.EscalationFilter{All: true, Limit: 1}))
		list, err := b.Escalations(ctx, ledger.EscalationFilter{All: true})
		require.NoError(t, err)
		require.Equal(t, []string{"anna"}, b.escalations(ledger.EscalationFilter{All: true, Before: list[0].ID}))
		require.Equal(t, "eva", b.show("anna").Escalation.AckedBy)

		b.place(ask("carl", 1))
		_, _, err = b.Acknowledge(ctx, "carl", "eva", "")
		require.ErrorContains(t, err, "redial/-/carl was not escalated")
		_, _, err = b.Acknowledge(ctx, "nobody", "eva", "")
		var unknown *ledger.NotFoundError
		require.ErrorAs(t, err, &unknown)
	})
}

func TestAWebhookThatIsNotTakenIsListedWithItsTriesAndStaysOwedWhenAcknowledged(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		b.escalated("anna", "https://people.example.com/")
		due := b.due(ledger.ToSystems)
		require.Len(t, due, 1)
		require.NoError(t, b.Failed(ctx, due[0], "the receiver answered 503", time.Hour))
		list, err := b.Escalations(ctx, ledger.EscalationFilter{Undelivered: true})
		require.NoError(t, err)
		require.Equal(t, []any{1, "the receiver answered 503", start.Add(time.Hour)}, []any{list[0].Tries, list[0].LastError, list[0].NextTryAt})
		_, _, err = b.Acknowledge(ctx, "anna", "eva", "")
		require.NoError(t, err)
		require.Empty(t, b.escalations(ledger.EscalationFilter{}))
		b.Advance(time.Hour)
		due = b.due(ledger.ToSystems)
		require.Len(t, due, 1)
		require.NoError(t, b.Delivered(ctx, due[0], false))
		require.Empty(t, b.escalations(ledger.EscalationFilter{Undelivered: true}))
		require.Zero(t, b.show("anna").Escalation.NextTryAt)
	})
}

func TestAnEscalationTellsTheWholeStoryAndTheSameOneAtEveryTry(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		b := d.open(t)
		require.NoError(t, b.Wait(ctx, ask("anna", 1).Claim(), followup.Hold{Reason: followup.ReasonFlow, Rule: "until the shop opens", Until: start}))
		require.NoError(t, b.Note(ctx, "redial/-/anna", []followup.Note{{N: 1, At: start, Text: "the order is late"}}))
		require.NoError(t, b.ReceiveResult(ctx, ask("anna", 1).Key, []byte("x"), call.BotResult{}, "it is no JSON"))
		b.escalated("anna", "https://people.example.com/")
		require.NoError(t, b.ReceiveResult(ctx, ask("anna", 1).Key, []byte("{}"), call.BotResult{Kind: call.Confirmed}, ""))
		first := b.due(ledger.ToSystems)[0]
		var told struct {
			ContactID string `json:"contact_id"`
			Reason    string
			Attempts  []call.Attempt
			Decisions []ledger.Decision
			Results   []ledger.Result
		}
		require.NoError(t, json.Unmarshal(first.Webhook.Body, &told))
		require.Equal(t, []string{"anna", "busy"}, []string{told.ContactID, told.Reason})
		require.Len(t, told.Attempts, 1)
		require.Len(t, told.Results, 1)
		var kinds []string
		for _, d := range told.Decisions {
			kinds = append(kinds, d.Kind+": "+d.Reason)
		}
		require.Equal(t, []string{"held: flow", "note: the order is late", "cleared: no rule forbids the call"}, kinds)
		require.NoError(t, b.Failed(ctx, first, "away", time.Second))
		b.Advance(time.Second)
		require.Equal(t, string(first.Webhook.Body), string(b.due(ledger.ToSystems)[0].Webhook.Body))
	})
}

func TestWhoHasSeenToAnEscalationMovesWithTheLedger(t *testing.T) {
	b := databases["SQLite"].open(t)
	b.escalated("anna", "")
	b.escalated("ben", "https://people.example.com/")
	_, _, err := b.Acknowledge(ctx, "anna", "eva", "called her")
	require.NoError(t, err)
	before, err := b.Escalations(ctx, ledger.EscalationFilter{All: true})
	require.NoError(t, err)
	require.NoError(t, b.Ledger.Close())
	address := postgrestest.Database(t)
	_, err = ledger.Move(ctx, b.address, address)
	require.NoError(t, err)
	after, err := process(t, address).Escalations(ctx, ledger.EscalationFilter{All: true})
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, "eva", after[1].AckedBy)
}
