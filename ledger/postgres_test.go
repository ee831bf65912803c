package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

// process is a ledger on PostgreSQL as one of several processes has it, by the server's clock.
func process(tb testing.TB, address string) *ledger.Ledger {
	tb.Helper()
	l, err := ledger.Open(ctx, address, ledger.Options{Owner: true})
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

// processes are several on one database.
func processes(tb testing.TB, n int) []*ledger.Ledger {
	tb.Helper()
	address := databases["PostgreSQL"].fresh(tb)
	all := make([]*ledger.Ledger, n)
	for i := range all {
		all[i] = process(tb, address)
	}
	return all
}

func TestTwoWorkersClearAgainstTheSameLimits(t *testing.T) {
	l := processes(t, 2)
	const lines, contacts = 7, 60
	require.NoError(t, l[0].SetLimits(ctx, lines, 0, 0))
	var cleared atomic.Int32
	together(contacts, func(i int) {
		c, err := l[i%2].Clear(ctx, ask(fmt.Sprintf("c%d", i), 1))
		if err != nil {
			panic(err)
		}
		if c.Cleared {
			cleared.Add(1)
		}
	})
	require.EqualValues(t, lines, cleared.Load())
}

func TestOneContactIsClearedByOneOfTwoWorkers(t *testing.T) {
	l := processes(t, 2)
	for round := range 10 {
		var cleared, doubted atomic.Int32
		together(8, func(i int) {
			c, err := l[i%2].Clear(ctx, ask(fmt.Sprintf("c%d", round), 1, by(fmt.Sprint(i))))
			switch {
			case err != nil:
				panic(err)
			case c.Cleared:
				cleared.Add(1)
			case c.Recorded && c.Attempt.State == call.StateUnknown:
				doubted.Add(1)
			}
		})
		require.EqualValues(t, 1, cleared.Load())
		require.EqualValues(t, 7, doubted.Load(), "what another worker may have sent is in doubt")
	}
}

func TestAWriteThatFailsBesideOthersFailsAlone(t *testing.T) {
	l := processes(t, 1)[0]
	const contacts = 40
	together(contacts, func(i int) {
		r := ask(fmt.Sprintf("c%d", i), 1)
		c, err := l.Clear(ctx, r)
		if err != nil || !c.Cleared {
			panic(fmt.Sprint(c, err))
		}
		refused := call.DialAnswer{Class: call.AnswerRefused, Message: "no"}
		if _, err := l.Answer(ctx, r.Key, "somebody else", refused); err == nil {
			panic("an answer to somebody else's request was recorded")
		}
		if a, err := l.Answer(ctx, r.Key, r.Owner, refused); err != nil || a.State != call.StateNotPlaced {
			panic(fmt.Sprint(a, err))
		}
	})
	dials, err := l.Dials(ctx)
	require.NoError(t, err)
	require.Equal(t, contacts, dials, "each is sent once")
}

// TestNobodyWhoStartsToWaitMissesALineThatIsFreedMeanwhile: ends of calls do not take the whole ledger, and could pass by a
// contact that is just being held for want of their line.
func TestNobodyWhoStartsToWaitMissesALineThatIsFreedMeanwhile(t *testing.T) {
	l := processes(t, 2)
	worker, relay := l[0], l[1]
	require.NoError(t, worker.SetLimits(ctx, 1, 0, 0))
	for round := range 40 {
		talks, waits := ask(fmt.Sprintf("talks%d", round), 1), ask(fmt.Sprintf("waits%d", round), 1)
		c, err := worker.Clear(ctx, talks)
		require.NoError(t, err)
		require.True(t, c.Cleared, "%+v", c)
		var held bool
		together(2, func(i int) {
			if i == 0 {
				err := relay.Receive(ctx, talks.Key, nil, []call.Event{human}, "")
				if err != nil {
					panic(err)
				}
				return
			}
			c, err := worker.Clear(ctx, waits)
			if err != nil {
				panic(err)
			}
			held = c.Held != nil
		})
		if held {
			// Whoever was told to look does: the end of the call in its process, or the wait in the other.
			_, err := relay.Tick(ctx)
			require.NoError(t, err)
			woken := false
			due, err := relay.Due(ctx, ledger.ToFlows, 100)
			require.NoError(t, err)
			for _, d := range due {
				woken = woken || d.Wake && d.WorkflowID == waits.WorkflowID
				require.NoError(t, relay.Delivered(ctx, d, false))
			}
			require.True(t, woken, "it waits for a line that is free")
			c, err := worker.Clear(ctx, waits)
			require.NoError(t, err)
			require.True(t, c.Cleared)
		}
		require.NoError(t, relay.Receive(ctx, waits.Key, nil, []call.Event{human}, ""))
	}
}

func TestTwoRelaysNeverTakeTheSameDelivery(t *testing.T) {
	l := processes(t, 3)
	const contacts = 120
	together(contacts, func(i int) {
		r := ask(fmt.Sprintf("c%d", i), 1)
		if _, err := l[0].Clear(ctx, r); err != nil {
			panic(err)
		}
		if err := l[0].Receive(ctx, r.Key, nil, []call.Event{human}, ""); err != nil {
			panic(err)
		}
	})
	var mu sync.Mutex
	taken := map[string]int{}
	together(3, func(i int) {
		for {
			due, err := l[i].Due(ctx, ledger.ToFlows, 7)
			if err != nil {
				panic(err)
			}
			if len(due) == 0 {
				return
			}
			mu.Lock()
			for _, d := range due {
				taken[d.WorkflowID]++
			}
			mu.Unlock()
		}
	})
	require.Len(t, taken, contacts)
	for id, n := range taken {
		require.Equal(t, 1, n, id)
	}
}

func TestNotificationsOfOneAttemptThatArriveAtTwoWebhooksAreAllFolded(t *testing.T) {
	l := processes(t, 2)
	for round := range 10 {
		r := ask(fmt.Sprintf("c%d", round), 1)
		_, err := l[0].Clear(ctx, r)
		require.NoError(t, err)
		events := []call.Event{{Status: call.StatusProgress, SID: "s"}, heard, ended, {Status: call.StatusProgress, ConversationID: "c"}}
		together(len(events), func(i int) {
			if err := l[i%2].Receive(ctx, r.Key, nil, events[i:i+1], ""); err != nil {
				panic(err)
			}
		})
		c, err := l[0].Show(ctx, r.ContactID)
		require.NoError(t, err)
		require.Equal(t, call.Machine, c.Attempts[0].Disposition, "%+v", c.Attempts[0])
		require.Equal(t, "c", c.Attempts[0].ConversationID)
		require.Len(t, c.Notifications, len(events))
	}
}

// TestARelayNeverTellsAnAttemptOlderThanTheNewsItSettles: the news of an attempt is stored while a relay takes what is due.
func TestARelayNeverTellsAnAttemptOlderThanTheNewsItSettles(t *testing.T) {
	l := processes(t, 3)
	const contacts = 300
	told := map[string]call.Attempt{}
	var heardAll atomic.Bool
	var mu sync.Mutex
	deliver := func(i int) {
		for last := false; ; {
			due, err := l[i].Due(ctx, ledger.ToFlows, 20)
			if err != nil {
				panic(err)
			}
			for _, d := range due {
				mu.Lock()
				if told[d.WorkflowID].Seq < d.Attempt.Seq {
					told[d.WorkflowID] = *d.Attempt
				}
				mu.Unlock()
				if err := l[i].Delivered(ctx, d, false); err != nil {
					panic(err)
				}
			}
			if len(due) == 0 && last {
				return
			}
			last = heardAll.Load()
		}
	}
	var relays sync.WaitGroup
	relays.Go(func() { deliver(1) })
	relays.Go(func() { deliver(2) })
	together(10, func(i int) {
		for n := i; n < contacts; n += 10 {
			r := ask(fmt.Sprintf("c%d", n), 1, midCall)
			if _, err := l[0].Clear(ctx, r); err != nil {
				panic(err)
			}
			for _, e := range []call.Event{{Status: call.StatusProgress, SID: "s"}, heard, human} {
				if err := l[0].Receive(ctx, r.Key, nil, []call.Event{e}, ""); err != nil {
					panic(err)
				}
			}
		}
	})
	heardAll.Store(true)
	relays.Wait()
	require.Len(t, told, contacts)
	for id, a := range told {
		require.Equal(t, call.StateEnded, a.State, "%s was never told of its end", id)
	}
}

// TestPaceAndLeasesGoByTheServersClock lets the server's clock be an hour ahead of ours.
func TestPaceAndLeasesGoByTheServersClock(t *testing.T) {
	address := databases["PostgreSQL"].fresh(t)
	for _, clock := range []string{"clock_timestamp", "transaction_timestamp"} {
		query(t, address, fmt.Sprintf(`CREATE FUNCTION public.%[1]s() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.%[1]s() + interval '1 hour' $$`, clock))
	}
	l := process(t, address+"&search_path=public,pg_catalog")
	require.NoError(t, l.SetLimits(ctx, 1, 0, 0))
	r := ask("a", 1)
	before := time.Now()
	c, err := l.Clear(ctx, r)
	require.NoError(t, err)
	require.True(t, c.Cleared)
	require.WithinDuration(t, before.Add(time.Hour), c.Attempt.DialedAt, time.Minute)
	require.False(t, c.SendBy.Before(before.Add(followup.SendWithin)), "the deadline of the request goes by the clock of the worker that sends it")
	require.False(t, c.SendBy.After(time.Now().Add(followup.SendWithin)))

	held, err := l.Clear(ctx, ask("b", 1))
	require.NoError(t, err)
	require.NotNil(t, held.Held)
	next, err := l.Tick(ctx)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), next, time.Minute, "a relay sleeps by its own clock")
}

// cut is the way to a server, which breaks when a statement goes over it: after the statement, and before its answer.
type cut struct {
	listener  net.Listener
	statement atomic.Pointer[string]
	times     atomic.Int32 // the way is cut so many times more
	silent    atomic.Bool  // instead of closing it, nothing more is heard on it
	moving    sync.RWMutex // whoever locks it freezes the process: nothing more comes from it, not even its end
}

func newCut(t *testing.T, to string) *cut {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cut{listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go c.carry(client, server)
		}
	}()
	return c
}

// carry carries bytes both ways.
func (c *cut) carry(client, server net.Conn) {
	var broken atomic.Bool
	go func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil || broken.Load() && !c.silent.Load() {
				return
			}
			if broken.Load() {
				continue
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	defer server.Close()
	moves := func() {
		c.moving.RLock()
		defer c.moving.RUnlock() // it waits while a move is under way
	}
	defer moves()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if s := c.statement.Load(); s != nil && bytes.Contains(buffer[:n], []byte(*s)) && c.times.Add(-1) >= 0 {
			broken.Store(true)
		}
		moves()
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// at cuts the way the next n times that a statement goes over it.
func (c *cut) at(statement string, n int32) {
	c.times.Store(n)
	c.statement.Store(&statement)
}

// through is an address by way of the cut. Statements are sent as text each time, so that the cut sees them.
func (c *cut) through(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.Host = c.listener.Addr().String()
	q := u.Query()
	q.Set("default_query_exec_mode", "exec")
	u.RawQuery = q.Encode()
	return u.String()
}

// commit is a whole statement: READ COMMITTED, with which each transaction begins, is none.
const commit = "COMMIT\x00"

func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Host
}

func TestACommitWhoseAnswerWasLostIsNeitherDialedTwiceNorGivenUp(t *testing.T) {
	address := databases["PostgreSQL"].fresh(t)
	way := newCut(t, host(t, address))
	l := process(t, way.through(t, address))
	r := ask("a", 1)

	way.at(commit, 1)
	c, err := l.Clear(ctx, r)
	require.NoError(t, err)
	require.True(t, c.Cleared, "nothing was sent yet, and the intent is our own: %+v", c)
	require.LessOrEqual(t, way.times.Load(), int32(0), "the way was not cut")

	again, err := l.Clear(ctx, r)
	require.NoError(t, err)
	require.True(t, again.Recorded, "it is given once")
	require.Equal(t, call.StateUnknown, again.Attempt.State)

	way.at(commit, 1)
	require.NoError(t, l.Receive(ctx, r.Key, []byte("raw"), []call.Event{human}, ""))
	way.at(commit, 1)
	d, err := l.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{})
	require.NoError(t, err)
	require.EqualValues(t, call.Human, d.Outcome)
	shown, err := l.Show(ctx, "a")
	require.NoError(t, err)
	require.EqualValues(t, call.Human, shown.Outcome)
}

func TestATransactionThatIsCutOffBeforeItsCommitIsTriedAgain(t *testing.T) {
	address := databases["PostgreSQL"].fresh(t)
	way := newCut(t, host(t, address))
	l := process(t, way.through(t, address))
	for i, statement := range []string{"BEGIN", "pg_advisory_xact_lock", "clock_timestamp", "INSERT INTO contacts", "INSERT INTO attempts"} {
		way.at(statement, 2)
		c, err := l.Clear(ctx, ask(fmt.Sprintf("c%d", i), 1))
		require.NoError(t, err, statement)
		require.True(t, c.Cleared, statement)
		require.LessOrEqual(t, way.times.Load(), int32(0), "the way was not cut at %s", statement)
	}
}

func TestAProcessThatFreezesInATransactionDoesNotKeepTheLedger(t *testing.T) {
	t.Parallel()
	address := databases["PostgreSQL"].fresh(t)
	way := newCut(t, host(t, address))
	frozen, other := process(t, way.through(t, address)), process(t, address)
	way.silent.Store(true)
	way.at("INSERT INTO contacts", 1000) // its server hears it, and it hears nothing: it waits, and keeps what it has
	ended, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var under sync.WaitGroup
	for i := range 30 { // as many as a busy worker has, and more than it has connections
		under.Go(func() { _, _ = frozen.Clear(ended, ask(fmt.Sprintf("a%d", i), 1)) })
	}
	require.Eventually(t, func() bool { return way.times.Load() < 1000 }, 10*time.Second, time.Millisecond)
	const storeFor = 8 * time.Second // of a webhook
	notified, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	require.NoError(t, other.Receive(notified, "nobody/run/1", nil, []call.Event{human}, ""))
	c, err := other.Clear(notified, ask("b", 1))
	require.NoError(t, err)
	require.True(t, c.Cleared)
	giveUp()
	under.Wait()
}

// TestAProcessThatFreezesWhileItWaitsDoesNotKeepTheLedger: of a process that ends calls and places others, some wait for the whole
// ledger, and others behind them for a part. The server must not let in all of them, one after the other, when it has frozen.
func TestAProcessThatFreezesWhileItWaitsDoesNotKeepTheLedger(t *testing.T) {
	t.Parallel()
	address := databases["PostgreSQL"].fresh(t)
	way := newCut(t, host(t, address))
	frozen, other := process(t, way.through(t, address)), process(t, address)
	b := &book{tb: t, database: databases["PostgreSQL"], address: address}
	locks := func(granted bool, n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			return b.count(fmt.Sprintf(`SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
				WHERE d.datname = current_database() AND locktype = 'advisory' AND granted = %t`, granted)) == n
		}, 10*time.Second, time.Millisecond)
	}
	ended, giveUp := context.WithCancel(ctx)
	var under sync.WaitGroup
	receive := func() { _ = frozen.Receive(ended, "nobody/run/1", nil, []call.Event{human}, "") }
	way.silent.Store(true)
	way.at("clock_timestamp", 1)
	under.Go(receive)
	locks(true, 1)
	under.Go(func() { _, _ = frozen.Clear(ended, ask("a", 1)) })
	locks(false, 1)
	under.Go(receive)
	locks(false, 2)
	way.moving.Lock()
	defer func() { giveUp(); way.moving.Unlock(); under.Wait() }()

	const storeFor = 8 * time.Second // of a webhook
	notified, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	require.NoError(t, other.Receive(notified, "nobody/run/1", nil, []call.Event{human}, ""))
	c, err := other.Clear(notified, ask("b", 1))
	require.NoError(t, err)
	require.True(t, c.Cleared)
}

func TestNotificationsWhoseCommitWasInDoubtAreStoredOnce(t *testing.T) {
	address := databases["PostgreSQL"].fresh(t)
	way := newCut(t, host(t, address))
	worker, webhook := process(t, address), process(t, way.through(t, address))
	const contacts, each, cuts = 40, 5, 8
	together(contacts, func(i int) {
		if _, err := worker.Clear(ctx, ask(fmt.Sprintf("c%d", i), 1)); err != nil {
			panic(err)
		}
	})
	way.at(commit, cuts)
	together(contacts*each, func(i int) {
		r := ask(fmt.Sprintf("c%d", i%contacts), 1)
		if err := webhook.Receive(ctx, r.Key, fmt.Append(nil, i), []call.Event{heard, human}, ""); err != nil {
			panic(err)
		}
	})
	require.LessOrEqual(t, way.times.Load(), int32(0), "the way was not cut")
	b := &book{tb: t, database: databases["PostgreSQL"], address: address}
	require.Equal(t, contacts*each, b.count("SELECT COUNT(*) FROM notifications"), "each is there")
	require.Equal(t, contacts*each, b.count("SELECT COUNT(DISTINCT raw) FROM notifications"), "each is there once")
	require.Equal(t, contacts, b.count("SELECT COUNT(*) FROM attempts WHERE disposition <> ''"))
	require.Equal(t, contacts, b.count("SELECT COUNT(*) FROM outbox"))
}

// TestNotificationsOfTheSameCallsDoNotWaitInACircle lets two webhooks hear of the same calls in opposite orders.
func TestNotificationsOfTheSameCallsDoNotWaitInACircle(t *testing.T) {
	address := databases["PostgreSQL"].fresh(t)
	l := []*ledger.Ledger{process(t, address), process(t, address)}
	const contacts, each = 40, 5
	together(contacts, func(i int) {
		if _, err := l[0].Clear(ctx, ask(fmt.Sprintf("c%d", i), 1)); err != nil {
			panic(err)
		}
	})
	together(2*contacts*each, func(i int) {
		process, n := i%2, i/2%contacts
		if process == 1 {
			n = contacts - 1 - n
		}
		if err := l[process].Receive(ctx, ask(fmt.Sprintf("c%d", n), 1).Key, fmt.Append(nil, i), []call.Event{heard, human}, ""); err != nil {
			panic(err)
		}
	})
	for _, p := range l {
		require.NoError(t, p.Close()) // whereupon its connections have reported
	}
	b := &book{tb: t, database: databases["PostgreSQL"], address: address}
	require.Equal(t, 2*contacts*each, b.count("SELECT COUNT(*) FROM notifications"))
	require.Zero(t, b.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
}

func TestAnAddressOfPostgreSQLIsNeverShownWithItsPassword(t *testing.T) {
	const secret = "tops3cret"
	for _, address := range []string{
		"postgres://u:" + secret + "@127.0.0.1:1/db", "postgres://127.0.0.1:1/db?user=u&password=" + secret, "postgres://u:" + secret + "@127.0.0.1:port/db",
		"user=u password=" + secret + " host=db", "postgres:/u:" + secret + "@h/db", "postgresql:u:" + secret + "@h/db", "postgres://u:1234#" + secret + "@h/db",
		"postgres://u:12/" + secret + "@h/db", "postgres://u:12?" + secret + "@h/db", "postgres://u:" + secret + "@127.0.0.1:1/db?sslmode=odd", "postgres://u:" + secret + "@[::1/db", "postgresql://u:" + secret + "@127.0.0.1:1,127.0.0.1:2/db",
	} {
		require.NotContains(t, ledger.Name(address), secret)
		_, err := ledger.Open(ctx, address, ledger.Options{})
		require.ErrorContains(t, err, "REDIAL_DATABASE", address)
		require.NotContains(t, err.Error(), secret)
		require.NotContains(t, err.Error(), "\n")
	}
	require.Equal(t, "sqlite:redial.db", ledger.Name("sqlite:redial.db"))
	require.Equal(t, "postgres://u:xxxxx@h/db", ledger.Name("postgres://u:p@h/db"))
}

func TestADatabaseThatWasNotSetUpOrDoesNotKeepWhatItAcknowledgesIsRefused(t *testing.T) {
	empty := postgrestest.Database(t)
	_, err := ledger.Open(ctx, empty, ledger.Options{Owner: true})
	require.ErrorContains(t, err, "run redial setup")
	require.NotContains(t, err.Error(), "\n")

	together(4, func(int) { // as several that start together may
		l, err := ledger.Open(ctx, empty, ledger.Options{Migrate: true})
		if err != nil {
			panic(err)
		}
		_ = l.Close()
	})
	process(t, empty)

	_, err = ledger.Open(ctx, empty+"&synchronous_commit=off", ledger.Options{Owner: true})
	require.ErrorContains(t, err, "synchronous_commit")

	query(t, empty, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	process(t, empty) // an upgrade is under way
}

func TestTextsThatPostgreSQLDoesNotTakeAreKeptAllTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.place(r)
		raw := []byte("\x00\xff not json")
		require.NoError(t, b.Receive(ctx, r.Key, raw, nil, "rubbish: \x00\xff"))
		require.NoError(t, b.Receive(ctx, "nobody \x00\xff", raw, nil, ""))
		shown := b.show("a").Notifications[0]
		require.Equal(t, string(raw), shown.Raw, "the bytes are as they came")
		require.Contains(t, shown.Note, "rubbish")
		b.receive(r, call.Event{Status: call.StatusFailed, SIP: 486, Reason: "486 \x00 Busy \xff"})
		require.Equal(t, call.Busy, b.attempt(r).Disposition)
	})
}
