package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"redial/internal/config"
)

// expiresSoon is how long before its end a certificate is warned of: renewals run days before, so this one has failed.
const expiresSoon = 7 * 24 * time.Hour

// Certificate is a server's certificate with its private key, in two PEM files. Files that were renewed are taken from the
// next handshake on.
type Certificate struct {
	files pair
	log   *zap.Logger

	mu     sync.Mutex
	seen   [2]os.FileInfo // of the files when they were last read, well or not
	served *tls.Certificate
	warned bool // of the end of the one that is served
}

// pair names two files and the variables that name them.
type pair struct{ cert, key, certVariable, keyVariable string }

// OpenCertificate reads a certificate and its key. The variables' prefix is theirs in errors, which are of one line, as in
// REDIAL_WEBHOOK_TLS for …_CERT and …_KEY. Both files empty: there is none, and the certificate is nil.
func OpenCertificate(prefix, certFile, keyFile string, log *zap.Logger) (*Certificate, error) {
	p := pair{certFile, keyFile, prefix + "_CERT", prefix + "_KEY"}
	switch {
	case certFile == "" && keyFile == "":
		return nil, nil
	case certFile == "":
		return nil, &config.Error{Variable: p.certVariable, Problem: "it is missing, and " + p.keyVariable + " is set; name the file of the certificate, or unset both"}
	case keyFile == "":
		return nil, &config.Error{Variable: p.keyVariable, Problem: "it is missing, and " + p.certVariable + " is set; name the file of the certificate's private key, or unset both"}
	}
	c := &Certificate{files: p, log: log}
	var err error
	c.seen, _ = p.stat()
	if c.served, err = p.read(); err != nil {
		return nil, err
	}
	c.warn(time.Now())
	return c, nil
}

// Listener makes a listener speak TLS 1.2 or newer with the certificate; without one, it stays as it is.
func (c *Certificate) Listener(l net.Listener) net.Listener {
	if c == nil {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	})
}

// current is the certificate to serve: the renewed one where the files have changed, and the last good one where what they
// hold now is none.
func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Looked at before they are read: what is written in between is another change.
	now, err := c.files.stat()
	if !same(now, c.seen) {
		var renewed *tls.Certificate
		if err == nil {
			renewed, err = c.files.read()
		}
		c.take(renewed, err)
		c.seen = now
	}
	c.warn(time.Now())
	return c.served
}

func (c *Certificate) take(renewed *tls.Certificate, err error) {
	if err != nil {
		c.log.Warn("the renewed certificate cannot be used: the one before is served on", zap.Error(err), zap.Time("until", c.served.Leaf.NotAfter))
		return
	}
	c.served, c.warned = renewed, false
	c.log.Info("the certificate was renewed", zap.Time("until", renewed.Leaf.NotAfter))
}

// warn says once of each certificate that it is not valid, or not for long.
func (c *Certificate) warn(now time.Time) {
	problem, leaf := "", c.served.Leaf
	switch {
	case now.After(leaf.NotAfter):
		problem = "has expired: callers refuse it"
	case now.Before(leaf.NotBefore):
		problem = "is not valid yet: callers refuse it; check the clock"
	case now.Add(expiresSoon).After(leaf.NotAfter):
		problem = "expires soon"
	}
	if problem == "" || c.warned {
		return
	}
	c.warned = true
	c.log.Warn("the certificate "+problem+"; renew the files, which needs no restart", zap.String("file", c.files.cert),
		zap.Time("from", leaf.NotBefore), zap.Time("until", leaf.NotAfter))
}

func (p pair) stat() (infos [2]os.FileInfo, err error) {
	var errs [2]error
	infos[0], errs[0] = os.Stat(p.cert)
	infos[1], errs[1] = os.Stat(p.key)
	return infos, errors.Join(errs[:]...)
}

// same tells whether nobody has touched the files, or put others in their place.
func same(a, b [2]os.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			if a[i] != b[i] {
				return false
			}
			continue
		}
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}

func (p pair) read() (*tls.Certificate, error) {
	cert, err := readPEM(p.certVariable, p.cert, "a PEM certificate, with its chain behind it")
	if err != nil {
		return nil, err
	}
	key, err := readPEM(p.keyVariable, p.key, "the PEM private key of the certificate")
	if err != nil {
		return nil, err
	}
	served, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &config.Error{Variable: p.certVariable, Problem: fmt.Sprintf("%s and the key in %s (%s) are no pair: %v; name a PEM certificate and the key it was made for",
			p.cert, p.key, p.keyVariable, err)}
	}
	return &served, nil
}

func readPEM(variable, file, what string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &config.Error{Variable: variable, Problem: fmt.Sprintf("it cannot be read: %v; name a readable file with %s", err, what)}
	}
	return data, nil
}
