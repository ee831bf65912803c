package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"

	_ "modernc.org/sqlite" // the driver "sqlite", in pure Go, so that one static binary is enough
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options say how a ledger is opened. The zero value asks for nothing special.
type Options struct {
	// Owner takes the file for this process alone: workers, webhooks and relays need it. Short commands open without.
	Owner bool
	// Allow tells whether this deployment may dial a target; nil allows all.
	Allow func(target string) bool
	// Now is the clock; nil is the system's. For tests.
	Now func() time.Time
}

// Ledger is an open ledger. Its methods may be called by many goroutines at once.
type Ledger struct {
	write   *committer
	read    *sql.DB
	lock    *flock.Flock
	allow   func(string) bool
	now     func() time.Time
	changed chan struct{}
}

// ErrOwned is returned when another process owns the file.
var ErrOwned = errors.New("the ledger is owned by another redial process")

// Open opens the ledger at address, "sqlite:PATH", and brings its tables up to date. Errors are one line that names the
// address and the remedy.
func Open(ctx context.Context, address string, o Options) (*Ledger, error) {
	path, err := sqlitePath(address)
	if err != nil {
		return nil, err
	}
	l := &Ledger{allow: o.Allow, now: o.Now, changed: make(chan struct{}, 1)}
	if l.allow == nil {
		l.allow = func(string) bool { return true }
	}
	if l.now == nil {
		l.now = time.Now
	}
	if o.Owner {
		if l.lock, err = own(path); err != nil {
			return nil, err
		}
	}
	if err := l.open(ctx, path); err != nil {
		l.unlock()
		return nil, fmt.Errorf("open ledger %s: %w; check that the folder exists and is writable, and that the file is a ledger if it exists (REDIAL_DATABASE)", path, err)
	}
	return l, nil
}

func sqlitePath(address string) (string, error) {
	scheme, path, found := strings.Cut(address, ":")
	switch {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return "", fmt.Errorf("REDIAL_DATABASE=%s://…: PostgreSQL is not supported by this version: use sqlite:FILE", scheme)
	case !found || scheme != "sqlite" || path == "" || strings.HasPrefix(path, ":memory:"):
		return "", fmt.Errorf("REDIAL_DATABASE=%q is no ledger address: write sqlite:FILE, for example sqlite:redial.db", address)
	}
	return filepath.Clean(path), nil
}

func own(path string) (*flock.Flock, error) {
	lock := flock.New(path + ".lock")
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock ledger %s: %w; check that the folder exists and is writable (REDIAL_DATABASE)", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("ledger %s: %w: stop that process, or give this one a file of its own (REDIAL_DATABASE)", path, ErrOwned)
	}
	return lock, nil
}

func (l *Ledger) open(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errors.New("it is a folder")
	}
	writer, err := sql.Open("sqlite", dsn(path, "rwc"))
	if err != nil {
		return err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer); err != nil {
		writer.Close()
		return err
	}
	if l.write, err = newCommitter(ctx, writer); err != nil {
		writer.Close()
		return err
	}
	l.read, err = sql.Open("sqlite", dsn(path, "ro"))
	return err
}

func dsn(path, mode string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}}
	u.RawQuery = q.Encode()
	return u.String()
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Close waits for writes under way and gives the file back.
func (l *Ledger) Close() error {
	err := errors.Join(l.write.close(), l.read.Close())
	l.unlock()
	return err
}

func (l *Ledger) unlock() {
	if l.lock != nil {
		_ = l.lock.Unlock()
	}
}

// Ready tells whether the ledger can be written now.
func (l *Ledger) Ready(ctx context.Context) error {
	return l.write.do(ctx, func(t *tx) error { return t.exec("UPDATE accounts SET name = name WHERE name = ?", account) })
}

// Changed is sent to whenever something may have become due for delivery. One receiver is served: the relay.
func (l *Ledger) Changed() <-chan struct{} { return l.changed }

// update runs fn in a transaction that is durable when update returns nil. Writes of concurrent callers share a commit;
// fn may therefore wait for others, but sees what they wrote.
func (l *Ledger) update(ctx context.Context, operation string, fn func(*tx) error) error {
	var owed bool
	err := l.write.do(ctx, func(t *tx) error {
		t.now = l.now().UTC()
		t.owed = false
		err := fn(t)
		owed = t.owed
		return err
	})
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", operation, err)
	}
	if owed {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// view runs fn on one consistent picture of the ledger.
func (l *Ledger) view(ctx context.Context, operation string, fn func(*tx) error) error {
	conn, err := l.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", operation, err)
	}
	defer conn.Close()
	t := &tx{ctx: ctx, conn: conn, now: l.now().UTC()}
	if err = t.exec("BEGIN"); err == nil {
		err = fn(t)
		// Also for a caller that has gone: a connection must not go back to the pool inside a transaction.
		t.ctx = context.WithoutCancel(ctx)
		err = errors.Join(err, t.exec("ROLLBACK"))
	}
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", operation, err)
	}
	return nil
}
