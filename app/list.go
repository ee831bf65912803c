package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// noCampaign names the contacts without a campaign, as in workflow ids.
const noCampaign = "-"

// contactPage is what redial list prints as JSON.
type contactPage struct {
	Contacts []ledger.ContactLine `json:"contacts"`
	Next     string               `json:"next,omitempty"` // for --before
}

// listFlags are the flags of redial list.
type listFlags struct {
	state, reason, outcome, campaign, since string
	filter                                  ledger.ContactFilter
	json                                    bool
}

func listCommand() *cobra.Command {
	f := listFlags{filter: ledger.ContactFilter{Newest: true}}
	c := &cobra.Command{
		Use:   "list",
		Short: "List contacts: where each stands, what it waits for, how it ended",
		Long: `List the contacts of the ledger (REDIAL_DATABASE), the one opened last first, a line each: its id, its state, how many attempts were
made and what the last one came to, and what it waits for and until when, or its outcome. No number is shown.

States: calling (an attempt is under way), held (the next one waits for leave to dial), waiting (the next one is due later), paused, done.
A contact that the ledger has not heard of yet, because its run waits for a worker, is in the Temporal UI only.`,
		Example: `  redial list --open
  redial list --state paused
  redial list --reason window --campaign spring
  redial list --outcome escalated --since 24h --limit 20 --json
  redial list --before redial/-/anna-7`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.parse(time.Now()); err != nil {
				return err
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			page, err := listContacts(c, l, f.filter)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), page)
			}
			page.print(c.OutOrStdout())
			return nil
		},
	}
	c.Flags().StringVar(&f.state, "state", "", "only those in this state: "+alternatives(ledger.ContactStates()))
	c.Flags().StringVar(&f.reason, "reason", "", "only those that wait for this reason: "+alternatives(ledger.Reasons()))
	c.Flags().StringVar(&f.outcome, "outcome", "", "only those with this outcome, such as human, escalated or expired")
	c.Flags().StringVar(&f.campaign, "campaign", "", "only those of this campaign; - is those without one")
	c.Flags().BoolVar(&f.filter.Open, "open", false, "only those without an outcome")
	c.Flags().StringVar(&f.since, "since", "", "only those opened since: a date like 2026-12-01, a time of RFC 3339, or a duration like 24h before now")
	c.Flags().IntVar(&f.filter.Limit, "limit", mostStatements, fmt.Sprintf("how many at the most, up to %d", mostListed))
	c.Flags().StringVar(&f.filter.After, "before", "", "the next page: only those opened before this workflow id, as the page before has said")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// alternatives are the words of a closed list.
func alternatives[T ~string](words []T) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return strings.Join(all, ", ")
}

// parse turns the flags into a filter.
func (f *listFlags) parse(now time.Time) (err error) {
	f.filter.State, f.filter.Reason, f.filter.Outcome = ledger.ContactState(f.state), followup.Reason(f.reason), call.Outcome(f.outcome)
	switch {
	case f.state != "" && !slices.Contains(ledger.ContactStates(), f.filter.State):
		return usagef("--state %.40q: write one of %s", f.state, alternatives(ledger.ContactStates()))
	case f.reason != "" && !slices.Contains(ledger.Reasons(), f.filter.Reason):
		return usagef("--reason %.40q: write one of %s", f.reason, alternatives(ledger.Reasons()))
	case f.filter.Limit < 1 || f.filter.Limit > mostListed:
		return usagef("--limit %d: write a number from 1 to %d", f.filter.Limit, mostListed)
	}
	for flag, text := range map[string]string{"outcome": f.outcome, "campaign": f.campaign, "before": f.filter.After} {
		if err := plainText(text, longestReason); err != nil {
			return usagef("--%s: %w", flag, err)
		}
	}
	f.filter.Campaign = campaignNamed(f.campaign)
	if f.filter.Since, err = past(f.since, now); err != nil {
		return usagef("--since: %w", err)
	}
	return nil
}

// campaignNamed is a campaign as filters take it: nil for all, and empty for none.
func campaignNamed(name string) *string {
	switch name {
	case "":
		return nil
	case noCampaign:
		name = ""
	}
	return &name
}

// past reads a time that is over: the beginning of a day, a moment, or a time before now. Empty is zero.
func past(text string, now time.Time) (at time.Time, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	d, err := followup.ParseDuration(text)
	if err != nil || d < 0 {
		return at, fmt.Errorf("%.40q is no date, time or duration: write it like 2026-12-01 (its beginning, in UTC), 2026-12-01T18:00:00+01:00 or 24h", text)
	}
	return now.Add(-time.Duration(d)).UTC(), nil
}

func listContacts(c *cobra.Command, l *ledger.Ledger, f ledger.ContactFilter) (page contactPage, err error) {
	var more bool
	page.Contacts, more, err = ledger.Page(f.Limit, func(limit int) ([]ledger.ContactLine, error) {
		f := f
		f.Limit = limit
		return l.Contacts(c.Context(), f)
	})
	if more {
		page.Next = page.Contacts[f.Limit-1].WorkflowID
	}
	if err == nil && f.After != "" && len(page.Contacts) == 0 {
		err = knownPage(c, l, f.After)
	}
	return page, err
}

// knownPage refuses a page that no page before can have named: nothing comes behind a contact that is not there.
func knownPage(c *cobra.Command, l *ledger.Ledger, before string) error {
	const remedy = "write the workflow id that the page before has said"
	contact, err := l.Show(c.Context(), before)
	var unknown *ledger.NotFoundError
	var several *ledger.AmbiguousError
	switch {
	case errors.As(err, &unknown):
		return usagef("--before: %w; %s, such as redial/-/anna-7", unknown, remedy)
	case errors.As(err, &several):
		return usagef("--before: %w; %s", several, remedy)
	case err != nil:
		return err
	case contact.WorkflowID != before:
		return usagef("--before %.40q is a contact's id: %s; this contact's is %s", before, remedy, contact.WorkflowID)
	}
	return nil
}

func (p contactPage) print(w io.Writer) {
	if len(p.Contacts) == 0 {
		fmt.Fprintln(w, "there is no such contact")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONTACT\tSTATE\tATTEMPTS\tLAST\tNOW")
	for _, line := range p.Contacts {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", inList(line.WorkflowID, line.ContactID, line.Campaign), line.State, line.Attempts, cmp.Or(string(line.Last), "-"), whatNow(line.ContactRow))
	}
	_ = t.Flush()
	if p.Next != "" {
		fmt.Fprintf(w, "there are more: --before %s\n", p.Next)
	}
}

// inList is a contact as it is named to other commands: by its id, and in a campaign by its workflow id.
func inList(workflowID, contactID, campaign string) string {
	if campaign == "" {
		return contactID
	}
	return workflowID
}

// whatNow is what a contact waits for, or how it ended.
func whatNow(r ledger.ContactRow) string {
	switch h := r.Wait; {
	case r.Outcome != "":
		return fmt.Sprintf("%s, %s", r.Outcome, stamp(r.ClosedAt))
	case h == nil:
		return "is decided on"
	case h.Next().IsZero():
		return plainLine(h.Rule)
	default:
		return fmt.Sprintf("%s until %s  [%s]", h.Reason, stamp(h.Next()), plainLine(h.Rule))
	}
}
