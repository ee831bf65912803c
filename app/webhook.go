package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/internal/serve"
	"redial/ledger"
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

func runWebhook(ctx context.Context, cfg config.Config, log *zap.Logger) (err error) {
	if err := cfg.SharedDatabase(); err != nil {
		return err
	}
	keys, err := cfg.NotifyKeys()
	if err != nil {
		return err
	}
	certificate, err := webhookCertificate(cfg, log)
	if err != nil {
		return err
	}
	// Lazily: a report that comes while Temporal is away is not to be lost for that.
	temporal, o, err := lazyTemporal(log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	l, err := ownLedger(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	h, err := newHearing(cfg, keys, temporal, l, log)
	if err != nil {
		return err
	}
	listener, err := serve.Listen(cfg.WebhookAddr, "REDIAL_WEBHOOK_ADDR")
	if err != nil {
		return err
	}
	go warnUnlessReached(ctx, temporal, namespace(o), log)
	delay := time.Duration(cfg.DrainDelay)
	defer sayStopping(ctx, log, delay+finishFor)()
	log.Info("webhook", zap.String("address", listener.Addr().String()), zap.String("ledger", ledger.Name(cfg.Database)), zap.String("temporal", o.HostPort))
	err = h.run(ctx, certificate.Listener(listener), delay)
	log.Info("stopped", zap.Error(err))
	return err
}

// warnUnlessReached says early what the first delivery would say late: that Temporal, or its namespace, is not there.
func warnUnlessReached(ctx context.Context, temporal client.Client, namespace string, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, connectFor)
	defer cancel()
	_, err := temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		log.Warn("temporal cannot be reached: reports are taken, and kept until it can; check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE",
			zap.String("cause", plainCause(err)))
	}
}
