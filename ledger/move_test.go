package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

// inUse is a closed ledger in a file that has something in every table, under the clock of the machine.
func inUse(t *testing.T) *book {
	t.Helper()
	b := databases["SQLite"].open(t)
	b.clock.at = time.Now().UTC().Truncate(time.Microsecond)
	b.limits(2, 100, time.Minute)
	for i := range 4 {
		r := ask(fmt.Sprintf("c%d", i), 1)
		if i < 2 {
			b.place(r)
		} else {
			require.NotNil(t, b.clear(r).Held)
		}
	}
	require.NoError(t, b.Receive(ctx, ask("c0", 1).Key, []byte("\x00\xff raw"), []call.Event{human}, ""))
	require.NoError(t, b.ReceiveResult(ctx, ask("c0", 1).Key, []byte("\x00\xff no result"), call.BotResult{}, "it is no JSON"))
	require.NoError(t, b.ReceiveResult(ctx, ask("c0", 1).Key, []byte("{}"), call.BotResult{Kind: call.Confirmed, At: start, Data: []byte(`{"a":1}`)}, ""))
	_, err := b.Conclude(ctx, ask("c0", 1).WorkflowID, ask("c0", 1).Key, followup.Policy{On: map[call.Disposition]followup.Rule{
		call.Human: {Then: followup.VerbSuppress}}})
	require.NoError(t, err)
	require.Equal(t, 2, b.load(kept("tel:+12025550199", "a letter"), kept("tel:+12025550197", "a letter")))
	require.Equal(t, 3, b.count("SELECT COUNT(*) FROM suppression_entries"))
	b.put(reminder(t, "attempts: 3"), 0)
	return b
}

func TestALedgerMovesToPostgreSQLWithAllThatItKnows(t *testing.T) {
	b := inUse(t)
	before := map[string]ledger.Contact{}
	for i := range 4 {
		before[fmt.Sprintf("c%d", i)] = b.show(fmt.Sprintf("c%d", i))
	}
	require.NoError(t, b.Ledger.Close())
	address := postgrestest.Database(t)
	moved, err := ledger.Move(ctx, b.address, address)
	require.NoError(t, err)
	require.Equal(t, ledger.Moved{"contacts": 4, "attempts": 2, "notifications": 1, "results": 2, "decisions": moved["decisions"], "queue": 2, "outbox": moved["outbox"],
		"accounts": 1, "suppression_entries": 3, "suppression_imports": 1, "policies": 1}, moved)

	l, err := ledger.Open(ctx, address, ledger.Options{Owner: true, Now: b.Now})
	require.NoError(t, err)
	defer l.Close()
	for id, contact := range before {
		shown, err := l.Show(ctx, id)
		require.NoError(t, err)
		require.Equal(t, contact, shown)
	}
	// It goes on where it was: who was dialed is not dialed again, who waits is woken, and the limits hold.
	c, err := l.Clear(ctx, ask("c1", 1, by("another")))
	require.NoError(t, err)
	require.True(t, c.Recorded, "%+v", c)
	_, err = l.Tick(ctx)
	require.NoError(t, err)
	due, err := l.Due(ctx, ledger.ToFlows, 10)
	require.NoError(t, err)
	told := map[string]bool{}
	results := 0
	for _, d := range due {
		told[d.WorkflowID] = true
		if d.Result != nil {
			results++
			require.Equal(t, before["c0"].Results[1].Said, d.Result)
		}
	}
	require.Equal(t, 1, results)
	require.Equal(t, map[string]bool{"redial/-/c0": true, "redial/-/c2": true}, told)
	require.NoError(t, l.Receive(ctx, ask("c1", 1).Key, nil, []call.Event{busy}, "")) // its ids go on
	require.NoError(t, l.ReceiveResult(ctx, ask("c1", 1).Key, nil, call.BotResult{Kind: call.Confirmed}, ""))

	for _, target := range []string{"sip:c0@example.com", "tel:+12025550199"} {
		s, err := l.Suppressed(ctx, target, "")
		require.NoError(t, err)
		require.NotNil(t, s, target)
	}
	added, err := l.Suppress(ctx, kept("tel:+12025550198", "a letter"))
	require.NoError(t, err)
	require.True(t, added)

	_, err = ledger.Open(ctx, b.address, ledger.Options{})
	require.ErrorContains(t, err, "set REDIAL_DATABASE", "two ledgers would dial everybody twice")
	_, err = ledger.Move(ctx, b.address, postgrestest.Database(t))
	require.ErrorContains(t, err, "it was moved to")
}

func TestAMoveThatWasInterruptedIsFinishedByMovingAgain(t *testing.T) {
	for _, statement := range []string{"pg_get_serial_sequence", "INSERT INTO moves", "\x0bcommit"} {
		t.Run(statement, func(t *testing.T) {
			b := inUse(t)
			require.NoError(t, b.Ledger.Close())
			address := databases["PostgreSQL"].fresh(t)
			way := newCut(t, host(t, address))
			way.at(statement, 1)
			_, err := ledger.Move(ctx, b.address, way.through(t, address))
			require.Error(t, err)
			_, err = ledger.Open(ctx, b.address, ledger.Options{Owner: true})
			require.ErrorContains(t, err, "it is being moved")
			_, err = ledger.Move(ctx, b.address, postgrestest.Database(t))
			require.ErrorContains(t, err, "finish that one")

			moved, err := ledger.Move(ctx, b.address, way.through(t, address))
			require.NoError(t, err)
			require.EqualValues(t, 4, moved["contacts"])
			l := process(t, address)
			shown, err := l.Show(ctx, "c0")
			require.NoError(t, err)
			require.EqualValues(t, call.Human, shown.Attempts[0].Disposition)
		})
	}
}

func TestAMoveThatCannotBeMadeLeavesTheLedgerAsItWas(t *testing.T) {
	b := inUse(t)
	_, err := ledger.Move(ctx, b.address, postgrestest.Database(t))
	require.ErrorIs(t, err, ledger.ErrOwned)
	require.NoError(t, b.Ledger.Close())

	used := databases["PostgreSQL"].fresh(t)
	_, err = process(t, used).Clear(ctx, ask("somebody", 1))
	require.NoError(t, err)
	for to, says := range map[string]string{
		used:                               "has rows",
		"postgres://redial@127.0.0.1:1/db": "its server is away",
		"sqlite:other.db":                  "only a SQLite file",
	} {
		_, err := ledger.Move(ctx, b.address, to)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "\n")
	}
	b.Ledger = nil
	b.reopen()
	require.Equal(t, "c0", b.show("c0").ContactID)
}
