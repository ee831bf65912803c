package app

import (
	"context"
	"errors"
	"net"

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

func runWorker(ctx context.Context, cfg config.Config, log *zap.Logger) error {
	dials, err := dialing(cfg)
	if err != nil {
		return err
	}
	return runRole(ctx, cfg, log, role{
		name: "worker", address: cfg.HealthAddr, variable: "REDIAL_HEALTH_ADDR", stopsWithin: worker.StopTimeout, connect: joinTemporal,
		prepare: func(ctx context.Context, at *home) (func(context.Context, net.Listener) error, []zap.Field, error) {
			if err := at.join(ctx); err != nil {
				return nil, nil, err
			}
			w, err := newWorker(ctx, cfg, dials, at.Client, at.ledger, log)
			if err != nil {
				return nil, nil, err
			}
			run := func(ctx context.Context, l net.Listener) error { return work(ctx, w, at.ledger, l, log) }
			return run, []zap.Field{zap.String("deployment", dials.Deployment.Name), zap.String("build", dials.Deployment.BuildID)}, nil
		},
	})
}

// work lets a worker work until ctx ends, and answers probes.
func work(ctx context.Context, w *worker.Worker, l *ledger.Ledger, listener net.Listener, log *zap.Logger) error {
	engine := gin.New()
	serve.NewProbes(log, serve.Check{Ready: w.Ready}, serve.Check{Ready: l.Ready}).Route(engine)
	health := runPart(ctx, func(ctx context.Context) error { return serve.Run(ctx, listener, engine, log) })
	working, stopWorking := untilEnded(ctx, health)
	defer stopWorking()
	return errors.Join(w.Run(working), health.close())
}
