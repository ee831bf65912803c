package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// httpLoad sends prepared requests over connections that stay open. It is as thin as it can be, because it shares the
// processors with what it measures: requests are written as bytes, and of an answer only status and length are read.
type httpLoad struct {
	address     string
	connections int
	requests    [][]byte
	// every is the time between two requests, whether or not earlier ones were answered (an open loop); 0: each
	// connection sends its next request when the last one was answered (a closed loop).
	every time.Duration
}

// sent is what came of a load.
type sent struct {
	accepted []bool    // by request: it was answered 200
	latency  []float64 // in milliseconds, from the time at which a request was to be sent, of those answered 200
	took     time.Duration
}

func (s sent) count() (n int) {
	for _, ok := range s.accepted {
		if ok {
			n++
		}
	}
	return n
}

// run sends until the time is over or the requests are used up.
func (l httpLoad) run(ctx context.Context, limit time.Duration) (sent, error) {
	s := sent{accepted: make([]bool, len(l.requests))}
	latency := make([]time.Duration, len(l.requests))
	errs := make([]error, l.connections)
	var next atomic.Int64
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := time.Now()
	for c := range l.connections {
		all.Go(func() {
			errs[c] = l.connection(func(exchange func([]byte) (int, error)) error {
				for i := next.Add(1) - 1; i < int64(len(l.requests)) && ctx.Err() == nil; i = next.Add(1) - 1 {
					due := time.Now()
					if l.every > 0 {
						due = begin.Add(time.Duration(i) * l.every)
						time.Sleep(time.Until(due))
					}
					if due.Sub(begin) >= limit {
						return nil
					}
					status, err := exchange(l.requests[i])
					if err != nil {
						return err
					}
					latency[i], s.accepted[i] = time.Since(due), status == http.StatusOK
				}
				return nil
			})
			if errs[c] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	s.took = time.Since(begin)
	for i, ok := range s.accepted {
		if ok {
			s.latency = append(s.latency, milliseconds(latency[i]))
		}
	}
	return s, errors.Join(errs...)
}

// connection opens one connection and hands what uses it a way to send a request and wait for the answer's status.
func (l httpLoad) connection(use func(exchange func(request []byte) (status int, err error)) error) error {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	return use(func(request []byte) (int, error) {
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return 0, err
		}
		if _, err := conn.Write(request); err != nil {
			return 0, err
		}
		return readStatus(answers)
	})
}

// readStatus reads an HTTP answer with a Content-Length to its end.
func readStatus(r *bufio.Reader) (status int, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		switch {
		case first:
			_, err = fmt.Sscanf(string(line), "HTTP/1.1 %d", &status)
		case len(line) <= 2:
			_, err = io.CopyN(io.Discard, r, int64(length))
			return status, err
		case len(line) > 16 && string(line[:16]) == "Content-Length: ":
			_, err = fmt.Sscanf(string(line[16:]), "%d", &length)
		}
		if err != nil {
			return 0, fmt.Errorf("read an HTTP answer: %w", err)
		}
	}
}
