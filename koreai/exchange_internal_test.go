package koreai

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// brokenConn is a connection whose write fails after some bytes, and which knows whether it was written to at all.
type brokenConn struct {
	net.Conn
	takes  int
	writes int
}

var errBrokenPipe = errors.New("broken pipe")

func (c *brokenConn) SetReadDeadline(time.Time) error  { return nil }
func (c *brokenConn) SetWriteDeadline(time.Time) error { return nil }
func (c *brokenConn) Write([]byte) (int, error) {
	c.writes++
	return c.takes, errBrokenPipe
}

func TestOnlyTheCountOfWrittenBytesDecidesWhetherACallMayHaveBeenPlaced(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	soon, past := time.Now().Add(time.Minute), time.Now()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		sendBy time.Time
		takes  int
		writes int
		unsent bool
		cause  error
	}{
		{"no byte taken", t.Context(), soon, 0, 1, true, errBrokenPipe},
		{"one byte taken", t.Context(), soon, 1, 1, false, errBrokenPipe},
		{"past the send deadline", t.Context(), past, 1, 0, true, errTooLate},
		{"canceled", canceled, soon, 1, 0, true, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := &brokenConn{takes: c.takes}
			err := handOver(c.ctx, conn, []byte("POST"), c.sendBy, time.Second)
			require.ErrorIs(t, err, c.cause)
			var not *unsent
			require.Equal(t, c.unsent, errors.As(err, &not))
			require.Equal(t, c.writes, conn.writes)
		})
	}
}
