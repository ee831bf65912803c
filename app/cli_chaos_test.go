//go:build unix

package app_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/call"
	"redial/followup"
	"redial/internal/logging"
	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/temporalserver"
	"redial/internal/temporalserver/temporalservertest"
	"redial/phone"
	"redial/starter"
	"redial/workflows"
)

var (
	chaosContacts = flag.Int("contacts", 100, "contacts of the test in which everything is killed")
	chaosSeed     = flag.Uint64("chaos-seed", 1, "what is killed when, in that test")
)

// chaosScripts are what becomes of the contacts' calls. All are reached in the end, unless nobody hears of a call's end.
var chaosScripts = []string{
	answering + "+talk=20s", answering + "+talk=30s+slow_answer=500ms", "busy+ring=1s,human+ring=1s+talk=10s", "machine+ring=1s,human+ring=1s+talk=10s",
	"no_answer+ring=3s,human+ring=1s+talk=10s", answering + "+talk=10s+duplicate", answering + "+talk=10s+gen2",
}

// chaosPolicy retries at once, and its watchdog waits out the restart of a webhook.
func chaosPolicy() followup.Policy {
	seconds := func(n int) followup.Duration { return followup.Duration(time.Duration(n) * time.Second) }
	p := followup.Policy{Name: "chaos", Attempts: 12, On: map[call.Disposition]followup.Rule{}}
	p.Dial.RingTimeout, p.Dial.MaxCall, p.Dial.Grace = seconds(5), seconds(20), seconds(5)
	soon := followup.Delay{After: followup.Duration(100 * time.Millisecond)}
	for d := range followup.DefaultRules() {
		p.On[d] = followup.Rule{Retry: []followup.Delay{soon, soon, soon, soon, soon, soon}, Then: followup.VerbEscalate}
	}
	p.On[call.Human] = followup.Rule{Do: followup.VerbDone}
	return p.WithDefaults()
}

// TestWhileEverythingIsKilledAndRestartedNobodyIsCalledTwiceForgottenOrCalledTooFast: two workers and two webhooks, each killed three
// times, PostgreSQL restarted under the ledger and under Temporal, and Temporal killed, while contacts are called; five hundred of them:
// go test ./app -run WhileEverythingIsKilled -contacts 500
func TestWhileEverythingIsKilledAndRestartedNobodyIsCalledTwiceForgottenOrCalledTooFast(t *testing.T) {
	t.Parallel()
	binaries := temporalservertest.Binaries(t)
	database := postgrestest.Start(t, postgres.Options{})
	require.NoError(t, database.CreateDatabase(t.Context(), "redial", ""))
	temporal := temporalservertest.Start(t, temporalserver.Options{Binaries: binaries, Postgres: database.URL("postgres")})
	c, err := client.Dial(client.Options{HostPort: temporal.Address(), Logger: logging.ForTemporal(zap.NewNop())})
	require.NoError(t, err)
	t.Cleanup(c.Close)

	// Sixty seconds of the gateway's clock are three of ours, over which the gateway's own record counts.
	const lines, perWindow = 30, 60
	s := newStageOn(t, temporal.Address(), client.DefaultNamespace, c, "REDIAL_DATABASE="+database.URL("redial"), fmt.Sprint("REDIAL_MAX_CALLS=", lines),
		fmt.Sprintf("REDIAL_DIAL_RATE=%d/3s", perWindow), "REDIAL_LOG_LEVEL=error", "REDIAL_DRAIN_DELAY=0s")
	a := apart{s, newProxy(t, "127.0.0.1:"+s.webhook)}
	deployed := []*replica{}
	for range 2 {
		w, h := a.worker(t), a.webhook(t)
		deployed = append(deployed, &w, &h)
	}
	calls := a.startAll(t, *chaosContacts)

	m := mayhem{apart: a, t: t, random: rand.New(rand.NewPCG(*chaosSeed, 0))}
	m.plan(deployed, func() {
		require.NoError(t, database.Restart(t.Context()))
	}, func() {
		temporal.Kill()
		require.NoError(t, temporal.Restart(t.Context()))
	})
	m.wreak()

	attempts := 0
	for i, started := range calls {
		r := a.awaited(t, started)
		require.Equal(t, call.Outcome(call.Human), r.Outcome, "%s: %+v", started.WorkflowID, r)
		attempts += len(r.Attempts)
		a.requireNoAttemptTwice(t, chaosNumber(i), len(r.Attempts))
	}
	stats := a.gateway.stats(t)
	t.Logf("%d contacts, %d attempts, %+v", len(calls), attempts, stats)
	require.Equal(t, 1, stats.MaxPerTarget, "a phone rang during a call: %v", stats.Overlapping)
	require.LessOrEqual(t, stats.MaxConcurrent, lines)
	require.LessOrEqual(t, stats.MaxPerMinute, perWindow)
	a.requireEveryAcknowledgedNotification(t)
}

func chaosNumber(i int) string { return fmt.Sprintf("+1202555%04d", i) }

// startAll starts the contacts' calls.
func (a apart) startAll(t *testing.T, n int) []starter.Call {
	t.Helper()
	s := starter.Starter{Client: a.temporal}
	calls := make([]starter.Call, n)
	for i := range calls {
		to, err := phone.Parse(chaosNumber(i), "")
		require.NoError(t, err)
		calls[i], err = s.Call(t.Context(), workflows.NameOutboundCall, workflows.Input{ContactID: fmt.Sprintf("contact-%d", i), To: to,
			Policy: chaosPolicy(), Metadata: map[string]any{"simulate": chaosScripts[i%len(chaosScripts)]}})
		require.NoError(t, err)
	}
	return calls
}

// awaited is the result of a call, for which a server that is away is asked again.
func (a apart) awaited(t *testing.T, started starter.Call) (r call.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	for {
		err := a.temporal.GetWorkflow(ctx, started.WorkflowID, started.RunID).Get(ctx, &r)
		if err == nil {
			return r
		}
		require.NoError(t, ctx.Err(), "%s has no outcome: %v", started.WorkflowID, err)
		time.Sleep(200 * time.Millisecond)
	}
}

// requireEveryAcknowledgedNotification looks in the ledger for what the gateway was told is kept.
func (a apart) requireEveryAcknowledgedNotification(t *testing.T) {
	t.Helper()
	l := a.openLedger(t)
	for i := range *chaosContacts {
		c, err := l.Show(t.Context(), fmt.Sprintf("contact-%d", i))
		require.NoError(t, err)
		kept := map[string]bool{}
		for _, n := range c.Notifications {
			kept[n.Raw] = true
		}
		for _, placed := range a.gateway.calls(t, chaosNumber(i)) {
			for _, n := range placed.Notifications {
				require.True(t, kept[n.Body] || n.Status != http.StatusOK, "%s: acknowledged and lost: %s", c.ContactID, n.Body)
			}
		}
	}
}

// mayhem kills and restarts, at even distances over the calls that the gateway places.
type mayhem struct {
	apart
	t      *testing.T
	random *rand.Rand
	deeds  []func()
}

// plan makes a list of deeds in random order: each replica is killed three times, each other thing is done once.
func (m *mayhem) plan(replicas []*replica, others ...func()) {
	for _, r := range replicas {
		for range 3 {
			m.deeds = append(m.deeds, func() { m.replace(r) })
		}
	}
	m.deeds = append(m.deeds, others...)
	m.random.Shuffle(len(m.deeds), func(i, j int) { m.deeds[i], m.deeds[j] = m.deeds[j], m.deeds[i] })
}

// replace kills a replica and starts it again where it was.
func (m *mayhem) replace(r *replica) {
	role := r.args[0]
	r.kill()
	switch role {
	case "worker":
		*r = m.worker(m.t)
	case "webhook":
		m.proxy.remove(r.address)
		*r = m.webhook(m.t)
	}
}

// wreak does the deeds one after the other, each when its share of the calls has been placed.
func (m *mayhem) wreak() {
	for i, deed := range m.deeds {
		due := *chaosContacts * (i + 1) / (len(m.deeds) + 2)
		for end := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
			stats := m.gateway.stats(m.t)
			if stats.Launched >= due {
				break
			}
			require.True(m.t, time.Now().Before(end), "the calls do not go on: deed %d of %d, %s", i, len(m.deeds), strings.TrimSpace(fmt.Sprintf("%+v", stats)))
		}
		deed()
	}
}
