package koreai

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"redial/call"
)

// The exchange is written out over a connection instead of going through http.Transport, because everything hangs on one
// question that a transport answers only by inference: was a byte of the request handed to the network? Here the request
// is one Write on a connection of its own, looked at by the clock just before, and its count is the proof. There is no
// pool, no replay, no redirect and no HTTP/2 to switch off.

const (
	maxAnswer  = 64 << 10 // bytes of an answer's body that are read
	maxHeaders = 64 << 10 // bytes of status lines and headers, those of interim answers included
)

// errTooLate is why a request was not sent: its send deadline passed first.
var errTooLate = errors.New("the send deadline passed before the request could leave")

// unsent means that no byte of the request was handed to the network.
type unsent struct{ cause error }

func (e *unsent) Error() string { return e.cause.Error() }
func (e *unsent) Unwrap() error { return e.cause }

// reply is an HTTP answer, read as far as it could be.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends the composed request and reads the answer. An error is *unsent as long as nothing was written; after
// any other a phone may be ringing.
func (c *Client) exchange(ctx context.Context, request []byte, sendBy time.Time) (reply, error) {
	connecting, cancel := context.WithDeadlineCause(ctx, sendBy, errTooLate)
	defer cancel()
	conn, err := c.connect(connecting)
	if err != nil {
		if connecting.Err() != nil {
			err = context.Cause(connecting)
		}
		return reply{}, &unsent{err}
	}
	defer conn.Close()

	if err := handOver(ctx, conn, request, sendBy, c.cfg.ResponseTimeout); err != nil {
		return reply{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := receive(conn)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return answer, err
}

// handOver writes the request in one piece, unless it is too late for that, and starts the wait for the answer. Its error
// is *unsent exactly when no byte was handed to the network. Under TLS the count of written bytes is of whole records: of
// a record that left in part nothing can be read at the other end.
func handOver(ctx context.Context, conn net.Conn, request []byte, sendBy time.Time, wait time.Duration) error {
	if err := errors.Join(conn.SetReadDeadline(time.Now().Add(wait)), conn.SetWriteDeadline(sendBy)); err != nil {
		return &unsent{err}
	}
	if ctx.Err() != nil {
		return &unsent{context.Cause(ctx)}
	}
	if !time.Now().Before(sendBy) {
		return &unsent{errTooLate}
	}
	written, err := conn.Write(request)
	if err != nil && written == 0 {
		return &unsent{err}
	}
	return err
}

// receive reads the final answer, past any interim ones. A body that breaks off does not matter once there is a status.
func receive(conn net.Conn) (reply, error) {
	limited := &io.LimitedReader{R: conn, N: maxHeaders}
	buffered := bufio.NewReader(limited)
	for {
		res, err := http.ReadResponse(buffered, &http.Request{Method: http.MethodPost})
		if err != nil {
			if limited.N == 0 {
				err = fmt.Errorf("the answer's headers exceed %d bytes", maxHeaders)
			}
			return reply{}, err
		}
		if interim := res.StatusCode >= 100 && res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols; interim {
			continue
		}
		limited.N += maxAnswer
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		return reply{status: res.StatusCode, header: res.Header, body: bytes.TrimSpace(body)}, nil
	}
}

// connect opens the connection that the request will be written to, TLS included.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(c.endpoint.Hostname(), c.endpoint.Port())
	if c.endpoint.Scheme == "http" {
		if c.endpoint.Port() == "" {
			address += "80"
		}
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	if c.endpoint.Port() == "" {
		address += "443"
	}
	raw, err := c.reach(ctx, address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(raw, &tls.Config{ServerName: c.endpoint.Hostname(), RootCAs: c.cfg.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secured, nil
}

// failure is the answer when none was read.
func (c *Client) failure(err error, clean scrubber) call.DialAnswer {
	var not *unsent
	if errors.As(err, &not) {
		return call.DialAnswer{Class: call.AnswerNotPlaced,
			Message: clean.line(fmt.Sprintf("nothing was sent to %s: %s", c.endpoint.Host, plainCause(err)))}
	}
	return call.DialAnswer{Class: call.AnswerUnknown,
		Message: clean.line(fmt.Sprintf("the request went to %s and no answer could be read, so that a phone may be ringing: %s", c.endpoint.Host, plainCause(err)))}
}

// plainCause says in words what a few errors of the network leave to the expert.
func plainCause(err error) string {
	text := err.Error()
	for _, eof := range []string{io.ErrUnexpectedEOF.Error(), io.EOF.Error()} {
		if prefix, ended := strings.CutSuffix(text, eof); ended {
			return prefix + "the connection was closed"
		}
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "the dial was canceled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "time ran out (" + text + ")"
	}
	return text
}
