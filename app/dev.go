package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"redial/internal/config"
	"redial/internal/devserver"
	"redial/simulator"
)

func devCommand() *cobra.Command {
	var gateway, simulatorAddr string
	var temporalPort, uiPort int
	var speed float64
	var adopt bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, simulated gateway included, and stay up",
		Long: `Run Temporal's dev server, a simulated voice gateway, and worker, webhook and relay, until Ctrl-C. Start calls in another
terminal, in the same folder. Runs and ledger stay in files beside REDIAL_DATABASE, and the next start goes on with them.
Simulated calls have no ceilings, unless REDIAL_CEILINGS is set.

With --gateway kore the calls go to the gateway that KORE_* names, and real phones ring.`,
		Example: `  redial dev
  redial call --to +14155550100 --metadata simulate=human --wait     (in another terminal)`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := refuseZero(c, "speed"); err != nil {
				return err
			}
			cfg, log, err := environment(c)
			if err != nil {
				return err
			}
			o := localOptions{config: cfg, log: log, adopt: adopt, simulatorAddr: simulatorAddr, webhookAddr: cfg.WebhookAddr}
			if o.temporal, err = devTemporal(cfg, temporalPort, uiPort); err != nil {
				return err
			}
			switch gateway {
			case "simulator":
				if !cfg.CeilingsGiven() {
					o.config.Ceilings = nil // nobody's phone rings
				}
				if o.simulator, err = simulator.New(simulator.Config{Speed: speed, Dialect: simulator.Mixed, Logger: o.log.Named("simulator")}); err != nil {
					return usageError{err}
				}
			case "kore":
			default:
				return usagef("--gateway %q: write simulator or kore", gateway)
			}
			return dev(c, o)
		},
	}
	flags := c.Flags()
	flags.StringVar(&gateway, "gateway", "simulator", "simulator, or kore for the gateway that KORE_* names")
	flags.StringVar(&simulatorAddr, "simulator-addr", defaultSimulatorAddr, "address of the simulated gateway")
	flags.Float64Var(&speed, "speed", 10, "speed of the simulated gateway's clock")
	flags.IntVar(&temporalPort, "temporal-port", 7233, "port of Temporal's dev server")
	flags.IntVar(&uiPort, "ui-port", 8233, "port of the Temporal UI")
	flags.BoolVar(&adopt, "adopt-namespace", false, adoptUsage)
	return c
}

// devTemporal keeps the runs in a file beside the ledger: one without the other would forget half of the story.
func devTemporal(cfg config.Config, port, uiPort int) (devserver.Options, error) {
	path, found := strings.CutPrefix(cfg.Database, "sqlite:")
	if !found {
		return devserver.Options{}, &config.Error{Variable: "REDIAL_DATABASE", Problem: "redial dev keeps its ledger in a file: write sqlite:FILE"}
	}
	base := strings.TrimSuffix(filepath.Clean(path), filepath.Ext(path))
	if _, err := os.Stat(filepath.Dir(base)); err != nil {
		return devserver.Options{}, &config.Error{Variable: "REDIAL_DATABASE", Problem: err.Error() + ": create the folder"}
	}
	return devserver.Options{FrontendPort: port, UIPort: uiPort, DatabaseFile: base + "-temporal.db", LogFile: base + "-temporal.log"}, nil
}

func dev(c *cobra.Command, o localOptions) error {
	ctx, out := c.Context(), c.OutOrStdout()
	fmt.Fprintln(out, "starting Temporal's dev server…")
	l, err := startLocal(ctx, o)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	fmt.Fprintf(out, "Temporal UI       %s\n", l.temporal.UIURL())
	fmt.Fprintf(out, "Temporal          %s\n", l.temporal.Address())
	if l.simulatorURL != "" {
		fmt.Fprintf(out, "simulated gateway %s/simulator/calls\n", l.simulatorURL)
	}
	fmt.Fprintf(out, "webhook           %s\n", l.webhookURL)
	fmt.Fprintf(out, "ledger            %s\n", o.config.Database)
	fmt.Fprintf(out, "flows             %s\n\n", flowNames(ctx))
	fmt.Fprintf(out, "In another terminal, in this folder:%s\n  %s call --to +14155550100 --metadata simulate=human --wait\n\nCtrl-C stops everything.\n",
		environmentHint(l), os.Args[0])
	return waitAndClose(ctx, l)
}

// environmentHint is what another terminal has to set where this is not Temporal's own default.
func environmentHint(l *local) string {
	if strings.HasSuffix(l.temporal.Address(), ":7233") {
		return ""
	}
	return "\n  export TEMPORAL_ADDRESS=" + l.temporal.Address()
}

// waitAndClose waits for the end of ctx, or of a part that ended by itself, and closes everything.
func waitAndClose(ctx context.Context, l *local) error {
	var failed error
	select {
	case <-ctx.Done():
	case <-l.Broken():
		failed = errors.New("a part ended by itself: see the log")
	}
	return errors.Join(failed, l.Close())
}
