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
)

func note(l *Ledger, text string) error {
	return l.Receive(context.Background(), text, []byte(text), []call.Event(nil), "")
}

func notes(t *testing.T, l *Ledger) (texts []string) {
	t.Helper()
	require.NoError(t, l.view(context.Background(), "test", func(t *tx) error {
		return t.each("SELECT raw FROM notifications ORDER BY raw", nil, func(scan func(...any) error) error {
			texts = append(texts, "")
			return scan(&texts[len(texts)-1])
		})
	}))
	return texts
}

// stall keeps the committer busy until the returned function is called, so that what is written meanwhile shares a commit.
func stall(l *Ledger) (release func()) {
	begun, end := make(chan struct{}), make(chan struct{})
	go l.db.(*sqlite).write.do(context.Background(), whole, func(*tx) error { close(begun); <-end; return nil })
	<-begun
	return func() { close(end) }
}

// waitFor waits until n writes are queued behind a stalled committer.
func waitFor(t *testing.T, l *Ledger, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(l.db.(*sqlite).write.writes) == n }, 10*time.Second, time.Millisecond)
}

func TestOneWriteThatFailsTakesNoOtherOfItsCommitWithIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redial.db")
	l, err := Open(context.Background(), "sqlite:"+path, Options{Owner: true})
	require.NoError(t, err)
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
				results[i] = l.update(context.Background(), whole, "test", func(t *tx) error {
					return errors.Join(t.exec(`INSERT INTO notifications (attempt_key, received_at, raw) VALUES ('', 0, 'bad')`), failure)
				})
			case 2:
				results[i] = l.update(context.Background(), whole, "test", func(t *tx) error {
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
	l, err = Open(context.Background(), "sqlite:"+path, Options{Owner: true})
	require.NoError(t, err)
	defer l.Close()
	stored := notes(t, l)
	require.Len(t, stored, 10)
	require.NotContains(t, stored, "bad")
}

func TestWhoGivesUpWaitingForItsTurnIsNotWritten(t *testing.T) {
	l, err := Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), Options{Owner: true})
	require.NoError(t, err)
	defer l.Close()
	release := stall(l)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() { result <- l.Receive(ctx, "k", []byte("x"), nil, "") }()
	waitFor(t, l, 1)
	cancel()
	release()
	require.ErrorIs(t, <-result, context.Canceled)
	require.Empty(t, notes(t, l))
}

func TestCloseLetsWritesUnderWayFinishAndTakesNoMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "redial.db")
	l, err := Open(context.Background(), "sqlite:"+path, Options{Owner: true})
	require.NoError(t, err)
	release := stall(l)
	results := make(chan error, 20)
	for i := range 20 {
		go func() { results <- note(l, fmt.Sprint(i)) }()
	}
	waitFor(t, l, 20)
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	require.Eventually(t, func() bool {
		l.db.(*sqlite).write.mu.RLock()
		defer l.db.(*sqlite).write.mu.RUnlock()
		return l.db.(*sqlite).write.closed
	}, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, note(l, "late"), errClosed)
	release()
	for range 20 {
		require.NoError(t, <-results)
	}
	require.NoError(t, <-closed)
	l, err = Open(context.Background(), "sqlite:"+path, Options{})
	require.NoError(t, err)
	defer l.Close()
	require.Len(t, notes(t, l), 20)
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
