package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/internal/logging"
	"redial/internal/serve"
	"redial/ledger"
)

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Run worker, webhook and relay in one process, until SIGINT or SIGTERM",
		Long: `Run the product on one machine: the worker that dials, the webhook that the gateway reports to, and the relay that
tells the call flows, on one ledger. Needs a Temporal server that "redial setup" was run for.

Settings: KORE_BASE_URL, KORE_BOT_ID, KORE_CLIENT_ID, KORE_CLIENT_SECRET, KORE_CALLER, REDIAL_NOTIFY_URL and
REDIAL_NOTIFY_SECRET are required; KORE_TRUNK, KORE_API, KORE_TIMEZONE, KORE_SIGNATURE_SECRET, REDIAL_WEBHOOK_ADDR, REDIAL_DATABASE,
REDIAL_DIAL_RATE, REDIAL_MAX_CALLS, REDIAL_ALLOW_TO, REDIAL_ESCALATION_SECRET, REDIAL_ID_SECRET and REDIAL_LOG_LEVEL
have defaults. Any secret may stand in a file instead, named by the variable with _FILE behind it.`,
		Example: `  REDIAL_NOTIFY_URL=https://calls.example.com REDIAL_NOTIFY_SECRET_FILE=/run/secrets/notify redial up`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, log, err := environment(c)
			if err != nil {
				return err
			}
			return up(c.Context(), cfg, log)
		},
	}
}

// environment is what a role that stays up runs with: its settings, and its log on standard error.
func environment(c *cobra.Command) (config.Config, *zap.Logger, error) {
	cfg, err := config.FromEnvironment()
	if err != nil {
		return cfg, nil, err
	}
	log, err := logger(cfg, c.ErrOrStderr())
	return cfg, log, err
}

// logger is the process's log.
func logger(c config.Config, w io.Writer) (*zap.Logger, error) {
	log, err := logging.New(c.LogLevel, w)
	if err != nil {
		return nil, &config.Error{Variable: "REDIAL_LOG_LEVEL", Problem: err.Error()}
	}
	return log, nil
}

func up(ctx context.Context, cfg config.Config, log *zap.Logger) error {
	o, err := temporalOptions()
	if err != nil {
		return err
	}
	// What is wrong with the settings is said before a server is asked for.
	if _, err := newGateway(cfg); err != nil {
		return err
	}
	if _, err := cfg.NotifyURLs(); err != nil {
		return err
	}
	temporal, err := connect(ctx, o, logging.ForTemporal(log.Named("temporal")))
	if err != nil {
		return err
	}
	defer temporal.Close()
	if err := attributesReady(ctx, temporal, namespace(o)); err != nil {
		return err
	}
	p, err := newProduct(ctx, cfg, temporal, log)
	if err != nil {
		return err
	}
	listener, err := serve.Listen(cfg.WebhookAddr, "REDIAL_WEBHOOK_ADDR")
	if err != nil {
		_ = p.ledger.Close()
		return err
	}
	log.Info("up", zap.String("webhook", listener.Addr().String()), zap.String("ledger", cfg.Database), zap.String("temporal", o.HostPort))
	err = p.run(ctx, listener)
	log.Info("stopped", zap.Error(err))
	return err
}

func setupCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "setup",
		Short: "Prepare the ledger and the Temporal namespace; safe to run again",
		Long: `Bring the ledger's tables up to date (REDIAL_DATABASE) and register the search attributes by which runs are found in
the Temporal UI. Run it once before the first "redial up", and after every upgrade.`,
		Example: `  TEMPORAL_ADDRESS=127.0.0.1:7233 redial setup`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			done, err := setup(c.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), done)
			}
			fmt.Fprintf(c.OutOrStdout(), "ledger %s: tables are up to date\ntemporal namespace %s: %d search attributes registered, all are there\n",
				done.Ledger, done.Namespace, done.Registered)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// prepared is what redial setup did.
type prepared struct {
	Ledger     string `json:"ledger"`
	Namespace  string `json:"namespace"`
	Registered int    `json:"search_attributes_registered"`
}

func setup(ctx context.Context, cfg config.Config) (prepared, error) {
	done := prepared{Ledger: cfg.Database}
	l, err := openLedger(ctx, cfg, ledger.Options{})
	if err != nil {
		return done, err
	}
	if err := l.Close(); err != nil {
		return done, err
	}
	temporal, name, err := connectQuietly(ctx)
	if err != nil {
		return done, err
	}
	defer temporal.Close()
	done.Namespace = name
	done.Registered, err = registerAttributes(ctx, temporal, name)
	return done, err
}
