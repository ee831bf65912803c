//go:build unix

package app_test

import (
	"os"
	"testing"
	"time"

	"redial/app"
)

// asProgram, when it is set, makes the test binary the program itself: what the tests of the command line start is the
// code under test, race detector included, and nothing has to be built for them.
const asProgram = "REDIAL_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		go endWithParent()
		app.Main()
	}
	code := m.Run()
	stopEngine()
	os.Exit(code)
}

// endWithParent keeps a test run that is cut off from leaving programs behind.
func endWithParent() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(500 * time.Millisecond)
	}
	os.Exit(1)
}
