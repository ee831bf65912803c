package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"redial/internal/process"
)

// As in deploy/Caddyfile.
const (
	askEvery   = time.Second
	askFor     = 3 * time.Second
	maxBody    = 64 << 10 // what a webhook takes
	tryFor     = 8 * time.Second
	tryPause   = 100 * time.Millisecond
	dialFor    = time.Second
	proxyGrace = 10 * time.Second
)

// proxy gives each request to a webhook that is ready, in turn. One that breaks in the midst of a request is no loss: the next
// gets it again, because the ledger takes a notification that comes twice once.
type proxy struct {
	webhooks []*backend
	turn     atomic.Uint64
	wire     http.RoundTripper

	listener net.Listener
	server   *http.Server
	stop     context.CancelFunc
	asking   sync.WaitGroup
}

// backend is a webhook.
type backend struct {
	address string
	ready   atomic.Bool
	served  atomic.Int64 // requests it has answered
}

// startProxy starts a proxy before webhooks that are ready.
func startProxy(addresses []string) (*proxy, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(process.Host, "0"))
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &proxy{listener: listener, stop: stop, wire: &http.Transport{DialContext: (&net.Dialer{Timeout: dialFor}).DialContext}}
	for _, address := range addresses {
		b := &backend{address: address}
		b.ready.Store(true)
		p.webhooks = append(p.webhooks, b)
		p.asking.Go(func() { b.watch(ctx) })
	}
	forward := &httputil.ReverseProxy{Transport: p, ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme = "http"
		r.Out.URL.Host = "webhooks" // which one is said by RoundTrip
		r.SetXForwarded()
	}}
	p.server = &http.Server{Handler: held(forward), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// close lets requests under way finish.
func (p *proxy) close() error {
	p.stop()
	p.asking.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), proxyGrace)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stop the proxy: %w", err), p.server.Close())
	}
	return nil
}

// watch asks the webhook whether it is ready, until ctx ends.
func (b *backend) watch(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, cancel := context.WithTimeout(ctx, askFor)
		b.ready.Store(probe(asked, "http://"+b.address+"/readyz") == nil)
		cancel()
	}
}

// held holds a request's body, so that it can be sent again.
func held(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the body did not arrive whole", http.StatusBadRequest)
			return
		}
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) {
			if len(body) == 0 {
				return http.NoBody, nil
			}
			return io.NopCloser(bytes.NewReader(body)), nil
		}
		next.ServeHTTP(w, r)
	})
}

// RoundTrip gives the request to one webhook after the other until one answers, for as long as both may take to restart.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), tryFor)
	defer cancel()
	for {
		response, err := p.round(r)
		if err == nil {
			return response, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(tryPause):
		}
	}
}

// round tries each webhook that is ready once.
func (p *proxy) round(r *http.Request) (*http.Response, error) {
	last := errors.New("no webhook is ready")
	turn := p.turn.Add(1)
	for n := range p.webhooks {
		b := p.webhooks[(turn+uint64(n))%uint64(len(p.webhooks))]
		if !b.ready.Load() {
			continue
		}
		response, err := b.send(r, p.wire)
		if err == nil {
			return response, nil
		}
		last = err
		if r.Context().Err() == nil { // else it is who asked that has gone
			b.ready.Store(false)
		}
	}
	return nil, last
}

func (b *backend) send(r *http.Request, wire http.RoundTripper) (*http.Response, error) {
	try := r.Clone(r.Context())
	try.URL.Host = b.address
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	try.Body = body
	response, err := wire.RoundTrip(try)
	if err == nil {
		b.served.Add(1)
	}
	return response, err
}
