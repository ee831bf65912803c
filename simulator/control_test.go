package simulator

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnOutageMeetsEveryRequestUntilItEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true, Dialect: Gen1, RatePerMinute: 2})
	d.place("human+pdd=1s+ring=1s+talk=1m", nil)
	require.NoError(t, d.sim.Outage("http=503", 10*time.Minute))
	for range 9 {
		d.advance(time.Minute)
		response, _, err := d.post(dialoutPath, "whoever asks", d.with(nil))
		require.NoError(t, err)
		assert.Equal(t, 503, response.StatusCode)
	}
	assert.Equal(t, []string{"completed"}, order(d.mail.all()), "a call that is live goes on, and is told of")
	d.advance(time.Minute - time.Millisecond)
	status, _ := d.dial(nil)
	assert.Equal(t, 503, status)
	d.advance(time.Millisecond)
	status, text := d.dial(nil)
	assert.Equal(t, 200, status, text)

	stats := d.sim.Stats()
	assert.Equal(t, 10, stats.MetOutage)
	assert.Equal(t, map[string]int{"http_503": 10}, stats.Refused)
	assert.Equal(t, 12, stats.Requests)
	assert.Equal(t, 2, stats.Launched)
	assert.Equal(t, 1, stats.MaxPerMinute, "a gateway that is down counts nobody's rate")
	assert.Equal(t, 2, d.sim.Calls()[1].N, "nor anybody's dials")
}

func TestEveryKindOfOutageIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    string
		status  int // 0: the connection breaks
		refused string
	}{
		{"refuse", 0, "refuse"},
		{"reset", 0, "reset_before"},
		{"reset_before", 0, "reset_before"},
		{"http=503", 503, "http_503"},
		{"http=480", 480, "http_480"},
		{"http=502+retry_after=7s", 502, "http_502"},
		{"http=500+placed", 500, ""},
		{"lost_answer", 0, ""},
		{"rubbish", 200, ""},
		{"slow=1ms", 200, ""},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			require.NoError(t, d.sim.Outage(c.kind, 0))
			for range 2 {
				response, text, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(fields{"metadata": fields{"simulate": "busy+early"}}))
				if c.status == 0 {
					require.Error(t, err, "no answer may come")
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, c.status, response.StatusCode, text)
				if strings.Contains(c.kind, "retry_after") {
					assert.Equal(t, "7", response.Header.Get("Retry-After"))
				}
			}
			stats := d.sim.Stats()
			assert.Equal(t, 2, stats.MetOutage)
			if c.refused != "" {
				assert.Equal(t, map[string]int{c.refused: 2}, stats.Refused)
				assert.Zero(t, stats.Launched)
			} else {
				assert.Equal(t, 2, stats.Launched)
				d.settledWith(2)
			}
			d.sim.EndOutage()
			status, _ := d.dial(nil)
			assert.Equal(t, 200, status)
		})
	}
}

func TestASlowGatewayPlacesCallsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	require.NoError(t, d.sim.Outage("slow", time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+dialoutPath, strings.NewReader(string(d.with(nil))))
	require.NoError(t, err)
	request.Header.Set("auth", token(t, DefaultClientSecret, nil))
	gaveUp := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request)
		gaveUp <- err
	}()
	d.settledWith(1)
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	// One that the script refuses is refused.
	status, _ := d.dial(fields{"metadata": fields{"simulate": "http=400"}})
	assert.Equal(t, 400, status)
	assert.Equal(t, 2, d.sim.Stats().MetOutage)
}

func TestAnOutageThatMakesNoSenseIsRefusedInWords(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	require.NoError(t, d.sim.Outage("http=502", 0))
	for kind, want := range map[string]string{
		"": "give refuse", "strike": "give refuse", "busy": "give refuse", "http=503+lost": "give refuse", "early": "give refuse", "slow=soon": "give a duration",
		"human+http=503": "give refuse", "http=200": "300 to 599", "refuse=1s": "give refuse",
	} {
		assert.ErrorContains(t, d.sim.Outage(kind, 0), want, kind)
	}
	assert.ErrorContains(t, d.sim.Outage("refuse", -1), "for -1ns")
	status, _ := d.dial(nil)
	assert.Equal(t, 502, status, "the earlier one stays")
}

func TestAnythingCanBeSaidOfACallByHand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect Dialect
		event   Event
		want    map[string]any
	}{
		{Gen2, Event{Name: "answered"}, map[string]any{"status": "Answered", "reason": "200 OK"}},
		{Gen2, Event{Name: amdHuman}, map[string]any{"status": "Call-In-Progress", "machineDetection": amdHuman}},
		{Gen1, Event{Name: "amd_brand_new"}, map[string]any{"status": "Call-In-Progress", "machineDetection": "amd_brand_new"}},
		{Gen2, Event{Name: "completed", By: ByGateway, AMD: amdMachine}, map[string]any{"status": "completed", "reasonCode": "KoreVG-disconnected", "machineDetection": amdMachine}},
		{Gen1, Event{Name: "completed"}, map[string]any{"status": "completed", "reasonCode": "caller-disconnected", "machinedetection": "detect", "duration": 60.0}},
		{Gen1, Event{Name: "failed", SIP: 486}, map[string]any{"status": "failed", "reason": "486 Busy Here", "reasonCode": "Busy Here"}},
		{Gen2, Event{Name: "failed", SIP: 603}, map[string]any{"status": "Failed", "reason": "603 Decline"}},
		{Gen2, Event{Name: "failed"}, map[string]any{"status": "Failed", "reason": "error"}},
	} {
		d := newDesk(t, Config{Paused: true, Dialect: c.dialect})
		sid := d.place("answered+never_ends+pdd=0s+ring=2s+lost=all+array", fields{"notifyHeaders": fields{"x-amd": "yes"}})
		d.advance(62 * time.Second)
		require.Empty(t, d.mail.all())
		n, err := d.sim.Notify(t.Context(), sid, c.event)
		require.NoError(t, err)
		assert.Equal(t, c.event.Name, n.Event)
		assert.Equal(t, faultForced, n.Fault)
		assert.Equal(t, 200, n.Status)
		require.Len(t, d.mail.all(), 1)
		got := d.mail.all()[0]
		for key, want := range c.want {
			assert.Equal(t, want, got.fields[key], "%s of %+v", key, c.event)
		}
		call := d.sim.Calls()[0]
		assert.Equal(t, call.ConversationID, got.fields["conversationId"])
		assert.Equal(t, strings.HasPrefix(c.event.Name, "amd_"), got.headers.Get("X-Amd") == "yes")
		assert.True(t, call.Live(), "the call itself goes on")
		assert.Empty(t, call.Outcome)
	}
}

func TestACallThatRingsCanBeSaidToBeOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true, Dialect: Gen2})
	sid := d.place("human+pdd=1s+ring=30s+talk=1m", nil)
	d.advance(3 * time.Second)
	for _, e := range []Event{{Name: "completed"}, {Name: "failed", SIP: 480}} {
		_, err := d.sim.Notify(t.Context(), sid, e)
		require.NoError(t, err)
	}
	assert.EqualValues(t, 0, d.mail.all()[0].fields["callDuration"], "it was answered and over at once")
	assert.EqualValues(t, 3000, d.mail.all()[1].fields["connectDurationInMS"])
	d.advance(time.Hour)
	_, err := d.sim.Notify(t.Context(), sid, Event{Name: amdStopped})
	require.NoError(t, err, "an event after the end")
	assert.Equal(t, []string{"completed", "Failed", "Answered", amdHuman, amdStopped, "completed", amdStopped}, d.mail.statuses())
	require.NoError(t, d.sim.Close(t.Context()))
	_, err = d.sim.Notify(t.Context(), sid, Event{Name: amdStopped})
	assert.ErrorIs(t, err, ErrClosed)
}

func TestNobodyWaitsForAReceiverLongerThanTheyLike(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true})
	arrived, release := make(chan struct{}), make(chan struct{})
	d.mail.say(func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	sid := d.place("human", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := d.sim.Notify(ctx, sid, Event{Name: "answered"})
	require.ErrorIs(t, err, context.Canceled)
	close(release)
}

func TestTheGatewayIsSteeredOverHTTP(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true, PlainNumbers: true})
	put := func(path, body string, want int, contains string) {
		t.Helper()
		status, text := d.ask("PUT", path, body)
		assert.Equal(t, want, status, "%s: %s", body, text)
		assert.Contains(t, text, contains, body)
	}
	post := func(path string, want int, contains string) {
		t.Helper()
		status, text := d.ask("POST", path, "")
		assert.Equal(t, want, status, "%s: %s", path, text)
		assert.Contains(t, text, contains, path)
	}
	put("/simulator/profile", "everyday", 200, `"no_answer":18`)
	put("/simulator/profile", `"storm"`, 200, `"lost_answer":0.02`)
	put("/simulator/profile", "hurricane", 400, "everyday or storm")
	put("/simulator/profile", "", 400, "everyday or storm")
	put("/simulator/profile", `{"outcome":{"busy":1}}`, 400, "outcome")
	put("/simulator/profile", `{"outcomes":{"bizzy":1}}`, 400, "bizzy")
	put("/simulator/profile", `{"outcomes":{"busy+pdd=1s":1},"faults":{"duplicate":1}}`, 200, "busy")

	status, text := d.dial(nil)
	require.Equal(t, 200, status, text)
	sid := d.sim.Calls()[0].SID
	for path, want := range map[string]int{
		sid + "/notify":                                400,
		sid + "/notify?event=ringing":                  400,
		sid + "/notify?event=failed&sip=busy":          400,
		sid + "/notify?event=failed&sip=200":           400,
		sid + "/notify?event=completed&sip=486":        400,
		sid + "/notify?event=failed&by=bot":            400,
		sid + "/notify?event=completed&by=me":          400,
		"nobody/notify?event=answered":                 404,
		sid + "/notify?event=failed&sip=480":           200,
		sid + "/notify?event=completed&by=bot&amd=amd": 200,
	} {
		post("/simulator/calls/"+path, want, "")
	}
	assert.Len(t, d.mail.all(), 2)
	d.dial(fields{"target": "tel:15557770002", "notifyurl": nil})
	post("/simulator/calls/"+d.sim.Calls()[1].SID+"/notify?event=answered", 409, "no notify URL")

	for query, want := range map[string]int{"": 400, "?by=30": 400, "?by=-3s": 400, "?by=999h": 400, "?by=0s": 200} {
		post("/simulator/clock/advance"+query, want, "")
	}
	post("/simulator/clock/advance?by=1s", 200, `{"advanced":"1s"}`)
	assert.Equal(t, Busy, d.sim.Calls()[0].Outcome)
	assert.Len(t, d.mail.all(), 4, "duplicated, as the profile says")

	put("/simulator/outage", `{"kind":"http=503","for":"10m"}`, 200, `{"kind":"http=503","for":"10m"}`)
	status, _ = d.dial(nil)
	assert.Equal(t, 503, status)
	for _, bad := range []string{"", "refuse", `{"kind":"strike"}`, `{"kind":"refuse","for":"long"}`, `{"kind":"refuse","for":"0s"}`, `{"kind":"refuse","until":"10m"}`} {
		put("/simulator/outage", bad, 400, `"error"`)
	}
	status, _ = d.ask("DELETE", "/simulator/outage", "")
	assert.Equal(t, 204, status)
	status, _ = d.dial(nil)
	assert.Equal(t, 200, status)
	put("/simulator/outage", `{"kind":"reset"}`, 200, `{"kind":"reset"}`)
	d.sim.Reset()
	_, _, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(nil))
	assert.Error(t, err, "an outage outlives a reset")
	require.NoError(t, d.sim.Close(t.Context()))
	post("/simulator/clock/advance?by=1s", 503, "closed")
}

func TestAProfileThatIsRefusedLeavesTheEarlierOneInPlace(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Profile: Profile{Outcomes: map[string]float64{"busy": 1}}, PlainNumbers: true})
	require.Error(t, d.sim.SetProfile(Profile{Outcomes: map[string]float64{"busy": 0}}))
	d.dial(nil)
	require.NoError(t, d.sim.SetProfile(Profile{}))
	d.dial(nil)
	calls := d.settledWith(2)
	assert.Equal(t, []Outcome{Busy, Human}, []Outcome{calls[0].Outcome, calls[1].Outcome})
	storm, err := NamedProfile("storm")
	require.NoError(t, err)
	assert.Equal(t, Storm(), storm)
	written, err := json.Marshal(storm)
	require.NoError(t, err)
	var read Profile
	require.NoError(t, unmarshalStrictly(written, &read))
	assert.Equal(t, storm, read)
}

func TestTheREADMEListsEveryRequest(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	sim, err := New(Config{})
	require.NoError(t, err)
	defer sim.endLife()
	for _, route := range sim.engine.Routes() {
		path := route.Path
		for name, written := range map[string]string{":botId": "{botId}", ":sid": "{sid}", ":target": "{target}", "/:version": ""} {
			path = strings.Replace(path, name, written, 1)
		}
		assert.Contains(t, string(raw), "| `"+route.Method+" "+path)
	}
}
