//go:build unix

package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/postgres/postgrestest"
)

// TestALimitOfANumberHoldsOverTwoWorkersAndLetsThoseWhoWaitIntoItInOrder races contacts of one number over two workers: never more
// calls than the limit in any stretch of its time, and every contact gets its turn in the order in which it asked.
func TestALimitOfANumberHoldsOverTwoWorkersAndLetsThoseWhoWaitIntoItInOrder(t *testing.T) {
	t.Parallel()
	const per, number, contacts = 10 * time.Second, "+14155550177", 8
	a := newApart(t, postgrestest.Database(t), "REDIAL_MAX_CALLS=10", "REDIAL_DIAL_RATE=1000/1m")
	a.file(t, "limit.yaml", `{name: limited, dial: {max_call: 10s, grace: 5s}, limits: [{calls: 3, per: 10s, by: number}]}`)
	a.worker(t)
	a.worker(t)
	a.webhook(t)
	for i := range contacts {
		a.must(t, "call", "--to", number, "--id", fmt.Sprint("contact-", i), "--policy", "limit.yaml", "--metadata", "simulate=human+ring=1s+talk=20s",
			"--metadata", fmt.Sprint("i=", i))
	}
	for i := range contacts {
		r := a.result(t, fmt.Sprint("contact-", i))
		require.Equal(t, call.Outcome(call.Human), r.Outcome, "%+v", r)
		require.Len(t, r.Attempts, 1)
	}
	var dialed []time.Time
	var order []string
	for _, c := range a.gateway.calls(t, number) {
		dialed = append(dialed, c.ReceivedAt)
		var told struct{ I string }
		require.NoError(t, json.Unmarshal(c.Metadata, &told))
		order = append(order, told.I)
	}
	require.Len(t, dialed, contacts)
	for i := 3; i < len(dialed); i++ {
		require.Greater(t, dialed[i].Sub(dialed[i-3]), per-time.Second, "the ledger's clock and the way to the gateway are allowed a second")
	}
	require.Equal(t, a.asked(t, contacts), order, "those who wait are let in in the order in which they asked")
	shown := a.must(t, "show", fmt.Sprint("contact-", contacts-1))
	require.Contains(t, shown, "at most 3 calls in any 10s to a number")
}

// asked are contacts in the order in which they asked for leave to dial.
func (a apart) asked(t *testing.T, contacts int) []string {
	t.Helper()
	first, order := map[string]time.Time{}, []string{}
	for i := range contacts {
		var shown struct{ Decisions []struct{ At time.Time } }
		require.NoError(t, json.Unmarshal([]byte(a.must(t, "show", "--json", fmt.Sprint("contact-", i))), &shown))
		order = append(order, fmt.Sprint(i))
		first[order[i]] = shown.Decisions[0].At
	}
	slices.SortFunc(order, func(x, y string) int { return first[x].Compare(first[y]) })
	return order
}
