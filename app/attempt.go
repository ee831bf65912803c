package app

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"redial/call"
	"redial/internal/config"
	"redial/ledger"
)

// shownAttempts is how many attempts in doubt are listed at the most.
const shownAttempts = 200

func attemptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "attempt",
		Short: "List attempts in doubt, and settle them",
		Long: `An attempt is in doubt when nobody knows whether, or how, its call ended: the answer to the dial request was lost, or no
notification came. It is never dialed again by itself, and blocks its number until the call must be over. Whoever
finds out what happened settles it, and its flow goes on from there.`,
		Example: `  redial attempt list
  redial attempt resolve redial/-/anna-7/01a1…/1 --as human --reason "she called back"`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(attemptListCommand(), attemptResolveCommand())
	return c
}

func attemptListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List attempts in doubt: what was sent, what was heard, what they block",
		Example: "  redial attempt list --json",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			list, err := l.UnknownAttempts(c.Context(), shownAttempts)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), list)
			}
			printUnknown(c.OutOrStdout(), list)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printUnknown(w io.Writer, list []ledger.UnknownAttempt) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no attempt is in doubt")
		return
	}
	for _, u := range list {
		fmt.Fprintf(w, "%s\n  why     %s\n  sent    %s, to %s\n  heard   %d notifications\n", u.Key, plainLine(u.Error), stamp(u.DialedAt), u.Request.To, u.Heard)
		if !u.BlocksUntil.IsZero() {
			fmt.Fprintf(w, "  blocks  its number and a line, until %s\n", stamp(u.BlocksUntil))
		}
	}
}

func attemptResolveCommand() *cobra.Command {
	var as, reason string
	var asJSON bool
	c := &cobra.Command{
		Use:     "resolve KEY --as DISPOSITION --reason WHY",
		Short:   "Settle an attempt in doubt the way somebody found out",
		Example: `  redial attempt resolve redial/-/anna-7/01a1…/1 --as human --reason "she called back"`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("redial attempt resolve takes the key of one attempt, and was given %d; see redial attempt list", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch d := call.Disposition(as); {
			case !d.Valid() || d == call.Unknown || d == call.NotPlaced:
				return usagef("--as %q: write what became of the call, such as human, busy, no_answer or machine", as)
			case reason == "":
				return usagef("--reason is missing: say how it was found out")
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			a, err := l.Resolve(c.Context(), args[0], call.Disposition(as), operator(), reason)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), a)
			}
			fmt.Fprintf(c.OutOrStdout(), "attempt %s is settled as %s; its flow is told\n", a.Key, a.Disposition)
			return nil
		},
	}
	c.Flags().StringVar(&as, "as", "", "the disposition (required)")
	c.Flags().StringVar(&reason, "reason", "", "how it was found out (required)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// operator is who settles, suppresses or steers: the user of this machine.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "unknown")
}

// existingLedger opens the ledger that the environment names, and refuses to make a new one.
func existingLedger(c *cobra.Command) (*ledger.Ledger, error) {
	cfg, err := config.FromEnvironment()
	if err != nil {
		return nil, err
	}
	return openExisting(c.Context(), cfg)
}
