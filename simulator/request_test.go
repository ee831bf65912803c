package simulator

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const documentedBot = "st-e38782ff-0d89-52e9-5678769a49fdexxxx"

func TestTheDocumentedRequestsAreAcceptedAsGiven(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"testdata/dialout_2023.json", "testdata/dialout_2025.json"} {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		// Its notify URL is somebody's; the call is never let come to anything.
		sim, err := New(Config{BotID: documentedBot})
		require.NoError(t, err)
		d := &desk{t: t, sim: sim, mail: &mailbox{}}
		require.NoError(t, sim.Script("911234567890", "human+never_ends"))
		server := serve(t, sim)
		d.url = server
		for _, path := range []string{"/api/1.1/public/bot/" + documentedBot + "/smartassist/dialout", "/api/1.1/public/bot/" + documentedBot + "/V2/smartassist/dialout"} {
			response, text, err := d.post(path, token(t, DefaultClientSecret, nil), body)
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode, text)
		}
		calls := sim.Calls()
		require.Len(t, calls, 2)
		got := calls[0]
		assert.Equal(t, "tel:911234567890", got.Target)
		assert.Equal(t, "TRUNK", got.Trunk)
		assert.Equal(t, Detect, got.Requested.Detection)
		assert.Equal(t, 4, got.Requested.Threshold)
		assert.Equal(t, 12*time.Second, got.Requested.Timers.NoSpeech)
		assert.Equal(t, 15*time.Second, got.Requested.Timers.Decision)
		assert.Equal(t, 10*time.Second, got.Requested.Timers.GreetingCompletion)
		assert.Equal(t, time.Minute, got.Requested.Timeout)
		assert.JSONEq(t, `{"jobPosition":"Software Engineer","userName":"John Doe","companyName":"abc corporation","jobLocation":"USA"}`, string(got.Metadata))
	}
}

func TestTheAnswerHasTheDocumentedShape(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{SuccessStatus: 201})
	status, text := d.dial(nil)
	assert.Equal(t, 201, status)
	var answer map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Len(t, answer, 2)
	sid, err := uuid.Parse(answer["sid"])
	require.NoError(t, err)
	assert.EqualValues(t, 4, sid.Version())
	assert.Regexp(t, regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-12[0-9a-f]{2}-[0-7][0-9a-f]{3}-[0-9a-f]{12}$`), answer["callId"])
	call := d.sim.Calls()[0]
	assert.Equal(t, answer["sid"], call.SID)
	assert.Equal(t, answer["callId"], call.CallID)
	assert.NotEqual(t, call.SID, call.ConversationID, "an id of its own, unless asked otherwise")

	d = newDesk(t, Config{ConversationIDIsSID: true, AnswerConversationID: true})
	_, text = d.dial(nil)
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	assert.Equal(t, answer["sid"], answer["conversationId"])
	d.settled()
	assert.Equal(t, answer["sid"], d.mail.all()[0].fields["conversationId"])
}

func TestTheEndpointIsFoundUnderAllItsSpellings(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{BotID: "st/odd id"})
	bot := url.PathEscape("st/odd id")
	for path, status := range map[string]int{
		"/api/1.1/public/bot/" + bot + "/smartassist/dialout":       200,
		"/api/1.1/public/bot/" + bot + "/V2/smartassist/dialout":    200,
		"/api/1.1/public/bot/" + bot + "/v2/smartassist/dialout":    200,
		"/api/1.1/public/bot/st%2Fodd%20id/v2/smartassist/dialout":  200,
		"/api/1.1/public/bot/" + bot + "/v3/smartassist/dialout":    404,
		"/api/1.1/public/bot/st-another/smartassist/dialout":        404,
		"/api/1.1/public/bot/" + bot + "/smartassist/dialout/":      404,
		"/api/1.1/public/bot/" + bot + "/smartassist/dialout/other": 404,
	} {
		response, text, err := d.post(path, token(t, DefaultClientSecret, nil), d.with(fields{"bot": nil}))
		require.NoError(t, err)
		assert.Equal(t, status, response.StatusCode, "%s: %s", path, text)
	}
}

func TestParametersAreReadInEverySpellingOfTheDocumentation(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	for name, changes := range map[string]fields{
		"botId for bot":        {"bot": nil, "botId": DefaultBotID},
		"no bot":               {"bot": nil},
		"notifyUrl":            {"notifyurl": nil, "notifyUrl": d.mail.url},
		"machinedetection":     {"machineDetection": nil, "machinedetection": "detect"},
		"MACHINEDETECTION":     {"machineDetection": nil, "MACHINEDETECTION": "Detect"},
		"a sip target":         {"target": "sip:1234567890@1.23.345.678:1234"},
		"a plus in the target": {"target": "tel:+1-555-777-0001"},
		"unknown fields":       {"shoeSize": 44, "callControlParameter": fields{"sttProvider": "deepgram", "interim": true}},
		"nulls":                {"trunk": json.RawMessage("null"), "timers": json.RawMessage("null")},
	} {
		d.sim.Reset()
		status, text := d.dial(changes)
		require.Equal(t, 200, status, "%s: %s", name, text)
		call := d.sim.Calls()[0]
		assert.Equal(t, d.mail.url, call.NotifyURL, name)
		assert.Equal(t, Detect, call.Requested.Detection, name)
	}
}

func TestARequestThatMakesNoSensePlacesNoCall(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	for name, changes := range map[string]fields{
		"no target":              {"target": nil},
		"an empty target":        {"target": ""},
		"a target of letters":    {"target": "tel:abc"},
		"a national number":      {"target": "tel:0401234567"},
		"an endless number":      {"target": "tel:1234567890123456"},
		"a bare number":          {"target": "15557770001"},
		"another scheme":         {"target": "mailto:a@example.org"},
		"a SIP URI without user": {"target": "sip:example.org"},
		"a target that is none":  {"target": 15557770001},
		"no caller":              {"caller": nil},
		"a caller with blanks":   {"caller": "my phone"},
		"another bot":            {"bot": "st-another"},
		"two bots":               {"botId": "st-another"},
		"a relative notify URL":  {"notifyurl": "/notify"},
		"an unknown mode":        {"machineDetection": "maybe"},
		"a threshold of none":    {"thresholdWordCount": 0},
		"half a word":            {"thresholdWordCount": 2.5},
		"a timer of words":       {"timers": fields{"noSpeechTimeoutMs": "soon"}},
		"a negative timer":       {"timers": fields{"toneTimeoutMs": -1}},
		"timers in a list":       {"timers": []int{1}},
		"no time to ring":        {"timeoutInMs": 0},
		"metadata in a list":     {"metadata": []int{1}},
		"a script of numbers":    {"metadata": fields{"simulate": 1}},
		"a script with an error": {"metadata": fields{"simulate": "human,bizzy"}},
		"a broken header":        {"notifyHeaders": fields{"a b": "c"}},
		"events that are none":   {"amdEventsSubscription": "none"},
		"a convention misspelt":  {"target": "sip:busy+ringg=3s@example.org"},
	} {
		status, text := d.dial(changes)
		assert.Equal(t, 400, status, "%s: %s", name, text)
		assert.True(t, strings.HasPrefix(text, `{"errors":[{"code":400,"msg":"`), text)
	}
	for _, body := range []string{"", "{", "[]", "null", `"a"`} {
		response, text, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), []byte(body))
		require.NoError(t, err)
		assert.Equal(t, 400, response.StatusCode, text)
	}
	assert.Empty(t, d.sim.Calls())
}

func TestParametersInTheQueryDoNotCount(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	query := url.Values{"target": {"tel:15557770001"}, "caller": {"+15550001111"}}
	response, text, err := d.post(dialoutPath+"?"+query.Encode(), token(t, DefaultClientSecret, nil), []byte("{}"))
	require.NoError(t, err)
	assert.Equal(t, 400, response.StatusCode, text)
}

func TestABodyOver64KiBIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	status, text := d.dial(fields{"metadata": fields{"essay": strings.Repeat("x", bodyLimit)}})
	assert.Equal(t, 413, status, text)
	assert.Equal(t, 1, d.sim.Stats().Refused["too_large"])
}

func TestWithoutANotifyURLNothingIsSent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Dialect: Gen2})
	d.place("human", fields{"notifyurl": nil})
	call := d.settled()[0]
	assert.Equal(t, Human, call.Outcome)
	assert.Empty(t, call.Notifications)
	assert.Empty(t, d.mail.all())
}

func TestParametersOfTheCallAreHonoured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script  string
		changes fields
		outcome Outcome
		amd     string
	}{
		"words below the threshold":  {"machine+words=5", fields{"thresholdWordCount": 6}, Human, amdHuman},
		"words at the threshold":     {"human+words=6", fields{"thresholdWordCount": 6}, Machine, amdMachine},
		"the default is nine words":  {"human+words=9", nil, Machine, amdMachine},
		"and not eight":              {"machine+words=8", nil, Human, amdHuman},
		"a no-speech timer":          {"human", fields{"timers": fields{"noSpeechTimeoutMs": 1}}, Silent, amdNoSpeech},
		"a decision timer":           {"machine+words=200", fields{"thresholdWordCount": 100, "timers": fields{"decisionTimeoutMs": 2000}}, Undecided, amdDecisionTimeout},
		"a tone timer below others":  {"silent", fields{"timers": fields{"noSpeechTimeoutMs": 12000, "toneTimeoutMs": 10000}}, Answered, amdStopped},
		"a ring time-out":            {"human+ring=20s", fields{"timeoutInMs": 15000}, NoAnswer, ""},
		"a ring time-out just right": {"human+ring=10s+pdd=0s", fields{"timeoutInMs": 15000}, Human, amdHuman},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			d.place(c.script, c.changes)
			call := d.settled()[0]
			assert.Equal(t, c.outcome, call.Outcome)
			assert.Equal(t, c.amd, call.AMD)
		})
	}
}

func TestGreetingCompletionDelaysTheEndOfAGreeting(t *testing.T) {
	t.Parallel()
	asked := Requested{Timeout: defaultTimeout, Detection: Detect, Threshold: 4, Timers: defaultTimers}
	s, err := parseStep("machine+words=10")
	require.NoError(t, err)
	stop := func() time.Duration { return makePlan(s, asked, dice{}, Gen2).amd[1].at }
	before := stop()
	asked.Timers.GreetingCompletion += 3 * time.Second
	assert.Equal(t, before+3*time.Second, stop())
}

func TestAnEmptySubscriptionOptsOutOfDetectionEvents(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Dialect: Gen2})
	d.place("machine", fields{"amdEventsSubscription": []string{}})
	d.settled()
	assert.ElementsMatch(t, []string{"Answered", "completed"}, d.mail.statuses())
}

func TestNotifyHeadersGoOutWithDetectionEventsOnlyUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for _, everywhere := range []bool{false, true} {
		d := newDesk(t, Config{Dialect: Gen2, NotifyHeadersOnAll: everywhere})
		d.place("human", fields{"notifyHeaders": fields{"x-channel-type": "X42_IVR", "x-count": 3}})
		eventually(t, func() bool { return len(d.mail.all()) == 4 }, "four notifications")
		for _, i := range d.mail.all() {
			want := ""
			if everywhere || i.fields["status"] == "Call-In-Progress" {
				want = "X42_IVR"
			}
			assert.Equal(t, want, i.headers.Get("X-Channel-Type"), i.raw)
		}
	}
}
