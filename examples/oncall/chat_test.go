package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"redial/callflowtest"
	"redial/ledger"
)

func TestTheChatHearsOfAnAlarmThatNobodyTakes(t *testing.T) {
	var heard, key string
	status := http.StatusOK
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		heard, key = string(body), r.Header.Get("Idempotency-Key")
		w.WriteHeader(status)
	}))
	k := callflowtest.New(t, Alarm)
	k.OnAny().NoAnswer()
	story := ledger.Story{Escalated: k.Call("", incident, hasty).Escalations()[0]}
	sink := Chat{URL: chat.URL + "/T0KEN"}
	if err := sink.Escalate(t.Context(), "an id", story); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(heard, "nobody has accepted the alarm, after 9 calls") || key != "an id" {
		t.Errorf("the chat heard %s, under the key %q", heard, key)
	}
	status = http.StatusServiceUnavailable
	if err := sink.Escalate(t.Context(), "an id", story); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("an answer of 503 is taken for %v", err)
	}
	chat.Close()
	if err := sink.Escalate(t.Context(), "an id", story); err == nil || strings.Contains(err.Error(), "T0KEN") {
		t.Errorf("nobody answers, and the error is %v", err)
	}
}
