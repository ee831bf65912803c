package console_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"redial/call"
	"redial/console"
	"redial/followup"
	"redial/internal/token"
	"redial/ledger"
)

func init() { gin.SetMode(gin.ReleaseMode) }

const secret = "a secret of this test alone"

// desk is a console over real HTTP, on a real ledger file that another part of the deployment owns.
type desk struct {
	t      *testing.T
	ledger *ledger.Ledger // the owner's
	own    *ledger.Ledger // the console's
	url    string
	logs   *observer.ObservedLogs
	bearer string
}

func newDesk(t *testing.T, change ...func(*console.Config)) *desk {
	t.Helper()
	address := "sqlite:" + filepath.Join(t.TempDir(), "redial.db")
	d := &desk{t: t}
	var err error
	d.ledger, err = ledger.Open(t.Context(), address, ledger.Options{Owner: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.ledger.Close() })
	d.own, err = ledger.Open(t.Context(), address, ledger.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.own.Close() })
	core, logs := observer.New(zapcore.DebugLevel)
	d.logs = logs
	c := console.Config{Ledger: d.own, Logger: zap.New(core)}
	for _, f := range change {
		f(&c)
	}
	server := httptest.NewServer(console.New(c))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func keys(t *testing.T, text string) token.Keys {
	t.Helper()
	k, err := token.ParseKeys(text)
	require.NoError(t, err)
	return k
}

// guarded asks for tokens.
func guarded(t *testing.T) func(*console.Config) {
	return func(c *console.Config) { c.Tokens = keys(t, secret) }
}

// answer is what the console said.
type answer struct {
	status int
	header http.Header
	body   string
	asked  *http.Request
}

func (d *desk) ask(path string, change ...func(*http.Request)) answer {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.url+path, nil)
	require.NoError(d.t, err)
	if d.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+d.bearer)
	}
	for _, f := range change {
		f(request)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(d.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(d.t, err)
	return answer{response.StatusCode, response.Header, string(body), request}
}

func with(header, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(header, value) }
}

// told is a success as what it says.
func told[T any](d *desk, path string) T {
	d.t.Helper()
	a := d.ask(path)
	require.Equal(d.t, http.StatusOK, a.status, a.body)
	require.Equal(d.t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
	var v T
	require.NoError(d.t, json.Unmarshal([]byte(a.body), &v))
	return v
}

// refused is a problem's detail.
func (d *desk) refused(a answer, status int) string {
	d.t.Helper()
	require.Equal(d.t, status, a.status, a.body)
	require.Equal(d.t, "application/problem+json", a.header.Get("Content-Type"))
	var p struct {
		Title, Detail string
		Status        int
	}
	require.NoError(d.t, json.Unmarshal([]byte(a.body), &p))
	require.Equal(d.t, status, p.Status)
	require.Equal(d.t, http.StatusText(status), p.Title)
	return p.Detail
}

// ask is the first attempt of a contact, to a number of its own.
func ask(campaign, contact, number string) followup.ClearanceRequest {
	folder := campaign
	if folder == "" {
		folder = "-"
	}
	id := "redial/" + folder + "/" + contact
	return followup.ClearanceRequest{Key: call.AttemptKey(id, "run", 1), N: 1, WorkflowID: id, FirstRunID: "run", ContactID: contact, Campaign: campaign,
		Request: call.DialRequest{To: call.Target{URI: "tel:" + number}, Caller: "+12025550100", MachineDetection: call.DetectionDetect,
			Metadata: map[string]any{"order": 7.0}, RingTimeout: 45 * time.Second},
		HearFor: 10 * time.Minute, Owner: "run/1/1"}
}

func (d *desk) clear(r followup.ClearanceRequest) followup.Clearance {
	d.t.Helper()
	c, err := d.ledger.Clear(context.Background(), r)
	require.NoError(d.t, err)
	return c
}

func (d *desk) answer(r followup.ClearanceRequest, a call.DialAnswer) {
	d.t.Helper()
	require.True(d.t, d.clear(r).Cleared)
	_, err := d.ledger.Answer(context.Background(), r.Key, r.Owner, a)
	require.NoError(d.t, err)
}

func (d *desk) place(r followup.ClearanceRequest) {
	d.t.Helper()
	d.answer(r, call.DialAnswer{Class: call.AnswerPlaced, SID: "sid"})
}

// busy is a deployment at work: a call under way, one that ended, one in doubt, and one contact that waits for a line.
func (d *desk) busy() {
	d.t.Helper()
	require.NoError(d.t, d.ledger.SetLimits(context.Background(), 2, 55, time.Minute))
	ended := ask("", "ended", "+12025550101")
	d.place(ended)
	require.NoError(d.t, d.ledger.Receive(context.Background(), ended.Key, []byte(`{"status":"completed"}`),
		[]call.Event{{Status: call.StatusCompleted, AMD: call.AMDHuman, Duration: 14 * time.Second}}, ""))
	for i, r := range []call.BotResult{{Kind: call.Callback, At: time.Now(), Data: []byte("[7]")}, {Kind: call.Confirmed}, {}} {
		unreadable := map[bool]string{true: "the body is no JSON object"}[r.Kind == ""]
		require.NoError(d.t, d.ledger.ReceiveResult(context.Background(), ended.Key, []byte{byte('0' + i)}, r, unreadable))
	}
	d.place(ask("spring", "anna", "+12025550102"))
	d.answer(ask("", "doubt", "+12025550103"), call.DialAnswer{Class: call.AnswerUnknown, Message: "the connection broke"})
	require.NotNil(d.t, d.clear(ask("", "anna", "+12025550104")).Held)
	d.suppress(ledger.SuppressedNumber, "tel:+12025550101", time.Now().Add(time.Hour))
	d.suppress(ledger.SuppressedContact, "ended", time.Time{})
	d.suppress(ledger.SuppressedContact, "somebody", time.Time{})
	_, err := d.ledger.Unsuppress(context.Background(), ledger.SuppressedContact, "somebody", "operator eva", "a mistake")
	require.NoError(d.t, err)
}

func (d *desk) suppress(kind ledger.SuppressionKind, subject string, expires time.Time) {
	d.t.Helper()
	_, err := d.ledger.Suppress(context.Background(), ledger.Suppression{Kind: kind, Subject: subject, Source: "operator anna", Reason: "a letter", ExpiresAt: expires})
	require.NoError(d.t, err)
}
