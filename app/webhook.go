package app

import (
	"context"
	"net"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"redial/internal/config"
)

func webhookCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "webhook",
		Short: "Run the webhook alone, with relay and sweeper, until SIGINT or SIGTERM",
		Long: `Run the role that the gateway reports to, and that tells the call flows what it has heard. It starts, and takes reports,
also while Temporal is away: what it has taken is on disk, and is told when Temporal is back. It needs no credentials of
the gateway. Several of them share one ledger on PostgreSQL.

Stopped, it answers 503 to GET /readyz and goes on for REDIAL_DRAIN_DELAY, so that a proxy sends no more; then it
finishes what is under way: allow it 30 seconds more. A second signal ends it at once.

Settings: REDIAL_NOTIFY_SECRET is required; REDIAL_WEBHOOK_ADDR, REDIAL_WEBHOOK_TLS_CERT, REDIAL_WEBHOOK_TLS_KEY,
REDIAL_TRUSTED_PROXIES, REDIAL_DRAIN_DELAY, REDIAL_DATABASE, KORE_TIMEZONE,
KORE_SIGNATURE_SECRET, REDIAL_ESCALATION_SECRET and REDIAL_LOG_LEVEL have defaults.`,
		Example: `  REDIAL_DATABASE=postgres://redial@db/redial REDIAL_NOTIFY_SECRET_FILE=/run/secrets/notify redial webhook`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, log, err := environment(c)
			if err != nil {
				return err
			}
			return runWebhook(c.Context(), cfg, log)
		},
	}
}

// finishFor is how long a webhook may take to stop after its drain delay: its requests and deliveries are given up then.
const finishFor = 30 * time.Second

func runWebhook(ctx context.Context, cfg config.Config, log *zap.Logger) error {
	keys, err := cfg.NotifyKeys()
	if err != nil {
		return err
	}
	certificate, err := webhookCertificate(cfg, log)
	if err != nil {
		return err
	}
	delay := time.Duration(cfg.DrainDelay)
	return runRole(ctx, cfg, log, role{
		name: "webhook", address: cfg.WebhookAddr, variable: "REDIAL_WEBHOOK_ADDR", stopsWithin: delay + finishFor,
		connect: lazyTemporal, // a report that comes while Temporal is away is not to be lost for that
		prepare: func(ctx context.Context, at *home) (func(context.Context, net.Listener) error, []zap.Field, error) {
			h, err := newHearing(ctx, cfg, keys, at, log)
			run := func(ctx context.Context, l net.Listener) error { return h.run(ctx, certificate.Listener(l), delay) }
			return run, []zap.Field{zap.String("escalations", withoutWebhook(ctx))}, err
		},
	})
}
