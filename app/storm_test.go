package app

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/internal/notify"
	"redial/internal/token"
	"redial/simulator"
	"redial/starter"
)

var stormSeeds = flag.Int("seeds", 1, "seeds of the storm: each draws an outcome for every fault and every pair of faults")

// stormFaults are what can go wrong on the wire, as the simulator's script spells it.
var stormFaults = []string{"lost", "lost_answer", "duplicate", "reorder", "early", "late=20s", "late_verdict=20s", "contradict", "malformed=instead",
	"malformed=first", "wrong_token=instead", "wrong_token=first", "array", "string_duration", "odd_case", "day_first", "slow_answer=100ms", "reset_before",
	"rubbish", "no_ids", "http=500", "http=500+placed", "http=503", "http=502+placed", "http=400", "http=401", "never_ends", "gen2"}

// stormOutcomes are what the faults are drawn on.
var stormOutcomes = []string{"human", "machine", "tone", "silent", "amd_error", "answered", "busy", "no_answer", "unreachable", "declined", "trunk_error", "network_error", "failed"}

// TestUnderEveryFaultAloneAndInPairsNoAttemptIsDialedTwiceAndEveryContactEndsOnce runs the whole product against a gateway
// that does everything wrong. A hundred seeds: go test ./app -run EveryFault -seeds 100 -timeout 2h
func TestUnderEveryFaultAloneAndInPairsNoAttemptIsDialedTwiceAndEveryContactEndsOnce(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		const lines = 40
		w := at.newWorld(t, worldOptions{maxCalls: fmt.Sprint(lines), simulator: simulator.Config{PlainNumbers: true}})
		p := impatient()
		p.Dial.MaxCall, p.Dial.Grace = followup.Duration(200*time.Millisecond), followup.Duration(200*time.Millisecond)
		for seed := range *stormSeeds {
			begin, watcher := time.Now(), w.watch()
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			var calls []starter.Call
			for i, script := range stormScripts(random) {
				if at == rolesApart && *stormSeeds == 1 && i%5 > 0 {
					continue // a fifth of them, where time matters
				}
				number := fmt.Sprintf("+1202%07d", 2000000+i)
				if w.simulator.Script(number, script) != nil {
					continue // faults that exclude each other
				}
				calls = append(calls, w.start(number, "", stormPolicy(p, i)))
				if i%40 == 0 {
					calls = append(calls, w.start(number, "", p)) // another contact of the same number
				}
			}
			require.Greater(t, len(calls), 40, "the simulator refuses its own faults")
			for _, c := range calls {
				w.requireSound(c)
			}
			watcher.judge(calls)
			for key, at := range w.dialed() {
				require.Len(t, at, 1, "attempt %s rang more than once", key)
			}
			endless := w.endless()
			require.Subset(t, endless, w.simulator.Stats().Overlapping, "a phone rang during a call")
			require.LessOrEqual(t, w.simulator.Stats().MaxConcurrent, lines+len(endless), "over the lines")
			doubted, err := w.ledger.UnknownAttempts(t.Context(), 10000)
			require.NoError(t, err)
			for _, a := range doubted {
				require.Zero(t, a.BlocksUntil, "a line leaks: %+v", a)
			}
			w.simulator.Reset()
			t.Logf("seed %d: %d contacts in %s", seed, len(calls), time.Since(begin).Round(time.Second))
		}
	})
}

// stormPolicy has every eighth contact wait for a limit, too, before its second call.
func stormPolicy(p followup.Policy, i int) followup.Policy {
	if i%8 == 0 {
		p.Limits = []followup.Limit{{Calls: 1, Per: followup.Span{For: seconds(2)}, By: followup.ByContact}}
	}
	return p
}

// stormScripts are all faults, alone and in pairs, on outcomes drawn at random; the second dial goes well.
func stormScripts(random *rand.Rand) []string {
	var scripts []string
	for i, one := range stormFaults {
		for _, other := range stormFaults[i:] {
			faults := one
			if other != one {
				faults += "+" + other
			}
			scripts = append(scripts, stormOutcomes[random.IntN(len(stormOutcomes))]+"+ring=1s+"+faults+",human+ring=1s")
		}
	}
	return scripts
}

// requireSound: one outcome, the same in the ledger and in the run, every attempt decided, and no more history than the
// attempts and holds account for.
func (w *world) requireSound(c starter.Call) {
	w.t.Helper()
	r := w.result(c)
	shown, err := w.ledger.Show(w.t.Context(), c.WorkflowID)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, r.Outcome)
	require.Equal(w.t, r.Outcome, shown.Outcome)
	holds := 0
	for _, d := range shown.Decisions {
		if d.Kind == "held" {
			holds++
		}
	}
	for _, a := range shown.Attempts {
		require.NotEmpty(w.t, a.Disposition)
	}
	// A watchdog adds an activity (six events) to an attempt, a late end one decision more.
	most := len(r.Attempts)*(19+6+8) + holds*13 + 6
	require.LessOrEqual(w.t, len(w.history(c)), most, "%s: a hot loop: %s", c.WorkflowID, strings.Join(kinds(w.history(c)), " "))
	require.NotContains(w.t, []call.Outcome{call.OutcomeCanceled, call.OutcomeDuplicateID, call.OutcomeExpired}, r.Outcome)
}

// dialed are when each attempt was really dialed, by the gateway's record: the notify URL of a call names its attempt.
func (w *world) dialed() map[string][]time.Time {
	w.t.Helper()
	keys, err := token.ParseKeys(w.config.NotifySecret)
	require.NoError(w.t, err)
	dialed := map[string][]time.Time{}
	for _, c := range w.simulator.Calls() {
		_, named, found := strings.Cut(c.NotifyURL, notify.Path)
		require.True(w.t, found)
		key, _, err := keys.Open(named, time.Now())
		require.NoError(w.t, err)
		dialed[key] = append(dialed[key], c.ReceivedAt)
	}
	return dialed
}

// endless are the targets of calls that the gateway keeps open for ever: past the longest that the policy believes a call
// to last, their number and their line count as free.
func (w *world) endless() []string {
	targets := []string{}
	for _, c := range w.simulator.Calls() {
		if strings.Contains(c.Step, "never_ends") {
			targets = append(targets, c.Target)
		}
	}
	return targets
}
