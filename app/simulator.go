package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"redial/internal/config"
	"redial/internal/serve"
	"redial/simulator"
)

// defaultSimulatorAddr is where the simulator listens unless told otherwise: on this machine only.
const defaultSimulatorAddr = "127.0.0.1:8090"

func simulatorCommand() *cobra.Command {
	var o simulator.Config
	var address, dialect string
	c := &cobra.Command{
		Use:   "simulator",
		Short: "Run a simulated voice gateway, until SIGINT or SIGTERM",
		Long: `Run a voice gateway that takes dialout requests and sends notifications like the real one, and rings no phone. What
becomes of a call is told by its target or its metadata: metadata "simulate=busy,machine,human" makes the first dial
busy, the second a machine and the third a human; the target sip:busy@anywhere is always busy.

It takes the account that KORE_BOT_ID, KORE_CLIENT_ID and KORE_CLIENT_SECRET name, or its own well-known one. What was
really placed: GET /simulator/calls and GET /simulator/stats.`,
		Example: `  redial simulator --speed 20
  curl 127.0.0.1:8090/simulator/stats`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			log, err := logger(cfg, c.ErrOrStderr())
			if err != nil {
				return err
			}
			o.Dialect, o.Logger, o.Location = simulator.Dialect(dialect), log, cfg.KoreTimezone.Location
			o.BotID, o.ClientID, o.ClientSecret = cfg.KoreBotID, cfg.KoreClientID, cfg.KoreClientSecret
			s, err := simulator.New(o)
			if err != nil {
				return usageError{err}
			}
			listener, err := serve.Listen(address, "--addr")
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "simulated voice gateway at http://%s\n", listener.Addr())
			return runSimulator(c.Context(), s, listener)
		},
	}
	flags := c.Flags()
	flags.StringVar(&address, "addr", defaultSimulatorAddr, "address to listen on")
	flags.Float64Var(&o.Speed, "speed", 1, "speed of its clock: 60 makes a minute of ringing and talking last a second")
	flags.StringVar(&dialect, "dialect", string(simulator.Gen1), "generation of its notifications: gen1, gen2 or mixed")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of everything it draws")
	flags.IntVar(&o.Lines, "lines", 0, "calls that a trunk carries at once; 0: no limit")
	flags.IntVar(&o.RatePerMinute, "rate", 0, "requests that the account may make in a minute; 0: no limit")
	return c
}

// runSimulator serves until ctx ends, and then hangs up on everybody.
func runSimulator(ctx context.Context, s *simulator.Simulator, l net.Listener) error {
	err := serveSimulator(ctx, s, l)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.Close(grace))
}
