package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"redial/call"
	"redial/followup"
	"redial/internal/config"
	"redial/ledger"
	"redial/phone"
	"redial/starter"
)

const (
	longestSource  = 120 // bytes of who or what wants a suppression
	longestReason  = 500 // bytes of why
	mostListed     = 1000
	mostStatements = 100 // of one number or contact that are shown
)

func suppressCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "suppress",
		Short: "Say who must not be called, and look up who must not",
		Long: `A suppressed number is not called, and a suppressed contact is called at no number and in no campaign, from this moment
on. It is looked up in the transaction that records each dial, by every worker. Whatever is said is kept: who or what
said it, why, until when, and who has removed it and why.`,
		Example: `  redial suppress add +14155550100 --reason "asked by letter of 3 March" --expires 365d
  redial suppress add --contact anna-7 --reason "complained" --source legal
  redial suppress check --json +14155550100
  redial suppress list --kind number --text letter --all --limit 20
  redial suppress import --dry-run --default-region US list.csv
  redial suppress import --skip-bad list.csv
  redial suppress remove +14155550100 --reason "signed form 7"`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(suppressAddCommand(), suppressRemoveCommand(), suppressCheckCommand(), suppressListCommand(), suppressImportCommand())
	return c
}

// suppressFlags are the flags of the commands for one number or contact.
type suppressFlags struct {
	contact, reason, source, expires string
	json                             bool
}

// suppressed is one number or contact.
type suppressed struct {
	Kind    ledger.SuppressionKind `json:"kind"`
	Subject string                 `json:"subject"`
}

// subject is the one number or contact that a command line names.
func (f suppressFlags) subject(c *cobra.Command, cfg config.Config, args []string) (suppressed, error) {
	given := c.Flags().Changed("contact")
	switch {
	case given && len(args) > 0, len(args) > 1:
		return suppressed{}, usagef("%s takes one TARGET or --contact ID, and was given more", c.CommandPath())
	case given:
		id, err := starter.Starter{IDKey: cfg.IDKey()}.ContactID(f.contact)
		return suppressed{ledger.SuppressedContact, id}, err
	case len(args) == 0:
		return suppressed{}, usagef("%s takes a TARGET, such as +14155550100, or --contact ID, and was given neither", c.CommandPath())
	}
	to, err := phone.Parse(args[0], "")
	if err != nil {
		return suppressed{}, usagef("target %s", unparsable(args[0], err))
	}
	return suppressed{ledger.SuppressedNumber, to.URI}, nil
}

var digits = regexp.MustCompile(`[0-9][0-9 ().\-/]{3,}`)

// unparsable is why a text is no target, with the text hidden: it may be somebody's number all the same.
func unparsable(text string, err error) string {
	text = strings.TrimSpace(text)
	why := cmp.Or(errors.Unwrap(err), err).Error()
	for _, number := range digits.FindAllString(text, -1) {
		why = strings.ReplaceAll(why, number, call.Mask(number))
	}
	if text == "" {
		return "cannot be called: " + why
	}
	return fmt.Sprintf("%q cannot be called: %s", strings.ToValidUTF8(call.Mask(text), ""), why)
}

// plainText checks a text that people write, and that is shown and kept as it is.
func plainText(text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("it has %d bytes: write at most %d", len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("it has a character that cannot be shown: write it on one line, in UTF-8")
	}
	return nil
}

func checkTexts(source, reason string) error {
	if err := plainText(source, longestSource); err != nil {
		return usagef("--source: %w", err)
	}
	if err := plainText(reason, longestReason); err != nil {
		return usagef("--reason: %w", err)
	}
	return nil
}

// expiry reads when a suppression ends: with a day, at a moment, or after a time from now.
func expiry(text string, now time.Time) (at time.Time, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if at, err = time.Parse(time.DateOnly, text); err == nil {
		at = at.AddDate(0, 0, 1)
	} else if at, err = time.Parse(time.RFC3339, text); err != nil {
		d, err := followup.ParseDuration(text)
		if err != nil {
			return at, fmt.Errorf("%.40q is no date, time or duration: write it like 2027-01-31 (to its end, in UTC), 2027-01-31T18:00:00+01:00 or 90d", text)
		}
		at = now.Add(time.Duration(d))
	}
	if !at.After(now) {
		return at, fmt.Errorf("%.40q is past: write a time to come, or leave it out for no end", text)
	}
	return at.UTC(), nil
}

// statement is what is to be recorded.
func (f suppressFlags) statement(s suppressed) (ledger.Suppression, error) {
	if strings.TrimSpace(f.reason) == "" {
		return ledger.Suppression{}, usagef("--reason is missing: say why")
	}
	if err := checkTexts(f.source, f.reason); err != nil {
		return ledger.Suppression{}, err
	}
	expires, err := expiry(f.expires, time.Now())
	if err != nil {
		return ledger.Suppression{}, usagef("--expires: %w", err)
	}
	return ledger.Suppression{Kind: s.Kind, Subject: s.Subject, Source: cmp.Or(f.source, "operator "+operator()), Reason: f.reason, ExpiresAt: expires}, nil
}

// suppressionState is how it stands with one number or contact.
type suppressionState struct {
	suppressed
	Suppressed bool                 `json:"suppressed"`
	By         *ledger.Suppression  `json:"by,omitempty"` // what holds; of several, what holds longest
	Statements []ledger.Suppression `json:"statements"`   // all that was said, the newest first
}

func lookUp(ctx context.Context, l *ledger.Ledger, s suppressed) (suppressionState, error) {
	state := suppressionState{suppressed: s}
	target, contact := s.Subject, ""
	if s.Kind == ledger.SuppressedContact {
		target, contact = "", s.Subject
	}
	var err error
	if state.By, err = l.Suppressed(ctx, target, contact); err != nil {
		return state, err
	}
	state.Suppressed = state.By != nil
	state.Statements, err = l.Suppressions(ctx, ledger.SuppressionFilter{Kind: s.Kind, Subject: s.Subject, Past: true, Limit: mostStatements})
	return state, err
}

func (s suppressionState) print(w io.Writer) {
	if !s.Suppressed {
		fmt.Fprintf(w, "%s %s is not suppressed\n", s.Kind, s.Subject)
	}
	for _, made := range s.Statements {
		fmt.Fprintln(w, describeSuppression(made))
	}
}

// describeSuppression is one statement on one line.
func describeSuppression(s ledger.Suppression) string {
	text := fmt.Sprintf("%s %s  %s  [%s] since %s", s.Kind, s.Subject, s.Reason, s.Source, stamp(s.At))
	switch {
	case !s.RemovedAt.IsZero():
		return "removed     " + text + fmt.Sprintf("; removed by %s, %s: %s", s.RemovedBy, stamp(s.RemovedAt), s.RemovedFor)
	case !s.Holds:
		return "expired     " + text + ", until " + stamp(s.ExpiresAt)
	case !s.ExpiresAt.IsZero():
		return "suppressed  " + text + ", until " + stamp(s.ExpiresAt)
	}
	return "suppressed  " + text
}

func suppressAddCommand() *cobra.Command {
	var f suppressFlags
	c := &cobra.Command{
		Use:   "add TARGET|--contact ID --reason WHY",
		Short: "Suppress a number, or a contact in all campaigns",
		Long: `Suppress a number, or a contact in all campaigns, without an end unless --expires gives one. What was said before stays:
of two that differ the one that holds longer counts, and saying the same again changes nothing.`,
		Example: `  redial suppress add +14155550100 --reason "asked by letter of 3 March"
  redial suppress add --contact anna-7 --reason "away" --expires 90d`,
		RunE: func(c *cobra.Command, args []string) error {
			return withSubject(c, f, args, func(l *ledger.Ledger, on suppressed, s ledger.Suppression) (any, string, error) {
				return suppress(c.Context(), l, on, s)
			})
		},
	}
	f.register(c, "why (required)")
	c.Flags().StringVar(&f.source, "source", "", "who or what wants it; the user of this machine where none is given")
	c.Flags().StringVar(&f.expires, "expires", "", "when it ends: a date like 2027-01-31, a time of RFC 3339, or a duration like 90d; never where none is given")
	return c
}

// suppress records a statement, and says what came of it.
func suppress(ctx context.Context, l *ledger.Ledger, on suppressed, s ledger.Suppression) (result any, said string, err error) {
	added, err := l.Suppress(ctx, s)
	if err != nil {
		return nil, "", err
	}
	state, err := lookUp(ctx, l, on)
	said = "was suppressed already, by the same and for the same reason"
	if added {
		said = "is suppressed"
	}
	return struct {
		Added bool `json:"added"`
		suppressionState
	}{added, state}, fmt.Sprintf("%s %s %s", on.Kind, on.Subject, said), err
}

func suppressRemoveCommand() *cobra.Command {
	var f suppressFlags
	c := &cobra.Command{
		Use:   "remove TARGET|--contact ID --reason WHY",
		Short: "Lift the suppression of a number or a contact; who did, and why, is kept",
		Example: `  redial suppress remove +14155550100 --reason "signed form 7"
  redial suppress remove --contact anna-7 --reason "a mistake"`,
		RunE: func(c *cobra.Command, args []string) error {
			return withSubject(c, f, args, func(l *ledger.Ledger, on suppressed, s ledger.Suppression) (any, string, error) {
				removed, err := l.Unsuppress(c.Context(), on.Kind, on.Subject, s.Source, s.Reason)
				if err != nil {
					return nil, "", err
				}
				state, err := lookUp(c.Context(), l, on)
				return struct {
					Removed int64 `json:"removed"`
					suppressionState
				}{removed, state}, fmt.Sprintf("%s %s is not suppressed any more", on.Kind, on.Subject), err
			})
		},
	}
	f.register(c, "why (required)")
	return c
}

func suppressCheckCommand() *cobra.Command {
	var f suppressFlags
	c := &cobra.Command{
		Use:   "check TARGET|--contact ID",
		Short: "Tell whether a number or a contact is suppressed, and all that was said of it",
		Long: `Tell whether a number or a contact is suppressed now, by whom and why, and what was said of it before.

Exit status: 0 it was looked up, whether it is suppressed or not (--json says so in "suppressed"); 1 it could not be; 2 wrong usage or
input.`,
		Example: `  redial suppress check +14155550100
  redial suppress check --contact anna-7 --json`,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.FromEnvironment()
			if err != nil {
				return err
			}
			on, err := f.subject(c, cfg, args)
			if err != nil {
				return err
			}
			l, err := openExisting(c.Context(), cfg)
			if err != nil {
				return err
			}
			defer l.Close()
			state, err := lookUp(c.Context(), l, on)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), state)
			}
			state.print(c.OutOrStdout())
			return nil
		},
	}
	f.register(c, "")
	return c
}

// register registers the flags that name the subject; reason is empty for a command that needs none.
func (f *suppressFlags) register(c *cobra.Command, reason string) {
	c.Flags().StringVar(&f.contact, "contact", "", "the id of a contact, in all campaigns, instead of a TARGET")
	if reason != "" {
		c.Flags().StringVar(&f.reason, "reason", "", reason)
	}
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// withSubject changes the ledger as a command line says, and prints what came of it.
func withSubject(c *cobra.Command, f suppressFlags, args []string,
	change func(*ledger.Ledger, suppressed, ledger.Suppression) (result any, said string, err error)) error {
	cfg, err := config.FromEnvironment()
	if err != nil {
		return err
	}
	on, err := f.subject(c, cfg, args)
	if err != nil {
		return err
	}
	s, err := f.statement(on)
	if err != nil {
		return err
	}
	l, err := openExisting(c.Context(), cfg)
	if err != nil {
		return err
	}
	defer l.Close()
	result, said, err := change(l, on, s)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(c.OutOrStdout(), result)
	}
	fmt.Fprintln(c.OutOrStdout(), said)
	return nil
}

// suppressionPage is what redial suppress list prints as JSON.
type suppressionPage struct {
	Suppressions []ledger.Suppression `json:"suppressions"`
	Next         string               `json:"next,omitempty"` // for --after
}

func suppressListCommand() *cobra.Command {
	var filter ledger.SuppressionFilter
	var kind, after string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List who must not be called, the newest first",
		Example: `  redial suppress list --kind contact
  redial suppress list --text list.csv --all --limit 20 --json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			filter.Kind = ledger.SuppressionKind(kind)
			if kind != "" && filter.Kind != ledger.SuppressedNumber && filter.Kind != ledger.SuppressedContact {
				return usagef("--kind %q: write number or contact", kind)
			}
			if filter.Limit < 1 || filter.Limit > mostListed {
				return usagef("--limit %d: write a number from 1 to %d", filter.Limit, mostListed)
			}
			if err := plainText(filter.Text, longestReason); err != nil {
				return usagef("--text: %w", err)
			}
			if filter.Before, err = strconv.ParseInt(cmp.Or(after, "0"), 10, 64); err != nil || filter.Before < 0 {
				return usagef("--after %.40q: write what the page before has said", after)
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			page, err := listSuppressions(c.Context(), l, filter)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), page)
			}
			page.print(c.OutOrStdout())
			return nil
		},
	}
	c.Flags().StringVar(&kind, "kind", "", "number or contact; both where none is given")
	c.Flags().StringVar(&filter.Text, "text", "", "only where number, contact, source or reason has this in it")
	c.Flags().BoolVar(&filter.Past, "all", false, "also what has expired or was removed")
	c.Flags().IntVar(&filter.Limit, "limit", mostStatements, fmt.Sprintf("how many at the most, up to %d", mostListed))
	c.Flags().StringVar(&after, "after", "", "the next page: what the page before has said")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func listSuppressions(ctx context.Context, l *ledger.Ledger, f ledger.SuppressionFilter) (page suppressionPage, err error) {
	var more bool
	page.Suppressions, more, err = ledger.Page(f.Limit, func(limit int) ([]ledger.Suppression, error) {
		f := f
		f.Limit = limit
		return l.Suppressions(ctx, f)
	})
	if more {
		page.Next = strconv.FormatInt(page.Suppressions[f.Limit-1].ID, 10)
	}
	return page, err
}

func (p suppressionPage) print(w io.Writer) {
	if len(p.Suppressions) == 0 {
		fmt.Fprintln(w, "nobody is suppressed")
	}
	for _, s := range p.Suppressions {
		fmt.Fprintln(w, describeSuppression(s))
	}
	if p.Next != "" {
		fmt.Fprintf(w, "there are more: --after %s\n", p.Next)
	}
}
