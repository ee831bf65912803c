package app

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/simulator"
	"redial/starter"
)

var outage = flag.Duration("outage", 3*time.Second, "how long the gateway is away in the test of an outage")

// flickering serves a handler at one address, and can be away.
type flickering struct {
	t       *testing.T
	address string
	handler http.Handler
	server  *http.Server
}

func newFlickering(t *testing.T) *flickering {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return &flickering{t: t, address: l.Addr().String()}
}

func (f *flickering) up() {
	f.t.Helper()
	l, err := net.Listen("tcp", f.address)
	require.NoError(f.t, err)
	f.server = &http.Server{Handler: f.handler}
	go func() { _ = f.server.Serve(l) }()
}

// down refuses connections from now on; requests that were taken are still answered.
func (f *flickering) down() {
	f.t.Helper()
	require.NoError(f.t, f.server.Shutdown(context.Background()))
}

// freeAddress is an address that nothing listens on.
func freeAddress(t *testing.T) string { return newFlickering(t).address }

// TestWhileTheGatewayIsAwayNothingIsLostNothingDoubledAndThePaceIsKeptOnReturn; the ten minutes of a bad day:
// go test ./app -run GatewayIsAway -outage 10m -timeout 30m
func TestWhileTheGatewayIsAwayNothingIsLostNothingDoubledAndThePaceIsKeptOnReturn(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		const contacts, lines = 200, 12
		gateway := newFlickering(t)
		w := at.newWorld(t, worldOptions{maxCalls: fmt.Sprint(lines), simulator: simulator.Config{PlainNumbers: true},
			gateway: func(h http.Handler) { gateway.handler = h; gateway.up() },
			account: map[string]string{"KORE_BASE_URL": "http://" + gateway.address, "KORE_BOT_ID": simulator.DefaultBotID,
				"KORE_CLIENT_ID": simulator.DefaultClientID, "KORE_CLIENT_SECRET": simulator.DefaultClientSecret, "KORE_CALLER": "+12025550100",
				"REDIAL_NOTIFY_URL": "http://" + freeAddress(t), "REDIAL_NOTIFY_SECRET": "0123456789abcdef"}})
		t.Cleanup(func() { gateway.down() })
		watcher := w.watch()
		var calls []starter.Call
		for i := range contacts {
			calls = append(calls, w.start(fmt.Sprintf("+1202%07d", 2000000+i), "human+ring=5s+talk=20s", quick()))
		}
		require.Eventually(t, func() bool { return w.simulator.Stats().Launched > contacts/4 }, time.Minute, 5*time.Millisecond)
		gateway.down()
		before := w.simulator.Stats().Launched
		away := time.NewTimer(*outage) // the length of the outage is what is tested
		<-away.C
		require.Equal(t, before, w.simulator.Stats().Launched)
		gateway.up()
		doubts := 0
		for _, c := range calls {
			r := w.result(c)
			require.Equal(t, call.Outcome(call.Human), r.Outcome)
			// An outage costs no attempt, but for those whose request was on the wire when it began: they are in doubt.
			for _, a := range r.Attempts[:len(r.Attempts)-1] {
				require.Equal(t, call.Unknown, a.Disposition)
				doubts++
			}
		}
		watcher.judge(calls)
		require.LessOrEqual(t, doubts, lines)
		stats := w.simulator.Stats()
		require.Equal(t, contacts, stats.Launched)
		require.Equal(t, 1, stats.MaxPerTarget)
		require.LessOrEqual(t, stats.MaxConcurrent, lines)
		require.Less(t, stats.Requests, contacts+20, "the gateway is hammered")
	})
}
