// Package postgrestest gives tests databases on a real PostgreSQL server.
//
// One server serves all tests of a test binary. It starts when the first test asks, and a package that uses it ends it in
// its TestMain:
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		postgrestest.Stop()
//		os.Exit(code)
//	}
//
// A server that is forgotten, or whose test binary is killed, ends with the binary on Linux, and the next start of any
// server removes its folder.
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"redial/internal/postgres"
	"redial/internal/process/processtest"
)

// limit bounds what is done for a test outside of it. It is for a machine that does much else.
const limit = 2 * time.Minute

// Binary returns the folder of PostgreSQL's programs. Without them it skips the test, or fails it where the run requires
// postgres.
func Binary(tb testing.TB) string {
	tb.Helper()
	folder, err := postgres.Find()
	if err != nil {
		processtest.Skip(tb, "postgres", err)
	}
	return folder
}

// Start starts a server that is stopped when the test ends: for tests that crash it, or that need settings of their own.
func Start(tb testing.TB, o postgres.Options) *postgres.Server {
	tb.Helper()
	Binary(tb)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	server, err := postgres.Start(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if o.Folder == "" {
			server.Kill() // nothing to keep: an orderly end would cost a checkpoint
		}
		if err := server.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return server
}

// The shared server waits for no disk: nobody may crash it.
var shared struct {
	sync.Mutex
	server    *postgres.Server
	databases int
	templates map[string]error
}

// Stop ends the shared server, if there is one. It is for TestMain, after the last test.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return
	}
	shared.server.Kill() // nothing to keep
	if err := shared.server.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	shared.server, shared.templates = nil, nil
}

// Database returns the URL of an empty database on the shared server. It is dropped when the test ends, whoever is
// connected to it.
func Database(tb testing.TB) string {
	tb.Helper()
	Binary(tb)
	shared.Lock()
	defer shared.Unlock()
	return fresh(tb, "")
}

// Template returns the URL of a database like that of Database, which begins as a copy of what prepare has made: prepare
// gets the URL of an empty database, once for each name in a test binary, and must have closed its connections when
// it returns.
func Template(tb testing.TB, name string, prepare func(url string) error) string {
	tb.Helper()
	Binary(tb)
	shared.Lock()
	defer shared.Unlock()
	if err := prepared(tb, name, prepare); err != nil {
		tb.Fatalf("prepare the template database %s: %v", name, err)
	}
	return fresh(tb, "template_"+name)
}

func prepared(tb testing.TB, name string, prepare func(url string) error) error {
	tb.Helper()
	server := running(tb)
	if err, done := shared.templates[name]; done {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := server.CreateDatabase(ctx, "template_"+name, "")
	if err == nil {
		err = prepare(server.URL("template_" + name))
	}
	shared.templates[name] = err
	return err
}

func fresh(tb testing.TB, template string) string {
	tb.Helper()
	server := running(tb)
	shared.databases++
	name := fmt.Sprintf("test_%d", shared.databases)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := server.CreateDatabase(ctx, name, template); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := server.DropDatabase(ctx, name); err != nil {
			tb.Error(err)
		}
	})
	return server.URL(name)
}

// running is the shared server, started if need be. The caller has the lock.
func running(tb testing.TB) *postgres.Server {
	tb.Helper()
	if shared.server != nil {
		return shared.server
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	shared.server, shared.templates = server, map[string]error{}
	return server
}
