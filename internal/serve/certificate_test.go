package serve_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redial/internal/serve"
	"redial/internal/testca"
)

const prefix = "REDIAL_WEBHOOK_TLS"

// secured is a server with a certificate in two files.
type secured struct {
	ca        *testca.CA
	cert, key string
	address   string
	logs      *observer.ObservedLogs
}

func issue(t *testing.T, expires time.Time) *secured {
	t.Helper()
	folder := t.TempDir()
	s := &secured{ca: testca.New(t), cert: filepath.Join(folder, "cert.pem"), key: filepath.Join(folder, "key.pem")}
	s.ca.Issue(t, "first.example", expires, s.cert, s.key)
	return s
}

func (s *secured) open() (*serve.Certificate, error) {
	core, logs := observer.New(zap.InfoLevel)
	s.logs = logs
	return serve.OpenCertificate(prefix, s.cert, s.key, zap.New(core))
}

// start serves over TLS until the test ends.
func (s *secured) start(t *testing.T) {
	t.Helper()
	certificate, err := s.open()
	require.NoError(t, err)
	l, err := serve.Listen("127.0.0.1:0", "X")
	require.NoError(t, err)
	s.address = l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- serve.Run(ctx, certificate.Listener(l), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto)
		}), zap.NewNop())
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
}

// handshake shakes hands as a caller who trusts the CA, and returns the name that the server showed.
func (s *secured) handshake(t *testing.T, change func(*tls.Config)) (name string, err error) {
	t.Helper()
	c := &tls.Config{RootCAs: s.ca.Pool}
	if change != nil {
		change(c)
	}
	conn, err := tls.Dial("tcp", s.address, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func nextYear() time.Time { return time.Now().Add(300 * 24 * time.Hour) }

func TestAServerWithACertificateIsTrustedAndServesBothVersionsOfHTTP(t *testing.T) {
	s := issue(t, nextYear())
	s.start(t)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool}, ForceAttemptHTTP2: proto == "HTTP/2.0"}
		r, err := (&http.Client{Transport: transport}).Get("https://" + s.address)
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		r.Body.Close()
		require.Equal(t, proto, string(body))
		transport.CloseIdleConnections()
	}
	require.Empty(t, s.logs.All(), "a good certificate is no news")
}

func TestTLSOlderThan12IsRefused(t *testing.T) {
	s := issue(t, nextYear())
	s.start(t)
	_, err := s.handshake(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	require.ErrorContains(t, err, "protocol version")
	_, err = s.handshake(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	require.NoError(t, err)
}

func TestARenewedCertificateIsServedFromTheNextHandshakeOn(t *testing.T) {
	s := issue(t, nextYear())
	s.start(t)
	for _, name := range []string{"first.example", "second.example", "third.example"} {
		if name != "first.example" {
			s.ca.Issue(t, name, nextYear(), s.cert, s.key)
		}
		got, err := s.handshake(t, nil)
		require.NoError(t, err)
		require.Equal(t, name, got)
	}
	require.Equal(t, 2, s.logs.FilterMessage("the certificate was renewed").Len())
}

// Kubernetes and certbot do not write into the files: they point a link elsewhere.
func TestARenewalBehindALinkIsNoticed(t *testing.T) {
	s := issue(t, nextYear())
	folder := t.TempDir()
	link := filepath.Join(folder, "live")
	require.NoError(t, os.Symlink(filepath.Dir(s.cert), link))
	renewed := t.TempDir()
	s.ca.Issue(t, "second.example", nextYear(), filepath.Join(renewed, "cert.pem"), filepath.Join(renewed, "key.pem"))
	s.cert, s.key = filepath.Join(link, "cert.pem"), filepath.Join(link, "key.pem")
	s.start(t)
	require.NoError(t, os.Symlink(renewed, link+".new"))
	require.NoError(t, os.Rename(link+".new", link))
	got, err := s.handshake(t, nil)
	require.NoError(t, err)
	require.Equal(t, "second.example", got)
}

func TestARenewalThatIsHalfDoneServesTheOneBeforeAndIsCompletedLater(t *testing.T) {
	s := issue(t, nextYear())
	s.start(t)
	later := filepath.Join(t.TempDir(), "key.pem")
	s.ca.Issue(t, "second.example", nextYear(), s.cert, later) // the certificate is new, the key still the old one
	for range 3 {
		got, err := s.handshake(t, nil)
		require.NoError(t, err)
		require.Equal(t, "first.example", got)
	}
	refused := s.logs.FilterMessageSnippet("cannot be used").All()
	require.Len(t, refused, 1, "it is said once, not at each handshake")
	require.Contains(t, refused[0].ContextMap()["error"], "are no pair")

	require.NoError(t, os.Remove(s.key))
	got, err := s.handshake(t, nil)
	require.NoError(t, err)
	require.Equal(t, "first.example", got, "also while a file is missing")

	require.NoError(t, os.Rename(later, s.key))
	got, err = s.handshake(t, nil)
	require.NoError(t, err)
	require.Equal(t, "second.example", got)
}

func TestWhatIsWrongWithACertificateIsOneLineThatNamesTheVariableAndTheRemedy(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*testing.T, *secured)
		says  []string
	}{
		"no key":        {func(_ *testing.T, s *secured) { s.key = "" }, []string{prefix + "_KEY: ", "is missing", prefix + "_CERT is set", "unset both"}},
		"no cert":       {func(_ *testing.T, s *secured) { s.cert = "" }, []string{prefix + "_CERT: ", "is missing", prefix + "_KEY is set", "unset both"}},
		"a lost cert":   {func(_ *testing.T, s *secured) { s.cert += "x" }, []string{prefix + "_CERT: ", "cert.pemx", "no such file", "name a readable file"}},
		"a lost key":    {func(_ *testing.T, s *secured) { s.key += "x" }, []string{prefix + "_KEY: ", "key.pemx", "no such file", "name a readable file"}},
		"a wrong pair":  {func(t *testing.T, s *secured) { s.ca.Issue(t, "x", nextYear(), s.cert+".other", s.key) }, []string{prefix + "_CERT: ", "cert.pem", "key.pem", "are no pair", "the key it was made for"}},
		"swapped files": {func(_ *testing.T, s *secured) { s.cert, s.key = s.key, s.cert }, []string{prefix + "_CERT: ", "are no pair"}},
		"rubbish":       {func(t *testing.T, s *secured) { require.NoError(t, os.WriteFile(s.cert, []byte("rubbish"), 0o600)) }, []string{prefix + "_CERT: ", "PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := issue(t, nextYear())
			c.spoil(t, s)
			certificate, err := s.open()
			require.Error(t, err)
			require.Nil(t, certificate)
			require.NotContains(t, err.Error(), "\n")
			require.True(t, strings.HasPrefix(err.Error(), c.says[0]), err.Error())
			for _, words := range c.says {
				require.Contains(t, err.Error(), words)
			}
		})
	}
}

func TestWithoutFilesThereIsNoTLS(t *testing.T) {
	s := &secured{}
	certificate, err := s.open()
	require.NoError(t, err)
	l, err := serve.Listen("127.0.0.1:0", "X")
	require.NoError(t, err)
	defer l.Close()
	require.Equal(t, l, certificate.Listener(l))
}

func TestACertificateThatIsOrWillSoonBeOverIsWarnedOfAtTheStartAndOnce(t *testing.T) {
	for name, c := range map[string]struct {
		expires time.Time
		says    string
	}{
		"expired": {time.Now().Add(-time.Hour), "has expired"},
		"soon":    {time.Now().Add(48 * time.Hour), "expires soon"},
	} {
		t.Run(name, func(t *testing.T) {
			s := issue(t, c.expires)
			s.start(t)
			for range 2 {
				_, err := s.handshake(t, func(c *tls.Config) { c.Time = func() time.Time { return time.Now().Add(-2 * time.Hour) } })
				require.NoError(t, err)
			}
			warned := s.logs.FilterMessageSnippet(c.says).All()
			require.Len(t, warned, 1)
			require.Equal(t, zap.WarnLevel, warned[0].Level)
			require.Contains(t, warned[0].Message, "renew the files")
			require.Equal(t, s.cert, warned[0].ContextMap()["file"])

			s.ca.Issue(t, "second.example", nextYear(), s.cert, s.key)
			_, err := s.handshake(t, nil)
			require.NoError(t, err)
			require.Equal(t, 1, s.logs.FilterLevelExact(zap.WarnLevel).Len(), "what was renewed is not warned of")
		})
	}
}
