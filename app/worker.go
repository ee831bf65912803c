package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/internal/serve"
	"redial/ledger"
	"redial/worker"
)

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Run the worker alone, which dials, until SIGINT or SIGTERM",
		Long: `Run the role that hosts the call flows and dials. It needs a Temporal server that "redial setup" was run for, and beside
it somewhere at least one "redial webhook"; several of each share one ledger on PostgreSQL.

Stopped, it takes no new dials at once, and finishes those under way: allow it 45 seconds. A second signal ends it at once.
GET /healthz and /readyz are at REDIAL_HEALTH_ADDR.

Settings: KORE_BASE_URL, KORE_BOT_ID, KORE_CLIENT_ID, KORE_CLIENT_SECRET, KORE_CALLER, REDIAL_NOTIFY_URL and
REDIAL_NOTIFY_SECRET are required; KORE_TRUNK, KORE_API, REDIAL_DATABASE, REDIAL_DIAL_RATE, REDIAL_MAX_CALLS,
REDIAL_ALLOW_TO, REDIAL_HEALTH_ADDR, REDIAL_DEPLOYMENT, REDIAL_BUILD_ID, REDIAL_VERSIONING and REDIAL_LOG_LEVEL have
defaults. REDIAL_DIAL_RATE and REDIAL_MAX_CALLS are of the whole account: give all workers the same; the last one
started decides.

With REDIAL_DEPLOYMENT its flows are versioned: this build gets none until the operator says so, as in
  temporal worker deployment set-current-version --deployment-name NAME --build-id BUILD
and the log says which command that is. REDIAL_VERSIONING=auto-upgrade moves flows under way to the build that is current,
pinned ends them on the one that began them.`,
		Example: `  REDIAL_DATABASE=postgres://redial@db/redial REDIAL_NOTIFY_URL=https://calls.example.com redial worker`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, log, err := environment(c)
			if err != nil {
				return err
			}
			return runWorker(c.Context(), cfg, log)
		},
	}
}

func runWorker(ctx context.Context, cfg config.Config, log *zap.Logger) (err error) {
	if err := cfg.SharedDatabase(); err != nil {
		return err
	}
	dials, err := dialing(cfg)
	if err != nil {
		return err
	}
	temporal, o, err := joinTemporal(ctx, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	l, err := ownLedger(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	listener, err := serve.Listen(cfg.HealthAddr, "REDIAL_HEALTH_ADDR")
	if err != nil {
		return err
	}
	w, err := newWorker(ctx, cfg, dials, temporal, l, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	health := runPart(ctx, func(ctx context.Context) error {
		return serve.Run(ctx, listener, healthHandler(w.Ready, l.Ready), log)
	})
	working, stopWorking := untilEnded(ctx, health)
	defer stopWorking()
	defer sayStopping(ctx, log, worker.StopTimeout)()
	log.Info("worker", zap.String("health", listener.Addr().String()), zap.String("ledger", ledger.Name(cfg.Database)), zap.String("temporal", o.HostPort),
		zap.String("deployment", dials.Deployment.Name), zap.String("build", dials.Deployment.BuildID))
	err = errors.Join(w.Run(working), health.close())
	log.Info("stopped", zap.Error(err))
	return err
}

// healthHandler answers an orchestrator's probes: GET /healthz always, GET /readyz while all parts are ready.
func healthHandler(parts ...func(context.Context) error) http.Handler {
	engine := gin.New()
	engine.GET("/healthz", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	engine.GET("/readyz", func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), 2*time.Second)
		defer cancel()
		for _, ready := range parts {
			if err := ready(ctx); err != nil {
				c.String(http.StatusServiceUnavailable, fmt.Sprintln(oneLine(err)))
				return
			}
		}
		c.String(http.StatusOK, "ready\n")
	})
	return engine
}
