package serve

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
)

const (
	probeFor   = 2 * time.Second        // how long all checks of a probe may take together
	probeEvery = 500 * time.Millisecond // how long their answer stands: whoever asks often must not keep the work waiting
)

// Check is one condition of being ready.
type Check struct {
	// Ready returns why the condition does not hold, or nil. It is called by one probe at a time.
	Ready func(context.Context) error
	// Says is what is answered when it does not hold, where everybody can ask; the cause is for the log. Empty: the cause, in one line.
	Says string
}

// Probes answers an orchestrator: GET /healthz always, GET /readyz while all checks hold.
type Probes struct {
	log      *zap.Logger
	checks   []Check
	draining atomic.Bool

	mu    sync.Mutex
	asked time.Time
	fails string // the last answer; empty: all held
}

// NewProbes makes probes of these checks, which are asked in turn, until the first one that does not hold.
func NewProbes(log *zap.Logger, checks ...Check) *Probes { return &Probes{log: log, checks: checks} }

// Route adds the two routes.
func (p *Probes) Route(r gin.IRoutes) {
	r.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	r.GET("/readyz", func(c *gin.Context) {
		if fails := p.ask(); fails != "" {
			c.String(http.StatusServiceUnavailable, fails+"\n")
			return
		}
		c.String(http.StatusOK, "ready\n")
	})
}

// Drain makes the probes say that the process is not ready from now on, so that nothing more is sent to it.
func (p *Probes) Drain() { p.draining.Store(true) }

// ask returns what does not hold.
func (p *Probes) ask() string {
	const stopping = "stopping"
	if p.draining.Load() {
		return stopping
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.asked) >= probeEvery {
		p.fails = p.check()
		p.asked = time.Now()
	}
	if p.draining.Load() {
		return stopping
	}
	return p.fails
}

// check does not end with the request: its answer is for others, too.
func (p *Probes) check() string {
	ctx, cancel := context.WithTimeout(context.Background(), probeFor)
	defer cancel()
	for _, c := range p.checks {
		err := c.Ready(ctx)
		if err == nil {
			continue
		}
		p.log.Warn("not ready", zap.Error(err))
		if c.Says != "" {
			return c.Says
		}
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	return ""
}
