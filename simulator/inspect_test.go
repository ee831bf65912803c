package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask sends a request to the inspection endpoints.
func (d *desk) ask(method, path, body string) (int, string) {
	d.t.Helper()
	request, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(d.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(d.t, err)
	return response.StatusCode, string(text)
}

func TestEverythingCanBeSeenAndSteeredOverHTTP(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	status, text := d.ask("GET", "/healthz", "")
	assert.Equal(t, 200, status, text)

	for target, script := range map[string]string{
		"tel:15557770001":                     "human+never_ends",
		url.PathEscape("tel:+15557770002"):    `{"script": "busy"}`,
		"+15557770003":                        "declined",
		url.PathEscape("sip:a@h:5060"):        "unwanted",
		url.PathEscape("sip:a/b@example.org"): "blocked",
	} {
		status, text = d.ask("PUT", "/simulator/scripts/"+target, script)
		assert.Equal(t, 200, status, text)
	}
	for _, bad := range []string{"", "bizzy", "{", `{"script":""}`} {
		status, text = d.ask("PUT", "/simulator/scripts/tel:15557770001", bad)
		assert.Equal(t, 400, status)
		assert.Contains(t, text, `"error"`)
	}
	for _, target := range []string{"tel:15557770001", "tel:15557770002", "tel:15557770003", "sip:a@h:5060", "sip:a/b@example.org"} {
		status, text = d.dial(fields{"target": target})
		require.Equal(t, 200, status, text)
	}
	eventually(t, func() bool { return d.sim.Stats().Live == 1 }, "one call without end")
	calls := d.callsOverHTTP("")
	require.Len(t, calls, 5)
	for i, outcome := range []Outcome{"", Busy, Declined, Unwanted, Blocked} {
		assert.Equal(t, outcome, calls[i].Outcome)
	}
	require.Len(t, d.callsOverHTTP("?target=%2B15557770002"), 1)
	require.Len(t, d.callsOverHTTP("?target=tel:+15557770002"), 1, "a plus sign as people write it")
	status, _ = d.ask("GET", "/simulator/calls?target=nobody", "")
	assert.Equal(t, 400, status)

	for i, call := range d.sim.Calls() {
		assert.Equal(t, call.Requested, calls[i].Requested, "the same in JSON")
	}

	sid := calls[0].SID
	for _, step := range []struct {
		path   string
		status int
	}{{sid + "/end?by=nobody", 400}, {"no-such-call/end", 404}, {sid + "/end?by=bot", 202}} {
		status, text = d.ask("POST", "/simulator/calls/"+step.path, "")
		assert.Equal(t, step.status, status, text)
	}
	d.settledWith(5)
	status, _ = d.ask("POST", "/simulator/calls/"+sid+"/end", "")
	assert.Equal(t, 409, status)

	var stats Stats
	_, text = d.ask("GET", "/simulator/stats", "")
	require.NoError(t, json.Unmarshal([]byte(text), &stats))
	assert.Equal(t, d.sim.Stats(), stats)
	assert.Equal(t, 5, stats.Launched)

	status, _ = d.ask("DELETE", "/simulator/calls", "")
	assert.Equal(t, 204, status)
	assert.Empty(t, d.callsOverHTTP(""))
	status, _ = d.ask("DELETE", "/simulator/scripts/tel:15557770002", "")
	assert.Equal(t, 204, status)
	for path, status := range map[string]int{"/nowhere": 404, "/simulator/nowhere": 404} {
		got, _ := d.ask("GET", path, "")
		assert.Equal(t, status, got)
	}
	status, _ = d.ask("GET", dialoutPath, "")
	assert.Equal(t, 405, status)
}

func (d *desk) callsOverHTTP(query string) []Call {
	d.t.Helper()
	status, text := d.ask("GET", "/simulator/calls"+query, "")
	require.Equal(d.t, 200, status, text)
	var list struct{ Calls []Call }
	require.NoError(d.t, json.Unmarshal([]byte(text), &list))
	return list.Calls
}

func TestACallCanBeEndedAtAnyMoment(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]struct {
		by      Party
		outcome Outcome
		endedBy Party
		amd     string
	}{
		"human+ring=50s":                   {ByCaller, NoAnswer, "", ""},
		"human+ring=0s+pdd=0s+talk=160h":   {ByBot, Human, ByBot, amdHuman},
		"human+ring=0s+pdd=0s+never_ends":  {ByGateway, Human, ByGateway, amdHuman},
		"undecided+ring=0s+pdd=0s+talk=1h": {"", Answered, ByCaller, amdStopped},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			speed := 1.0
			if want.outcome == Human {
				speed = fast
			}
			d := newDesk(t, Config{Speed: speed, Dialect: Gen2})
			sid := d.place(script, nil)
			if want.outcome == Human {
				eventually(t, func() bool { return len(d.mail.all()) == 3 }, "the verdict")
			}
			if want.outcome == Answered {
				eventually(t, func() bool { return len(d.mail.all()) == 1 }, "the answer")
			}
			require.NoError(t, d.sim.End(sid, want.by))
			call := d.settledWith(1)[0]
			assert.Equal(t, want.outcome, call.Outcome)
			assert.Equal(t, want.endedBy, call.EndedBy)
			assert.Equal(t, want.amd, call.AMD)
			if want.outcome == NoAnswer {
				assert.Less(t, d.mail.all()[0].fields["connectDurationInMS"], 50_000.0, "it rang until it was cancelled")
			}
			assert.ErrorIs(t, d.sim.End(sid, want.by), ErrCallEnded)
			assert.ErrorIs(t, d.sim.End("nobody", want.by), ErrNoSuchCall)
		})
	}
}

func TestResetForgetsCallsAndHangsUpWithoutAWord(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Lines: 1})
	require.NoError(t, d.sim.Script("15557770001", "human+never_ends,busy"))
	d.dial(nil)
	d.sim.Reset()
	assert.Empty(t, d.sim.Calls())
	assert.Equal(t, Stats{Refused: map[string]int{}, Overlapping: []string{}}, d.sim.Stats())
	d.dial(nil)
	call := d.sim.Calls()[0]
	assert.Equal(t, 1, call.N, "dials are counted anew")
	assert.Equal(t, "human+never_ends", call.Step, "scripts stay")
	assert.Zero(t, d.sim.Stats().NoLine, "the line of the forgotten call is free")
	require.NoError(t, d.sim.Close(t.Context()))
	assert.Empty(t, d.mail.all())
}

func TestCloseStopsEveryTimerAndWaitsForNotificationsUnderWay(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	release, arrived := make(chan struct{}), make(chan struct{})
	d.mail.say(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	d.place("busy", nil)
	<-arrived
	d.place("human+never_ends", fields{"target": "tel:15557770002"})
	d.place("busy+late=100h", fields{"target": "tel:15557770003"})

	closed := make(chan error)
	go func() { closed <- d.sim.Close(context.Background()) }()
	eventually(t, func() bool { status, _ := d.dial(nil); return status == 503 }, "new calls to be refused")
	select {
	case err := <-closed:
		require.FailNow(t, "closed while a notification was under way", "%v", err)
	default:
	}
	close(release)
	require.NoError(t, <-closed)
	calls := d.sim.Calls()
	assert.Equal(t, 200, calls[0].Notifications[0].Status)
	assert.True(t, calls[1].Live(), "hung up without a word")
	assert.Positive(t, d.sim.Stats().Refused["closed"])
}

func TestCloseCutsOffAReceiverThatTakesTooLong(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	arrived := make(chan struct{})
	d.mail.say(func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() })
	d.place("busy", nil)
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, d.sim.Close(ctx), context.Canceled)
	assert.NotEmpty(t, d.sim.Calls()[0].Notifications[0].Error)
}

// Not parallel: it counts the goroutines of all calls in the process.
func TestCallsLeaveNoGoroutineBehindAfterResetAndClose(t *testing.T) {
	living := func() int {
		stacks := make([]byte, 16<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "(*liveCall).live(")
	}
	sim, err := New(Config{})
	require.NoError(t, err)
	s, err := parseStep("human+never_ends")
	require.NoError(t, err)
	for _, end := range []func(){sim.Reset, func() { require.NoError(t, sim.Close(t.Context())) }} {
		for range 500 {
			_, open := sim.place(dialRequest{asked: Requested{Timeout: time.Hour}}, s, 1, dice{})
			require.True(t, open)
		}
		eventually(t, func() bool { return living() == 500 }, "500 calls to live")
		end()
		eventually(t, func() bool { return living() == 0 }, "all of them to end")
	}
}
