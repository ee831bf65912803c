package koreai_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/koreai"
)

var update = flag.Bool("update", false, "write what is decoded into the golden files, to be read before it is believed")

var received = time.Date(2023, 5, 8, 11, 40, 0, 0, time.UTC)

func decode(t *testing.T, raw string) call.Event {
	t.Helper()
	events, err := koreai.Decode([]byte(raw), koreai.DecodeOptions{ReceivedAt: received})
	require.NoError(t, err)
	require.Len(t, events, 1)
	return events[0]
}

func TestTheSixDocumentedNotificationsAreUnderstood(t *testing.T) {
	samples, err := filepath.Glob("testdata/seed-?-*.json")
	require.NoError(t, err)
	require.Len(t, samples, 6)
	for _, sample := range samples {
		t.Run(filepath.Base(sample), func(t *testing.T) {
			raw, err := os.ReadFile(sample)
			require.NoError(t, err)
			events, err := koreai.Decode(raw, koreai.DecodeOptions{ReceivedAt: received})
			require.NoError(t, err)
			got, err := json.MarshalIndent(events, "", "  ")
			require.NoError(t, err)
			golden := strings.TrimSuffix(sample, ".json") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(got))
		})
	}
}

// The four notifications of one call of the second generation, as its documentation describes them.
const (
	gen2Answered = `{"conversationId":"c1","status":"Answered","reason":"200 OK","reasonCode":"OK",
		"callConnectTime":"2025-03-04T10:15:17.600Z","ringDurationInMS":5012,"connectDurationInMS":7100}`
	gen2Progress = `{"conversationId":"c1","status":"Call-In-Progress","reason":"200 OK","reasonCode":"OK",
		"callConnectTime":"2025-03-04T10:15:21.761Z","machineDetection":"amd_machine_detected"}`
	gen2Completed = `{"conversationId":"c1","status":"completed","reason":"200 OK","reasonCode":"KoreVG-disconnected","callDuration":109,
		"callConnectTime":"2025-03-04T10:15:17.609Z","callDisconnectTime":"2025-03-04T10:17:07.149Z","ringDurationInMS":5012,
		"machineDetection":"amd_machine_detected","sessionId":"5f8d0d55b54764421b7156c5"}`
	gen2Failed = `{"conversationId":"c2","status":"Failed","reason":"486 Busy Here","reasonCode":"Busy Here",
		"callConnectTime":"2025-03-04T10:15:17.600Z","ringDurationInMS":15255,"connectDurationInMS":17204}`
)

func TestBothGenerationsGiveTheSameEvents(t *testing.T) {
	require.Equal(t, call.Event{
		Status: call.StatusAnswered, RawStatus: "Answered", SIP: 200, Reason: "200 OK", ReasonCode: "OK", ConversationID: "c1",
		Ring: 5012 * time.Millisecond, Connect: 7100 * time.Millisecond, ReceivedAt: received,
		Claimed: call.ClaimedTimes{RawConnect: "2025-03-04T10:15:17.600Z", Connect: time.Date(2025, 3, 4, 10, 15, 17, 6e8, time.UTC)},
	}, decode(t, gen2Answered))

	end := decode(t, gen2Completed)
	require.Equal(t, call.StatusCompleted, end.Status)
	require.Equal(t, call.AMDMachine, end.AMD)
	require.Equal(t, call.PartyGateway, end.EndedBy)
	require.Equal(t, 109*time.Second, end.Duration)
	require.Equal(t, "5f8d0d55b54764421b7156c5", end.SessionID)
}

func TestTrap12And13EveryFieldIsOptionalButAStatusOrAnEventOfDetection(t *testing.T) {
	require.Equal(t, call.Event{Status: call.StatusAnswered, RawStatus: "answered", ReceivedAt: received}, decode(t, `{"status":"answered"}`))
	require.Equal(t, call.Event{Status: call.StatusProgress, AMD: call.AMDHuman, ReceivedAt: received}, decode(t, `{"machineDetection":"amd_human_detected"}`))
	e := decode(t, `{"status":"completed","sid":"s","callId":"k","conversationId":"c","sessionId":"z"}`)
	require.Equal(t, []string{"s", "k", "c", "z"}, []string{e.SID, e.CallID, e.ConversationID, e.SessionID})

	for _, nothing := range []string{`{}`, `{"conversationId":"c1"}`, `{"machinedetection":"disabled"}`, `{"status":""}`, `{"status":null}`, `{"status":{"a":1}}`, `{"machinedetection":"AMD"}`} {
		_, err := koreai.Decode([]byte(nothing), koreai.DecodeOptions{})
		var problem *koreai.DecodeError
		require.ErrorAs(t, err, &problem, nothing)
		require.ErrorContains(t, err, "neither a status")
	}
}

func TestTrap14KeysAreReadInAnyCaseAndACollisionPrefersWhatIsNotEmpty(t *testing.T) {
	e := decode(t, `{"STATUS":"completed","machineDetection":"amd_tone_detected","machinedetection":"","CallDisconnectTIME":"2025-03-04T10:17:07Z","calldisconnecttime":null}`)
	require.Equal(t, call.AMDTone, e.AMD)
	require.Equal(t, "2025-03-04T10:17:07Z", e.Claimed.RawDisconnect)
	require.Equal(t, call.StatusFailed, decode(t, `{"status":"failed","status":""}`).Status, "plain duplicates are collisions too")
	require.Equal(t, call.StatusFailed, decode(t, `{"status":"answered","status":"failed"}`).Status, "the last one counts, as in JavaScript")
	require.Equal(t, 15255*time.Millisecond, decode(t, `{"status":"Failed","ringDurationInMs":15255}`).Ring)
}

func TestTrap15DurationIsReadInEverySpellingAndComputedWhereItIsMissing(t *testing.T) {
	const times = `,"callconnecttime":"5/8/2023,11:32:49AM","callDisconnectTime":"5/8/2023,11:33:03AM"}`
	for fields, want := range map[string]time.Duration{
		`"duration":14`:                   14 * time.Second,
		`"duration":"14"`:                 14 * time.Second,
		`"duration":" 14 "`:               14 * time.Second,
		`"duration":109.54`:               109 * time.Second,
		`"callDuration":"109.54"`:         109 * time.Second,
		`"callDuration":0`:                0,
		`"duration":1.4e1`:                14 * time.Second,
		`"duration":-3`:                   0,
		`"duration":1e30`:                 7 * 24 * time.Hour,
		`"duration":"1e99"`:               7 * 24 * time.Hour,
		`"duration":"","callDuration":14`: 14 * time.Second,
	} {
		require.Equal(t, want, decode(t, `{"status":"completed",`+fields+`}`).Duration, fields)
	}
	for _, missing := range []string{``, `,"duration":null`, `,"duration":"soon"`, `,"duration":"NaN"`, `,"duration":"Inf"`, `,"duration":"0x10"`, `,"duration":{}`} {
		require.Equal(t, 14*time.Second, decode(t, `{"status":"completed"`+missing+times).Duration, missing)
	}
	require.Zero(t, decode(t, `{"status":"completed"}`).Duration)
	require.Zero(t, decode(t, `{"status":"completed","callconnecttime":"5/8/2023,11:33:03AM","callDisconnectTime":"5/8/2023,11:32:49AM"}`).Duration)
	require.Zero(t, decode(t, `{"status":"failed"`+times).Duration, "nobody was connected")
}

func TestTrap16TimesAreReadInEveryFormatAndNeverCostAnEvent(t *testing.T) {
	kolkata := time.FixedZone("IST", 5*3600+1800)
	for text, want := range map[string]time.Time{
		"2025-03-04T10:15:17.600Z":      time.Date(2025, 3, 4, 10, 15, 17, 6e8, time.UTC),
		"2025-03-04T10:15:17+02:00":     time.Date(2025, 3, 4, 8, 15, 17, 0, time.UTC),
		"5/8/2023,11:32:49AM":           time.Date(2023, 5, 8, 11, 32, 49, 0, kolkata),
		"05/08/2023,11:32:49AM":         time.Date(2023, 5, 8, 11, 32, 49, 0, kolkata),
		"5/8/2023, 11:32:49 PM":         time.Date(2023, 5, 8, 23, 32, 49, 0, kolkata),
		"5/8/2023, 11:32:49\u202fpm":    time.Date(2023, 5, 8, 23, 32, 49, 0, kolkata),
		"5/8/2023,12:00:00AM":           time.Date(2023, 5, 8, 0, 0, 0, 0, kolkata),
		"5/8/2023,12:00:00PM":           time.Date(2023, 5, 8, 12, 0, 0, 0, kolkata),
		"5/8/2023 23:32:49":             time.Date(2023, 5, 8, 23, 32, 49, 0, kolkata),
		"5/8/2023,11:32AM":              time.Date(2023, 5, 8, 11, 32, 0, 0, kolkata),
		"25/8/2023,11:32:49AM":          time.Date(2023, 8, 25, 11, 32, 49, 0, kolkata),
		"2/30/2023,11:32:49AM":          {},
		"13/13/2023,11:32:49AM":         {},
		"0/8/2023,11:32:49AM":           {},
		"5/8/2023,13:32:49AM":           {},
		"5/8/2023,24:00:00":             {},
		"5/8/1970,11:32:49AM":           {},
		"0000-01-01T00:00:00+14:00":     {},
		"9999-12-31T23:59:59.999-23:59": {},
		"yesterday":                     {},
		"":                              {},
	} {
		raw, err := json.Marshal(map[string]string{"status": "completed", "callconnecttime": text})
		require.NoError(t, err)
		events, err := koreai.Decode(raw, koreai.DecodeOptions{Zone: kolkata, ReceivedAt: received})
		require.NoError(t, err, text)
		require.True(t, want.Equal(events[0].Claimed.Connect), "%s was read as %s", text, events[0].Claimed.Connect)
		require.Equal(t, text, events[0].Claimed.RawConnect)
		_, err = json.Marshal(events)
		require.NoError(t, err, text)
	}
}

func TestTrap17AFailedCallHasNoConnectTimeAlthoughOneIsSent(t *testing.T) {
	e := decode(t, gen2Failed)
	require.Zero(t, e.Claimed.Connect)
	require.Equal(t, "2025-03-04T10:15:17.600Z", e.Claimed.RawConnect)
	require.Equal(t, 17204*time.Millisecond, e.Connect)
}

func TestTrap18TheConnectTimeOfAProgressEventIsNotTheConnectTime(t *testing.T) {
	e := decode(t, gen2Progress)
	require.Zero(t, e.Claimed.Connect)
	require.Equal(t, "2025-03-04T10:15:21.761Z", e.Claimed.RawConnect)
}

func TestTrap20And21OnlyEventsOfDetectionAreVerdictsAndModesAreKeptAsTheyAre(t *testing.T) {
	for value, verdict := range map[string]bool{
		"amd_human_detected": true, " AMD_Machine_Detected ": true, "amd_no_speech_detected": true, "amd_decision_timeout": true,
		"amd_stopped": false, "disabled": false, "detect": false, "Disconnect": false, "amd_tone_timeout": false, "something new": false,
	} {
		e := decode(t, `{"status":"completed","machinedetection":"`+value+`"}`)
		require.Equal(t, strings.ToLower(strings.TrimSpace(value)), string(e.AMD))
		require.Equal(t, verdict, e.AMD.IsVerdict(), value)
	}
}

func TestTrap22StatusesAreFoldedAndAnUnknownOneIsNeverAnEnd(t *testing.T) {
	for text, want := range map[string]call.Status{
		"completed": call.StatusCompleted, "Completed": call.StatusCompleted, "FAILED": call.StatusFailed, " Answered ": call.StatusAnswered,
		"Call-In-Progress": call.StatusProgress, "call_in progress": call.StatusProgress, "in-progress": call.StatusProgress, "InProgress": call.StatusProgress,
		"ringing": call.StatusOther, "completed-ish": call.StatusOther, "busy": call.StatusOther, "42": call.StatusOther,
	} {
		e := decode(t, `{"status":"`+text+`"}`)
		require.Equal(t, want, e.Status, text)
		require.Equal(t, strings.TrimSpace(text), e.RawStatus)
	}
	require.Equal(t, call.StatusOther, decode(t, `{"status":42}`).Status)
}

func TestTrap23To25TheSIPCodeComesFromTheReasonElseFromWords(t *testing.T) {
	for _, c := range []struct {
		reason, code string
		sip          int
	}{
		{"486 Busy Here", "Busy Here", 486}, {"486 Busy Here", "Service Unavailable", 486}, {"SIP/2.0 503 Service Unavailable", "", 503},
		{"SIP;cause=603;text=\\\"Decline\\\"", "", 603}, {"Q.850;cause=17", "Busy here", 486}, {"", "BUSY HERE", 486}, {"", "busy", 486},
		{"", "Temporarily Unavailable", 480}, {"", "Service-Unavailable", 503}, {"", "no-answer", 487}, {"", "declined", 603}, {"", "486", 486},
		{"Not Found", "", 404}, {"", "Unwanted", 607}, {"", "Rejected", 608}, {"", "error", 0}, {"", "Teapot", 0}, {"call 1234567 lost", "", 0},
		{"999 Nothing", "", 0}, {"", "", 0},
	} {
		e := decode(t, `{"status":"failed","reason":"`+c.reason+`","reasonCode":"`+c.code+`"}`)
		require.Equal(t, c.sip, e.SIP, "%s, %s", c.reason, c.code)
		require.Empty(t, e.EndedBy)
	}
}

func TestTrap24AndTheAliasesOfAudioCodesSayWhoHungUp(t *testing.T) {
	for code, want := range map[string]call.Party{
		"caller-disconnected": call.PartyCallee, "Caller-disconnected": call.PartyCallee, "client-disconnected": call.PartyCallee,
		"bot-disconnected": call.PartyBot, "Bot Disconnected": call.PartyBot, "transferred": call.PartyBot,
		"SAVG-disconnected": call.PartyGateway, "KoreVG-disconnected": call.PartyGateway, "machine-detected": call.PartyGateway,
		"amd-error": call.PartyGateway, "error": call.PartyGateway, "OK": "", "": "", "somebody": "",
	} {
		require.Equal(t, want, decode(t, `{"status":"completed","reasonCode":"`+code+`"}`).EndedBy, code)
	}
}

func TestTrap26ReasonCodesAreInterpretedOnEndsOnly(t *testing.T) {
	e := decode(t, `{"status":"Answered","reasonCode":"bot-disconnected"}`)
	require.Empty(t, e.EndedBy)
	require.Zero(t, decode(t, `{"status":"Answered","reasonCode":"OK"}`).SIP)
	require.Zero(t, decode(t, `{"status":"Call-In-Progress","reasonCode":"Busy Here"}`).SIP)
}

func TestTrap27TwoEndsOfOneCallAreBothDecodedAndTheFirstStands(t *testing.T) {
	a := call.Attempt{State: call.StatePlaced, Detection: true}
	for _, sample := range []string{"testdata/seed-1-human.json", "testdata/seed-2-machine.json"} {
		raw, err := os.ReadFile(sample)
		require.NoError(t, err)
		effect := a.Fold(decode(t, string(raw)))
		require.Equal(t, sample == "testdata/seed-1-human.json", effect.Ended)
	}
	require.Equal(t, call.Human, a.Disposition)
}

func TestTrap28IdsAreOpaqueAndCapped(t *testing.T) {
	long := strings.Repeat("é", 200)
	e := decode(t, `{"status":"completed","conversationId":"40a95de6-949a-4403-b735-233daxxxx","sid":"`+long+`","callId":12345678901234567890,"sessionId":"a\u0000b\nc"}`)
	require.Equal(t, "40a95de6-949a-4403-b735-233daxxxx", e.ConversationID)
	require.Equal(t, strings.Repeat("é", 128), e.SID)
	require.Equal(t, "12345678901234567890", e.CallID)
	require.Equal(t, "abc", e.SessionID)
}

func TestTrap29AnObjectAndAnArrayAreReadAndEverythingElseIsAnError(t *testing.T) {
	events, err := koreai.Decode([]byte(` [`+gen2Answered+`,`+gen2Progress+`,`+gen2Completed+`] `), koreai.DecodeOptions{ReceivedAt: received})
	require.NoError(t, err)
	require.Equal(t, []call.Event{decode(t, gen2Answered), decode(t, gen2Progress), decode(t, gen2Completed)}, events)

	require.Equal(t, call.StatusFailed, decode(t, "\ufeff"+gen2Failed).Status)

	for _, rubbish := range []string{
		"", "  ", "null", "42", `"completed"`, "true", "[]", "[[]]", "[null]", "{", "}", "[", "{]", `{"status":"failed"`, `{"status":"failed",}`,
		`{"status" "failed"}`, `{1:2}`, `{status:"failed"}`, gen2Failed + gen2Failed, gen2Failed + ",", `{&quot;status&quot;:&quot;failed&quot;}`,
		"status=failed&reason=486", "<html>", strings.Repeat("[", 60000), strings.Repeat(`{"a":`, 10000), `{"status":"failed","x":` + strings.Repeat("[", 60000),
	} {
		events, err := koreai.Decode([]byte(rubbish), koreai.DecodeOptions{})
		var problem *koreai.DecodeError
		require.ErrorAs(t, err, &problem, "%.60s", rubbish)
		require.Empty(t, events)
		require.NotContains(t, err.Error(), "\n")
		require.Less(t, len(err.Error()), 200)
	}
}

func TestOneBadElementOfAnArrayDoesNotCostTheOthers(t *testing.T) {
	events, err := koreai.Decode([]byte(`[{"a":1},`+gen2Completed+`,7]`), koreai.DecodeOptions{ReceivedAt: received})
	var problem *koreai.DecodeError
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 1, problem.Part)
	require.Equal(t, []call.Event{decode(t, gen2Completed)}, events)
}

func TestTrap33And37UnknownFieldsOfAnyShapeAreNoReasonToRefuse(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	e := decode(t, `{"status":"completed","billing":{"a":[1,{"b":null}]},"deep":`+deep+`,"n":1e400,"t":true,"":"","conversationID":"c-123"}`)
	require.Equal(t, call.StatusCompleted, e.Status)
	require.Equal(t, "c-123", e.ConversationID)
}

func FuzzDecodeNeverPanicsAndKeepsItsBounds(f *testing.F) {
	samples, err := filepath.Glob("testdata/seed-?-*.json")
	require.NoError(f, err)
	for _, sample := range samples {
		raw, err := os.ReadFile(sample)
		require.NoError(f, err)
		f.Add(raw)
	}
	for _, seed := range []string{gen2Answered, gen2Progress, gen2Completed, gen2Failed, "[" + gen2Answered + "," + gen2Failed + "]", "{]", `{"status":"failed",}`,
		`{"status":1e309,"duration":"1e99"}`, `{"STATUS":"completed","callconnecttime":"99/99/2023,99:99:99AM"}`, "[[[[", `{"\u0130":1}`, "\xff\xfe{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := koreai.Decode(bytes.Clone(raw), koreai.DecodeOptions{ReceivedAt: received})
		if len(events) == 0 && err == nil {
			t.Fatal("neither an event nor an error")
		}
		for _, e := range events {
			if e.Status == "" || e.Duration < 0 || e.Duration > 7*24*time.Hour || e.Duration%time.Second != 0 || e.SIP != 0 && (e.SIP < 100 || e.SIP > 699) {
				t.Fatalf("out of bounds: %+v", e)
			}
			for _, id := range []string{e.SID, e.CallID, e.ConversationID, e.SessionID, e.Reason, e.ReasonCode, e.RawStatus} {
				if len(id) > 256 || strings.ContainsRune(id, 0) {
					t.Fatalf("an id or text is not fit to be stored: %q", id)
				}
			}
			if _, err := json.Marshal(e); err != nil {
				t.Fatal(err)
			}
		}
	})
}
