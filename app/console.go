package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"redial/console"
	"redial/internal/config"
	"redial/internal/serve"
	"redial/ledger"
)

func consoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "console",
		Short: "Run the console alone, until SIGINT or SIGTERM",
		Long: `Run the private listener: contacts, attempts in doubt and capacity as JSON, and figures for Prometheus. It only reads: it runs
beside "redial up" on its SQLite file, and any number of times on PostgreSQL. What it serves is told by
/api/v1/openapi.json; GET /healthz and /readyz need no token.

Without REDIAL_CONSOLE_SECRET it listens on loopback addresses alone, and lets everybody on this machine look. With it, a
request needs a token of "redial token", and it may listen anywhere; a proxy has to end TLS before it there.

Settings: REDIAL_CONSOLE_ADDR, REDIAL_CONSOLE_SECRET, REDIAL_DATABASE and REDIAL_LOG_LEVEL have defaults.`,
		Example: `  REDIAL_CONSOLE_ADDR=:8080 REDIAL_CONSOLE_SECRET_FILE=/run/secrets/console redial console`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, log, err := environment(c)
			if err != nil {
				return err
			}
			return runConsole(c.Context(), cfg, log)
		},
	}
}

func runConsole(ctx context.Context, cfg config.Config, log *zap.Logger) (err error) {
	listener, tokens, err := listenPrivately(cfg)
	if err != nil {
		return err
	}
	defer listener.Close() // serving it closes it too
	// Lazily: what the ledger knows is told also while Temporal is away.
	temporal, err := lazyTemporal(ctx, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	l, err := openExisting(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	log.Info("console", zap.String("address", listener.Addr().String()), zap.String("ledger", ledger.Name(cfg.Database)), zap.Bool("tokens", tokens != nil))
	defer sayStopping(ctx, log, serve.Grace)()
	err = serve.Run(ctx, listener, newConsole(l, temporal.Client, tokens, log), log)
	log.Info("stopped", zap.Error(err))
	return err
}

// newConsole makes a console on a ledger; tokens are nil where none are asked for.
func newConsole(l *ledger.Ledger, temporal client.Client, tokens console.Tokens, log *zap.Logger) *console.Console {
	return console.New(console.Config{Ledger: l, Runs: runs{temporal}, Tokens: tokens, Logger: log.Named("console")})
}

// listenPrivately opens the console's address, and returns what opens its tokens; nil where only this machine can reach it and no
// secret is set. Elsewhere there has to be one.
func listenPrivately(cfg config.Config) (net.Listener, console.Tokens, error) {
	var tokens console.Tokens
	if cfg.ConsoleSecret != "" {
		keys, err := cfg.ConsoleKeys()
		if err != nil {
			return nil, nil, err
		}
		tokens = keys
	}
	listener, err := serve.Listen(cfg.ConsoleAddr, "REDIAL_CONSOLE_ADDR")
	if err != nil {
		return nil, nil, err
	}
	if address, tcp := listener.Addr().(*net.TCPAddr); tokens == nil && !(tcp && address.IP.IsLoopback()) {
		_ = listener.Close()
		return nil, nil, &config.Error{Variable: "REDIAL_CONSOLE_SECRET", Problem: fmt.Sprintf("it is missing, and REDIAL_CONSOLE_ADDR=%s can be reached from "+
			"other machines; give a random secret of at least 16 characters, or listen on 127.0.0.1:8080", cfg.ConsoleAddr)}
	}
	return listener, tokens, nil
}

// runs asks runs through Temporal.
type runs struct{ temporal client.Client }

func (r runs) Status(ctx context.Context, workflowID string) json.RawMessage {
	s := askRun(ctx, r.temporal, workflowID)
	if s == nil {
		return nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return data
}
