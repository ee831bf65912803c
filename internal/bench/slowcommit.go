package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	sqlitedriver "modernc.org/sqlite"

	"redial/internal/process"
)

// slower is how much slower commits are made.
const slower = 3 * time.Millisecond

// slowName is the file name of a ledger whose commits can be made slower.
const slowName = "slow.db"

// commitDelay is how long every commit to a file of that name waits, in nanoseconds.
var commitDelay atomic.Int64

// registerSlowCommits puts a wait into the commits of files named slowName, by SQLite's own commit hook: it runs in the
// committing connection, with the write lock held, before anything is synced. That is where a slower disk would make it
// wait, and the ledger knows nothing of it. The driver wants it registered before any file is opened.
func registerSlowCommits() {
	sqlitedriver.RegisterConnectionHook(func(connection sqlitedriver.ExecQuerierContext, dsn string) error {
		if hooks, ok := connection.(sqlitedriver.HookRegisterer); ok && strings.Contains(dsn, slowName) {
			hooks.RegisterCommitHook(func() int32 {
				if delay := time.Duration(commitDelay.Load()); delay > 0 {
					time.Sleep(delay)
				}
				return 0 // go on
			})
		}
		return nil
	})
}

// slowCommits makes every commit of the ledger's database slower from now on, and says how.
func (w *listening) slowCommits(ctx context.Context) (how string, err error) {
	if w.postgres == nil {
		commitDelay.Store(int64(slower))
		return "a slower commit waits in SQLite's commit hook, with the write lock held", nil
	}
	conn, err := pgx.Connect(ctx, w.postgres.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	before, err := timeCommit(ctx, conn)
	if err != nil {
		return "", err
	}
	if err := delayFlushes(ctx, conn); err != nil {
		return "", err
	}
	after, err := timeCommit(ctx, conn)
	if err == nil && after < slower {
		err = fmt.Errorf("with commit_delay a commit took %s, which is less than the delay", after)
	}
	return fmt.Sprintf("a slower commit is PostgreSQL's commit_delay with commit_siblings 0: before a flush of the log its process waits 3 ms with "+
		"the log's write lock held, and then flushes for all that came to their commit meanwhile, for whom a slow disk would have to be asked again "+
		"(a commit alone took %.1f ms, and %.1f ms slowed)", milliseconds(before), milliseconds(after)), err
}

// delayFlushes makes every flush of the write-ahead log wait, in all connections.
func delayFlushes(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{
		fmt.Sprintf("ALTER SYSTEM SET commit_delay = %d", slower.Microseconds()),
		"ALTER SYSTEM SET commit_siblings = 0", // or only those who commit beside others would wait
		"SELECT pg_reload_conf()",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return process.Until(ctx, func(ctx context.Context) error {
		var delay, siblings int
		err := conn.QueryRow(ctx, "SELECT current_setting('commit_delay')::INT, current_setting('commit_siblings')::INT").Scan(&delay, &siblings)
		if err == nil && (delay != int(slower.Microseconds()) || siblings != 0) {
			err = fmt.Errorf("commit_delay is still %d, and commit_siblings %d", delay, siblings)
		}
		return err
	})
}

// timeCommit is the median time of a commit of almost nothing.
func timeCommit(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	var took []float64
	for range 50 {
		begin := time.Now()
		if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'bench', '')"); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begin)))
	}
	return time.Duration(median(took)), nil
}
