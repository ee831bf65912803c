// Package console is the private listener: what operators and their programs ask a deployment, and what Prometheus reads.
package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"redial/internal/serve"
	"redial/ledger"
)

// Ledger is what the console asks of the ledger.
type Ledger interface {
	Show(ctx context.Context, id string) (ledger.Contact, error)
	Contacts(ctx context.Context, f ledger.ContactFilter) ([]ledger.ContactLine, error)
	UnknownAttempts(ctx context.Context, limit int) ([]ledger.UnknownAttempt, error)
	Capacity(ctx context.Context) (ledger.Capacity, error)
	Suppressions(ctx context.Context, f ledger.SuppressionFilter) ([]ledger.Suppression, error)
	Figures(ctx context.Context) (ledger.Figures, error)
}

// Runs asks the runs themselves, through Temporal.
type Runs interface {
	// Status is the status of a run as its flow tells it, as JSON; nil when nobody answers before ctx ends.
	Status(ctx context.Context, workflowID string) json.RawMessage
}

// Tokens open the bearer tokens of this deployment's console.
type Tokens interface {
	// OpenAccess returns whom a token was made for, and what it allows. An error tells the client what is wrong with it.
	OpenAccess(bearer string, now time.Time) (name string, scopes []string, err error)
}

// Config is what a console needs. Ledger and Logger are required.
type Config struct {
	Ledger Ledger
	// Runs, when set, adds the live status of a run to its contact.
	Runs   Runs
	Logger *zap.Logger
	// Tokens, when set, are asked for with every request, but for probes. Without them only requests from this machine are
	// served, under a name of this machine: the handler has to listen on a loopback address.
	Tokens Tokens
}

// Console is the private handler.
type Console struct {
	Config
	engine *gin.Engine
}

const (
	askFor  = 10 * time.Second // how long the ledger may take to answer a request
	liveFor = 2 * time.Second  // how long a run may take to tell its status: a busy worker replays it first
)

// New makes a console.
func New(c Config) *Console {
	k := &Console{Config: c, engine: gin.New()}
	k.engine.RedirectTrailingSlash = false
	k.engine.HandleMethodNotAllowed = true
	// A workflow id has slashes, and is one segment of a path all the same: as they are written, %2F and / are not the same.
	k.engine.UseEscapedPath, k.engine.UnescapePathValues = true, false
	_ = k.engine.SetTrustedProxies(nil)
	k.engine.Use(k.log, k.recover, headers)
	if c.Tokens == nil {
		k.engine.Use(onlyThisMachine)
	}
	k.engine.NoRoute(func(c *gin.Context) {
		refuse(c, http.StatusNotFound, "there is nothing at this path; see /api/v1/openapi.json")
	})
	k.engine.NoMethod(func(c *gin.Context) { refuse(c, http.StatusMethodNotAllowed, "") })
	serve.NewProbes(c.Logger, serve.Check{Ready: k.ready, Says: "the ledger cannot be read"}).Route(k.engine)
	k.engine.GET("/metrics", k.allow(scopeRead), gin.WrapH(promhttp.HandlerFor(k.metrics(), promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(c.Logger), MaxRequestsInFlight: maxScrapes, Timeout: askFor})))
	k.api(k.engine.Group("/api/v1", k.allow(scopeRead), within(askFor)))
	return k
}

// ServeHTTP serves the routes.
func (k *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { k.engine.ServeHTTP(w, r) }

// ready tells whether the ledger can be read. That Temporal is away is no reason to hide what the ledger knows.
func (k *Console) ready(ctx context.Context) error {
	_, err := k.Ledger.Capacity(ctx)
	return err
}

// within bounds what a request may take.
func within(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), d)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// headers keep answers, which tell of people, out of caches, and out of what a browser might take them for.
func headers(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("X-Content-Type-Options", "nosniff")
}

// log writes the access log: the route and not the path, which may hold the id of a contact that somebody took for a number.
func (k *Console) log(c *gin.Context) {
	begin := time.Now()
	c.Next()
	level := zap.InfoLevel
	if route := c.FullPath(); c.Writer.Status() < http.StatusBadRequest && (strings.HasSuffix(route, "z") || route == "/metrics") {
		level = zap.DebugLevel
	}
	if entry := k.Logger.Check(level, "request"); entry != nil {
		entry.Write(zap.String("method", c.Request.Method), zap.String("route", c.FullPath()), zap.Int("status", c.Writer.Status()),
			zap.Duration("took", time.Since(begin)), zap.String("from", c.ClientIP()), zap.String("who", c.GetString(who)))
	}
}

// recover turns a panic into a problem, without gin's own dump, which would print the bearer token.
func (k *Console) recover(c *gin.Context) {
	defer func() {
		if p := recover(); p != nil {
			k.Logger.Error("panic", zap.Any("panic", p), zap.Stack("stack"))
			refuse(c, http.StatusInternalServerError, "")
		}
	}()
	c.Next()
}
