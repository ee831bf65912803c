package ledger_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/ledger"
)

func TestALedgerStaysWithTheFirstNamespaceThatJoinsUntilItIsToldToAdoptAnother(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		first, second := ledger.Namespace{Name: "default", ID: "1"}, ledger.Namespace{Name: "default", ID: "2"} // made anew under the same name
		for range 2 {
			require.NoError(t, b.Join(ctx, first))
		}
		b.limits(7, 0, 0)
		b.reopen()
		var other *ledger.NamespaceError
		require.ErrorAs(t, b.Join(ctx, second), &other)
		require.Equal(t, &ledger.NamespaceError{Known: first, Given: second}, other)
		require.ErrorContains(t, other, "default (id 1), and this is namespace default (id 2)")

		require.NoError(t, b.Adopt(ctx, second))
		require.NoError(t, b.Join(ctx, second))
		require.ErrorAs(t, b.Join(ctx, first), &other)
		require.Equal(t, 1, b.count("SELECT COUNT(*) FROM accounts WHERE lines = 7"), "limits are kept")
	})
}

func TestOfNamespacesThatJoinAtOnceOneIsFirst(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		var mu sync.Mutex
		joined := 0
		together(8, func(i int) {
			if b.Join(ctx, ledger.Namespace{Name: "default", ID: string(rune('a' + i))}) == nil {
				mu.Lock()
				joined++
				mu.Unlock()
			}
		})
		require.Equal(t, 1, joined)
	})
}

func TestALedgerKeepsItsNamespaceWhenItMoves(t *testing.T) {
	b := inUse(t)
	require.NoError(t, b.Join(ctx, ledger.Namespace{Name: "default", ID: "1"}))
	require.NoError(t, b.Ledger.Close())
	address := databases["PostgreSQL"].fresh(t)
	_, err := ledger.Move(ctx, b.address, address)
	require.NoError(t, err)
	l := process(t, address)
	require.NoError(t, l.Join(ctx, ledger.Namespace{Name: "default", ID: "1"}))
	require.Error(t, l.Join(ctx, ledger.Namespace{Name: "default", ID: "2"}))
}
