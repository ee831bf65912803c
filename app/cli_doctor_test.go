package app_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// finding is one line of redial doctor --json.
type finding struct{ Check, Verdict, Says string }

// examined runs the doctor and returns its findings by check; the last one counts.
func examined(t *testing.T, p program, code int, args ...string) map[string]finding {
	t.Helper()
	e := p.run(t, append([]string{"doctor", "--json"}, args...)...)
	require.Equal(t, code, e.code, e.stderr)
	found := map[string]finding{}
	for _, f := range decode[[]finding](t, e.stdout) {
		found[f.Check] = f
	}
	return found
}

func TestDoctorFindsNothingWrongWithAHealthySetUpAndRingsNoPhone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	var found map[string]finding
	eventually(t, "the workers' first poll to be known", func() bool {
		found = examined(t, s.program, 0)
		return found["worker"].Verdict == "ok"
	})
	for _, check := range []string{"ledger", "temporal", "worker", "gateway", "clock", "notify URL"} {
		require.Equal(t, "ok", found[check].Verdict, "%s: %s", check, found[check].Says)
	}
	require.Zero(t, s.gateway.stats(t).Launched)
}

func TestDoctorNamesWhatIsWrongAndHowToMendIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	moved := httptest.NewServer(http.RedirectHandler("https://calls.example.com/", http.StatusMovedPermanently))
	defer moved.Close()
	for _, c := range []struct {
		name, setting, check, says string
	}{
		{"a wrong secret", "KORE_CLIENT_SECRET=wrong-wrong-wrong-wrong", "gateway", "check client id and secret"},
		{"a wrong bot", "KORE_BOT_ID=st-nobody", "gateway", "check base URL and bot id"},
		{"a gateway that is not there", "KORE_BASE_URL=http://127.0.0.1:1", "gateway", "nothing was sent"},
		{"a notify URL that something else answers", "REDIAL_NOTIFY_URL=" + elsewhere.URL, "notify URL", "something else answers there"},
		{"a notify URL that redirects", "REDIAL_NOTIFY_URL=" + moved.URL, "notify URL", "follows no redirect"},
		{"a notify URL that nothing answers", "REDIAL_NOTIFY_URL=http://127.0.0.1:1", "notify URL", "start redial up"},
		{"a server that is not there", "TEMPORAL_ADDRESS=127.0.0.1:1", "temporal", "TEMPORAL_ADDRESS"},
		{"a ledger that is not there", "REDIAL_DATABASE=sqlite:nowhere.db", "ledger", "redial setup"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := examined(t, s.with(c.setting), 1)[c.check]
			require.Equal(t, "failed", f.Verdict)
			require.Contains(t, f.Says, c.says)
		})
	}
	require.Zero(t, s.gateway.stats(t).Launched)
}

func TestDoctorCallPlacesOneCallAndTellsWhatTheGatewayReported(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	for _, c := range []struct{ target, generation string }{
		{"sip:human+gen1@sim.example.com", "first generation"}, {"sip:human+gen2@sim.example.com", "second generation"}} {
		found := examined(t, s.program, 0, "--call", c.target)
		require.Equal(t, "ok", found["call"].Verdict, found["call"].Says)
		require.Contains(t, found["call"].Says, "human")
		require.Contains(t, found["generation"].Says, c.generation)
		require.Contains(t, found["fields"].Says, "conversationId")
	}
	require.Equal(t, 2, s.gateway.stats(t).Launched)
}

func TestAnAttemptInDoubtIsListedExplainedAndSettledFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	policy := s.file(t, "doubt.yaml", "dial: {ring_timeout: 5s, max_call: 500ms, grace: 500ms}\non: {unknown: {retry: [1h]}}")
	require.Contains(t, s.must(t, "attempt", "list"), "no attempt is in doubt")
	s.must(t, "call", "--to", anna, "--id", "anna", "--policy", policy, "--metadata", "simulate=human+lost+ring=1s")
	var key string
	eventually(t, "the attempt is in doubt", func() bool {
		doubted := decode[[]struct {
			Key   string `json:"key"`
			State string `json:"state"`
		}](t, s.must(t, "attempt", "list", "--json"))
		if len(doubted) == 1 {
			key = doubted[0].Key
		}
		return key != ""
	})
	require.Contains(t, s.must(t, "attempt", "list"), "heard   0 notifications")
	for _, mistake := range [][]string{{"resolve", key}, {"resolve", key, "--as", "unknown", "--reason", "x"}, {"resolve", key, "--as", "human"}, {"resolve"}} {
		require.Equal(t, 2, s.run(t, append([]string{"attempt"}, mistake...)...).code, mistake)
	}
	require.Contains(t, s.must(t, "attempt", "resolve", key, "--as", "human", "--reason", "she called back"), "settled as human")
	require.Equal(t, "human", string(s.result(t, "anna").Outcome))
	require.Equal(t, 1, s.run(t, "attempt", "resolve", key, "--as", "busy", "--reason", "again").code, "it is not in doubt any more")
}
