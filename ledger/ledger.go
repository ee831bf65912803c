package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"redial/followup"
)

// Options say how a ledger is opened. The zero value asks for nothing special.
type Options struct {
	// Owner takes a SQLite file for this process alone: workers, webhooks and relays need it. Short commands open without.
	// PostgreSQL is shared by as many processes as there are, and has no owner.
	Owner bool
	// Migrate brings the tables of a PostgreSQL database up to date, which needs the right to change them; without it, tables
	// that are too old are an error. A SQLite file is always brought up to date.
	Migrate bool
	// Allow tells whether this deployment may dial a target; nil allows all.
	Allow func(target string) bool
	// Ceilings are limits that hold for every policy which does not say otherwise.
	Ceilings []followup.Limit
	// Now is the clock; nil is the database's: the system's for SQLite, the server's for PostgreSQL. For tests.
	Now func() time.Time
}

// Ledger is an open ledger. Its methods may be called by many goroutines at once.
type Ledger struct {
	db       database
	allow    func(string) bool
	ceilings []followup.Limit
	now      func() time.Time
	changed  chan struct{}
}

var (
	// ErrOwned is returned when another process owns the file.
	ErrOwned = errors.New("another redial process owns it")
	// ErrAway is returned when the database server could not be reached, or does not serve yet.
	ErrAway = errors.New("its server is away")
)

// database is what SQLite and PostgreSQL do in different ways.
type database interface {
	// update runs fn in a transaction that is durable when update returns nil. It may run fn more than once; only what the last
	// run did counts.
	update(ctx context.Context, a access, fn func(*tx) error) error
	// view runs fn on one consistent picture.
	view(ctx context.Context, fn func(*tx) error) error
	close() error
}

// access is how much of the ledger a transaction needs for itself. SQLite has one writer, and gives all of it to each.
type access struct {
	share   int
	attempt string // the key of an attempt that it reads first; "": of none
}

var (
	// whole: nothing else changes what calls occupy or are promised while this transaction runs. Whoever counts capacity, or gives
	// it out, needs the whole ledger.
	whole = access{share: 0}
	// part: others that take a part may run at the same time. A transaction that only frees capacity takes a part: it misses
	// nobody who starts to wait meanwhile, because that takes the whole. To whom the capacity goes is left to a relay.
	part = access{share: 1}
	// apart: the transaction touches nothing that capacity is counted from.
	apart = access{share: 2}
)

// of is access by whoever reads this attempt first: it is read on the way then.
func (a access) of(attempt string) access {
	a.attempt = attempt
	return a
}

// Open opens the ledger at address: "sqlite:FILE", or a PostgreSQL URL, "postgres://user:password@host/database". Errors are one
// line that names the address, without its password, and the remedy.
func Open(ctx context.Context, address string, o Options) (*Ledger, error) {
	l := &Ledger{allow: o.Allow, ceilings: o.Ceilings, now: o.Now, changed: make(chan struct{}, 1)}
	if l.allow == nil {
		l.allow = func(string) bool { return true }
	}
	scheme, rest, _ := strings.Cut(address, ":")
	var err error
	switch {
	case scheme == "sqlite" && rest != "" && !strings.HasPrefix(rest, ":memory:"):
		l.db, err = openSQLite(ctx, rest, o)
	case scheme == "postgres" || scheme == "postgresql":
		l.db, err = openPostgres(ctx, address, o)
	default:
		err = fmt.Errorf("REDIAL_DATABASE=%q is no ledger address: write sqlite:FILE, for example sqlite:redial.db, or postgres://user:password@host/database",
			Name(address))
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// unshown stands for an address in which a password may be anywhere.
const unshown = "…"

// Name is an address as it may be shown: without a password, and without anything that may be a part of one.
func Name(address string) string {
	scheme, rest, found := strings.Cut(address, ":")
	if scheme == "sqlite" || !found && !strings.ContainsAny(address, "=@ ") {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || scheme != "postgres" && scheme != "postgresql" || u.Host == "" || strings.Contains(u.EscapedPath()+u.RawQuery+u.Fragment, "@") {
		if found && !strings.ContainsAny(scheme, "=@ /") && !strings.ContainsAny(rest, "=@") {
			return address // somebody's slip, in which no password can be
		}
		return unshown
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

// Close waits for writes under way and gives a file back.
func (l *Ledger) Close() error { return l.db.close() }

// Ready tells whether the ledger can be written now.
func (l *Ledger) Ready(ctx context.Context) error {
	return l.update(ctx, apart, "write", func(t *tx) error { return t.exec("UPDATE accounts SET name = name WHERE name = ?", account) })
}

// Changed is sent to whenever something may have become due for delivery by what this process wrote. One receiver is served: the
// relay.
func (l *Ledger) Changed() <-chan struct{} { return l.changed }

// update runs fn in a transaction that is durable when update returns nil.
func (l *Ledger) update(ctx context.Context, a access, operation string, fn func(*tx) error) error {
	var last *tx
	err := l.db.update(ctx, a, func(t *tx) error {
		l.set(t)
		last = t
		return fn(t)
	})
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", operation, err)
	}
	if last.owed { // which may be known as late as its commit
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// view runs fn on one consistent picture of the ledger.
func (l *Ledger) view(ctx context.Context, operation string, fn func(*tx) error) error {
	err := l.db.view(ctx, func(t *tx) error {
		l.set(t)
		return fn(t)
	})
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", operation, err)
	}
	return nil
}

// set sets the clock of a transaction.
func (l *Ledger) set(t *tx) {
	if l.now != nil {
		t.now, t.ahead = l.now().UTC(), 0
	}
}
