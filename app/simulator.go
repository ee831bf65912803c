package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"redial/internal/serve"
	"redial/simulator"
)

// defaultSimulatorAddr is where the simulator listens unless told otherwise: on this machine only.
const defaultSimulatorAddr = "127.0.0.1:8090"

func simulatorCommand() *cobra.Command {
	var o simulator.Config
	var address, dialect, scope, profile string
	c := &cobra.Command{
		Use:   "simulator",
		Short: "Run a simulated voice gateway, until SIGINT or SIGTERM",
		Long: `Run a voice gateway that takes dialout requests and sends notifications like the real one, and rings no phone. What
becomes of a call is told by its target or its metadata: metadata "simulate=busy,machine,human" makes the first dial
busy, the second a machine and the third a human; the target sip:busy@anywhere is always busy.

It takes the account that KORE_BOT_ID, KORE_CLIENT_ID and KORE_CLIENT_SECRET name, or its own well-known one. What was
really placed: GET /simulator/calls and GET /simulator/stats. Outages, notifications by hand and a clock that is moved
by hand are at /simulator too; simulator/README.md tells of them.

Whoever reaches its address may do all that, which is why it is one of this machine unless told otherwise.`,
		Example: `  redial simulator --speed 20
  redial simulator --profile storm --seed 7 --dialect mixed --lines 30 --rate 60
  curl 127.0.0.1:8090/simulator/stats
  curl -X PUT --data '{"kind":"http=503","for":"10m"}' 127.0.0.1:8090/simulator/outage`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := refuseZero(c, "speed", "rate-status", "success-status"); err != nil {
				return err
			}
			cfg, log, err := environment(c)
			if err != nil {
				return err
			}
			if profile != "" {
				if o.Profile, err = simulator.NamedProfile(profile); err != nil {
					return usageError{err}
				}
			}
			o.Dialect, o.Scope = simulator.Dialect(dialect), simulator.Scope(scope)
			o.Logger, o.Location = log, cfg.KoreTimezone.Location
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
	flags.BoolVar(&o.Paused, "paused", false, "its clock stands still until POST /simulator/clock/advance?by=30s moves it")

	flags.StringVar(&profile, "profile", "", "what becomes of calls that nothing else decides: everyday, storm; none: a human each time")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of everything it draws")
	flags.BoolVar(&o.PlainNumbers, "plain-numbers", false, "take no meaning from the last digits of a number, such as 0486 for busy")

	flags.StringVar(&dialect, "dialect", string(simulator.Gen1), "generation of its notifications: gen1, gen2 or mixed")
	flags.IntVar(&o.Retries, "retries", 0, "how often it repeats a notification that was not answered 2xx; the real one does not")
	flags.BoolVar(&o.NotifyHeadersOnAll, "notify-headers-on-all", false, "send notifyHeaders with every notification, not those on machines alone")
	flags.BoolVar(&o.ConversationIDIsSID, "conversation-id-is-sid", false, "give notifications the sid of the call for a conversationId")

	flags.IntVar(&o.Lines, "lines", 0, "calls that a trunk carries at once; 0: no limit")
	flags.IntVar(&o.RatePerMinute, "rate", 0, "requests that the account may make in a minute; 0: no limit")
	flags.IntVar(&o.RateStatus, "rate-status", http.StatusTooManyRequests, "HTTP status of a request above the rate, 400 to 599")
	flags.BoolVar(&o.RetryAfter, "retry-after", false, "send Retry-After with it")

	flags.BoolVar(&o.RequireJTI, "enforce-jti", false, "refuse tokens without a jti, like an app with Enforce JTI switched on")
	flags.StringVar(&scope, "scope", string(simulator.ScopeGranted), "scope SmartAssist Dialout of the app: granted, missing or unpublished")
	flags.IntVar(&o.SuccessStatus, "success-status", http.StatusOK, "HTTP status of an accepted request: 200 or 201")
	flags.BoolVar(&o.AnswerConversationID, "answer-conversation-id", false, "add the conversationId to the answer")
	return c
}

// refuseZero refuses a zero that somebody has written: in the simulator's settings it stands for the default.
func refuseZero(c *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := c.Flags().Lookup(name); f.Changed && f.Value.String() == "0" {
			return usagef("--%s 0: give a number above 0", name)
		}
	}
	return nil
}

// runSimulator serves until ctx ends, and then hangs up on everybody.
func runSimulator(ctx context.Context, s *simulator.Simulator, l net.Listener) error {
	err := serve.Run(ctx, l, s.Handler(), zap.NewNop())
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.Close(grace))
}
