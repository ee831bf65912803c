package ledger_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
)

// clock is a clock that moves when a test says so.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// database makes ledgers of one kind, with nothing in them.
type database struct {
	driver string
	fresh  func(testing.TB) (address string)
}

var databases = map[string]database{
	"SQLite":     {"sqlite", freshFile},
	"PostgreSQL": {"pgx", freshDatabase},
}

// onEach holds a promise on both databases.
func onEach(t *testing.T, test func(*testing.T, database)) {
	t.Helper()
	for name, d := range databases {
		t.Run(name, func(t *testing.T) { test(t, d) })
	}
}

func freshFile(tb testing.TB) string {
	path := filepath.Join(tb.TempDir(), "redial.db")
	require.NoError(tb, os.WriteFile(path, migrated(), 0o600))
	return "sqlite:" + path
}

// migrated is a ledger with nothing in it: making its tables takes longer than most tests do.
var migrated = sync.OnceValue(func() []byte {
	folder, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "redial.db")
	l, err := ledger.Open(ctx, "sqlite:"+path, ledger.Options{})
	if err == nil {
		err = l.Close()
	}
	file, readErr := os.ReadFile(path)
	if err := errors.Join(err, readErr); err != nil {
		panic(err)
	}
	return file
})

func freshDatabase(tb testing.TB) string {
	return postgrestest.Template(tb, "ledger", func(url string) error {
		l, err := ledger.Open(ctx, url, ledger.Options{Migrate: true})
		if err != nil {
			return err
		}
		return l.Close()
	})
}

// query runs a statement on a PostgreSQL database, past the ledger.
func query(tb testing.TB, address, statement string) {
	tb.Helper()
	db, err := sql.Open("pgx", address)
	require.NoError(tb, err)
	defer db.Close()
	_, err = db.Exec(statement)
	require.NoError(tb, err)
}

// book is a ledger on a real database under a clock of its own.
type book struct {
	*ledger.Ledger
	*clock
	database
	tb      testing.TB
	address string
}

func (d database) open(tb testing.TB) *book {
	tb.Helper()
	b := &book{tb: tb, database: d, clock: &clock{at: start}, address: d.fresh(tb)}
	b.reopen()
	tb.Cleanup(func() { _ = b.Ledger.Close() })
	return b
}

// reopen closes the ledger, as a process does that ends, and opens it again.
func (b *book) reopen() {
	b.tb.Helper()
	if b.Ledger != nil {
		require.NoError(b.tb, b.Ledger.Close())
	}
	var err error
	b.Ledger, err = ledger.Open(ctx, b.address, ledger.Options{Owner: true, Now: b.Now})
	require.NoError(b.tb, err)
}

const (
	hearFor = 10 * time.Minute
	number  = "tel:+12025550101"
)

// ask is the n-th attempt of a contact, to a number of its own unless to is given.
func ask(contact string, n int, change ...func(*followup.ClearanceRequest)) followup.ClearanceRequest {
	id := "redial/-/" + contact
	r := followup.ClearanceRequest{Key: call.AttemptKey(id, "run", n), N: n, WorkflowID: id, FirstRunID: "run", ContactID: contact,
		Request: call.DialRequest{To: call.Target{URI: "sip:" + contact + "@example.com"}, Caller: "c", MachineDetection: call.DetectionDetect},
		HearFor: hearFor, Owner: "run/1/1"}
	for _, c := range change {
		c(&r)
	}
	return r
}

func to(uri string) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Request.To.URI = uri }
}
func by(owner string) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Owner = owner }
}
func midCall(r *followup.ClearanceRequest) { r.MidCall = true }

func (b *book) clear(r followup.ClearanceRequest) followup.Clearance {
	b.tb.Helper()
	c, err := b.Clear(ctx, r)
	require.NoError(b.tb, err)
	given := 0
	for _, is := range []bool{c.Cleared, c.Recorded, c.Held != nil, c.Refused != nil} {
		if is {
			given++
		}
	}
	require.Equal(b.tb, 1, given, "exactly one answer is given: %+v", c)
	return c
}

// dial clears an attempt that nothing forbids.
func (b *book) dial(r followup.ClearanceRequest) {
	b.tb.Helper()
	c := b.clear(r)
	require.True(b.tb, c.Cleared, "%+v %+v %+v", c.Held, c.Refused, c.Attempt)
}

func (b *book) answer(r followup.ClearanceRequest, d call.DialAnswer) call.Attempt {
	b.tb.Helper()
	a, err := b.Answer(ctx, r.Key, r.Owner, d)
	require.NoError(b.tb, err)
	return a
}

// place dials, and the gateway takes the call.
func (b *book) place(r followup.ClearanceRequest) {
	b.tb.Helper()
	b.dial(r)
	require.Equal(b.tb, call.StatePlaced, b.answer(r, call.DialAnswer{Class: call.AnswerPlaced, SID: "s-" + r.Key}).State)
}

func (b *book) receive(r followup.ClearanceRequest, events ...call.Event) {
	b.tb.Helper()
	require.NoError(b.tb, b.Receive(ctx, r.Key, fmt.Appendf(nil, "%v", events), events, ""))
}

var (
	human = call.Event{Status: call.StatusCompleted, AMD: call.AMDHuman, Duration: 14 * time.Second}
	busy  = call.Event{Status: call.StatusFailed, SIP: 486, Reason: "486 Busy Here"}
	ended = call.Event{Status: call.StatusCompleted, AMD: "detect", Duration: 14 * time.Second} // names no verdict
	heard = call.Event{Status: call.StatusProgress, AMD: call.AMDMachine}
)

// end is a call that ended with nobody's fault.
func (b *book) end(r followup.ClearanceRequest) { b.tb.Helper(); b.receive(r, human) }

// called are contacts that had their first attempt.
func (b *book) called(contacts ...string) {
	b.tb.Helper()
	for _, c := range contacts {
		b.place(ask(c, 1))
		b.end(ask(c, 1))
	}
	b.woken()
}

func (b *book) show(contact string) ledger.Contact {
	b.tb.Helper()
	c, err := b.Show(ctx, contact)
	require.NoError(b.tb, err)
	return c
}

func (b *book) attempt(r followup.ClearanceRequest) call.Attempt {
	b.tb.Helper()
	return b.show(r.ContactID).Attempts[r.N-1].Attempt
}

func (b *book) due(lane ledger.Lane) []ledger.Delivery {
	b.tb.Helper()
	due, err := b.Due(ctx, lane, 1000)
	require.NoError(b.tb, err)
	return due
}

// wakes lets the relay look at its clock, and returns the contacts that are woken.
func (b *book) wakes() []string {
	b.tb.Helper()
	_, err := b.Tick(ctx)
	require.NoError(b.tb, err)
	return b.woken()
}

// woken takes what is due for flows, settles it, and returns the contacts that are woken. On PostgreSQL a relay has to grant what a
// transaction has freed that had a part of the ledger; it is told to, and does so here.
func (b *book) woken() []string {
	b.tb.Helper()
	if b.driver == "pgx" {
		select {
		case <-b.Changed():
			_, err := b.Tick(ctx)
			require.NoError(b.tb, err)
		default:
		}
	}
	var woken []string
	for _, d := range b.due(ledger.ToFlows) {
		if d.Wake {
			woken = append(woken, d.WorkflowID[len("redial/-/"):])
		}
		require.NoError(b.tb, b.Delivered(ctx, d, false))
	}
	return woken
}

// deliveries are the attempts that are due to be told.
func (b *book) deliveries() []ledger.Delivery {
	b.tb.Helper()
	var attempts []ledger.Delivery
	for _, d := range b.due(ledger.ToFlows) {
		if d.Attempt != nil {
			attempts = append(attempts, d)
		}
	}
	return attempts
}

func (b *book) limits(lines, rate int, window time.Duration) {
	b.tb.Helper()
	require.NoError(b.tb, b.SetLimits(ctx, lines, rate, window))
}

func (b *book) dials() int {
	b.tb.Helper()
	n, err := b.Dials(ctx)
	require.NoError(b.tb, err)
	return n
}

// together runs fn n times at once and waits for all.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-begin; fn(i) })
	}
	close(begin)
	wg.Wait()
}

// statement changes the database itself, past the ledger.
func (b *book) statement(statement string) {
	b.tb.Helper()
	db, err := sql.Open(b.driver, strings.TrimPrefix(b.address, "sqlite:"))
	require.NoError(b.tb, err)
	defer db.Close()
	_, err = db.Exec(statement)
	require.NoError(b.tb, err)
}

// count asks the database itself, past the ledger.
func (b *book) count(query string) (n int) {
	b.tb.Helper()
	db, err := sql.Open(b.driver, strings.TrimPrefix(b.address, "sqlite:"))
	require.NoError(b.tb, err)
	defer db.Close()
	require.NoError(b.tb, db.QueryRow(query).Scan(&n))
	return n
}
