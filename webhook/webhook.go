// Package webhook is where the gateway reports on calls. It answers 200 only when what was reported is on disk.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"redial/call"
	"redial/internal/notify"
	"redial/internal/token"
	"redial/koreai"
)

// MaxBody is the largest notification that is taken, in bytes. The gateway's own documents show some 1.5 KB.
const MaxBody = 64 << 10

// storeFor is how long a request waits for a slow ledger before it says 503. The gateway is not known to send a
// notification twice, so waiting here is the only second try there is; it is not known to wait longer than ten seconds
// for an answer either.
const storeFor = 8 * time.Second

// Ledger is what the webhook asks of the ledger.
type Ledger interface {
	Receive(ctx context.Context, key string, raw []byte, events []call.Event, unreadable string) error
	Ready(ctx context.Context) error
}

// Tokens opens the tokens of notify URLs: the attempt that a token names, and whether its time is over. An error means
// that this deployment did not make it.
type Tokens interface {
	Open(token string, now time.Time) (attemptKey string, late bool, err error)
}

// Config is what a webhook needs. Ledger, Tokens and Logger are required.
type Config struct {
	Ledger Ledger
	Tokens Tokens
	// Zone is where times of first-generation notifications are read (KORE_TIMEZONE); nil is UTC.
	Zone   *time.Location
	Logger *zap.Logger
	// SignatureSecret, when set, is what the gateway signs its notifications with (KORE_SIGNATURE_SECRET). One whose
	// signature does not hold is kept and not believed. The gateway documents neither header nor secret: it has to be
	// asked for, and the token in the URL is the credential either way.
	SignatureSecret []byte
	// TrustedProxies are the proxies whose X-Forwarded-For says whom a request is from (REDIAL_TRUSTED_PROXIES). Only the
	// access log asks. Empty: no header is believed, and the log names the peer that connected.
	TrustedProxies []netip.Prefix
}

// Webhook is the public handler: POST /notify/{token}, GET /healthz, GET /readyz, and nothing else.
type Webhook struct {
	Config
	engine   *gin.Engine
	storeFor time.Duration
	draining atomic.Bool
	probe    probe
}

// New makes a webhook. It panics when a trusted proxy is no valid range of addresses, which no parser returns.
func New(c Config) *Webhook {
	w := &Webhook{Config: c, engine: gin.New(), storeFor: storeFor}
	// The gateway follows no redirect: a path is right, or it is unknown.
	w.engine.RedirectTrailingSlash = false
	w.engine.HandleMethodNotAllowed = false
	w.trust(c.TrustedProxies)
	w.engine.Use(w.log, w.recover)
	w.engine.POST(notify.Path+":token", w.notify)
	w.engine.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	w.engine.GET("/readyz", w.ready)
	return w
}

// trust makes gin believe these proxies, and nobody else: told nothing, it believes everybody.
func (w *Webhook) trust(proxies []netip.Prefix) {
	ranges := make([]string, len(proxies))
	for i, p := range proxies {
		ranges[i] = p.String()
	}
	// No other header: a proxy that does not know X-Real-IP passes on what anybody has written into it.
	w.engine.RemoteIPHeaders = []string{"X-Forwarded-For"}
	if err := w.engine.SetTrustedProxies(ranges); err != nil {
		panic(fmt.Sprintf("webhook: trusted proxies: %v", err))
	}
}

// ServeHTTP serves the routes.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.engine.ServeHTTP(rw, r) }

// Drain makes the webhook say that it is not ready, so that a load balancer sends no more; requests are still served.
func (w *Webhook) Drain() { w.draining.Store(true) }

func (w *Webhook) notify(c *gin.Context) {
	received := time.Now()
	key, late, err := w.Tokens.Open(c.Param("token"), received)
	if err != nil {
		c.Status(http.StatusNotFound)
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			c.String(http.StatusRequestEntityTooLarge, "a notification has at most %d bytes\n", MaxBody)
			return
		}
		c.String(http.StatusBadRequest, "the notification did not arrive whole\n")
		return
	}
	c.Set("attempt", key)
	events, err := w.read(c.GetHeader(koreai.SignatureHeader), raw, received)
	unreadable := ""
	if err != nil {
		unreadable = err.Error()
		w.Logger.Warn("a notification could not be read and is kept", zap.String("attempt", key), zap.Error(err))
	}
	if err := w.store(c.Request.Context(), key, raw, events, unreadable); err != nil {
		w.Logger.Error("a notification could not be stored", zap.String("attempt", key), zap.Error(err))
		c.Header("Retry-After", "5")
		c.String(http.StatusServiceUnavailable, "the notification could not be stored; send it again\n")
		return
	}
	if late {
		w.Logger.Info("a notification came after its token's time", zap.String("attempt", key))
	}
	c.Status(http.StatusOK)
}

// read understands a notification, whose signature has to hold where there is a secret for it.
func (w *Webhook) read(signature string, raw []byte, received time.Time) ([]call.Event, error) {
	if len(w.SignatureSecret) > 0 {
		if err := koreai.VerifySignature(signature, raw, w.SignatureSecret, received); err != nil {
			return nil, err
		}
	}
	return koreai.Decode(raw, koreai.DecodeOptions{Zone: w.Zone, ReceivedAt: received})
}

// store writes the notification to the ledger, and tries again while the ledger is slow or locked. The write goes on
// when the gateway hangs up: what has arrived is not to be lost for want of somebody to tell.
func (w *Webhook) store(ctx context.Context, key string, raw []byte, events []call.Event, unreadable string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.storeFor)
	defer cancel()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 50 * time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, w.Ledger.Receive(ctx, key, raw, events, unreadable)
	}, backoff.WithBackOff(pause))
	return err
}

func (w *Webhook) ready(c *gin.Context) {
	if w.draining.Load() {
		c.String(http.StatusServiceUnavailable, "stopping\n")
		return
	}
	switch err := w.probe.ask(w.Ledger.Ready); {
	case w.draining.Load():
		c.String(http.StatusServiceUnavailable, "stopping\n")
	case err != nil:
		w.Logger.Warn("the ledger is not ready", zap.Error(err))
		c.String(http.StatusServiceUnavailable, "the ledger cannot be written\n")
	default:
		c.String(http.StatusOK, "ready\n")
	}
}

// probe asks whether the ledger can be written, which is a write, and keeps the answer for a moment: the listener is public, and
// whoever asks often must not keep notifications waiting.
type probe struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

const probeEvery = 500 * time.Millisecond

func (p *probe) ask(ready func(context.Context) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.asked) < probeEvery {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	p.err = ready(ctx)
	p.asked = time.Now()
	return p.err
}

// log writes the access log. Tokens are credentials and are masked; a probe of an orchestrator is no news.
func (w *Webhook) log(c *gin.Context) {
	begin := time.Now()
	c.Next()
	path := c.Request.URL.Path
	level := zap.InfoLevel
	if strings.HasSuffix(path, "z") && c.Writer.Status() < http.StatusBadRequest {
		level = zap.DebugLevel
	}
	if entry := w.Logger.Check(level, "request"); entry != nil {
		entry.Write(zap.String("method", c.Request.Method), zap.String("path", token.Mask(path)), zap.Int("status", c.Writer.Status()),
			zap.Duration("took", time.Since(begin)), zap.String("from", c.ClientIP()), zap.String("attempt", c.GetString("attempt")))
	}
}

// recover turns a panic into a 500 without gin's own dump, which would print the path and with it the token.
func (w *Webhook) recover(c *gin.Context) {
	defer func() {
		if p := recover(); p != nil {
			w.Logger.Error("panic", zap.Any("panic", p), zap.Stack("stack"))
			c.AbortWithStatus(http.StatusInternalServerError)
		}
	}()
	c.Next()
}
