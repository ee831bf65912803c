// Package webhook is where the gateway and its bot report on calls. It answers 200 only when what was reported is on disk.
package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"redial/call"
	"redial/internal/notify"
	"redial/internal/serve"
	"redial/internal/token"
)

// MaxBody is the largest report that is taken, in bytes. The gateway's own documents show notifications of some 1.5 KB.
const MaxBody = 64 << 10

// storeFor is how long a request waits for a slow ledger before it says 503. The gateway is not known to send a
// notification twice, so waiting here is the only second try there is; it is not known to wait longer than ten seconds
// for an answer either.
const storeFor = 8 * time.Second

// Ledger is what the webhook asks of the ledger.
type Ledger interface {
	Receive(ctx context.Context, key string, raw []byte, events []call.Event, unreadable string) error
	ReceiveResult(ctx context.Context, key string, raw []byte, r call.BotResult, unreadable string) error
	Ready(ctx context.Context) error
}

// Tokens opens the tokens of URLs for one purpose: the attempt that a token names, and whether its time is over. An error means
// that this deployment did not make it.
type Tokens interface {
	Open(token string, now time.Time) (attemptKey string, late bool, err error)
}

// Config is what a webhook needs. Ledger, Tokens, ResultTokens and Logger are required.
type Config struct {
	Ledger       Ledger
	Tokens       Tokens // of notify URLs, for the gateway
	ResultTokens Tokens // of result URLs, for its bot
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

// Webhook is the public handler: POST /notify/{token}, POST /result/{token}, GET /healthz, GET /readyz, and nothing else.
type Webhook struct {
	Config
	engine   *gin.Engine
	storeFor time.Duration
	probes   *serve.Probes
}

// New makes a webhook. It panics when a trusted proxy is no valid range of addresses, which no parser returns.
func New(c Config) *Webhook {
	w := &Webhook{Config: c, engine: gin.New(), storeFor: storeFor}
	// The listener is public: what is wrong with the ledger is for the log.
	w.probes = serve.NewProbes(c.Logger, serve.Check{Ready: c.Ledger.Ready, Says: "the ledger cannot be written"})
	// The gateway follows no redirect: a path is right, or it is unknown.
	w.engine.RedirectTrailingSlash = false
	w.engine.HandleMethodNotAllowed = false
	w.trust(c.TrustedProxies)
	w.engine.Use(w.log, w.recover)
	w.engine.POST(notify.Path+":token", w.take(kind{what: "notification", tokens: c.Tokens, read: w.notification}))
	w.engine.POST(notify.ResultPath+":token", w.take(kind{what: "result", tokens: c.ResultTokens, read: w.result, explained: true}))
	w.probes.Route(w.engine)
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
func (w *Webhook) Drain() { w.probes.Drain() }

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
