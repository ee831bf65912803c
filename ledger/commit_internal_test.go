package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/postgres/postgrestest"
)

func note(l *Ledger, text string) error {
	return l.Receive(context.Background(), text, []byte(text), []call.Event(nil), "")
}

func notes(t *testing.T, l *Ledger) (texts []string) {
	t.Helper()
	require.NoError(t, l.view(context.Background(), "test", func(t *tx) error {
		return t.each("SELECT raw FROM notifications ORDER BY raw", nil, func(scan func(...any) error) error {
			var raw []byte
			err := scan(&raw)
			texts = append(texts, string(raw))
			return err
		})
	}))
	return texts
}

// onBoth holds a promise on both databases. open opens the same one each time.
func onBoth(t *testing.T, test func(t *testing.T, open func() *Ledger)) {
	t.Helper()
	for name, fresh := range map[string]func(*testing.T) string{"SQLite": freshFile, "PostgreSQL": freshDatabase} {
		t.Run(name, func(t *testing.T) {
			address := fresh(t)
			test(t, func() *Ledger {
				l, err := Open(context.Background(), address, Options{Owner: true})
				require.NoError(t, err)
				t.Cleanup(func() { _ = l.Close() })
				return l
			})
		})
	}
}

func freshFile(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "redial.db") }

func freshDatabase(t *testing.T) string {
	return postgrestest.Template(t, "ledger", func(url string) error {
		l, err := Open(context.Background(), url, Options{Migrate: true})
		if err != nil {
			return err
		}
		return l.Close()
	})
}

// batches is where writes wait for each other, and how many groups of them are under way at once.
func batches(l *Ledger) (b *batcher, runners int) {
	if file, ok := l.db.(*sqlite); ok {
		return file.write.batcher, 1
	}
	return l.db.(*postgres).parts, groups
}

// stall keeps all runners busy until the returned function is called, so that what is written meanwhile shares a commit.
func stall(l *Ledger) (release func()) {
	b, runners := batches(l)
	end := make(chan struct{})
	for range runners {
		begun := make(chan struct{}, 1)
		go b.do(context.Background(), part, func(*tx) error {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-end
			return nil
		})
		<-begun
	}
	return func() { close(end) }
}

// waitFor waits until n writes are queued behind stalled runners.
func waitFor(t *testing.T, l *Ledger, n int) {
	t.Helper()
	b, _ := batches(l)
	require.Eventually(t, func() bool { return len(b.writes) == n }, 10*time.Second, time.Millisecond)
}

func TestOneWriteThatFailsTakesNoOtherOfItsCommitWithIt(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Ledger) {
		l := open()
		release := stall(l)
		failure := errors.New("no")
		results := make([]error, 30)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				switch i % 3 {
				case 0:
					results[i] = note(l, fmt.Sprintf("good %02d", i))
				case 1:
					results[i] = l.update(context.Background(), part, "test", func(t *tx) error {
						return errors.Join(t.exec(`INSERT INTO notifications (attempt_key, received_at, raw) VALUES ('', 0, 'bad')`), failure)
					})
				case 2:
					results[i] = l.update(context.Background(), part, "test", func(t *tx) error {
						_ = t.exec(`INSERT INTO notifications (attempt_key, received_at, raw) VALUES ('', 0, 'bad')`)
						panic("oh")
					})
				}
			})
		}
		waitFor(t, l, len(results))
		release()
		wg.Wait()
		for i, err := range results {
			switch i % 3 {
			case 0:
				require.NoError(t, err)
			case 1:
				require.ErrorIs(t, err, failure)
			case 2:
				require.ErrorContains(t, err, "panic: oh")
			}
		}
		require.NoError(t, l.Close())
		stored := notes(t, open())
		require.Len(t, stored, 10)
		require.NotContains(t, stored, "bad")
	})
}

func TestWhoGivesUpWaitingForItsTurnIsNotWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Ledger) {
		l := open()
		release := stall(l)
		ctx, cancel := context.WithCancel(context.Background())
		result, other := make(chan error), make(chan error)
		go func() { result <- l.Receive(ctx, "k", []byte("x"), nil, "") }()
		waitFor(t, l, 1)
		go func() { other <- note(l, "other") }()
		waitFor(t, l, 2)
		cancel()
		require.ErrorIs(t, <-result, context.Canceled, "it waits no longer")
		release()
		require.NoError(t, <-other)
		require.Equal(t, []string{"other"}, notes(t, l))
	})
}

func TestCloseLetsWritesUnderWayFinishAndTakesNoMore(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Ledger) {
		l := open()
		release := stall(l)
		results := make(chan error, 20)
		for i := range 20 {
			go func() { results <- note(l, fmt.Sprint(i)) }()
		}
		waitFor(t, l, 20)
		closed := make(chan error)
		go func() { closed <- l.Close() }()
		b, _ := batches(l)
		require.Eventually(t, func() bool {
			b.mu.RLock()
			defer b.mu.RUnlock()
			return b.closed
		}, 10*time.Second, time.Millisecond)
		require.ErrorIs(t, note(l, "late"), errClosed)
		release()
		for range 20 {
			require.NoError(t, <-results)
		}
		require.NoError(t, <-closed)
		require.Len(t, notes(t, open()), 20)
	})
}

func TestWritesThatWaitShareACommitOnPostgreSQLToo(t *testing.T) {
	l, err := Open(context.Background(), freshDatabase(t), Options{})
	require.NoError(t, err)
	defer l.Close()
	release := stall(l)
	var wg sync.WaitGroup
	for i := range groupMost {
		wg.Go(func() { _ = note(l, fmt.Sprint(i)) })
	}
	waitFor(t, l, groupMost)
	release()
	wg.Wait()
	require.Len(t, notes(t, l), groupMost)
	var commits int
	require.NoError(t, l.view(context.Background(), "test", func(t *tx) error {
		_, err := t.get("SELECT COUNT(DISTINCT xmin::text) FROM notifications", nil, &commits)
		return err
	}))
	require.LessOrEqual(t, commits, groups)
}

// TestWritesThatMeetCrosswiseAreBothDone lets the server end one of two transactions that wait for each other.
func TestWritesThatMeetCrosswiseAreBothDone(t *testing.T) {
	l, err := Open(context.Background(), freshDatabase(t), Options{})
	require.NoError(t, err)
	defer l.Close()
	var both, done sync.WaitGroup
	both.Add(2)
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		meet := sync.OnceFunc(func() { both.Done(); both.Wait() })
		done.Go(func() {
			err := l.update(context.Background(), part, "test", func(t *tx) error {
				for _, key := range order {
					if _, err := t.change(`INSERT INTO suppressions (target, at, reason, source) VALUES (?, 0, ?, '')
						ON CONFLICT (target) DO UPDATE SET reason = suppressions.reason || excluded.reason`, key, order[0]); err != nil {
						return err
					}
					meet()
				}
				return nil
			})
			if err != nil {
				panic(err)
			}
		})
	}
	done.Wait()
	var reasons int
	require.NoError(t, l.view(context.Background(), "test", func(t *tx) error {
		_, err := t.get("SELECT COUNT(*) FROM suppressions WHERE reason IN ('ab', 'ba')", nil, &reasons)
		return err
	}))
	require.Equal(t, 2, reasons, "each was done once, by both")
}

func TestAReaderThatGivesUpLeavesNoTransactionOpen(t *testing.T) {
	l, err := Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), Options{Owner: true})
	require.NoError(t, err)
	defer l.Close()
	l.db.(*sqlite).read.SetMaxOpenConns(1)
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		err := l.view(ctx, "test", func(*tx) error { cancel(); return ctx.Err() })
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, note(l, "x"))
	}
	require.Len(t, notes(t, l), 3, "the next reader begins anew, and sees what was written since")
}

func TestATableThatIsGoneIsAnErrorAndTheLedgerWorksOn(t *testing.T) {
	l, err := Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), Options{Owner: true})
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.update(context.Background(), whole, "test", func(t *tx) error { return t.exec("ALTER TABLE notifications RENAME TO away") }))
	require.ErrorContains(t, note(l, "x"), "no such table")
	require.NoError(t, l.update(context.Background(), whole, "test", func(t *tx) error { return t.exec("ALTER TABLE away RENAME TO notifications") }))
	require.NoError(t, note(l, "y"))
	require.Equal(t, []string{"y"}, notes(t, l))
}

func TestAWriteThatFailsAloneLeavesNothingBehind(t *testing.T) {
	l, err := Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), Options{Owner: true})
	require.NoError(t, err)
	defer l.Close()
	for range 3 {
		for how, fail := range map[string]func(){"no": func() {}, "panic: oh": func() { panic("oh") }} {
			err := l.update(context.Background(), whole, "test", func(t *tx) error {
				if err := t.exec(`INSERT INTO notifications (attempt_key, received_at, raw) VALUES ('', 0, 'bad')`); err != nil {
					return err
				}
				fail()
				return errors.New("no")
			})
			require.ErrorContains(t, err, how)
		}
		require.NoError(t, note(l, "good"))
	}
	require.Equal(t, []string{"good", "good", "good"}, notes(t, l))
}
