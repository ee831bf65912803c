//go:build unix

package app_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/devserver/devservertest"
)

func TestDemoShowsTheWholeProductInUnderAMinuteAndRingsNoPhone(t *testing.T) {
	t.Parallel()
	var dialed atomic.Bool
	real := httptest.NewUnstartedServer(http.NotFoundHandler())
	real.Config.ConnState = func(net.Conn, http.ConnState) { dialed.Store(true) }
	real.Start()
	defer real.Close()
	p := newProgram(t).with("TEMPORAL_CLI_PATH="+devservertest.Binary(t),
		"KORE_BASE_URL="+real.URL, "KORE_BOT_ID=st-real", "KORE_CLIENT_ID=cs-real", "KORE_CLIENT_SECRET=a real secret", "KORE_CALLER=+14155550199",
		"KORE_TIMEZONE=Mars/Olympus", "KORE_API=v2")

	e := p.run(t, "demo", "--json")
	require.Zero(t, e.code, e.stderr)
	r := decode[struct {
		Contacts      map[call.Outcome]int `json:"contacts"`
		Dials         int                  `json:"dial_requests_in_the_ledger"`
		Received      int                  `json:"dial_requests_at_the_gateway"`
		Placed        int                  `json:"calls_placed"`
		Doubles       int                  `json:"attempts_dialed_twice"`
		MaxConcurrent int                  `json:"most_calls_at_once"`
		MaxPerNumber  int                  `json:"most_calls_at_once_to_one_number"`
		Escalations   int                  `json:"escalations_delivered_and_verified"`
		Seconds       float64              `json:"seconds"`
		Runs          map[string]string    `json:"runs"`
	}](t, e.stdout)

	ended := 0
	for outcome, n := range r.Contacts {
		require.NotEmpty(t, outcome, "a contact has no outcome")
		ended += n
	}
	require.GreaterOrEqual(t, ended, 30)
	require.Len(t, r.Runs, ended)
	require.Positive(t, r.Contacts[call.Outcome(call.Human)])
	require.Equal(t, r.Contacts[call.OutcomeEscalated], r.Escalations)
	require.Positive(t, r.Escalations)

	require.Equal(t, r.Received, r.Dials)
	require.Less(t, r.Placed, r.Received, "some requests place no call")
	require.Zero(t, r.Doubles)
	require.Equal(t, 1, r.MaxPerNumber)
	const lines = 8
	require.LessOrEqual(t, r.MaxConcurrent, lines)
	require.Less(t, r.Seconds, 60.0)

	require.False(t, dialed.Load(), "the demo has dialed with the account of the environment")
	requireEmpty(t, p.environment["TMPDIR"])
}
