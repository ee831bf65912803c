package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"redial/followup"
	"redial/internal/config"
	"redial/ledger"
	"redial/workflows"
)

// inLedger is before the name of a policy that the ledger keeps, where a file might be named.
const inLedger = "ledger:"

// findPolicy is the policy by which a run goes: that of a file, or the one that the ledger keeps under a name, which the run follows, or the
// default one where none is named. What it leaves open is filled in, so that what a run was started with stands in its history.
func findPolicy(ctx context.Context, cfg config.Config, named string) (u workflows.Under, err error) {
	name, kept := strings.CutPrefix(named, inLedger)
	switch {
	case named == "":
		u.Policy = u.Policy.WithDefaults()
		return u, nil
	case !kept:
		u.Policy, err = readPolicy(named, nil)
		u.Policy = u.Policy.WithDefaults()
		return u, err
	}
	l, err := openExisting(ctx, cfg)
	if err != nil {
		return u, err
	}
	defer l.Close()
	v, err := l.Policy(ctx, name)
	var unknown *followup.UnknownPolicyError
	if errors.As(err, &unknown) {
		return u, usagef("--policy: %w", unknown)
	}
	return workflows.Under{Policy: v.Policy, Follows: name, Version: v.Version}, err
}

// readPolicy reads a policy's file; - is standard input, where one is given. Its errors are the user's.
func readPolicy(file string, stdin io.Reader) (p followup.Policy, err error) {
	data, err := readAll(file, stdin, followup.MaxPolicySize)
	if err != nil {
		return p, usagef("--policy: %w", err)
	}
	if p, err = followup.Parse(data); err != nil {
		return p, usagef("--policy %s: %w", file, err)
	}
	return p, nil
}

// givePolicy is the policy that redial change-policy asks for.
func givePolicy(c *cobra.Command, cfg config.Config, f *steerFlags, with *workflows.Steering) error {
	if f.policy == "" {
		return usagef("--policy is missing: name a file, or %sNAME", inLedger)
	}
	u, err := findPolicy(c.Context(), cfg, f.policy)
	if err != nil {
		return err
	}
	warn(c, u.Policy)
	f.policyName = u.Policy.Name
	if with.Follows = u.Follows; u.Follows == "" {
		with.Policy, err = json.Marshal(u.Policy)
	}
	return err
}

func warn(c *cobra.Command, p followup.Policy) {
	for _, warning := range p.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "redial: warning: "+warning)
	}
}

// Runs that are woken in a second, when the policy that they follow has changed.
const usualPace, mostPace = 20, 1000

func policyPutCommand() *cobra.Command {
	var by, reason string
	var pace int
	var asJSON bool
	c := &cobra.Command{
		Use:   "put FILE|- --reason WHY",
		Short: "Keep a policy in the ledger, or a newer version of it, for all runs that follow it",
		Long: `Keep a policy in the ledger (REDIAL_DATABASE) under its name, or make it the newest version of that name. Runs that were started with
--policy ledger:NAME follow it: from now on it holds for each of their dials and decisions. Those that sleep are woken, --pace of them in a
second, and what they wait for is planned anew, as if it had been decided under the new version. Older versions are kept. A version under
which open runs that follow it could not call any more, because its window goes by the recipient's clock and nobody knows theirs, is refused.
- reads the policy from standard input.

Exit status: 0 done, or it was the newest version already; 1 it failed; 2 wrong usage or input.`,
		Example: `  redial policy put reminder.yaml --reason "fewer calls: complaints"
  redial call --to +14155550100 --policy ledger:reminder`,
		Args: oneArgument("file"),
		RunE: func(c *cobra.Command, args []string) error {
			by, reason = cmp.Or(strings.TrimSpace(by), operator()), strings.TrimSpace(reason)
			p, err := checkPut(args[0], c.InOrStdin(), by, reason, pace)
			if err != nil {
				return err
			}
			warn(c, p)
			if preset := p.Rules().ConsentNeeded(); preset != "" {
				fmt.Fprintf(c.ErrOrStderr(), "redial: warning: %s demands consent: whoever follows the policy without one on record is not called any more\n", preset)
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			put, err := l.PutPolicy(c.Context(), p, by, reason, time.Second/time.Duration(pace))
			var unzoned *followup.UnzonedError
			if errors.As(err, &unzoned) {
				return fmt.Errorf("policy %s cannot be put: %w", p.Name, unzoned)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), put)
			}
			fmt.Fprintln(c.OutOrStdout(), putInWords(put))
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why (required)")
	c.Flags().StringVar(&by, "by", "", "who puts it there; the user of this machine where none is given")
	c.Flags().IntVar(&pace, "pace", usualPace, fmt.Sprintf("how many runs are woken in a second, 1 to %d", mostPace))
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checkPut reads a policy that is to be kept. All of its errors are the user's.
func checkPut(file string, stdin io.Reader, by, reason string, pace int) (followup.Policy, error) {
	p, err := readPolicy(file, stdin)
	if err != nil {
		return p, err
	}
	if reason == "" {
		return p, usagef("--reason is missing: say why")
	}
	if err := cmp.Or(plainText(by, longestSource), plainText(reason, longestReason)); err != nil {
		return p, usagef("--by, --reason: %w", err)
	}
	if err := policyName(p.Name); err != nil {
		return p, usagef("%s: name: %w", file, err)
	}
	if pace < 1 || pace > mostPace {
		return p, usagef("--pace %d: write a number from 1 to %d", pace, mostPace)
	}
	return p, nil
}

// policyName checks the name under which a policy is kept: it is typed after ledger:, and shown in tables.
func policyName(name string) error {
	if name == "" {
		return errors.New("it is missing, and a policy is kept under its name: write one, as in name: reminder")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%.60q: a policy that is kept has a name of letters, digits and punctuation, without spaces", name)
	}
	return nil
}

func putInWords(put ledger.PolicyPut) string {
	switch {
	case !put.Changed:
		return fmt.Sprintf("%s is what the ledger has: nothing has changed", put)
	case put.Woken == 0:
		return fmt.Sprintf("%s holds; no run that is open follows it", put)
	case put.Woken == 1:
		return fmt.Sprintf("%s holds; the run that follows it is woken", put)
	}
	return fmt.Sprintf("%s holds; %d runs follow it, and those that sleep are woken by %s", put, put.Woken, stamp(put.LastAt))
}

func policyListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "list", Short: "List the policies that the ledger keeps, and how many runs follow each", Args: noArguments,
		Example: "  redial policy list",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			list, err := l.Policies(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), list)
			}
			return printPolicies(c.OutOrStdout(), list)
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printPolicies(w io.Writer, list []ledger.PolicyLine) error {
	if len(list) == 0 {
		fmt.Fprintln(w, "the ledger keeps no policy: redial policy put FILE puts one there")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "POLICY\tVERSION\tSINCE\tBY\tOPEN RUNS\tTO BE WOKEN")
	for _, v := range list {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%d\n", plainLine(v.Name), v.Version, stamp(v.At), plainLine(v.By), v.Open, v.ToWake)
	}
	return table.Flush()
}

func policyShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "show NAME", Short: "Show the versions of a policy that the ledger keeps, and what the newest says",
		Example: "  redial policy show reminder\n  redial policy show reminder --json",
		Args:    oneArgument("name"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			l, err := openExisting(c.Context(), cfg)
			if err != nil {
				return err
			}
			defer l.Close()
			versions, err := l.PolicyVersions(c.Context(), strings.TrimPrefix(args[0], inLedger))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), versions)
			}
			for _, v := range versions {
				fmt.Fprintf(c.OutOrStdout(), "version %d  since %s  by %s: %s\n", v.Version, stamp(v.At), plainLine(v.By), plainLine(v.Reason))
			}
			fmt.Fprintln(c.OutOrStdout())
			return explainPolicy(c.OutOrStdout(), versions[0].Policy, ceilings(cfg))
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
