package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redial/call"
	"redial/followup"
	"redial/internal/token"
	"redial/ledger"
	"redial/webhook"
)

func init() { gin.SetMode(gin.ReleaseMode) }

// door is a webhook behind a real HTTP server, before a real ledger.
type door struct {
	*webhook.Webhook
	t      *testing.T
	server *httptest.Server
	ledger *ledger.Ledger
	path   string // of the ledger's file
	keys   token.Keys
	logs   *observer.ObservedLogs
}

func open(t *testing.T, wrap ...func(webhook.Ledger) webhook.Ledger) *door {
	t.Helper()
	return openTrusting(t, nil, wrap...)
}

// openTrusting opens a webhook behind trusted proxies.
func openTrusting(t *testing.T, proxies []netip.Prefix, wrap ...func(webhook.Ledger) webhook.Ledger) *door {
	t.Helper()
	d := &door{t: t, path: filepath.Join(t.TempDir(), "redial.db")}
	var err error
	d.ledger, err = ledger.Open(t.Context(), "sqlite:"+d.path, ledger.Options{Owner: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.ledger.Close() })
	d.keys, err = token.ParseKeys("k:a-secret-of-some-length")
	require.NoError(t, err)
	core, logs := observer.New(zap.DebugLevel)
	d.logs = logs
	var l webhook.Ledger = d.ledger
	for _, w := range wrap {
		l = w(l)
	}
	d.Webhook = webhook.New(webhook.Config{Ledger: l, Tokens: d.keys, ResultTokens: d.keys.For(token.Result), Logger: zap.New(core), TrustedProxies: proxies})
	d.server = httptest.NewServer(d.Webhook)
	t.Cleanup(d.server.Close)
	return d
}

func ask(contact string) followup.ClearanceRequest {
	id := "redial/-/" + contact
	return followup.ClearanceRequest{Key: call.AttemptKey(id, "run", 1), N: 1, WorkflowID: id, FirstRunID: "run", ContactID: contact,
		Request: call.DialRequest{To: call.Target{URI: "sip:" + contact + "@example.com"}, MachineDetection: call.DetectionDetect},
		HearFor: time.Hour, Owner: "o"}
}

// dial makes an attempt that waits to be reported on, and returns the path at which it is.
func (d *door) dial(contact string) string {
	d.t.Helper()
	c, err := d.ledger.Clear(context.Background(), ask(contact))
	require.NoError(d.t, err)
	require.True(d.t, c.Cleared)
	return d.token(contact, time.Hour)
}

func (d *door) token(contact string, expires time.Duration) string {
	d.t.Helper()
	s, err := d.keys.Mint(ask(contact).Key, time.Now().Add(expires))
	require.NoError(d.t, err)
	return "/notify/" + s
}

func (d *door) do(method, path string, body io.Reader) (status int, answer string) {
	d.t.Helper()
	r, err := http.NewRequest(method, d.server.URL+path, body)
	require.NoError(d.t, err)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	require.NoError(d.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(d.t, err)
	return response.StatusCode, string(text)
}

func (d *door) post(path, body string) int {
	d.t.Helper()
	status, _ := d.do(http.MethodPost, path, strings.NewReader(body))
	return status
}

func (d *door) show(contact string) ledger.Contact {
	d.t.Helper()
	c, err := d.ledger.Show(context.Background(), contact)
	require.NoError(d.t, err)
	return c
}

const completed = `{"status":"completed","machinedetection":"amd_human_detected","duration":14}`

// Promise 2: no acknowledged notification is lost.

func TestAnAcknowledgedNotificationIsOnDiskForOthersToSee(t *testing.T) {
	d := open(t)
	path := d.dial("a")
	require.Equal(t, http.StatusOK, d.post(path, completed))
	beside, err := ledger.Open(t.Context(), "sqlite:"+d.path, ledger.Options{})
	require.NoError(t, err)
	defer beside.Close()
	c, err := beside.Show(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, call.Human, c.Attempts[0].Disposition)
	require.Equal(t, completed, c.Notifications[0].Raw)
}

func TestEachSeedSampleLeadsToItsRowOfTheTable(t *testing.T) {
	samples, err := filepath.Glob("../koreai/testdata/seed-*.json")
	require.NoError(t, err)
	require.Len(t, samples, 6)
	want := map[string]call.Disposition{"1-human": call.Human, "2-machine": call.Machine, "3-disabled": call.Answered,
		"4-failed-503": call.NetworkError, "5-failed-486": call.Busy, "6-failed-480": call.Unreachable}
	d := open(t)
	for _, file := range samples {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "seed-"), ".json")
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, d.post(d.dial(name), string(body)))
		require.Equal(t, want[name], d.show(name).Attempts[0].Disposition, name)
	}
}

func TestWhatIsNotTheRouteIs404WithoutSideEffects(t *testing.T) {
	d := open(t, func(l webhook.Ledger) webhook.Ledger {
		return spy{l, func() { t.Error("the ledger was written") }}
	})
	good := d.dial("a")
	other, err := token.ParseKeys("k:another-secret-of-some-length")
	require.NoError(t, err)
	forged, err := other.Mint(ask("a").Key, time.Now().Add(time.Hour))
	require.NoError(t, err)
	result, err := d.keys.For(token.Result).Mint(ask("a").Key, time.Now().Add(time.Hour))
	require.NoError(t, err)
	forgedResult, err := other.For(token.Result).Mint(ask("a").Key, time.Now().Add(time.Hour))
	require.NoError(t, err)
	for _, r := range []struct{ method, path string }{
		{"POST", "/notify/" + forged}, {"POST", "/notify/" + result}, {"POST", "/notify/x"}, {"POST", "/notify/"}, {"POST", "/notify"},
		{"POST", good + "/"}, {"POST", good + "/more"}, {"POST", "/NOTIFY" + strings.TrimPrefix(good, "/notify")},
		{"POST", "//" + strings.TrimPrefix(good, "/")}, {"GET", good}, {"PUT", good}, {"DELETE", good}, {"HEAD", good}, {"OPTIONS", good},
		{"POST", "/"}, {"GET", "/"}, {"GET", "/metrics"}, {"GET", "/debug/pprof/"}, {"POST", "/healthz"},
		{"POST", "/result/" + strings.TrimPrefix(good, "/notify/")}, {"POST", "/result/" + forgedResult}, {"POST", "/result/"}, {"POST", "/result"},
		{"POST", "/result/" + result + "/"}, {"GET", "/result/" + result}, {"PUT", "/result/" + result}, {"OPTIONS", "/result/" + result},
	} {
		status, _ := d.do(r.method, r.path, strings.NewReader(completed))
		require.Equal(t, http.StatusNotFound, status, "%s %s", r.method, r.path)
	}
	require.Empty(t, d.show("a").Notifications)
	require.Empty(t, d.show("a").Results)
}

// spy tells when the ledger is asked to keep something.
type spy struct {
	webhook.Ledger
	received func()
}

func (s spy) Receive(ctx context.Context, key string, raw []byte, events []call.Event, unreadable string) error {
	s.received()
	return s.Ledger.Receive(ctx, key, raw, events, unreadable)
}

func (s spy) ReceiveResult(ctx context.Context, key string, raw []byte, r call.BotResult, unreadable string) error {
	s.received()
	return s.Ledger.ReceiveResult(ctx, key, raw, r, unreadable)
}

func TestANotificationHasAtMost64KiB(t *testing.T) {
	d := open(t)
	path := d.dial("a")
	fill := func(size int) string {
		frame := `{"status":"completed","x":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("a", size-len(frame))+`"`, 1)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, d.post(path, fill(64<<10+1)))
	require.Empty(t, d.show("a").Notifications)
	status, _ := d.do(http.MethodPost, path, io.MultiReader(strings.NewReader(fill(64<<10)), strings.NewReader(" "))) // no length stated
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, http.StatusOK, d.post(path, fill(64<<10)))
	require.Len(t, d.show("a").Notifications, 1)
}

func TestWhatCannotBeReadIsKeptAndTaken(t *testing.T) {
	d := open(t)
	path := d.dial("a")
	bodies := []string{"", "null", "[]", "{", "<html>+14155550100</html>", "\xff\xfe", strings.Repeat("[", 60_000)}
	for _, body := range bodies {
		require.Equal(t, http.StatusOK, d.post(path, body), "%.20q", body)
	}
	c := d.show("a")
	require.Len(t, c.Notifications, len(bodies))
	for i, n := range c.Notifications {
		require.Equal(t, bodies[i], n.Raw)
	}
	require.Equal(t, call.StateDialing, c.Attempts[0].State)
	for _, e := range d.logs.All() {
		require.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), "4155550100")
	}
}

// Promise 3: late is not refused.
func TestATokenPastItsTimeIsLateAndTaken(t *testing.T) {
	d := open(t)
	d.dial("a")
	require.Equal(t, http.StatusOK, d.post(d.token("a", -time.Hour), completed))
	require.Equal(t, call.Human, d.show("a").Attempts[0].Disposition)
	require.Equal(t, 1, d.logs.FilterMessage("a notification came after its token's time").Len())
}

func TestATokenOfAnAttemptThatNobodyKnowsIsTaken(t *testing.T) {
	d := open(t)
	require.Equal(t, http.StatusOK, d.post(d.token("nobody", time.Hour), completed))
}

func TestHundredsAtOnceAreAllTaken(t *testing.T) {
	d := open(t)
	const contacts, each = 60, 6
	paths := make([]string, contacts)
	for i := range paths {
		paths[i] = d.dial(fmt.Sprint(i))
	}
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: contacts * each}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range contacts * each {
		body := completed
		if i/contacts%2 == 1 {
			body = `{"status":"answered"}`
		}
		wg.Go(func() {
			r, err := client.Post(d.server.URL+paths[i%contacts], "application/json", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Body.Close()
			if r.StatusCode != http.StatusOK {
				t.Error(r.Status)
			}
		})
	}
	wg.Wait()
	for i := range contacts {
		c := d.show(fmt.Sprint(i))
		require.Equal(t, call.Human, c.Attempts[0].Disposition)
		require.Len(t, c.Notifications, each)
	}
}

// moody is a ledger that fails until it is told to recover.
type moody struct {
	webhook.Ledger
	mu    sync.Mutex
	fails int // further times; -1: for ever
	tries int
	asked atomic.Int32 // whether it is ready
}

// try is the failure of one try.
func (m *moody) try() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	if m.fails == 0 {
		return nil
	}
	if m.fails > 0 {
		m.fails--
	}
	return errors.New("database is locked")
}

func (m *moody) Receive(ctx context.Context, key string, raw []byte, events []call.Event, unreadable string) error {
	if err := m.try(); err != nil {
		return err
	}
	return m.Ledger.Receive(ctx, key, raw, events, unreadable)
}

func (m *moody) ReceiveResult(ctx context.Context, key string, raw []byte, r call.BotResult, unreadable string) error {
	if err := m.try(); err != nil {
		return err
	}
	return m.Ledger.ReceiveResult(ctx, key, raw, r, unreadable)
}

func (m *moody) Ready(ctx context.Context) error {
	m.asked.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != 0 {
		return errors.New("database is locked")
	}
	return m.Ledger.Ready(ctx)
}

func TestASlowLedgerIsWaitedFor(t *testing.T) {
	m := &moody{fails: 4}
	d := open(t, func(l webhook.Ledger) webhook.Ledger { m.Ledger = l; return m })
	require.Equal(t, http.StatusOK, d.post(d.dial("a"), completed))
	require.Equal(t, 5, m.tries)
	require.Len(t, d.show("a").Notifications, 1)
}

func TestALedgerThatCannotStoreIs503AfterSomeSecondsOfTrying(t *testing.T) {
	m := &moody{fails: -1}
	d := open(t, func(l webhook.Ledger) webhook.Ledger { m.Ledger = l; return m })
	d.StoreFor(300 * time.Millisecond)
	begin := time.Now()
	path := d.dial("a")
	response, err := http.Post(d.server.URL+path, "application/json", strings.NewReader(completed))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.GreaterOrEqual(t, time.Since(begin), 200*time.Millisecond)
	require.Greater(t, m.tries, 2)
	require.Empty(t, d.show("a").Notifications)
	require.Equal(t, 8*time.Second, webhook.StoreFor, "in production: below the ten seconds a sender waits")
}

func TestTheEventOfASenderThatHangsUpIsNotLost(t *testing.T) {
	gate := make(chan struct{})
	entered := make(chan struct{}, 1)
	d := open(t, func(l webhook.Ledger) webhook.Ledger {
		return spy{l, func() { entered <- struct{}{}; <-gate }}
	})
	var request context.Context
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request = r.Context()
		d.ServeHTTP(w, r)
	}))
	defer server.Close()
	path := d.dial("a")
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(completed), completed)
	require.NoError(t, err)
	<-entered
	require.NoError(t, conn.Close())
	<-request.Done() // the server has noticed
	close(gate)
	require.Eventually(t, func() bool { return len(d.show("a").Notifications) == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, call.Human, d.show("a").Attempts[0].Disposition)
}

func TestABodyThatBreaksOffIsNotTaken(t *testing.T) {
	d := open(t)
	path := d.dial("a")
	conn, err := net.Dial("tcp", d.server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", path, completed)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(answer, []byte("HTTP/1.1 400")), "%s", answer)
	require.Empty(t, d.show("a").Notifications)
}

func TestHealthAndReadiness(t *testing.T) {
	m := &moody{}
	d := open(t, func(l webhook.Ledger) webhook.Ledger { m.Ledger = l; return m })
	is := func(path string, want int) {
		t.Helper()
		status, _ := d.do(http.MethodGet, path, nil)
		require.Equal(t, want, status, path)
	}
	is("/healthz", http.StatusOK)
	is("/readyz", http.StatusOK)
	m.fails = -1
	is("/healthz", http.StatusOK)
	require.Eventually(t, func() bool { // an answer is kept for a moment: probes must not keep notifications waiting
		status, _ := d.do(http.MethodGet, "/readyz", nil)
		return status == http.StatusServiceUnavailable
	}, 10*time.Second, 10*time.Millisecond)
	asked := m.asked.Load()
	for range 100 {
		is("/readyz", http.StatusServiceUnavailable)
	}
	require.Less(t, m.asked.Load(), asked+20)
	m.fails = 0
	d.Drain()
	is("/readyz", http.StatusServiceUnavailable)
	require.Equal(t, http.StatusOK, d.post(d.dial("a"), completed), "a webhook that drains still takes what comes")
}

func TestTheAccessLogMasksTokens(t *testing.T) {
	d := open(t)
	path := d.dial("a")
	secretPart := strings.TrimPrefix(path, "/notify/")
	d.post(path, completed)
	d.post(path+"x", completed)
	d.post("/elsewhere/"+secretPart, "")
	d.do(http.MethodGet, "/healthz", nil)
	entries := d.logs.FilterMessage("request").All()
	require.Len(t, entries, 4)
	for _, e := range d.logs.All() {
		require.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), secretPart[:20])
	}
	require.Equal(t, "/notify/…", entries[0].ContextMap()["path"])
	require.EqualValues(t, http.StatusOK, entries[0].ContextMap()["status"])
	require.Equal(t, ask("a").Key, entries[0].ContextMap()["attempt"])
	require.Equal(t, zap.DebugLevel, entries[3].Level, "a probe is no news")
}

func TestAPanicIsA500AndShowsNoToken(t *testing.T) {
	var once atomic.Bool
	d := open(t, func(l webhook.Ledger) webhook.Ledger {
		return spy{l, func() {
			if once.CompareAndSwap(false, true) {
				panic("oh")
			}
		}}
	})
	path := d.dial("a")
	require.Equal(t, http.StatusInternalServerError, d.post(path, completed))
	require.Equal(t, http.StatusOK, d.post(path, completed))
	require.Equal(t, 1, d.logs.FilterMessage("panic").Len())
}

// from is whom the access log says that a request with these headers, from this machine, is from.
func (d *door) from(headers ...string) string {
	d.t.Helper()
	r, err := http.NewRequest(http.MethodPost, d.server.URL+"/notify/x", nil)
	require.NoError(d.t, err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	response.Body.Close()
	requests := d.logs.FilterMessage("request").TakeAll()
	return requests[len(requests)-1].ContextMap()["from"].(string)
}

func TestTheLogDoesNotBelieveWhoARequestSaysItIsFrom(t *testing.T) {
	for name, trusted := range map[string][]netip.Prefix{
		"nobody is trusted":  nil,
		"others are trusted": {netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	} {
		t.Run(name, func(t *testing.T) {
			d := openTrusting(t, trusted)
			for _, header := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "X-Appengine-Remote-Addr"} {
				require.Equal(t, "127.0.0.1", d.from(header+": 203.0.113.7"), header)
			}
		})
	}
}

func TestTheLogBelievesATrustedProxyAndNobodyBeforeIt(t *testing.T) {
	d := openTrusting(t, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")})
	require.Equal(t, "127.0.0.1", d.from(), "the proxy itself asks")
	require.Equal(t, "203.0.113.7", d.from("X-Forwarded-For: 203.0.113.7"))
	require.Equal(t, "203.0.113.7", d.from("X-Forwarded-For: 198.51.100.1, 203.0.113.7"), "the caller wrote the first one")
	require.Equal(t, "203.0.113.7", d.from("X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.7"), "a proxy may add a line of its own")
	require.Equal(t, "203.0.113.7", d.from("X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.1.2.3"), "a proxy behind a proxy")
	require.Equal(t, "2001:db8::7", d.from("X-Forwarded-For: 2001:db8::7"))
	require.Equal(t, "127.0.0.1", d.from("X-Forwarded-For: nonsense"))
	require.Equal(t, "127.0.0.1", d.from("X-Real-IP: 203.0.113.7"), "anybody may have written that one")
}
