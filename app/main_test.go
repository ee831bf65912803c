//go:build unix

package app_test

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"redial/app"
	"redial/internal/postgres/postgrestest"
)

// asProgram, when it is set, makes the test binary the program itself: what the tests of the command line start is the
// code under test, race detector included, and nothing has to be built for them.
const asProgram = "REDIAL_TEST_MAIN"

// withSink, when it is set, makes that a program of one's own, whose sink works in this folder.
const withSink = "REDIAL_TEST_SINK"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		go endWithParent()
		if folder := os.Getenv(withSink); folder != "" {
			app.Program{Escalations: pigeonholes(folder)}.Main()
		}
		app.Main()
	}
	waitTogether()
	code := m.Run()
	stopEngine()
	postgrestest.Stop()
	os.Exit(code)
}

// waitTogether lets more tests run at once than there are processors, unless the command line says how many: they spend
// their time on waiting for timers of other processes.
func waitTogether() {
	flag.Parse()
	const name = "test.parallel"
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		_ = flag.Set(name, strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	}
}

// endWithParent keeps a test run that is cut off from leaving programs behind.
func endWithParent() {
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(500 * time.Millisecond)
	}
	os.Exit(1)
}
