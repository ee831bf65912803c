package deploy

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"github.com/stretchr/testify/require"
)

// receiver stands for a webhook: it says whether it is ready, and keeps what it was sent.
type receiver struct {
	server  *http.Server
	address string

	mu       sync.Mutex
	ready    bool
	dying    bool // breaks the connection when it has read a notification, as one does that is killed
	got      []string
	forwards string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &receiver{address: l.Addr().String(), ready: true}
	r.server = &http.Server{Handler: r}
	go func() { _ = r.server.Serve(l) }()
	t.Cleanup(func() { _ = r.server.Close() })
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if request.URL.Path == "/readyz" {
		if !r.ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	r.got = append(r.got, string(body))
	r.forwards = strings.Join(request.Header.Values("X-Forwarded-For"), ",")
	if r.dying {
		panic(http.ErrAbortHandler)
	}
}

func (r *receiver) set(change func(*receiver)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *receiver) received() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// proxied is Caddy under the configuration of deploy/, before two webhooks.
type proxied struct {
	url  string
	log  string
	a, b *receiver
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// adapted is the proxy's configuration as Caddy understands it, with these replacements.
func adapted(t *testing.T, replacements ...string) []byte {
	t.Helper()
	text := source(t, "deploy/Caddyfile")
	for i := 0; i < len(replacements); i += 2 {
		require.Equal(t, 1, strings.Count(text, replacements[i]), replacements[i])
		text = strings.Replace(text, replacements[i], replacements[i+1], 1)
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	require.NoError(t, err)
	require.Empty(t, warnings, "caddy fmt --overwrite mends the format")
	return config
}

func startProxy(t *testing.T) *proxied {
	t.Helper()
	p := &proxied{url: "http://127.0.0.1:" + freePort(t), log: filepath.Join(t.TempDir(), "log"), a: newReceiver(t), b: newReceiver(t)}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("REDIAL_NOTIFY_URL", p.url)
	t.Setenv("WEBHOOKS", p.a.address+" "+p.b.address)
	config := adapted(t,
		"\tadmin off\n", "\tadmin off\n\tdefault_bind 127.0.0.1\n", "\tlog {\n", "\tlog {\n\t\toutput file "+p.log+"\n",
		"http://:8079", "http://:"+freePort(t), "lb_try_duration 8s", "lb_try_duration 2s")
	require.NoError(t, caddy.Load(config, true))
	t.Cleanup(func() { require.NoError(t, caddy.Stop()) })
	return p
}

const credential = "eyJhbGciOiJIUzI1NiJ9.a-credential"

// post sends one notification as the gateway does, and returns the status.
func (p *proxied) post(t *testing.T, body string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, p.url+"/notify/"+credential, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Forwarded-For", "203.0.113.9")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}

func (p *proxied) posts(t *testing.T, n int) (a, b int) {
	t.Helper()
	a, b = p.a.received(), p.b.received()
	for range n {
		require.Equal(t, http.StatusOK, p.post(t, "x"))
	}
	return p.a.received() - a, p.b.received() - b
}

func TestTheProxySpreadsNotificationsAndSaysWhoSentThem(t *testing.T) {
	p := startProxy(t)
	a, b := p.posts(t, 20)
	require.Equal(t, 20, a+b)
	require.Positive(t, a)
	require.Positive(t, b)
	require.Equal(t, "127.0.0.1", p.a.forwards, "what the caller says of itself is not passed on")
}

func TestNothingButNotificationsPassesTheProxy(t *testing.T) {
	p := startProxy(t)
	for _, path := range []string{"/readyz", "/healthz", "/", "/metrics", "/notifyx"} {
		response, err := http.Get(p.url + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNotFound, response.StatusCode, path)
	}
}

func TestAWebhookThatDrainsGetsNoNewNotificationsAndOneThatIsBackDoes(t *testing.T) {
	p := startProxy(t)
	p.a.set(func(r *receiver) { r.ready = false })
	require.Eventually(t, func() bool { a, _ := p.posts(t, 20); return a == 0 }, 4*time.Second, 50*time.Millisecond, "within the drain delay of 5 s")
	a, b := p.posts(t, 20)
	require.Equal(t, []int{0, 20}, []int{a, b})
	p.a.set(func(r *receiver) { r.ready = true })
	require.Eventually(t, func() bool { a, _ := p.posts(t, 4); return a > 0 }, 10*time.Second, 50*time.Millisecond)
}

func TestANotificationWhoseWebhookDiesReachesTheOtherWhole(t *testing.T) {
	p := startProxy(t)
	p.a.set(func(r *receiver) { r.dying = true })
	whole := strings.Repeat("x", 64<<10) // as much as a webhook takes
	for p.a.received() == 0 {
		require.Equal(t, http.StatusOK, p.post(t, whole))
	}
	require.Equal(t, whole, p.a.got[0])
	for _, got := range p.b.got {
		require.Equal(t, whole, got)
	}
	require.NoError(t, p.a.server.Close())
	_, b := p.posts(t, 20)
	require.Equal(t, 20, b, "of one that is gone nobody notices")
}

func TestTheProxysLogHoldsNoCredential(t *testing.T) {
	p := startProxy(t)
	require.NoError(t, p.a.server.Close())
	require.NoError(t, p.b.server.Close())
	require.GreaterOrEqual(t, p.post(t, "x"), http.StatusInternalServerError)
	var said string
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(p.log)
		said = string(data)
		return err == nil && strings.Contains(said, "/notify/")
	}, 10*time.Second, 20*time.Millisecond, "the failure is in the log")
	require.NotContains(t, said, credential)
}

func TestAPublicNameGetsItsCertificateByItself(t *testing.T) {
	t.Setenv("REDIAL_NOTIFY_URL", "https://calls.example.com")
	config := string(adapted(t))
	require.Contains(t, config, `"listen":[":443"]`)
	require.Contains(t, config, `"host":["calls.example.com"]`)
	require.NotContains(t, config, `"disable"`, "nothing switches automatic HTTPS off")
}
