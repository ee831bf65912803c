package relay

import (
	"context"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// sinkFunc is a sink of one function.
type sinkFunc func(context.Context) error

func (f sinkFunc) Escalate(ctx context.Context, _ string, _ ledger.Story) error { return f(ctx) }

// withSink is a relay at work, whose sink may take a hundredth of a second, and the ledger with an escalation for it.
func withSink(t *testing.T, sink Sink) (l *ledger.Ledger, escalation func() ledger.Escalation, stop func()) {
	t.Helper()
	t.Parallel()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), ledger.Options{Owner: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	const id = "redial/-/a"
	_, err = l.Clear(t.Context(), followup.ClearanceRequest{Key: call.AttemptKey(id, "run", 1), N: 1, WorkflowID: id, FirstRunID: "run", ContactID: "a",
		Request: call.DialRequest{To: call.Target{URI: "sip:a@example.com"}}, HearFor: time.Minute, Owner: "o"})
	require.NoError(t, err)
	require.NoError(t, l.Escalate(t.Context(), followup.Escalated{WorkflowID: id, ContactID: "a"}, ""))
	r, err := New(Config{Ledger: l, Logger: zap.NewNop(), Sink: sink})
	require.NoError(t, err)
	r.sinkFor = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return l, func() ledger.Escalation {
		c, err := l.Show(context.Background(), "a")
		require.NoError(t, err)
		return *c.Escalation
	}, func() { cancel(); require.NoError(t, <-done) }
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 15*time.Second, 5*time.Millisecond)
}

func TestASinkThatEndsWithItsTimeIsTriedAgain(t *testing.T) {
	_, escalation, stop := withSink(t, sinkFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	defer stop()
	eventually(t, func() bool { e := escalation(); return e.Tries >= 2 && e.LastError == context.DeadlineExceeded.Error() })
}

func TestASinkThatDoesNotReturnIsNotToldTheSameMeanwhileAndOperatorsSeeThat(t *testing.T) {
	release := make(chan struct{})
	var calls atomic.Int32
	l, escalation, stop := withSink(t, sinkFunc(func(context.Context) error { calls.Add(1); <-release; return nil }))
	defer stop()
	eventually(t, func() bool { return escalation().LastError == "it takes longer than 10ms, and goes on" })
	require.Greater(t, time.Until(escalation().NextTryAt), keepFor-10*time.Second)
	due, err := l.Due(t.Context(), ledger.ToSink, 10)
	require.NoError(t, err)
	require.Empty(t, due)
	close(release)
	eventually(t, func() bool { return !escalation().DeliveredAt.IsZero() })
	require.EqualValues(t, 1, calls.Load())
}

func TestARelayStopsAlthoughItsSinkDoesNot(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	_, escalation, stop := withSink(t, sinkFunc(func(context.Context) error { <-release; return nil }))
	eventually(t, func() bool { return escalation().LastError != "" })
	stop()
	require.Zero(t, escalation().DeliveredAt)
	require.True(t, time.Now().Before(escalation().NextTryAt), "it is told again, not at once")
}

func TestASinkThatEndsItsGoroutineHasNotTakenAnything(t *testing.T) {
	_, escalation, stop := withSink(t, sinkFunc(func(context.Context) error { runtime.Goexit(); return nil }))
	defer stop()
	eventually(t, func() bool { return escalation().LastError == "it has not returned" })
	require.Zero(t, escalation().DeliveredAt)
}

func TestASinkIsAskedForDaysAtLastEveryHour(t *testing.T) {
	r := &Relay{}
	require.Equal(t, 500*time.Millisecond, r.pause(ledger.Delivery{Story: []byte("{}")}))
	require.Equal(t, time.Hour, r.pause(ledger.Delivery{Story: []byte("{}"), Tries: 500}))
}
