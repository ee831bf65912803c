package main

import (
	"strings"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

// slowName is the file name of a ledger whose commits can be made slower.
const slowName = "slow.db"

// commitDelay is how long every commit to a file of that name waits, in nanoseconds.
var commitDelay atomic.Int64

// registerSlowCommits puts a wait into the commits of files named slowName, by SQLite's own commit hook: it runs in the
// committing connection, with the write lock held, before anything is synced. That is where a slower disk would make it
// wait, and the ledger knows nothing of it. The driver wants it registered before any file is opened.
func registerSlowCommits() {
	sqlite.RegisterConnectionHook(func(connection sqlite.ExecQuerierContext, dsn string) error {
		if hooks, ok := connection.(sqlite.HookRegisterer); ok && strings.Contains(dsn, slowName) {
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
