package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxGroup is how many writes share a commit at most: enough that an fsync is no limit, few enough that the first of
// them does not wait long for the last.
const maxGroup = 256

// committer runs writes one after the other on one connection, as many to a commit as are waiting. SQLite has one
// writer anyway; queueing here instead of at its lock makes the wait fair and the fsync shared.
type committer struct {
	*batcher
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newCommitter(ctx context.Context, db *sql.DB) (*committer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &committer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}
	c.batcher = newBatcher(1, maxGroup, c.together)
	return c, nil
}

func (c *committer) close() error {
	c.end()
	return errors.Join(c.conn.Close(), c.db.Close())
}

// together runs a group of writes in one transaction. Each stands behind a savepoint, so that one that fails takes back
// its own changes only; when the commit itself fails, all of them have failed. A write that is alone needs no savepoint,
// which would copy every page that it changes: what it has to take back is the transaction.
func (c *committer) together(group []*write) {
	s := &sqliteSession{ctx: context.Background(), conn: c.conn, stmts: c.stmts}
	run := s.guarded
	if len(group) == 1 {
		run = s.caught
	}
	errs := make([]error, len(group))
	err := s.exec("BEGIN IMMEDIATE")
	for i, w := range group {
		if err == nil {
			errs[i] = run(w.fn)
		}
	}
	switch {
	case err != nil:
	case len(group) == 1 && errs[0] != nil:
		_ = s.exec("ROLLBACK")
	default:
		if err = s.exec("COMMIT"); err != nil {
			_ = s.exec("ROLLBACK")
		}
	}
	for i, w := range group {
		w.settle(cmp.Or(errs[i], err))
	}
}

// guarded runs fn behind a savepoint.
func (s *sqliteSession) guarded(fn func(*tx) error) error {
	if err := s.exec("SAVEPOINT write"); err != nil {
		return err
	}
	err := s.caught(fn)
	if err != nil {
		err = errors.Join(err, s.exec("ROLLBACK TO write"))
	}
	return errors.Join(err, s.exec("RELEASE write"))
}

// caught runs fn; a panic is an error.
func (s *sqliteSession) caught(fn func(*tx) error) error {
	return caught(fn, &tx{session: s, now: clock()})
}

func caught(fn func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn(t)
}
