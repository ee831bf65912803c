package simulator

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryOutcomeIsReportedAsTheGatewayReportsIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script  string
		outcome Outcome
		reason  string
		code    string
		amd     string // in gen1
	}{
		{"human", Human, "200 OK", "caller-disconnected", amdHuman},
		{"human+ended_by=bot", Human, "200 OK", "bot-disconnected", amdHuman},
		{"machine", Machine, "200 OK", "bot-disconnected", amdMachine},
		{"machine+beep", Machine, "200 OK", "bot-disconnected", amdMachine},
		{"machine+ended_by=gateway", Machine, "200 OK", "SAVG-disconnected", amdMachine},
		{"tone", Machine, "200 OK", "bot-disconnected", amdTone},
		{"stopped_speaking", Machine, "200 OK", "bot-disconnected", amdStoppedSpeaking},
		{"silent", Silent, "200 OK", "caller-disconnected", amdNoSpeech},
		{"undecided", Undecided, "200 OK", "caller-disconnected", amdDecisionTimeout},
		{"amd_error", AMDError, "200 OK", "SAVG-disconnected", amdError},
		{"answered", Answered, "200 OK", "caller-disconnected", "detect"},
		{"answered+amd=amd_stopped", Answered, "200 OK", "caller-disconnected", amdStopped},
		{"answered+amd=amd_brand_new", Answered, "200 OK", "caller-disconnected", "amd_brand_new"},
		{"human+amd=none", Answered, "200 OK", "caller-disconnected", ""},
		{"human+talk=10ms", Answered, "200 OK", "caller-disconnected", amdStopped},
		{"busy", Busy, "486 Busy Here", "Busy Here", "detect"},
		{"busy+sip=600", Busy, "600 Busy Everywhere", "Busy Everywhere", "detect"},
		{"busy+no_code", Busy, "Busy Here", "Busy Here", "detect"},
		{"no_answer", NoAnswer, "487 Request Terminated", "Request Terminated", "detect"},
		{"no_answer+sip=408", NoAnswer, "408 Request Timeout", "Request Timeout", "detect"},
		{"human+ring=61s", NoAnswer, "487 Request Terminated", "Request Terminated", "detect"},
		{"unreachable", Unreachable, "480 Temporarily Unavailable", "Temporarily Unavailable", "detect"},
		{"declined", Declined, "603 Decline", "Decline", "detect"},
		{"unwanted", Unwanted, "607 Unwanted", "Unwanted", "detect"},
		{"blocked", Blocked, "608 Rejected", "Rejected", "detect"},
		{"invalid_number", InvalidNumber, "404 Not Found", "Not Found", "detect"},
		{"invalid_number+sip=484", InvalidNumber, "484 Address Incomplete", "Address Incomplete", "detect"},
		{"sip=410", InvalidNumber, "410 Gone", "Gone", "detect"},
		{"sip=485", InvalidNumber, "485 Ambiguous", "Ambiguous", "detect"},
		{"sip=604", InvalidNumber, "604 Does Not Exist Anywhere", "Does Not Exist Anywhere", "detect"},
		{"trunk_error", TrunkError, "403 Forbidden", "Forbidden", "detect"},
		{"sip=401", TrunkError, "401 Unauthorized", "Unauthorized", "detect"},
		{"sip=407", TrunkError, "407 Proxy Authentication Required", "Proxy Authentication Required", "detect"},
		{"sip=488", TrunkError, "488 Not Acceptable Here", "Not Acceptable Here", "detect"},
		{"sip=606", TrunkError, "606 Not Acceptable", "Not Acceptable", "detect"},
		{"network_error", NetworkError, "503 Service Unavailable", "Service Unavailable", "detect"},
		{"network_error+sip=500", NetworkError, "500 Server Internal Error", "Server Internal Error", "detect"},
		{"sip=502", NetworkError, "502 Bad Gateway", "Bad Gateway", "detect"},
		{"sip=504", NetworkError, "504 Server Time-out", "Server Time-out", "detect"},
		{"failed", Failed, "error", "error", "detect"},
		{"failed+sip=999", Failed, "999 Unknown Response 999", "Unknown Response 999", "detect"},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			d.place(c.script, nil)
			call := d.settled()[0]
			assert.Equal(t, c.outcome, call.Outcome)
			require.Len(t, d.mail.all(), 1, "gen1 reports the end and nothing else")
			got := d.mail.all()[0].fields
			assert.Equal(t, c.reason, got["reason"])
			assert.Equal(t, c.code, got["reasonCode"])
			assert.Equal(t, call.ConversationID, got["conversationId"])
			if c.amd == "" {
				assert.NotContains(t, got, "machinedetection")
			} else {
				assert.Equal(t, c.amd, got["machinedetection"])
			}
			answered := strings.HasPrefix(c.reason, "200")
			assert.Equal(t, answered, got["status"] == "completed")
			assert.Equal(t, answered, !call.AnsweredAt.IsZero())
			_, hasDuration := got["duration"]
			assert.Equal(t, answered, hasDuration, "only completed calls have a duration")
		})
	}
}

type gen1Sample struct {
	Script    string
	Detection string
	Want      map[string]any
}

func gen1Samples(t *testing.T) []gen1Sample {
	t.Helper()
	raw, err := os.ReadFile("testdata/gen1_notifications.json")
	require.NoError(t, err)
	var samples []gen1Sample
	require.NoError(t, json.Unmarshal(raw, &samples))
	require.Len(t, samples, 6)
	return samples
}

func TestTheDocumentedNotificationsOf2023AreReproducedInEveryField(t *testing.T) {
	t.Parallel()
	for _, sample := range gen1Samples(t) {
		s, err := parseStep(sample.Script)
		require.NoError(t, err)
		asked := Requested{Timeout: defaultTimeout, Detection: Detection(sample.Detection), Threshold: defaultThreshold, Timers: defaultTimers}
		p := makePlan(s, asked, dice{}, Gen1)
		connected, err := time.Parse(gen1Layout, sample.Want["callconnecttime"].(string))
		require.NoError(t, err)
		body, err := news{kind: kindTerminal, end: p.end}.write(facts{
			conversationID: sample.Want["conversationId"].(string), connected: connected, ended: connected.Add(p.talk),
		}, Gen1, time.UTC, notifyFaults{})
		require.NoError(t, err)
		want, err := json.Marshal(sample.Want)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(body))
	}
}

func TestAGen1CallLooksLikeItsDocumentedSampleOnTheWire(t *testing.T) {
	t.Parallel()
	written := regexp.MustCompile(`^\d{1,2}/\d{1,2}/\d{4},\d{1,2}:\d{2}:\d{2}(AM|PM)$`)
	for _, sample := range gen1Samples(t) {
		t.Run(sample.Script+"/"+sample.Detection, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			d.place(sample.Script, fields{"machineDetection": sample.Detection})
			d.settled()
			got := d.mail.all()[0].fields
			for key, want := range sample.Want {
				require.Contains(t, got, key)
				switch key {
				case "conversationId":
				case "callconnecttime", "callDisconnectTime":
					assert.Regexp(t, written, got[key])
				default:
					assert.Equal(t, want, got[key], key)
				}
			}
			assert.Len(t, got, len(sample.Want), "no field more than the sample has")
			from, err := time.Parse(gen1Layout, got["callconnecttime"].(string))
			require.NoError(t, err)
			to, err := time.Parse(gen1Layout, got["callDisconnectTime"].(string))
			require.NoError(t, err)
			duration, _ := got["duration"].(float64)
			assert.InDelta(t, duration, to.Sub(from).Seconds(), 1, "whole seconds are cut off at both ends")
		})
	}
}

func TestTheDocumentedNotificationsOf2025AreReproducedInEveryDocumentedField(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/gen2_notifications.json")
	require.NoError(t, err)
	var samples []map[string]any
	require.NoError(t, json.Unmarshal(raw, &samples))
	at := func(text string) time.Time {
		parsed, err := time.Parse(gen2Layout, text)
		require.NoError(t, err)
		return parsed
	}
	for _, want := range samples {
		n := news{kind: kindTerminal}
		f := facts{
			conversationID: want["conversationId"].(string), connected: at(want["callConnectTime"].(string)),
			ring: time.Duration(want["ringDurationInMS"].(float64)) * time.Millisecond, connect: time.Duration(want["connectDurationInMS"].(float64)) * time.Millisecond,
		}
		switch want["status"] {
		case "Answered":
			n.kind = kindAnswered
		case "Call-In-Progress":
			n = news{kind: kindAMD, amd: want["machineDetection"].(string), at: f.connected}
			f.connected = f.connected.Add(-time.Minute) // the sample shows the time of the event instead
		case "completed":
			n.end = ending{answered: true, sip: 200, endedBy: ByBot, amd: want["machineDetection"].(string)}
			f.sessionID, f.ended = want["sessionId"].(string), at(want["callDisconnectTime"].(string))
		case "Failed":
			n.end, f.ended = ending{sip: 486}, at(want["callDisconnectTime"].(string))
		}
		body, err := n.write(f, Gen2, time.UTC, notifyFaults{})
		require.NoError(t, err)
		assert.Len(t, body, documentedLength, "the dump of the documentation has this Content-Length")
		var got map[string]any
		require.NoError(t, json.Unmarshal(body, &got))
		for key, value := range want {
			assert.Equal(t, value, got[key], "%s of %s", key, want["status"])
			delete(got, key)
		}
		assert.ElementsMatch(t, []string{"callData", "trace"}, slices.Collect(keysOf(got)), "what is left is undocumented")
	}
}

func keysOf(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

func TestGen2TellsTheWholeCall(t *testing.T) {
	t.Parallel()
	for script, want := range map[string][]string{
		"human":                        {"Answered", amdHuman, amdStopped, "completed"},
		"machine":                      {"Answered", amdMachine, amdStoppedSpeaking, amdStopped, "completed"},
		"machine+beep":                 {"Answered", amdMachine, amdTone, amdStoppedSpeaking, amdStopped, "completed"},
		"machine+words=60":             {"Answered", amdMachine, amdStopped, "completed"},
		"tone":                         {"Answered", amdTone, amdStopped, "completed"},
		"silent":                       {"Answered", amdNoSpeech, amdStopped, "completed"},
		"undecided":                    {"Answered", amdDecisionTimeout, amdStopped, "completed"},
		"amd_error":                    {"Answered", amdError, amdStopped, "completed"},
		"answered":                     {"Answered", amdStopped, "completed"},
		"human+talk=10ms":              {"Answered", amdStopped, "completed"},
		"busy":                         {"Failed"},
		"human+ring=2m":                {"Failed"},
		"human+lost=answered":          {amdHuman, amdStopped, "completed"},
		"human+lost=amd":               {"Answered", "completed"},
		"human+late_events":            {"Answered", amdHuman, amdStopped, "completed"},
		"human+reorder":                {"completed", amdStopped, amdHuman, "Answered"},
		"human+late_verdict":           {"Answered", amdStopped, "completed", amdHuman},
		"machine+late_verdict+reorder": {"completed", amdStopped, amdStoppedSpeaking, "Answered", amdMachine},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{Dialect: Gen2})
			d.place(script, nil)
			eventually(t, func() bool { return len(d.mail.all()) >= len(want) }, "%d notifications", len(want))
			d.settled()
			if strings.Contains(script, "reorder") {
				assert.Equal(t, want, d.mail.statuses(), "the order is the point")
			} else {
				assert.ElementsMatch(t, want, d.mail.statuses())
			}
			if strings.Contains(script, "late_verdict") {
				statuses := d.mail.statuses()
				end := slices.Index(statuses, "completed")
				assert.Greater(t, slices.Index(statuses, want[len(want)-1]), end, "the verdict comes after the end")
				terminal := d.mail.all()[end]
				assert.NotContains(t, terminal.fields, "machineDetection", "and the end did not know it")
			}
		})
	}
}

func TestAGatewayHangsUpOnMachinesOnlyInModeDisconnect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script, mode, dialect string
		endedBy               Party
		code                  string
		short                 bool
	}{
		{"machine", "disconnect", "gen1", ByGateway, "SAVG-disconnected", true},
		{"machine", "disconnect", "gen2", ByGateway, "KoreVG-disconnected", true},
		{"tone+never_ends", "disconnect", "gen2", ByGateway, "KoreVG-disconnected", true},
		{"machine+talk=5m", "detect", "gen2", ByBot, "bot-disconnected", false},
		{"human+talk=5m", "disconnect", "gen1", ByCaller, "caller-disconnected", false},
		{"machine+talk=5m", "disabled", "gen1", ByBot, "bot-disconnected", false},
	} {
		t.Run(fmt.Sprint(c.script, " ", c.mode, " ", c.dialect), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{Dialect: Dialect(c.dialect)})
			d.place(c.script, fields{"machineDetection": c.mode})
			call := d.settled()[0]
			assert.Equal(t, c.endedBy, call.EndedBy)
			terminal := d.mail.all()[slices.IndexFunc(d.mail.all(), func(i item) bool { return i.fields["status"] == "completed" })]
			assert.Equal(t, c.code, terminal.fields["reasonCode"])
			duration, _ := terminal.fields["duration"].(float64)
			if c.dialect == "gen2" {
				duration, _ = terminal.fields["callDuration"].(float64)
			}
			assert.Equal(t, c.short, duration < 20, "lasted %v s", duration)
		})
	}
}

func TestWithoutDetectionNothingIsSaidOfMachines(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Dialect: Gen2})
	d.place("machine", fields{"machineDetection": nil})
	call := d.settled()[0]
	assert.Equal(t, Answered, call.Outcome)
	assert.ElementsMatch(t, []string{"Answered", "completed"}, d.mail.statuses())
	for _, i := range d.mail.all() {
		assert.NotContains(t, i.fields, "machineDetection")
	}
}
