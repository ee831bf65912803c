//go:build unix

package app_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
)

func newReplicas(t *testing.T) (apart, killing) {
	t.Helper()
	a := newApart(t, postgrestest.Database(t))
	a.file(t, "impatience.yaml", impatience)
	a.file(t, "trust.yaml", trust)
	return a, killing{a.stage, a.openLedger(t)}
}

// TestAWorkerKilledAtAnyPointOfADialIsReplacedByAnother kills a worker that has every dial in its hands, while another waits
// beside it that goes on with all of them: one whose request it could not send yet, one whose answer it waits for, and one that is placed.
func TestAWorkerKilledAtAnyPointOfADialIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	a, k := newReplicas(t)
	a.webhook(t)

	wall := newStall(t)
	stalled := a.worker(t, "KORE_BASE_URL=https://"+wall.address)
	k.call(t, "anna", anna, "impatience.yaml", answering)
	wall.reached(t)
	k.reaches(t, "anna", call.StateDialing)
	first := a.worker(t)
	stalled.kill()

	const talking = answering + "+never_ends+lost=amd"
	k.call(t, "bert", "+14155550102", "trust.yaml", talking+"+slow_answer=15s")
	k.call(t, "cleo", "+14155550103", "trust.yaml", talking)
	k.reaches(t, "bert", call.StateDialing)
	k.reaches(t, "cleo", call.StatePlaced)
	eventually(t, "the gateway to place the call of bert", func() bool { return len(k.gateway.calls(t, "+14155550102")) == 1 })
	a.worker(t)
	first.kill()
	k.gateway.hangUp(t, "+14155550102")
	k.gateway.hangUp(t, "+14155550103")

	r := k.result(t, "anna")
	require.Equal(t, []call.Disposition{call.Unknown, call.Human}, dispositions(r))
	k.requireOneDialPerAttempt(t, anna, 1)
	for id, number := range map[string]string{"bert": "+14155550102", "cleo": "+14155550103"} {
		r := k.result(t, id)
		require.Equal(t, []call.Disposition{call.Human}, dispositions(r), id)
		k.requireOneDialPerAttempt(t, number, 1)
	}
	require.Equal(t, 1, wall.connections(), "an attempt was sent again")
	require.Zero(t, k.gateway.stats(t).DuplicateDials)
}

// TestAWebhookKilledBetweenStoringANotificationAndTellingItsFlowIsReplacedByAnother: what it had taken for delivery is delivered by the
// other when its lease is over.
func TestAWebhookKilledBetweenStoringANotificationAndTellingItsFlowIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	a, k := newReplicas(t)
	a.worker(t)
	silence := newStall(t)
	mute := a.webhook(t, "TEMPORAL_ADDRESS="+silence.address)
	k.call(t, "anna", anna, "trust.yaml", answering)
	k.reaches(t, "anna", call.StateEnded)
	eventually(t, "the delivery to be on its way", func() bool { return silence.connections() > 0 })
	mute.kill()
	a.proxy.remove(mute.address)

	a.webhook(t)
	require.Equal(t, []call.Disposition{call.Human}, dispositions(k.result(t, "anna")))
	k.requireOneDialPerAttempt(t, anna, 1)
}

// TestAWebhookKilledBeforeANotificationIsStoredHasNotTakenIt: the gateway, or the proxy before the webhooks, gives it to another.
func TestAWebhookKilledBeforeANotificationIsStoredHasNotTakenIt(t *testing.T) {
	t.Parallel()
	a, k := newReplicas(t)
	a.worker(t)
	first := a.webhook(t)
	k.call(t, "anna", anna, "trust.yaml", answering+"+never_ends+lost=amd")
	k.reaches(t, "anna", call.StatePlaced)

	release := keepRows(t, a.environment["REDIAL_DATABASE"])
	k.gateway.hangUp(t, anna)
	eventually(t, "the webhook to wait for the ledger", func() bool { return a.proxy.open.Load() > 0 })
	a.webhook(t)
	first.kill()
	release()

	require.Equal(t, []call.Disposition{call.Human}, dispositions(k.result(t, "anna")))
	shown, err := k.ledger.Show(t.Context(), "anna")
	require.NoError(t, err)
	for _, n := range k.gateway.calls(t, anna)[0].Notifications {
		require.Contains(t, []int{0, http.StatusOK}, n.Status) // lost on purpose, or on disk
		if n.Status == http.StatusOK {
			require.True(t, slices.ContainsFunc(shown.Notifications, func(kept ledger.Notification) bool { return kept.Raw == n.Body }), n.Body)
		}
	}
}

// keepRows keeps every attempt's row from everybody until it is released.
func keepRows(t *testing.T, database string) (release func()) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "BEGIN; SELECT key FROM attempts FOR UPDATE")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	return func() { _ = db.Close(context.Background()) }
}
