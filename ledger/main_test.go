package ledger_test

import (
	"flag"
	"os"
	"testing"

	"redial/internal/postgres/postgrestest"
)

// TestMain makes this binary the child that the crash test kills, and keeps property tests, each step of which waits for
// a real disk, to a size at which they are run often; -rapid.checks asks for more.
func TestMain(m *testing.M) {
	if address := os.Getenv(childVariable); address != "" {
		child(address)
		return
	}
	_ = flag.Set("rapid.checks", "15")
	code := m.Run()
	postgrestest.Stop()
	os.Exit(code)
}
