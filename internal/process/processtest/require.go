package processtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Require names what the tests of this run must not skip, separated by commas: temporal, temporal-server, postgres,
// chromium, workflowcheck.
const Require = "REDIAL_TEST_REQUIRE"

// Skip skips a test because something that it needs is not here, or fails it where the run requires that.
func Skip(tb testing.TB, what string, err error) {
	tb.Helper()
	if slices.Contains(strings.Split(os.Getenv(Require), ","), what) {
		tb.Fatal(err)
	}
	tb.Skip("the real "+what+" is not here:", err)
}

// RequireOneLine requires an error of one line that says all parts.
func RequireOneLine(tb testing.TB, err error, parts ...string) {
	tb.Helper()
	if err == nil {
		tb.Fatal("no error")
	}
	if strings.Contains(err.Error(), "\n") {
		tb.Errorf("more than one line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			tb.Errorf("%q does not say %q", err, part)
		}
	}
}

// Script writes a stand-in for a binary, and returns its path.
func Script(tb testing.TB, body string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "binary")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		tb.Fatal(err)
	}
	return path
}
