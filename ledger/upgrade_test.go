package ledger_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
)

// old is a database past the ledger, as the version before the calling rules has it.
type old struct {
	tb testing.TB
	*sql.DB
}

func (d database) past(tb testing.TB, address string) old {
	tb.Helper()
	db, err := sql.Open(d.driver, strings.TrimPrefix(address, "sqlite:"))
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	return old{tb, db}
}

func (o old) exec(query string, args ...any) {
	o.tb.Helper()
	_, err := o.Exec(query, args...)
	require.NoError(o.tb, err)
}

// dial writes what that version does when it dials, and again when the call could not be placed.
func (o old) dial(r followup.ClearanceRequest, at time.Time) {
	o.tb.Helper()
	o.exec(`INSERT INTO contacts (workflow_id, contact_id, campaign, first_run_id, target, opened_at) VALUES ($1, $2, '', $3, $4, $5) ON CONFLICT (workflow_id) DO NOTHING`,
		r.WorkflowID, r.ContactID, r.FirstRunID, r.Request.To.URI, at.UnixMicro())
	o.exec(`INSERT INTO attempts (key, workflow_id, n, target, state, attempt, request, owner, sends, send_by, rate_until, line_until, mid_call)
		VALUES ($1, $2, $3, $4, 'placed', $5, '{}', 'o', 1, $6, $6, $7, FALSE)
		ON CONFLICT (key) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, sends = attempts.sends + 1, send_by = excluded.send_by,
			rate_until = excluded.rate_until, line_until = excluded.line_until`,
		r.Key, r.WorkflowID, r.N, r.Request.To.URI, fmt.Sprintf(`{"n":%d,"key":%q,"state":"placed"}`, r.N, r.Key),
		at.Add(followup.SendWithin).UnixMicro(), at.Add(hearFor).UnixMicro())
}

// end writes what it does when a call has ended, and its bot has said something.
func (o old) end(r followup.ClearanceRequest, at time.Time, as call.Disposition, said string) {
	o.tb.Helper()
	o.exec(`UPDATE attempts SET state = 'ended', disposition = $1, attempt = $2, line_until = $3 WHERE key = $4`, string(as),
		fmt.Sprintf(`{"n":%d,"key":%q,"state":"ended","disposition":%q}`, r.N, r.Key, as), at.UnixMicro(), r.Key)
	if said != "" {
		o.exec(`INSERT INTO results (attempt_key, received_at, raw, result, note) VALUES ($1, $2, $3, $4, '')`, r.Key, at.UnixMicro(), []byte("{}"),
			fmt.Sprintf(`{"attempt_key":"","result":%q,"data":"a \\u0000 result"}`, said))
	}
}

// counted holds what calls are counted that the version before has made.
func (b *book) counted() {
	t := b.tb
	t.Helper()
	const other = "tel:+12025550102"
	limit := atMost(2, 24*time.Hour, followup.ByNumber)
	require.WithinDuration(t, start.Add(25*time.Hour+followup.SendWithin), b.held(ask("carl", 1, to(number), limit)).NotBefore, time.Second, "by number")
	require.Equal(t, followup.ReasonLimit, b.held(ask("anna", 3, to(other), atMost(2, 24*time.Hour, followup.ByContact))).Reason, "by contact")
	require.Equal(t, followup.ReasonLimit, b.held(ask("anna", 3, to(other), atMost(2, 24*time.Hour, followup.BySubject))).Reason, "by subject")
	for event, ended := range map[followup.Event]time.Duration{followup.EventConversation: 3 * time.Hour, followup.EventRefusal: 2*time.Hour + time.Minute} {
		held := b.held(ask("anna", 3, to(other), ruled(followup.Rules{Quiet: []followup.Quiet{{After: event, For: followup.Duration(24 * time.Hour), By: followup.ByContact}}})))
		require.Equal(t, followup.ReasonQuiet, held.Reason, event)
		require.WithinDuration(t, start.Add(ended+24*time.Hour), held.NotBefore, time.Second, event)
	}
}

// before writes the calls that are counted.
func (o old) before() {
	o.tb.Helper()
	o.dial(ask("anna", 1, to(number)), start)
	o.dial(ask("anna", 1, to(number)), start.Add(time.Hour))
	o.end(ask("anna", 1), start.Add(3*time.Hour), call.Human, "")
	o.dial(ask("anna", 2, to(number)), start.Add(2*time.Hour))
	o.end(ask("anna", 2), start.Add(2*time.Hour+time.Minute), call.Machine, "declined")
}

func TestWhatTheVersionBeforeTheRulesHasDialedIsCountedAfterTheUpgrade(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		require.NoError(t, b.Ledger.Close())
		dialect, folder, before := goose.DialectSQLite3, "migrations/sqlite", int64(5)
		if b.driver == "pgx" {
			dialect, folder, before = goose.DialectPostgres, "migrations/postgres", 4
		}
		past := at.past(t, b.address)
		p, err := goose.NewProvider(dialect, past.DB, os.DirFS(folder))
		require.NoError(t, err)
		_, err = p.DownTo(ctx, before)
		require.NoError(t, err)
		past.before()
		_, err = p.Up(ctx)
		require.NoError(t, err)
		b.Ledger = nil
		b.reopen()
		b.Advance(4 * time.Hour)
		b.counted()
	})
}

// A SQLite file has one owner, and no version beside another.
func TestWhatTheVersionBeforeTheRulesDialsWhileItIsReplacedIsCounted(t *testing.T) {
	at := databases["PostgreSQL"]
	b := at.open(t)
	at.past(t, b.address).before()
	b.Advance(4 * time.Hour)
	b.counted()
}
