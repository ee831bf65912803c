//go:build unix

package app_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/postgres/postgrestest"
)

// TestEachReplicaMayBeKilledAndTheOtherTakesOver kills two workers and two webhooks one after the other, each with calls of
// all kinds under way, and replaces it only when all of them have their outcome.
func TestEachReplicaMayBeKilledAndTheOtherTakesOver(t *testing.T) {
	t.Parallel()
	const lines, contacts = 4, 6
	a := newApart(t, postgrestest.Database(t), fmt.Sprint("REDIAL_MAX_CALLS=", lines), "REDIAL_DIAL_RATE=1000/1m")
	a.file(t, "impatience.yaml", impatience)
	workers := []replica{a.worker(t), a.worker(t)}
	webhooks := []replica{a.webhook(t), a.webhook(t)}
	for round, victim := range append(append([]replica{}, workers...), webhooks...) {
		before := a.gateway.stats(t).Launched
		numbers := map[string]string{}
		for n := range contacts {
			id := fmt.Sprintf("contact-%d-%d", round, n)
			numbers[id] = fmt.Sprintf("+1415555%02d%02d", 10+round, n)
			a.must(t, "call", "--to", numbers[id], "--id", id, "--policy", "impatience.yaml",
				"--metadata", fmt.Sprintf("simulate=%s+talk=20s+slow_answer=%ds", answering, n%2))
		}
		eventually(t, "calls to be under way", func() bool { return a.gateway.stats(t).Launched >= before+lines })
		victim.kill()
		for id, number := range numbers {
			r := a.result(t, id)
			require.Equal(t, call.Outcome(call.Human), r.Outcome, "%s: %+v", id, r)
			a.requireNoAttemptTwice(t, number, len(r.Attempts))
		}
		if round < len(workers) {
			a.worker(t)
		} else {
			a.webhook(t)
		}
	}
	stats := a.gateway.stats(t)
	require.Zero(t, stats.DuplicateDials)
	require.Equal(t, 1, stats.MaxPerTarget)
	require.LessOrEqual(t, stats.MaxConcurrent, lines)
}

// requireNoAttemptTwice compares a contact's attempts with what the gateway has placed: one that is in doubt may not have been placed
// at all.
func (a apart) requireNoAttemptTwice(t *testing.T, target string, attempts int) {
	t.Helper()
	placed := a.placedOnceEach(t, target)
	require.Positive(t, placed)
	require.LessOrEqual(t, placed, attempts)
}
