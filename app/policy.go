package app

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"redial/call"
	"redial/followup"
	"redial/internal/config"
)

func policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Look at policies, and keep those in the ledger that runs follow", Args: noArguments,
		Example: "  redial policy explain reminder.yaml\n  redial policy put reminder.yaml --reason \"fewer calls\"\n  redial policy presets",
		RunE:    func(c *cobra.Command, _ []string) error { return usagef("policy what? see %s --help", c.CommandPath()) }}
	var asJSON bool
	explain := &cobra.Command{
		Use:   "explain [FILE|ledger:NAME]",
		Short: "Say in words what a policy does, and by which rules",
		Long: `Print a policy as a table: when the phone may ring, how often, and what follows each result of a call; what the file leaves
open is filled in. Presets are named with the sources of their rules. Without a file, the default policy is explained.

Presets are data and no legal advice: verify them with counsel.`,
		Example: "  redial policy explain reminder.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one file, and was given %d", c.CommandPath(), len(args))
			}
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			u, err := findPolicy(c.Context(), cfg, strings.Join(args, ""))
			if err != nil {
				return err
			}
			p := u.Policy
			warn(c, p)
			if asJSON {
				return printJSON(c.OutOrStdout(), explained{p, usedPresets(p), ceilings(cfg)})
			}
			return explainPolicy(c.OutOrStdout(), p, ceilings(cfg))
		},
	}
	explain.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(explain, presetsCommand(), policyPutCommand(), policyListCommand(), policyShowCommand())
	return c
}

func presetsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "presets", Short: "List the calling rules that come with redial, with their sources", Args: noArguments,
		Example: "  redial policy presets --json",
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(c.OutOrStdout(), followup.Presets())
			}
			explainPresets(c.OutOrStdout(), followup.Presets())
			return nil
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// explained is a policy in full.
type explained struct {
	Policy   followup.Policy   `json:"policy"`
	Presets  []followup.Preset `json:"presets"`
	Ceilings []followup.Limit  `json:"ceilings"`
}

func usedPresets(p followup.Policy) []followup.Preset {
	used := []followup.Preset{}
	for _, name := range p.Window.Presets {
		if preset, found := followup.FindPreset(name); found {
			used = append(used, preset)
		}
	}
	return used
}

func explainPolicy(w io.Writer, p followup.Policy, ceilings []followup.Limit) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "Policy %s\n\n", p.Name)
	line("Calls", "at most %d to a contact, within %s of its start; technical failures and numbers that do not exist do not count", p.Attempts, p.Lifetime)
	line("", "a retry comes up to %d%% earlier or later than stated, by chance", *p.Jitter)
	line("Each call", "rings for %s at most; answering machines: %s", p.Dial.RingTimeout, p.Dial.MachineDetection)
	explainWindow(line, p)
	for i, l := range p.Limits {
		line(onlyFirst("Limits", i), "%s", l)
	}
	if p.AboveCeilings {
		line("", "these hold instead of the deployment's ceilings, and each call's record says so")
	}
	for i, l := range ceilings {
		if !p.AboveCeilings {
			line(onlyFirst("Ceilings", i), "%s, whatever the policy says", l)
		}
	}
	for i, q := range p.Quiet {
		line(onlyFirst("Quiet times", i), "%s", q)
	}
	line("", "")
	line("After a call that was", "comes")
	for _, d := range call.Dispositions() {
		line("  "+string(d), "%s", ruleInWords(p.On[d]))
		for _, kind := range append(call.ResultKinds(), followup.NoResult) {
			if rule, asked := p.On[d].Result(kind); asked {
				line("    the bot says "+string(kind), "%s", ruleInWords(rule))
			}
		}
	}
	line("", "whoever opts out by the bot's word is never called again, and a callback that the bot has promised is kept")
	if p.Escalate.Webhook != "" {
		line("Escalations", "are sent to %s", p.Escalate.Webhook)
	} else {
		line("Escalations", "stay in the ledger's inbox")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if used := usedPresets(p); len(used) > 0 {
		fmt.Fprintln(w)
		explainPresets(w, used)
	}
	return nil
}

// onlyFirst is a name on the first line of several.
func onlyFirst(name string, i int) string {
	if i > 0 {
		return ""
	}
	return name
}

func explainWindow(line func(string, string, ...any), p followup.Policy) {
	win := p.Window
	if win.IsZero() {
		line("Calling window", "none: the phone may ring at any time of any day")
		return
	}
	clock := "by the clock of whoever is called; where that is in doubt, by every clock that it may be"
	if win.Timezone != "" && win.Timezone != followup.Recipient {
		clock = "by the clock of " + win.Timezone
	}
	line("Calling window", "%s", clock)
	for _, set := range slices.Sorted(maps.Keys(win.Days)) {
		line("", "%s  %s", set, hoursInWords(win.Days[set]))
	}
	for _, d := range win.Holidays {
		line("", "never on %s", d)
	}
	for _, name := range win.Presets {
		line("", "and only where preset %s is open, too", name)
	}
	line("", "a call starts only if it can ring to its end within the window; a retry outside it goes to a part of the day not yet tried")
}

func hoursInWords(hours []followup.Hours) string {
	words := make([]string, len(hours))
	for i, h := range hours {
		words[i] = h.String()
	}
	return strings.Join(words, ", ")
}

// ruleInWords is what follows a disposition.
func ruleInWords(r followup.Rule) string {
	verbs := map[followup.Verb]string{
		followup.VerbDone: "nothing: the contact is reached", followup.VerbStop: "nothing: the contact is given up",
		followup.VerbEscalate: "people are told", followup.VerbSuppress: "the number is never called again",
		followup.VerbNextNumber: "the contact's next number, if there is one",
	}
	switch {
	case r.WaitResult > 0:
		return fmt.Sprintf("the bot has %s to say what came of it", r.WaitResult)
	case r.Do != "":
		return verbs[r.Do]
	}
	waits := make([]string, len(r.Retry))
	for i, d := range r.Retry {
		waits[i] = d.String()
		if d.NextWindow {
			waits[i] = "another part of the day"
		}
	}
	then := "the contact is given up"
	if r.Then != "" {
		then = verbs[r.Then]
	}
	return fmt.Sprintf("another call after %s; then %s", strings.Join(waits, ", "), then)
}

func explainPresets(w io.Writer, presets []followup.Preset) {
	fmt.Fprintf(w, "Presets of %s. They are data and no legal advice: verify them with counsel.\n", followup.PresetsVersion)
	for _, p := range presets {
		fmt.Fprintf(w, "\n%s: %s\n", p.Name, p.Title)
		for _, set := range slices.Sorted(maps.Keys(p.Days)) {
			fmt.Fprintf(w, "  %s  %s, by the recipient's clock\n", set, hoursInWords(p.Days[set]))
		}
		if p.Holidays != "" {
			fmt.Fprintf(w, "  never on a public holiday (%s)\n", p.Holidays)
		}
		for _, l := range p.Limits {
			fmt.Fprintf(w, "  %s\n", l)
		}
		for _, q := range p.Quiet {
			fmt.Fprintf(w, "  %s\n", q)
		}
		if p.Consent {
			fmt.Fprintln(w, "  only with the recipient's consent")
		}
		fmt.Fprintf(w, "  source: %s\n", p.Source)
	}
}
