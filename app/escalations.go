package app

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"redial/ledger"
)

func escalationsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "escalations",
		Short: "List what people were told of, and say who has seen to it",
		Long: `A contact is escalated where its policy says so, and where its run has ended without a decision. Its whole story goes to the webhook of
the policy, signed, and again until it is taken; without a webhook it waits in the ledger's inbox, which is here, or goes to the sink that the
deployment's own binary brings, in the same way.`,
		Example: `  redial escalations list
  redial escalations list --undelivered --json
  redial escalations list --all --limit 20
  redial escalations ack anna-7 --by "eva, the night shift" --note "called her from the desk"`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(escalationsListCommand(), escalationsAckCommand())
	return c
}

// escalationPage is what redial escalations list prints as JSON.
type escalationPage struct {
	Escalations []ledger.EscalationLine `json:"escalations"`
	Next        string                  `json:"next,omitempty"` // for --before
}

func escalationsListCommand() *cobra.Command {
	var f ledger.EscalationFilter
	var before string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the escalations that wait for somebody, the newest first",
		Long: `List the escalations that wait for somebody, the newest first: those in the inbox that nobody has acknowledged, and those whose
webhook, or the deployment's own sink, has not taken them yet, with the tries and the last error. No number is shown; redial show has the
whole story.`,
		Example: `  redial escalations list
  redial escalations list --undelivered --json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if f.Limit < 1 || f.Limit > mostListed {
				return usagef("--limit %d: write a number from 1 to %d", f.Limit, mostListed)
			}
			if f.Undelivered && f.All {
				return usagef("--undelivered and --all do not go together: give one")
			}
			if before != "" {
				if f.Before, err = strconv.ParseInt(before, 10, 64); err != nil || f.Before < 1 {
					return usagef("--before %.40q: write what the page before has said", before)
				}
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			page, err := listEscalations(c, l, f)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), page)
			}
			page.print(c.OutOrStdout(), f)
			return nil
		},
	}
	c.Flags().BoolVar(&f.Undelivered, "undelivered", false, "only those that a webhook, or a sink that has tried, has not taken yet")
	c.Flags().BoolVar(&f.All, "all", false, "also those that were delivered or acknowledged")
	c.Flags().IntVar(&f.Limit, "limit", mostStatements, fmt.Sprintf("how many at the most, up to %d", mostListed))
	c.Flags().StringVar(&before, "before", "", "the next page: what the page before has said")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func listEscalations(c *cobra.Command, l *ledger.Ledger, f ledger.EscalationFilter) (page escalationPage, err error) {
	var more bool
	page.Escalations, more, err = ledger.Page(f.Limit, func(limit int) ([]ledger.EscalationLine, error) {
		f := f
		f.Limit = limit
		return l.Escalations(c.Context(), f)
	})
	if more {
		page.Next = strconv.FormatInt(page.Escalations[f.Limit-1].ID, 10)
	}
	return page, err
}

func (p escalationPage) print(w io.Writer, f ledger.EscalationFilter) {
	if len(p.Escalations) == 0 {
		fmt.Fprintln(w, map[bool]string{false: "no escalation waits for anybody", true: "there is no such escalation"}[f.All || f.Undelivered])
	}
	for _, e := range p.Escalations {
		fmt.Fprintf(w, "%s  %s\n  why       %s  [%s]\n  attempts  %s\n  people    %s\n", stamp(e.At), inList(e.WorkflowID, e.ContactID, e.Campaign), plainLine(e.Reason), plainLine(e.Rule), made(e), whoKnows(e.Escalation))
	}
	if p.Next != "" {
		fmt.Fprintf(w, "there are more: --before %s\n", p.Next)
	}
}

// made is how many attempts there were, and what the last one came to.
func made(e ledger.EscalationLine) string {
	if e.Last == "" {
		return strconv.Itoa(e.Attempts)
	}
	return fmt.Sprintf("%d, the last: %s", e.Attempts, e.Last)
}

// whoKnows is who was told, or has seen to it.
func whoKnows(e ledger.Escalation) string {
	var text string
	switch {
	case inInbox(e):
		text = "it is in the inbox"
	case !e.DeliveredAt.IsZero():
		text = fmt.Sprintf("%s has taken it, %s (%s)", receiverOf(e), stamp(e.DeliveredAt), tries(e.Tries))
	case e.LastError == "":
		text = fmt.Sprintf("%s has not taken it yet (%s)", receiverOf(e), tries(e.Tries))
	default:
		text = fmt.Sprintf("%s has not taken it yet: %s (%s, the next at %s)", receiverOf(e), plainLine(e.LastError), tries(e.Tries), stamp(e.NextTryAt))
	}
	if !e.AckedAt.IsZero() {
		text += fmt.Sprintf("; seen to by %s, %s", acknowledged(e), stamp(e.AckedAt))
	}
	return text
}

// inInbox tells whether people find an escalation in the inbox alone: no sink has tried to take it, or somebody has seen to it before one could.
func inInbox(e ledger.Escalation) bool {
	return e.URL == "" && e.DeliveredAt.IsZero() && (e.Tries == 0 || !e.AckedAt.IsZero())
}

// receiverOf is who takes an escalation, or is to.
func receiverOf(e ledger.Escalation) string {
	if e.URL == "" {
		return "the sink"
	}
	return e.URL
}

func escalationsAckCommand() *cobra.Command {
	var by, note string
	var asJSON bool
	c := &cobra.Command{
		Use:   "ack ID --by WHO",
		Short: "Say that somebody has seen to an escalation",
		Long: `Say that somebody has seen to the escalation of a contact, which is named by its id or its workflow id. Who, when and the note are
kept. The first who says so stands. A webhook that was not delivered yet is delivered all the same; a sink is not told any more.`,
		Example: `  redial escalations ack anna-7 --by eva
  redial escalations ack redial/spring/anna-7 --by eva --note "called her from the desk" --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("redial escalations ack takes the id of one contact, and was given %d; see redial escalations list", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(by) == "" {
				return usagef("--by is missing: say who has seen to it")
			}
			if err := plainText(by, longestSource); err != nil {
				return usagef("--by: %w", err)
			}
			if err := plainText(note, longestReason); err != nil {
				return usagef("--note: %w", err)
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			e, first, err := l.Acknowledge(c.Context(), args[0], by, note)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), struct {
					Acknowledged bool `json:"acknowledged"` // by this command
					ledger.EscalationLine
				}{first, e})
			}
			said := "is seen to by"
			if !first {
				said = "was seen to already by"
			}
			fmt.Fprintf(c.OutOrStdout(), "the escalation of %s %s %s\n", e.WorkflowID, said, acknowledged(e.Escalation))
			return nil
		},
	}
	c.Flags().StringVar(&by, "by", "", "who has seen to it (required)")
	c.Flags().StringVar(&note, "note", "", "what was done")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
