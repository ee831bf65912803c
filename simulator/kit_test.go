package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

// patience bounds every wait; a test that passes never comes near it.
const patience = 10 * time.Second

// fast is a speed at which a minute takes a few milliseconds.
const fast = 10_000

// desk is a simulator that listens, and a receiver for its notifications.
type desk struct {
	t    *testing.T
	sim  *Simulator
	url  string
	mail *mailbox
}

func newDesk(t *testing.T, config Config) *desk {
	t.Helper()
	if config.Speed == 0 {
		config.Speed = fast
	}
	sim, err := New(config)
	require.NoError(t, err)
	server := httptest.NewServer(sim.Handler())
	d := &desk{t: t, sim: sim, url: server.URL, mail: newMailbox(t)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, sim.Close(ctx))
		server.Close()
		assert.Zero(t, sim.clock.atWork, "somebody works on after the end, or was counted twice")
		assert.Empty(t, sim.clock.queue, "somebody waits for a time that will not come")
	})
	return d
}

// token mints a JWT as the gateway wants it; change may spoil it.
func token(t *testing.T, secret string, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{
		"sub": "test", "appId": DefaultClientID, "jti": uuid.NewString(),
		"iat": time.Now().Add(-30 * time.Second).Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	require.NoError(t, err)
	return signed
}

// fields are those of a dialout request.
type fields map[string]any

// with gives a good request, changed. A nil value takes a field out.
func (d *desk) with(changes fields) []byte {
	all := fields{
		"bot": DefaultBotID, "target": "tel:15557770001", "caller": "+15550001111", "machineDetection": "detect",
		"notifyurl": d.mail.url,
	}
	for key, value := range changes {
		if all[key] = value; value == nil {
			delete(all, key)
		}
	}
	raw, err := json.Marshal(all)
	require.NoError(d.t, err)
	return raw
}

const dialoutPath = "/api/1.1/public/bot/" + DefaultBotID + "/smartassist/dialout"

// post sends a body to the dialout endpoint.
func (d *desk) post(path, auth string, body []byte) (*http.Response, string, error) {
	d.t.Helper()
	request, err := http.NewRequest(http.MethodPost, d.url+path, bytes.NewReader(body))
	require.NoError(d.t, err)
	request.Header.Set("auth", auth)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response, string(text), err
}

// dial sends a good request, changed, and expects an answer.
func (d *desk) dial(changes fields) (status int, answer string) {
	d.t.Helper()
	response, text, err := d.post(dialoutPath, token(d.t, DefaultClientSecret, nil), d.with(changes))
	require.NoError(d.t, err)
	return response.StatusCode, text
}

// place dials by a script and expects a call.
func (d *desk) place(script string, changes fields) (sid string) {
	d.t.Helper()
	all := fields{"metadata": fields{"simulate": script}}
	for key, value := range changes {
		all[key] = value
	}
	status, text := d.dial(all)
	require.Equal(d.t, http.StatusOK, status, text)
	var ids struct{ SID, CallID string }
	require.NoError(d.t, json.Unmarshal([]byte(text), &ids))
	return ids.SID
}

// eventually waits for a condition.
func eventually(t *testing.T, holds func() bool, message string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			require.FailNow(t, "waited in vain: "+fmt.Sprintf(message, args...))
		}
		time.Sleep(time.Millisecond)
	}
}

// settled waits until every call has ended and all its notifications are answered, and gives the calls.
func (d *desk) settled() []Call {
	d.t.Helper()
	var calls []Call
	eventually(d.t, func() bool {
		calls = d.sim.Calls()
		for _, c := range calls {
			if c.Live() || !told(c) {
				return false
			}
		}
		return len(calls) > 0
	}, "calls have not settled: %+v", calls)
	return calls
}

// told reports whether the last notification of an ended call is out, and every other one answered.
func told(c Call) bool {
	terminals := 0
	for _, n := range c.Notifications {
		if !n.Dropped() && n.AnsweredAt.IsZero() {
			return false
		}
		if n.Event == "completed" || n.Event == "failed" {
			terminals++
		}
	}
	return terminals > 0 || c.NotifyURL == ""
}

// item is a notification as it arrived.
type item struct {
	path    string
	headers http.Header
	raw     string
	fields  map[string]any // nil when the body is no object
}

// mailbox is a notify URL.
type mailbox struct {
	url    string
	answer http.HandlerFunc // what it says; nil is 200

	mu    sync.Mutex
	items []item
}

func newMailbox(t *testing.T) *mailbox {
	m := &mailbox{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		i := item{path: r.URL.Path, headers: r.Header, raw: string(raw)}
		_ = json.Unmarshal(raw, &i.fields)
		m.mu.Lock()
		m.items = append(m.items, i)
		answer := m.answer
		m.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	m.url = server.URL + "/notify/some-attempt-token"
	return m
}

func (m *mailbox) all() []item {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]item(nil), m.items...)
}

func (m *mailbox) say(answer http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

// statuses lists what arrived, in order: the status, and the answering-machine event of mid-call notifications.
func (m *mailbox) statuses() []string {
	var list []string
	for _, i := range m.all() {
		status := fmt.Sprint(i.fields["status"])
		if status == "Call-In-Progress" {
			status = fmt.Sprint(i.fields["machineDetection"])
		}
		list = append(list, status)
	}
	return list
}

// serve listens for a simulator that needs no mailbox, and gives its URL.
func serve(t *testing.T, sim *Simulator) string {
	t.Helper()
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		require.NoError(t, sim.Close(context.Background()))
		server.Close()
	})
	return server.URL
}

// settledWith waits for a number of calls, for their ends, and for all that follows them, and gives the calls.
func (d *desk) settledWith(calls int) []Call {
	d.t.Helper()
	eventually(d.t, func() bool { return len(d.sim.Calls()) == calls }, "%d calls", calls)
	d.settled()
	idle := make(chan struct{})
	go func() { d.sim.work.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-time.After(patience):
		require.FailNow(d.t, "notifications are still under way")
	}
	return d.sim.Calls()
}
