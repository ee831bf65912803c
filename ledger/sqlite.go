package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"

	_ "modernc.org/sqlite" // the driver "sqlite", in pure Go, so that one static binary is enough
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

// sqlite is a ledger in one file.
type sqlite struct {
	write *committer
	read  *sql.DB
	lock  *flock.Flock // nil: this process does not own the file
}

// openSQLite opens a file that is the deployment's ledger, and was not moved elsewhere.
func openSQLite(ctx context.Context, path string, o Options) (*sqlite, error) {
	path = filepath.Clean(path)
	s, err := openFile(ctx, path, o)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(t *tx) error {
		m, found, err := t.move()
		if err == nil && found {
			err = m.refusal()
		}
		return err
	})
	if err != nil {
		_ = s.close()
		return nil, fmt.Errorf("open ledger %s: %w (REDIAL_DATABASE)", path, err)
	}
	return s, nil
}

func openFile(ctx context.Context, path string, o Options) (*sqlite, error) {
	s := &sqlite{}
	var err error
	if o.Owner {
		if s.lock, err = own(path); err != nil {
			return nil, err
		}
	}
	if err := s.open(ctx, path); err != nil {
		s.unlock()
		return nil, fmt.Errorf("open ledger %s: %w; check that the folder exists and is writable, and that the file is a ledger if it exists (REDIAL_DATABASE)", path, err)
	}
	return s, nil
}

func own(path string) (*flock.Flock, error) {
	lock := flock.New(path + ".lock")
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock ledger %s: %w; check that the folder exists and is writable (REDIAL_DATABASE)", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("ledger %s: %w: run all roles in that one process (redial up), or stop it; roles that run apart share a PostgreSQL database (REDIAL_DATABASE=postgres://…)",
			path, ErrOwned)
	}
	return lock, nil
}

func (s *sqlite) open(ctx context.Context, path string) error {
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
	if s.write, err = newCommitter(ctx, writer); err != nil {
		writer.Close()
		return err
	}
	s.read, err = sql.Open("sqlite", dsn(path, "ro"))
	return err
}

func dsn(path, mode string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}}
	u.RawQuery = q.Encode()
	return u.String()
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
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

func (s *sqlite) close() error {
	err := errors.Join(s.write.close(), s.read.Close())
	s.unlock()
	return err
}

func (s *sqlite) unlock() {
	if s.lock != nil {
		_ = s.lock.Unlock()
	}
}

// update shares a commit with concurrent callers; fn may therefore wait for others, but sees what they wrote.
func (s *sqlite) update(ctx context.Context, a access, fn func(*tx) error) error {
	return s.write.do(ctx, a, fn)
}

func (s *sqlite) view(ctx context.Context, fn func(*tx) error) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	begun := &sqliteSession{ctx: ctx, conn: conn}
	if err = begun.exec("BEGIN"); err != nil {
		return err
	}
	err = fn(&tx{session: begun, now: clock()})
	// Also for a caller that has gone: a connection must not go back to the pool inside a transaction.
	begun.ctx = context.WithoutCancel(ctx)
	return cmp.Or(err, begun.exec("ROLLBACK"))
}

// sqliteSession is one connection.
type sqliteSession struct {
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // prepared once per connection; nil prepares nothing
}

func (s *sqliteSession) forUpdate() string { return "" }
func (s *sqliteSession) leaveOut() string  { return "" }

func (s *sqliteSession) stmt(query string) (*sql.Stmt, error) {
	if prepared, ok := s.stmts[query]; ok {
		return prepared, nil
	}
	prepared, err := s.conn.PrepareContext(s.ctx, query)
	if err == nil {
		s.stmts[query] = prepared
	}
	return prepared, err
}

func (s *sqliteSession) exec(query string, args ...any) error {
	_, err := s.change(query, args...)
	return err
}

func (s *sqliteSession) change(query string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if s.stmts == nil {
		result, err = s.conn.ExecContext(s.ctx, query, args...)
	} else {
		var prepared *sql.Stmt
		if prepared, err = s.stmt(query); err == nil {
			result, err = prepared.ExecContext(s.ctx, args...)
		}
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *sqliteSession) rows(query string, args ...any) (rows, error) {
	if s.stmts == nil {
		return s.conn.QueryContext(s.ctx, query, args...)
	}
	prepared, err := s.stmt(query)
	if err != nil {
		return nil, err
	}
	return prepared.QueryContext(s.ctx, args...)
}

func (s *sqliteSession) wait() error { return nil }

func (s *sqliteSession) soon(read func(rows) error, query string, args ...any) error {
	rows, err := s.rows(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return read(rows)
}
