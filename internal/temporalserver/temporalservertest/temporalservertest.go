// Package temporalservertest gives tests Temporal's real server on PostgreSQL.
package temporalservertest

import (
	"context"
	"testing"
	"time"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process/processtest"
	"redial/internal/temporalserver"
)

// limit bounds a start. It is for a machine that does much else.
const limit = 3 * time.Minute

// Binaries returns the server and its schema tool. Without them it skips the test, or fails it where the run
// requires temporal-server.
func Binaries(tb testing.TB) temporalserver.Binaries {
	tb.Helper()
	found, err := temporalserver.Find()
	if err != nil {
		processtest.Skip(tb, "temporal-server", err)
	}
	return found
}

// Start starts a server that is killed when the test ends. Without Options.Postgres it gets a PostgreSQL of its own, which
// waits for no disk; without Options.Folder a temporary one.
func Start(tb testing.TB, o temporalserver.Options) *temporalserver.Server {
	tb.Helper()
	if o.Binaries == (temporalserver.Binaries{}) {
		o.Binaries = Binaries(tb)
	}
	if o.Postgres == "" {
		o.Postgres = postgrestest.Start(tb, postgres.Options{NoSync: true}).URL("postgres")
	}
	if o.Folder == "" {
		o.Folder = tb.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	server, err := temporalserver.Start(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Kill) // its databases end with the test, or are in a state that a next start must bear
	return server
}
