package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"redial/followup"
	"redial/internal/config"
	"redial/ledger"
	"redial/phone"
	"redial/starter"
	"redial/workflows"
)

// steerFlags are the flags of the commands that steer a run.
type steerFlags struct {
	reason, by string
	at, zone   string // reschedule
	to         string // opt-out
	policy     string // change-policy
	policyName string // of the policy that was read
	json       bool
}

// steering is one of these commands.
type steering struct {
	use, update, short, long, example string
	needsReason                       bool
}

// steerings are all of them. What is in the air is told of in each that it outlives, for it surprises whoever expects a hang-up.
var steerings = []steering{
	{"pause ID --reason WHY", workflows.UpdatePause, "Keep a run from dialing until it is resumed",
		`Keep a run from dialing until it is resumed. A call that is in the air goes on to its end, and nothing follows it meanwhile. The
contact's lifetime goes on, too.`,
		`  redial pause anna-7 --reason "a complaint is looked into"
  redial pause redial/spring/anna-7 --reason "away until May" --by "the shop in Leeds"`, true},
	{"resume ID", workflows.UpdateResume, "Take a pause back",
		`Take a pause back. The run waits for what it waited for, and dials at once where that is over.`,
		`  redial resume anna-7
  redial resume anna-7 --reason "settled with her"`, false},
	{"call-now ID", workflows.UpdateCallNow, "End a run's wait for its next attempt",
		`End a run's wait for its next attempt. It asks for leave to dial at once; windows, limits, lines, pace and suppression hold as they do
for every call. Whoever is paused has to be resumed first.`,
		`  redial call-now anna-7
  redial call-now anna-7 --reason "she waits at the phone"`, false},
	{"reschedule ID --at TIME", workflows.UpdateReschedule, "Make a run wait until another time",
		`Make a run wait until another time. --at takes a time of RFC 3339, a duration from now, or a local time, which is one of UTC unless
--zone names another zone. At that time the run asks for leave to dial, and the rules for calling hold.`,
		`  redial reschedule anna-7 --at 2h
  redial reschedule anna-7 --at 2026-12-01T15:00:00+01:00
  redial reschedule anna-7 --at "2026-12-01 15:00" --zone America/New_York --reason "she asked for it"`, false},
	{"opt-out ID|--to NUMBER --reason WHY", workflows.UpdateOptOut, "Never call somebody again, and end the run",
		`Suppress a run's contact and the number that it was called at, and end the run. A call that is in the air goes on to its end, and
nothing follows it. With --to instead of an ID a number is suppressed, and no worker is needed for that. Every other run that
waits to call the same number, or the same contact, is told and ends as well.`,
		`  redial opt-out anna-7 --reason "said so in the shop"
  redial opt-out --to +14155550100 --reason "asked by letter of 3 March"`, true},
	{"cancel ID --reason WHY", workflows.UpdateCancel, "End a run without a further call",
		`End a run without a further call; its contact's outcome is canceled. A call that is in the air goes on to its end first.`,
		`  redial cancel anna-7 --reason "the order was returned"`, true},
	{"change-policy ID --policy FILE --reason WHY", workflows.UpdateChangePolicy, "Let a run go by another policy",
		`Let a run go by another policy from now on: one in a file, or with ledger:NAME the one that the ledger keeps under this name, which it
follows from then on. A retry that it waits for is planned anew, as if it had been decided by the new policy: sooner, later, or not at all.
What somebody has chosen by call-now or reschedule stands. For all runs that follow a policy of the ledger: redial policy put.`,
		`  redial change-policy anna-7 --policy gentle.yaml --reason "she is ill"
  redial change-policy anna-7 --policy ledger:reminder --reason "like all others"`, true},
}

func steerCommands() (commands []*cobra.Command) {
	for _, s := range steerings {
		commands = append(commands, s.command())
	}
	return commands
}

func (s steering) command() *cobra.Command {
	var f steerFlags
	c := &cobra.Command{Use: s.use, Short: s.short, Example: s.example,
		Long: s.long + `

ID is a contact's id or a workflow id, as for redial show. Who asks, and why, stands in the run's history and in redial show.

Exit status: 0 done; 1 refused, or it failed; 2 wrong usage or input.`,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("to") && len(args) == 0 {
				return nil
			}
			if len(args) != 1 || c.Flags().Changed("to") {
				return usagef("%s takes one id, and was given %s", c.CommandPath(), counted(args, c.Flags().Changed("to")))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			with, err := s.asked(f, time.Now())
			if err != nil {
				return err
			}
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return optOutNumber(c, cfg, f, with)
			}
			if s.update == workflows.UpdateChangePolicy {
				if err := givePolicy(c, cfg, &f, &with); err != nil {
					return err
				}
			}
			return s.steer(c, cfg, args[0], with, f)
		},
	}
	s.register(c, &f)
	return c
}

// counted says what was given where one id is wanted.
func counted(args []string, number bool) string {
	if number {
		return "one and --to: give either"
	}
	return fmt.Sprint(len(args))
}

func (s steering) register(c *cobra.Command, f *steerFlags) {
	why := "why"
	if s.needsReason {
		why += " (required)"
	}
	c.Flags().StringVar(&f.reason, "reason", "", why)
	c.Flags().StringVar(&f.by, "by", "", "who asks; the user of this machine where none is given")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	switch s.update {
	case workflows.UpdateReschedule:
		c.Flags().StringVar(&f.at, "at", "", "when to call: a time of RFC 3339, a duration like 2h or 1d, or like \"2026-12-01 15:00\" (required)")
		c.Flags().StringVar(&f.zone, "zone", "UTC", "the time zone of --at where that is a local time")
	case workflows.UpdateChangePolicy:
		c.Flags().StringVar(&f.policy, "policy", "", "file with the policy, YAML or JSON, or ledger:NAME (required)")
	case workflows.UpdateOptOut:
		c.Flags().StringVar(&f.to, "to", "", "a number, whoever's it is, instead of an ID")
	}
}

// asked is what the flags ask for.
func (s steering) asked(f steerFlags, now time.Time) (workflows.Steering, error) {
	with := workflows.Steering{By: cmp.Or(strings.TrimSpace(f.by), operator()), Reason: strings.TrimSpace(f.reason)}
	if with.Reason == "" && s.needsReason {
		return with, usagef("--reason is missing: say why")
	}
	if err := plainText(with.By, longestSource); err != nil {
		return with, usagef("--by: %w", err)
	}
	if err := plainText(with.Reason, longestReason); err != nil {
		return with, usagef("--reason: %w", err)
	}
	if s.update != workflows.UpdateReschedule {
		return with, nil
	}
	zone, err := phone.Zone(f.zone)
	if err != nil {
		return with, usagef("--zone %.40q is no time zone: write it like Europe/Paris", f.zone)
	}
	if with.At, err = callTime(f.at, now, zone); err != nil {
		return with, usagef("--at: %w", err)
	}
	return with, nil
}

// localTime is how a time without a zone is written.
const localTime = "2006-01-02 15:04"

// callTime reads when to call: a moment, a time from now, or a local time of a zone.
func callTime(text string, now time.Time, zone *time.Location) (at time.Time, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return at, errors.New("it is missing: say when to call, such as 2h")
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		if d, bad := followup.ParseDuration(text); bad == nil {
			at = now.Add(time.Duration(d))
		} else if at, err = time.ParseInLocation(localTime, text, zone); err != nil {
			return at, fmt.Errorf("%.40q is no time: write it like 2026-12-01T15:00:00+01:00, \"2026-12-01 15:00\" or 2h", text)
		} else if at.Format(localTime) != text {
			return at, fmt.Errorf("%.40q does not exist in %s, where clocks are set forward then", text, zone)
		}
	}
	if !at.After(now) {
		return at, fmt.Errorf("%.40q is past: write a time to come", text)
	}
	return at, nil
}

// steered is what these commands print as JSON.
type steered struct {
	WorkflowID string `json:"workflow_id"`
	workflows.Status
}

func (s steering) steer(c *cobra.Command, cfg config.Config, id string, with workflows.Steering, f steerFlags) error {
	workflowID, unknown, err := runOf(c.Context(), cfg, id)
	if err != nil {
		return err
	}
	temporal, err := connectQuietly(c.Context())
	if err != nil {
		return err
	}
	defer temporal.Close()
	status, err := starter.Starter{Client: temporal}.Steer(c.Context(), workflowID, s.update, with)
	if err != nil {
		return s.explain(err, unknown, temporal.namespace)
	}
	// What the flow does about it comes after its answer.
	if now := askRun(c.Context(), temporal, workflowID); now != nil {
		status = *now
	}
	if f.json {
		return printJSON(c.OutOrStdout(), steered{workflowID, status})
	}
	s.print(c.OutOrStdout(), workflowID, with, f, status)
	return nil
}

// runOf is the workflow id that an id means. Unknown is why the ledger does not know a contact, whose run may wait for a worker.
func runOf(ctx context.Context, cfg config.Config, id string) (workflowID string, unknown, err error) {
	if _, _, full := workflows.ParseWorkflowID(id); full {
		return id, nil, nil
	}
	if id, err = (starter.Starter{IDKey: cfg.IDKey()}).ContactID(id); err != nil {
		return "", nil, err
	}
	l, err := openExisting(ctx, cfg)
	if err != nil {
		return "", nil, err
	}
	defer l.Close()
	contact, err := l.Show(ctx, id)
	var absent *ledger.NotFoundError
	if errors.As(err, &absent) {
		return workflows.WorkflowID("", id), fmt.Errorf("nor does the ledger know contact %q (REDIAL_DATABASE is %s)", id, ledger.Name(cfg.Database)), nil
	}
	return contact.WorkflowID, nil, err
}

// explain says what to do about a run that could not be steered.
func (s steering) explain(err, unknown error, namespace string) error {
	switch {
	case errors.Is(err, starter.ErrNoRun) && unknown != nil:
		return fmt.Errorf("%w in namespace %s, %w: check the id", err, namespace, unknown)
	case errors.Is(err, starter.ErrNoRun):
		return fmt.Errorf("%w in namespace %s: check the id, or name another namespace with TEMPORAL_NAMESPACE", err, namespace)
	case errors.Is(err, starter.ErrRunOver) && s.update == workflows.UpdateOptOut:
		return fmt.Errorf("%w; redial suppress add --contact ID holds for all of the contact's runs to come", err)
	case errors.Is(err, starter.ErrRunOver):
		return fmt.Errorf("%w: there is nothing to steer", err)
	case errors.Is(err, starter.ErrNoAnswer) && s.update == workflows.UpdateOptOut:
		return fmt.Errorf("%w; redial opt-out --to NUMBER needs no worker", err)
	}
	return explain(err)
}

// print says in one line what was done, and what the contact does now.
func (s steering) print(w io.Writer, workflowID string, with workflows.Steering, f steerFlags, status workflows.Status) {
	fmt.Fprintf(w, "%s %s: %s\n", workflowID, s.done(with, f), s.whatNow(status))
}

func (s steering) done(with workflows.Steering, f steerFlags) string {
	switch s.update {
	case workflows.UpdatePause:
		return "is paused"
	case workflows.UpdateResume:
		return "is resumed"
	case workflows.UpdateCallNow:
		return "is asked to call now"
	case workflows.UpdateReschedule:
		text := "is rescheduled to " + stamp(with.At.UTC())
		if zone := with.At.Location().String(); zone != "" && zone != "UTC" && zone != "Local" {
			text += fmt.Sprintf(" (%s in %s)", with.At.Format(localTime), zone)
		}
		return text
	case workflows.UpdateOptOut:
		return "is opted out"
	case workflows.UpdateChangePolicy:
		if with.Follows != "" {
			return "follows policy " + with.Follows
		}
		return "goes by policy " + f.policyName
	}
	return "is canceled"
}

// whatNow is what the contact does now.
func (s steering) whatNow(status workflows.Status) string {
	switch ends := s.update == workflows.UpdateCancel || s.update == workflows.UpdateOptOut; {
	case status.Outcome != "":
		return "its outcome is " + string(status.Outcome)
	case ends:
		return "the run ends as soon as no call is in the air"
	case s.update == workflows.UpdatePause && status.State != workflows.StatePaused:
		return "a call in the air goes on, and none follows until the run is resumed"
	case s.update == workflows.UpdateReschedule:
		return "it waits until then, and the rules for calling hold"
	case status.State == workflows.StatePaused:
		return "it dials nothing until it is resumed"
	case status.Wait != nil:
		return fmt.Sprintf("it waits, %s, %s [%s]", status.Wait.Reason, untilWhen(*status.Wait), status.Wait.Rule)
	case status.State == workflows.StateCalling:
		return "it asks for leave to dial, or is in a call"
	}
	return "it is " + string(status.State)
}

// optOutNumber suppresses a number. The runs that wait to call it are told.
func optOutNumber(c *cobra.Command, cfg config.Config, f steerFlags, with workflows.Steering) error {
	to, err := phone.Parse(f.to, "")
	if err != nil {
		return usagef("--to %s", unparsable(f.to, err))
	}
	l, err := openExisting(c.Context(), cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	on := suppressed{ledger.SuppressedNumber, to.URI}
	result, said, err := suppress(c.Context(), l, on, ledger.Suppression{Kind: on.Kind, Subject: on.Subject, Source: "opt-out, " + with.By, Reason: with.Reason})
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(c.OutOrStdout(), result)
	}
	fmt.Fprintln(c.OutOrStdout(), said+"; every run that waits to call it is told")
	return nil
}
