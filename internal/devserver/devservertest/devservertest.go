// Package devservertest gives tests a Temporal development server of their own.
package devservertest

import (
	"context"
	"testing"
	"time"

	"redial/internal/devserver"
	"redial/internal/process/processtest"
)

// Binary returns the temporal CLI. Without one it skips the test, or fails it where the run requires temporal.
func Binary(tb testing.TB) string {
	tb.Helper()
	path, err := devserver.Find()
	if err != nil {
		processtest.Skip(tb, "temporal", err)
	}
	return path
}

// Start starts a server that is stopped when the test ends. A test that wants neither the UI nor a file of
// its own gives Options{Headless: true}.
func Start(tb testing.TB, o devserver.Options) *devserver.Server {
	tb.Helper()
	if o.Binary == "" {
		o.Binary = Binary(tb)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := devserver.Start(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if o.DatabaseFile == "" {
			server.Kill() // nothing to keep: an orderly end would cost a second
			return
		}
		if err := server.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return server
}
