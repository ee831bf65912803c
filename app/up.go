package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/internal/logging"
	"redial/internal/serve"
	"redial/ledger"
	"redial/worker"
)

func upCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Run worker, webhook, relay and console in one process, until SIGINT or SIGTERM",
		Long: `Run the product on one machine: the worker that dials, the webhook that the gateway reports to, the relay that
tells the call flows, and the console, on one ledger. Needs a Temporal server that "redial setup" was run for.

Settings: KORE_BASE_URL, KORE_BOT_ID, KORE_CLIENT_ID, KORE_CLIENT_SECRET, KORE_CALLER, REDIAL_NOTIFY_URL and
REDIAL_NOTIFY_SECRET are required; KORE_TRUNK, KORE_API, KORE_TIMEZONE, KORE_SIGNATURE_SECRET, REDIAL_WEBHOOK_ADDR,
REDIAL_WEBHOOK_TLS_CERT, REDIAL_WEBHOOK_TLS_KEY, REDIAL_TRUSTED_PROXIES, REDIAL_CONSOLE_ADDR, REDIAL_CONSOLE_SECRET, REDIAL_DATABASE,
REDIAL_DIAL_RATE, REDIAL_MAX_CALLS, REDIAL_ALLOW_TO, REDIAL_ESCALATION_SECRET, REDIAL_ID_SECRET, REDIAL_DEPLOYMENT,
REDIAL_BUILD_ID, REDIAL_VERSIONING and REDIAL_LOG_LEVEL have defaults. Any secret may stand in a file instead, named by the variable with _FILE behind it.`,
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
	// What is wrong with the settings is said before a server is asked for.
	if _, err := dialing(cfg); err != nil {
		return err
	}
	certificate, err := webhookCertificate(cfg, log)
	if err != nil {
		return err
	}
	temporal, err := joinTemporal(ctx, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	p, err := newProduct(ctx, cfg, temporal, log)
	if err != nil {
		return err
	}
	listener, err := serve.Listen(cfg.WebhookAddr, "REDIAL_WEBHOOK_ADDR")
	if err != nil {
		return errors.Join(err, p.ledger.Close())
	}
	private, tokens, err := listenPrivately(cfg)
	if err != nil {
		return errors.Join(err, listener.Close(), p.ledger.Close())
	}
	looking := runPart(ctx, func(ctx context.Context) error {
		return serve.Run(ctx, private, newConsole(p.ledger, temporal, tokens, log), log)
	})
	log.Info("up", zap.String("webhook", listener.Addr().String()), zap.String("console", private.Addr().String()), zap.String("ledger", ledger.Name(cfg.Database)), zap.String("temporal", temporal.address),
		zap.String("escalations", withoutWebhook(ctx)))
	defer sayStopping(ctx, log, worker.StopTimeout)()
	err = errors.Join(p.run(ctx, certificate.Listener(listener)), looking.close())
	log.Info("stopped", zap.Error(err))
	return err
}

func setupCommand() *cobra.Command {
	var asJSON, adopt bool
	var from string
	c := &cobra.Command{
		Use:   "setup",
		Short: "Prepare the ledger and the Temporal namespace; safe to run again",
		Long: `Bring the ledger's tables up to date (REDIAL_DATABASE) and register the search attributes by which runs are found in
the Temporal UI. Run it once before the first "redial up", and after every upgrade.

With --from a ledger is moved from a SQLite file to the PostgreSQL database that REDIAL_DATABASE names, which must not have
been used yet: all of it, or nothing. Stop "redial up" before. The file is refused by every command from then on, since two
ledgers would dial everybody twice. A move that was interrupted is finished by the same command.

The ledger remembers in which namespace its runs are, and every role refuses to work in another: there, each of them would be
taken for gone, and everybody who waits for a call would be told to people. Where the namespace was lost, with its server's data,
--adopt-namespace makes the present one the ledger's: open contacts then get the outcome of a run that is gone.`,
		Example: `  TEMPORAL_ADDRESS=127.0.0.1:7233 redial setup
  REDIAL_DATABASE=postgres://redial@db/redial redial setup --from sqlite:redial.db`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			done, err := setup(c.Context(), cfg, from, adopt)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), done)
			}
			if from != "" {
				fmt.Fprintf(c.OutOrStdout(), "ledger %s: moved, with %d contacts, %d attempts and %d notifications\n",
					ledger.Name(from), done.Moved["contacts"], done.Moved["attempts"], done.Moved["notifications"])
			}
			fmt.Fprintf(c.OutOrStdout(), "ledger %s: tables are up to date\ntemporal namespace %s: %d search attributes registered, all are there\n",
				done.Ledger, done.Namespace, done.Registered)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&adopt, "adopt-namespace", false, adoptUsage)
	c.Flags().StringVar(&from, "from", "", "SQLite ledger to move to REDIAL_DATABASE, such as sqlite:redial.db")
	return c
}

// adoptUsage explains the flag of setup and dev.
const adoptUsage = "the namespace in which the ledger's runs were is gone for good: go on in this one"

// prepared is what redial setup did.
type prepared struct {
	Ledger     string       `json:"ledger"`
	Moved      ledger.Moved `json:"moved,omitempty"` // rows of each table
	Namespace  string       `json:"namespace"`
	Registered int          `json:"search_attributes_registered"`
}

func setup(ctx context.Context, cfg config.Config, from string, adopt bool) (done prepared, err error) {
	done.Ledger = ledger.Name(cfg.Database)
	// What can be away is asked before anything is changed.
	temporal, err := connectQuietly(ctx)
	if err != nil {
		return done, err
	}
	defer temporal.Close()
	done.Namespace = temporal.namespace
	if from != "" {
		if done.Moved, err = ledger.Move(ctx, from, cfg.Database); err != nil {
			return done, err
		}
	}
	if err := settle(ctx, cfg, temporal, adopt); err != nil {
		return done, err
	}
	done.Registered, err = registerAttributes(ctx, temporal)
	return done, err
}
