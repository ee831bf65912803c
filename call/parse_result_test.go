package call_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"redial/call"
)

var received = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func TestEveryKindOfResultIsRead(t *testing.T) {
	for _, kind := range call.ResultKinds() {
		body := `{"result":"` + string(kind) + `"}`
		want := call.BotResult{Kind: kind, ReceivedAt: received}
		if kind == call.Callback {
			body = `{"at":"2026-03-02T15:00:00+01:00","result":"callback"}`
			want.At = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
		}
		r, err := call.ParseBotResult([]byte(body), received)
		require.NoError(t, err, kind)
		require.Equal(t, want, r)
	}
}

func TestDataIsAnyJSONValue(t *testing.T) {
	for sent, want := range map[string]string{
		`"text"`: `"text"`, `7`: `7`, `false`: `false`, `[ 1, {"a" : null} ]`: `[1,{"a":null}]`, `{"slot":"<b>\u0000"}`: `{"slot":"<b>\u0000"}`, `null`: ``,
		`"` + strings.Repeat("x", call.MaxResultData-2) + `"`: `"` + strings.Repeat("x", call.MaxResultData-2) + `"`,
	} {
		r, err := call.ParseBotResult([]byte("\ufeff {\"result\":\"confirmed\",\"at\":null,\"data\":"+sent+"}\n"), received)
		require.NoError(t, err, "%.60s", sent)
		require.Equal(t, want, string(r.Data))
	}
}

func TestACallbackIsInTheFutureWithAllowanceForClocks(t *testing.T) {
	for at, good := range map[time.Duration]bool{
		-5*time.Minute - time.Second: false, -5 * time.Minute: true, 0: true, time.Second: true, 366 * 24 * time.Hour: true, 367 * 24 * time.Hour: false,
	} {
		_, err := call.ParseBotResult([]byte(`{"result":"callback","at":"`+received.Add(at).Format(time.RFC3339)+`"}`), received)
		require.Equal(t, good, err == nil, at)
	}
}

func TestABodyThatIsNoResultIsRefusedWithOneLineThatNamesTheField(t *testing.T) {
	for body, says := range map[string]string{
		``:                                  "no JSON",
		`{"result":`:                        "no JSON from byte 10 on",
		`{"result":"confirmed"} {}`:         "no JSON from byte",
		`null`:                              "no JSON object",
		`[]`:                                "no JSON object",
		`"confirmed"`:                       "no JSON object",
		strings.Repeat("[", 60_000):         "no JSON",
		"{\"result\":\"\xff\"}":             "UTF-8",
		`{}`:                                "result is missing: give one of confirmed, declined, callback, opted_out, unfinished",
		`{"result":null}`:                   "result is missing",
		`{"result":7}`:                      "result is no text",
		`{"result":"yes"}`:                  `result is "yes": give one of`,
		`{"result":"Confirmed"}`:            `result is "Confirmed"`,
		`{"Result":"confirmed"}`:            `the key "Result" is unknown`,
		`{"result":"confirmed","note":"x"}`: `the key "note" is unknown: send result, at and data`,
		`{"result":"confirmed","a\nb":1}`:   `the key "a\nb" is unknown`,
		`{"result":"confirmed","result":"declined"}`:                                      "result is given twice",
		`{"result":"confirmed","at":null,"at":null}`:                                      "at is given twice",
		`{"result":"callback"}`:                                                           "at is missing",
		`{"result":"callback","at":1767225600}`:                                           "at is no text",
		`{"result":"callback","at":""}`:                                                   `at is ""`,
		`{"result":"callback","at":"tomorrow"}`:                                           `at is "tomorrow": give a time of RFC 3339`,
		`{"result":"callback","at":"2026-03-02T15:00:00"}`:                                "with its zone",
		`{"result":"callback","at":"2026-03-01T15:00:00Z"}`:                               "at is 2026-03-01T15:00:00Z, which is past",
		`{"result":"callback","at":"9999-03-01T15:00:00Z"}`:                               "more than a year ahead",
		`{"result":"confirmed","at":"2026-03-02T15:00:00Z"}`:                              "at goes with the result callback, and not with confirmed",
		`{"result":"confirmed","data":"` + strings.Repeat("x", call.MaxResultData) + `"}`: "data has 16386 bytes: 16384 are the most",
	} {
		r, err := call.ParseBotResult([]byte(body), received)
		require.ErrorContains(t, err, says, "%.80s", body)
		require.NotContains(t, err.Error(), "\n")
		require.Less(t, len(err.Error()), 400)
		require.Zero(t, r)
	}
}

func FuzzParseBotResultNeverPanicsAndKeepsItsBounds(f *testing.F) {
	for _, seed := range []string{``, `{`, `{}`, `{"result":"confirmed"}`, `{"result":"callback","at":"2026-03-02T15:00:00+01:00","data":{"a":[1,null]}}`,
		`{"result":"opted_out","data":"\u2028\ud800"}`, `{"result":"declined","data":null,"x":1}`, `[{"result":"confirmed"}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := call.ParseBotResult(raw, received)
		if err != nil {
			if text := err.Error(); strings.ContainsAny(text, "\r\n") || !utf8.ValidString(text) || len(text) > 1000 {
				t.Fatalf("%q", text)
			}
			return
		}
		switch {
		case !slices.Contains(call.ResultKinds(), r.Kind):
			t.Fatalf("kind %q", r.Kind)
		case r.At.IsZero() != (r.Kind != call.Callback):
			t.Fatalf("%s at %s", r.Kind, r.At)
		case len(r.Data) > call.MaxResultData || r.Data != nil && !json.Valid(r.Data):
			t.Fatalf("data %q", r.Data)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
