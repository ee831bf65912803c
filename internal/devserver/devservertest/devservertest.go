// Package devservertest gives tests a Temporal development server of their own.
package devservertest

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"redial/internal/devserver"
)

// Require names what the tests of this run must not skip, separated by commas: temporal, postgres, chromium.
const Require = "REDIAL_TEST_REQUIRE"

// Binary returns the temporal CLI. Without one it skips the test, or fails it where the run requires temporal.
func Binary(tb testing.TB) string {
	tb.Helper()
	path, err := devserver.Find()
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv(Require), ","), "temporal") {
		tb.Fatal(err)
	}
	tb.Skip("the real engine is not here:", err)
	return ""
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
