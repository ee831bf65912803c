package ledger_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

func TestAFileHasOneOwner(t *testing.T) {
	b := databases["SQLite"].open(t)
	_, err := ledger.Open(ctx, b.address, ledger.Options{Owner: true})
	require.ErrorIs(t, err, ledger.ErrOwned)
	require.ErrorContains(t, err, "PostgreSQL", "the way out")
	require.NotContains(t, err.Error(), "\n")

	// A short command opens beside the owner, and sees and writes the same.
	beside, err := ledger.Open(ctx, b.address, ledger.Options{})
	require.NoError(t, err)
	c, err := beside.Clear(ctx, ask("a", 1))
	require.NoError(t, err)
	require.True(t, c.Cleared)
	require.NoError(t, beside.Close())
	require.Equal(t, "a", b.show("a").ContactID)

	b.reopen() // the lock is given back
}

func TestOpeningAgainChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.place(ask("a", 1))
		before := b.show("a")
		b.limits(7, 0, 0)
		b.reopen()
		b.reopen()
		require.Equal(t, before, b.show("a"))
		require.Equal(t, 1, b.count("SELECT COUNT(*) FROM accounts WHERE lines = 7"), "limits are kept")
	})
}

func TestANewFileInAFolderWithAnOddName(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a b?c=d&e#f%20ü")
	require.NoError(t, os.Mkdir(folder, 0o700))
	l, err := ledger.Open(ctx, "sqlite:"+folder+"/redial.db", ledger.Options{Owner: true})
	require.NoError(t, err)
	require.NoError(t, l.Ready(ctx))
	require.NoError(t, l.Close())
	require.FileExists(t, folder+"/redial.db")
}

func TestAnAddressThatCannotBeOpenedIsOneLineWithTheRemedy(t *testing.T) {
	folder := t.TempDir()
	rubbish := filepath.Join(folder, "rubbish")
	require.NoError(t, os.WriteFile(rubbish, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	for address, says := range map[string]string{
		"":                                     "write sqlite:FILE",
		"redial.db":                            "write sqlite:FILE",
		"sqlite:":                              "write sqlite:FILE",
		"sqlite::memory:":                      "write sqlite:FILE",
		"mysql:x":                              "write sqlite:FILE",
		"postgres://u:secret@127.0.0.1:1/db":   "its server is away",
		"sqlite:" + folder:                     "it is a folder",
		"sqlite:" + folder + "/none/redial.db": "check that the folder exists",
		"sqlite:" + rubbish:                    "not a database",
	} {
		_, err := ledger.Open(ctx, address, ledger.Options{Owner: true})
		require.ErrorContains(t, err, says, address)
		require.ErrorContains(t, err, "REDIAL_DATABASE", address)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestAClosedLedgerSaysSo(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		require.NoError(t, b.Ready(ctx))
		require.NoError(t, b.Ledger.Close())
		_, err := b.Clear(ctx, ask("a", 1))
		require.ErrorContains(t, err, "closed")
		require.ErrorContains(t, b.Ready(ctx), "closed")
		b.Ledger = nil
		b.reopen()
	})
}

// Promises 1 and 2, through a crash: what was acknowledged is on disk.

const childVariable = "REDIAL_LEDGER_TEST_CHILD"

// child dials and hears as fast as it can, and says on its output what was acknowledged to it.
func child(address string) {
	l, err := ledger.Open(ctx, address, ledger.Options{Owner: true})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	say := func(what string, i int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %d\n", what, i)
	}
	together(16, func(w int) {
		for i := w; ; i += 16 {
			r := ask(fmt.Sprintf("c%d", i), 1)
			if c, err := l.Clear(ctx, r); err != nil || !c.Cleared {
				panic(fmt.Sprint(err, c))
			}
			say("dial", i)
			if err := l.Receive(ctx, r.Key, []byte("raw"), []call.Event{human}, ""); err != nil {
				panic(err)
			}
			say("hear", i)
			if _, err := l.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{}); err != nil {
				panic(err)
			}
			say("conclude", i)
		}
	})
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	t.Parallel()
	t.Run("of the process", func(t *testing.T) {
		onEach(t, func(t *testing.T, at database) {
			acknowledgedSurvives(t, at.fresh(t), func() {})
		})
	})
	t.Run("of the PostgreSQL server", func(t *testing.T) {
		server := postgrestest.Start(t, postgres.Options{})
		require.NoError(t, server.CreateDatabase(ctx, "ledger", ""))
		l, err := ledger.Open(ctx, server.URL("ledger"), ledger.Options{Migrate: true})
		require.NoError(t, err)
		require.NoError(t, l.Close())
		acknowledgedSurvives(t, server.URL("ledger"), func() {
			server.Kill()
			require.NoError(t, server.Restart(ctx))
		})
	})
}

// acknowledgedSurvives kills a process that dials and hears, after something else has crashed, and looks for all that was
// acknowledged to it.
func acknowledgedSurvives(t *testing.T, address string, crash func()) {
	t.Helper()
	process := exec.Command(os.Args[0], "-test.run=^$")
	process.Env = append(os.Environ(), childVariable+"="+address)
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	said := map[string][]int{}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var what string
		var i int
		_, err := fmt.Sscanf(lines.Text(), "%s %d", &what, &i)
		require.NoError(t, err, lines.Text())
		said[what] = append(said[what], i)
		if n == 300 {
			crash()
			require.NoError(t, process.Process.Kill())
		}
	}
	require.Error(t, process.Wait(), "it was killed")
	require.NotEmpty(t, said["conclude"])

	l, err := ledger.Open(ctx, address, ledger.Options{Owner: true})
	require.NoError(t, err, "the dead do not own the file")
	defer l.Close()
	show := func(i int) ledger.Contact {
		c, err := l.Show(ctx, fmt.Sprintf("c%d", i))
		require.NoError(t, err)
		return c
	}
	for _, i := range said["dial"] {
		require.Len(t, show(i).Attempts, 1)
		c, err := l.Clear(ctx, ask(fmt.Sprintf("c%d", i), 1, by("after the crash")))
		require.NoError(t, err)
		require.False(t, c.Cleared, "c%d was cleared before the crash", i)
	}
	for _, i := range said["hear"] {
		c := show(i)
		require.Equal(t, call.Human, c.Attempts[0].Disposition)
		require.Len(t, c.Notifications, 1)
	}
	for _, i := range said["conclude"] {
		require.EqualValues(t, call.Human, show(i).Outcome)
	}
	due, err := l.Due(ctx, ledger.ToFlows, 1<<20)
	require.NoError(t, err)
	owed := map[string]bool{}
	for _, d := range due {
		owed[d.WorkflowID] = true
	}
	for _, i := range said["hear"] {
		require.True(t, owed[fmt.Sprintf("redial/-/c%d", i)], "the flow of c%d was never told", i)
	}
}
