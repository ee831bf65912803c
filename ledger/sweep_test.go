package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
)

func TestMachinesThatHangUpAtOnceAreCounted(t *testing.T) {
	b := open(t)
	for contact, duration := range map[string]time.Duration{"a": 2 * time.Second, "b": 30 * time.Second, "c": time.Second} {
		r := ask(contact, 1)
		b.dial(r)
		require.NoError(t, b.Receive(ctx, r.Key, []byte("{}"), []call.Event{{Status: call.StatusCompleted, AMD: call.AMDMachine,
			EndedBy: call.PartyCallee, Duration: duration}}, ""))
	}
	d, err := b.Detected(ctx, b.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, 3, d.Machines)
	require.Equal(t, 2, d.SuspectedHumans)
	b.Advance(time.Hour)
	d, err = b.Detected(ctx, b.Now())
	require.NoError(t, err)
	require.Zero(t, d.Machines)
}
