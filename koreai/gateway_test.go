package koreai_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/koreai"
)

// gateway is a server that does to each connection what the test says, and records every byte of requests it could
// read: under TLS, what it could decrypt.
type gateway struct {
	url         string
	mu          sync.Mutex
	connections int
	requests    bytes.Buffer
}

func (g *gateway) seen() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests.String()
}

func (g *gateway) connected() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.connections
}

// recorded is a connection that tells its gateway what is read from it.
type recorded struct {
	net.Conn
	g *gateway
}

func (c recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.g.mu.Lock()
	c.g.requests.Write(p[:n])
	c.g.mu.Unlock()
	return n, err
}

// reset ends a connection with a TCP reset instead of an orderly close.
func reset(c net.Conn) {
	if r, ok := c.(recorded); ok {
		c = r.Conn
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func serve(t *testing.T, scheme string, wrap func(net.Conn) net.Conn, handle func(net.Conn)) *gateway {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gateway{url: scheme + "://" + listener.Addr().String()}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.connections++
			g.mu.Unlock()
			done.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				handle(recorded{wrap(conn), g})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
	})
	return g
}

func plainly(c net.Conn) net.Conn { return c }

// plain is a gateway without TLS that reads one request and then does as told.
func plain(t *testing.T, then func(net.Conn)) *gateway {
	return serve(t, "http", plainly, func(c net.Conn) {
		if readRequest(c) == nil {
			then(c)
		}
	})
}

// answers is a gateway that answers with these bytes.
func answers(t *testing.T, answer string) *gateway {
	return plain(t, func(c net.Conn) { _, _ = io.WriteString(c, answer) })
}

func readRequest(c net.Conn) error {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

// certificates are those of a test server for 127.0.0.1, and the pool that trusts them.
func certificates(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return &tls.Config{Certificates: server.TLS.Certificates}, pool
}

func httpAnswer(status, headers, body string) string {
	return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Type: application/json\r\nConnection: close\r\n\r\n" + body
}

const (
	secret    = "client-secret-9f8e7d6c"
	clientID  = "cs-0fb4b5d2"
	botID     = "st-e38782ff"
	notifyURL = "https://redial.example/notify/eyJhbGciOiJIUzI1NiJ9.attempt.signature"
	resultURL = "https://redial.example/result/eyJhbGciOiJIUzI1NiJ9.attempt.signature" // in the metadata
)

func config(baseURL string) koreai.Config {
	return koreai.Config{BaseURL: baseURL, BotID: botID, ClientID: clientID, ClientSecret: secret, ResponseTimeout: 2 * time.Second}
}

func client(t *testing.T, cfg koreai.Config) *koreai.Client {
	t.Helper()
	c, err := koreai.New(cfg)
	require.NoError(t, err)
	return c
}

func request() call.DialRequest {
	return call.DialRequest{To: call.Target{URI: "tel:+14155550100"}, Caller: "+127061657882", MachineDetection: call.DetectionDetect}
}

// dial sends the standard request, with a send deadline that is no matter.
func dial(t *testing.T, cfg koreai.Config) call.DialAnswer {
	t.Helper()
	answer := client(t, cfg).Dial(t.Context(), request(), notifyURL, time.Now().Add(5*time.Second))
	requireFit(t, answer)
	return answer
}

// requireFit holds every answer to what is promised of its message.
func requireFit(t *testing.T, answer call.DialAnswer) {
	t.Helper()
	require.LessOrEqual(t, len([]rune(answer.Message)), 200)
	for _, forbidden := range []string{"\n", "\r", "\x00", "\x1b", secret, "14155550100", "attempt.signature", "eyJ"} {
		require.NotContains(t, answer.Message, forbidden)
	}
	if answer.Class != call.AnswerPlaced {
		require.NotEmpty(t, answer.Message)
	}
}

// handshake makes a server's connection speak TLS; where that fails, so does every read.
func handshake(cfg *tls.Config, delay time.Duration) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn {
		time.Sleep(delay)
		return tls.Server(c, cfg)
	}
}
