package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxGroup is how many writes share a commit at most: enough that an fsync is no limit, few enough that the first of
// them does not wait long for the last.
const maxGroup = 256

// committer runs writes one after the other on one connection, as many to a commit as are waiting. SQLite has one
// writer anyway; queueing here instead of at its lock makes the wait fair and the fsync shared.
type committer struct {
	db     *sql.DB
	conn   *sql.Conn
	writes chan *write
	stmts  map[string]*sql.Stmt

	mu     sync.RWMutex // guards closed against senders
	closed bool
	idle   chan struct{}
}

type write struct {
	ctx  context.Context
	fn   func(*tx) error
	err  error
	done chan struct{}
}

var errClosed = errors.New("the ledger is closed")

func newCommitter(ctx context.Context, db *sql.DB) (*committer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &committer{db: db, conn: conn, writes: make(chan *write, 2*maxGroup), stmts: map[string]*sql.Stmt{}, idle: make(chan struct{})}
	go c.run()
	return c, nil
}

func (c *committer) close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.writes)
	}
	c.mu.Unlock()
	<-c.idle
	return errors.Join(c.conn.Close(), c.db.Close())
}

// do runs fn in the next transaction and returns when it is on disk. A context that ends while fn waits for its turn
// withdraws it; one that ends later does not, because the commit may already be under way.
func (c *committer) do(ctx context.Context, fn func(*tx) error) error {
	w := &write{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := c.send(w); err != nil {
		return err
	}
	<-w.done
	return w.err
}

func (c *committer) send(w *write) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return errClosed
	}
	select {
	case c.writes <- w:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

func (c *committer) run() {
	defer close(c.idle)
	for first := range c.writes {
		group := append(make([]*write, 0, maxGroup), first)
	fill:
		for len(group) < maxGroup {
			select {
			case w, open := <-c.writes:
				if !open {
					break fill
				}
				group = append(group, w)
			default:
				break fill
			}
		}
		c.commit(group)
	}
}

// commit runs a group of writes in one transaction. Each stands behind a savepoint, so that one that fails takes back
// its own changes only; when the commit itself fails, all of them have failed. A write that is alone needs no savepoint,
// which would copy every page that it changes: what it has to take back is the transaction.
func (c *committer) commit(group []*write) {
	s := &sqliteSession{ctx: context.Background(), conn: c.conn, stmts: c.stmts}
	run := s.guarded
	if len(group) == 1 {
		run = s.caught
	}
	err := s.exec("BEGIN IMMEDIATE")
	for _, w := range group {
		switch {
		case err != nil:
			w.err = err
		case w.ctx.Err() != nil:
			w.err = w.ctx.Err()
		default:
			w.err = run(w.fn)
		}
	}
	switch {
	case err != nil:
	case len(group) == 1 && group[0].err != nil:
		_ = s.exec("ROLLBACK")
	default:
		if err = s.exec("COMMIT"); err != nil {
			_ = s.exec("ROLLBACK")
		}
	}
	for _, w := range group {
		if err != nil && w.err == nil {
			w.err = err
		}
		close(w.done)
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
	return caught(fn, &tx{session: s, now: time.Now().UTC()})
}

func caught(fn func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return fn(t)
}
