//go:build unix

package app_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/testca"
)

// gate is a TLS listener before the Temporal server, which speaks none itself. It ends TLS, and passes on what a caller may.
type gate struct {
	ca      *testca.CA
	address string

	mu   sync.Mutex
	seen map[string]int // what callers gave for authorization
}

// newGate opens a gate. With a key it asks each request for that key, and otherwise each connection for a certificate.
func newGate(t *testing.T, key string) *gate {
	t.Helper()
	g := &gate{ca: testca.New(t), seen: map[string]int{}}
	folder := t.TempDir()
	g.ca.Issue(t, "temporal.example", time.Now().Add(time.Hour), filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	own, err := tls.LoadX509KeyPair(filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(g.pass(t, key))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	if key == "" {
		server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, g.ca.Pool
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	g.address = server.Listener.Addr().String()
	return g
}

// pass passes gRPC on to the Temporal server, in the clear.
func (g *gate) pass(t *testing.T, key string) http.Handler {
	t.Helper()
	clear := &http.Transport{Protocols: new(http.Protocols)}
	clear.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(clear.CloseIdleConnections)
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: startEngine(t).Address()})
	forward.Transport, forward.FlushInterval, forward.ErrorLog = clear, -1, log.New(io.Discard, "", 0)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.note(r.Header.Get("Authorization"))
		if key != "" && r.Header.Get("Authorization") != "Bearer "+key {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "16") // unauthenticated
			return
		}
		forward.ServeHTTP(w, r)
	})
}

func (g *gate) note(authorization string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[authorization]++
}

// given is what callers gave for authorization so far, without repetition.
func (g *gate) given() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for authorization := range g.seen {
		all = append(all, authorization)
	}
	return all
}

// credentials issues a client's certificate, and returns the settings that name it.
func credentials(t *testing.T, ca *testca.CA) []string {
	t.Helper()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "client.pem"), filepath.Join(folder, "client.key")
	ca.Issue(t, "redial", time.Now().Add(time.Hour), cert, key)
	return []string{"TEMPORAL_TLS_CLIENT_CERT_PATH=" + cert, "TEMPORAL_TLS_CLIENT_KEY_PATH=" + key}
}

func TestTemporalOverMutualTLS(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	g := newGate(t, "")
	s.program = s.with("TEMPORAL_ADDRESS="+g.address, "TEMPORAL_TLS_SERVER_CA_CERT_PATH="+g.ca.File)
	for name, settings := range map[string][]string{
		"no certificate": nil, "a certificate of somebody else": credentials(t, testca.New(t)),
		"another server's CA": append(credentials(t, g.ca), "TEMPORAL_TLS_SERVER_CA_CERT_PATH="+testca.New(t).File),
		"no TLS":              {"TEMPORAL_TLS_SERVER_CA_CERT_PATH="},
		"another name":        append(credentials(t, g.ca), "TEMPORAL_TLS_SERVER_NAME=elsewhere.example"),
	} {
		requireToldWhy(t, s.program, mistake{name, settings, []string{"setup"}, failed, []string{"temporal at " + g.address + " cannot be reached: ", "TEMPORAL_TLS_*"}})
	}
	require.Empty(t, g.given(), "nobody came through")

	s.program = s.with(append(credentials(t, g.ca), "TEMPORAL_TLS_SERVER_NAME=temporal.example")...)
	s.must(t, "setup")
	s.up(t)
	require.Equal(t, call.Outcome(call.Human), decode[call.Result](t, s.must(t, "call", "--to", anna, "--id", "anna", "--wait", "--json")).Outcome)
}

func TestTheAPIKeyOfTemporalIsSentWithEveryRequestOverTLS(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const key = "an-api-key-of-this-test"
	g := newGate(t, key)
	s.program = s.with("TEMPORAL_ADDRESS="+g.address, "TEMPORAL_TLS_SERVER_CA_CERT_PATH="+g.ca.File)
	for _, other := range []string{"TEMPORAL_API_KEY=", "TEMPORAL_API_KEY=another"} {
		e := s.with(other).run(t, "setup")
		require.Equal(t, failed, e.code)
		require.Equal(t, 1, strings.Count(e.stderr, "\n"), e.stderr)
		require.NotContains(t, e.stderr, "another", "a key is a secret")
	}
	g.mu.Lock()
	clear(g.seen)
	g.mu.Unlock()

	s.program = s.with("TEMPORAL_API_KEY=" + key)
	s.must(t, "setup")
	s.up(t)
	require.Equal(t, call.Outcome(call.Human), decode[call.Result](t, s.must(t, "call", "--to", anna, "--id", "anna", "--wait", "--json")).Outcome)
	require.Equal(t, []string{"Bearer " + key}, g.given())
}

func TestTheWebhookWithItsOwnCertificateIsHeardFromTheGatewayOverTLS(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ca, folder := testca.New(t), t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	ca.Issue(t, "localhost", time.Now().Add(time.Hour), cert, key)
	requireToldWhy(t, s.program, mistake{"", []string{"REDIAL_WEBHOOK_TLS_CERT=" + cert}, []string{"up"}, misuse, []string{"REDIAL_WEBHOOK_TLS_KEY: it is missing"}})
	requireToldWhy(t, s.program, mistake{"", []string{"REDIAL_DATABASE=sqlite:redial.db", "REDIAL_WEBHOOK_TLS_CERT=" + cert, "REDIAL_WEBHOOK_TLS_KEY=" + key + "x"}, []string{"webhook"}, misuse,
		[]string{"REDIAL_WEBHOOK_TLS_KEY: it cannot be read", "name a readable file"}})

	// The gateway is the one that has to trust the CA.
	gateway := startGateway(t, s.with("SSL_CERT_FILE="+ca.File))
	s.gateway = gateway
	s.program = s.with("REDIAL_WEBHOOK_TLS_CERT="+cert, "REDIAL_WEBHOOK_TLS_KEY="+key, "REDIAL_NOTIFY_URL=https://localhost:"+s.webhook, "KORE_BASE_URL="+string(gateway))
	up := s.start(t, "up")
	eventually(t, "redial health to find it ready", func() bool { return s.run(t, "health").code == 0 })
	require.Equal(t, call.Outcome(call.Human), decode[call.Result](t, s.must(t, "call", "--to", anna, "--id", "anna", "--wait", "--json")).Outcome)
	require.Zero(t, s.with("SSL_CERT_FILE="+ca.File).run(t, "health", "https://localhost:"+s.webhook+"/readyz").code)
	require.Equal(t, failed, s.run(t, "health", "https://localhost:"+s.webhook+"/readyz").code, "a URL is asked certificate and all")

	before := serves(t, ca, s.webhook)
	ca.Issue(t, "localhost", time.Now().Add(time.Hour), cert, key)
	require.NotEqual(t, before, serves(t, ca, s.webhook), "renewed without a restart")
	up.says(t, &up.stderr, "the certificate was renewed")
}

// serves is the serial number of the certificate that is served.
func serves(t *testing.T, ca *testca.CA, port string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}
