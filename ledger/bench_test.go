package ledger_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

// BenchmarkReceive measures durable acknowledgements under many callers at once, on databases that wait for the disk: ends of calls,
// each of which also frees a line and owes its flow a signal.
func BenchmarkReceive(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { receives(b, func(file string) string { return file }) })
	b.Run("PostgreSQL", func(b *testing.B) {
		server := postgrestest.Start(b, postgres.Options{})
		receives(b, func(file string) string {
			require.NoError(b, server.CreateDatabase(ctx, "receive", ""))
			_, err := ledger.Move(ctx, file, server.URL("receive"))
			require.NoError(b, err)
			return server.URL("receive")
		})
	})
}

// receives ends calls that were placed in a file, on the ledger that move makes of it: to place them is fast there.
func receives(b *testing.B, move func(file string) (address string)) {
	file := "sqlite:" + filepath.Join(b.TempDir(), "redial.db")
	l, err := ledger.Open(ctx, file, ledger.Options{Owner: true})
	require.NoError(b, err)
	keys := make([]string, b.N)
	together(64, func(w int) {
		for i := w; i < b.N; i += 64 {
			r := ask(fmt.Sprintf("c%d", i), 1)
			keys[i] = r.Key
			if _, err := l.Clear(ctx, r); err != nil {
				panic(err)
			}
		}
	})
	require.NoError(b, l.Close())
	l, err = ledger.Open(ctx, move(file), ledger.Options{Owner: true})
	require.NoError(b, err)
	defer l.Close()
	raw := make([]byte, 1200)
	var next atomic.Int64
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1) - 1
			if err := l.Receive(ctx, keys[i], raw, []call.Event{human}, ""); err != nil {
				panic(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "receives/s")
}

// BenchmarkBacklog measures one turn of the queue while ten thousand contacts wait: a call ends, the next contact is
// woken, and dials.
func BenchmarkBacklog(b *testing.B) {
	book := databases["SQLite"].open(b)
	book.limits(10, 0, 0)
	const waiting = 10_000
	for i := range 10 {
		book.place(ask(fmt.Sprintf("c%d", i), 1))
	}
	together(64, func(w int) {
		for i := 10 + w; i < waiting+b.N; i += 64 {
			_, err := book.Clear(ctx, ask(fmt.Sprintf("c%d", i), 1))
			if err != nil {
				panic(err)
			}
		}
	})
	under := make([]string, 10)
	for i := range under {
		under[i] = fmt.Sprintf("c%d", i)
	}
	b.ResetTimer()
	for range b.N {
		book.end(ask(under[0], 1))
		woken := book.wakes()
		require.Len(b, woken, 1)
		book.place(ask(woken[0], 1))
		under = append(under[1:], woken[0])
	}
}
