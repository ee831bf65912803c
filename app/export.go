package app

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"redial/followup"
	"redial/ledger"
)

// exported is a column of an export. The values are texts, numbers, truths and times; a zero time is none.
type exported[T any] struct {
	name  string
	value func(T) any
}

// attemptColumns are the columns of exported attempts. Programs read them by place and by name: new ones go to the end.
var attemptColumns = []exported[ledger.AttemptRecord]{
	{"key", func(r ledger.AttemptRecord) any { return r.Key }},
	{"workflow_id", func(r ledger.AttemptRecord) any { return r.WorkflowID }},
	{"contact_id", func(r ledger.AttemptRecord) any { return r.ContactID }},
	{"campaign", func(r ledger.AttemptRecord) any { return r.Campaign }},
	{"n", func(r ledger.AttemptRecord) any { return r.N }},
	{"target", func(r ledger.AttemptRecord) any { return r.Request.To.URI }},
	{"caller", func(r ledger.AttemptRecord) any { return r.Request.Caller }},
	{"trunk", func(r ledger.AttemptRecord) any { return r.Request.Trunk }},
	{"state", func(r ledger.AttemptRecord) any { return string(r.State) }},
	{"disposition", func(r ledger.AttemptRecord) any { return string(r.Disposition) }},
	{"status", func(r ledger.AttemptRecord) any { return string(r.Status) }},
	{"amd", func(r ledger.AttemptRecord) any { return string(r.AMD) }},
	{"sip", func(r ledger.AttemptRecord) any { return r.SIP }},
	{"reason", func(r ledger.AttemptRecord) any { return r.Attempt.Reason }},
	{"reason_code", func(r ledger.AttemptRecord) any { return r.ReasonCode }},
	{"ended_by", func(r ledger.AttemptRecord) any { return string(r.EndedBy) }},
	{"dialed_at", func(r ledger.AttemptRecord) any { return r.DialedAt }},
	{"answered_at", func(r ledger.AttemptRecord) any { return r.AnsweredAt }},
	{"ended_at", func(r ledger.AttemptRecord) any { return r.EndedAt }},
	{"duration_s", func(r ledger.AttemptRecord) any { return int(r.DurationS) }},
	{"suspected_human", func(r ledger.AttemptRecord) any { return r.SuspectedHuman }},
	{"error", func(r ledger.AttemptRecord) any { return r.Error }},
	{"sid", func(r ledger.AttemptRecord) any { return r.SID }},
	{"call_id", func(r ledger.AttemptRecord) any { return r.CallID }},
	{"conversation_id", func(r ledger.AttemptRecord) any { return r.ConversationID }},
	{"session_id", func(r ledger.AttemptRecord) any { return r.SessionID }},
	{"result", func(r ledger.AttemptRecord) any { return string(r.Result) }},
	{"decision", func(r ledger.AttemptRecord) any { return r.Action }},
	{"decision_rule", func(r ledger.AttemptRecord) any { return r.Rule }},
	{"next_at", func(r ledger.AttemptRecord) any { return r.NextAt }},
}

// contactColumns are the columns of exported contacts.
var contactColumns = []exported[ledger.ContactRecord]{
	{"workflow_id", func(r ledger.ContactRecord) any { return r.WorkflowID }},
	{"contact_id", func(r ledger.ContactRecord) any { return r.ContactID }},
	{"campaign", func(r ledger.ContactRecord) any { return r.Campaign }},
	{"target", func(r ledger.ContactRecord) any { return r.Target }},
	{"state", func(r ledger.ContactRecord) any { return string(r.ContactLine.State) }},
	{"opened_at", func(r ledger.ContactRecord) any { return r.OpenedAt }},
	{"closed_at", func(r ledger.ContactRecord) any { return r.ClosedAt }},
	{"outcome", func(r ledger.ContactRecord) any { return string(r.Outcome) }},
	{"escalated", func(r ledger.ContactRecord) any { return r.Escalated }},
	{"reason", func(r ledger.ContactRecord) any { return r.Reason }},
	{"rule", func(r ledger.ContactRecord) any { return r.Rule }},
	{"attempts", func(r ledger.ContactRecord) any { return r.Attempts }},
	{"last_disposition", func(r ledger.ContactRecord) any { return string(r.Last) }},
	{"wait_reason", func(r ledger.ContactRecord) any { return string(waiting(r).Reason) }},
	{"wait_rule", func(r ledger.ContactRecord) any { return waiting(r).Rule }},
	{"wait_until", func(r ledger.ContactRecord) any { return waiting(r).Next() }},
}

// waiting is what the contact waits for; the zero Hold: nothing.
func waiting(r ledger.ContactRecord) (h followup.Hold) {
	if r.Wait != nil {
		h = *r.Wait
	}
	return h
}

func named[T any](columns []exported[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// exportFlags are the flags of redial export.
type exportFlags struct {
	format, since, until, campaign, file string
}

func exportCommand() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export attempts|contacts",
		Short: "Export attempts or contacts as CSV or JSON Lines",
		Long: `Export the attempts of the ledger (REDIAL_DATABASE) in the order in which they were dialed, or its contacts in the order in which they
were opened. The ledger is read page by page: an export of any length takes little memory, and nobody who dials waits for it. It
holds telephone numbers: keep it as you keep those.

The columns come in this order; new ones will be added at the end. Times are RFC 3339 in UTC.

` + folded("attempts", named(attemptColumns)) + folded("contacts", named(contactColumns)) + `
CSV (RFC 4180, with a header): what is unknown is empty. A text stands on one line, without what a terminal would act on: control
characters are left out, and an end of line or a tab is a space. A text that a spreadsheet would run as a formula, because it begins
with = + - or @, gets a ' before it; a plus with nothing but digits behind it is a number, not a formula, and stays as it is.
Targets are URIs, such as tel:+14155550100. JSON Lines: an object a line with the same names, texts as they are, with control
characters escaped, and null for a time that is unknown.`,
		Example: `  redial export attempts --since 24h -o attempts.csv
  redial export contacts --campaign spring --format jsonl
  redial export attempts --since 2026-11-01 --until 2026-12-01 --format csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != "attempts" && args[0] != "contacts" {
				return usagef("redial export takes what is exported, attempts or contacts, and was given %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			l, err := existingLedger(c)
			if err != nil {
				return err
			}
			defer l.Close()
			return f.into(c.OutOrStdout(), func(w io.Writer) error {
				if args[0] == "attempts" {
					return export(w, f.format, attemptColumns, l.ExportAttempts(c.Context(), filter))
				}
				return export(w, f.format, contactColumns, l.ExportContacts(c.Context(), filter))
			})
		},
	}
	c.Flags().StringVar(&f.format, "format", "csv", "csv or jsonl")
	c.Flags().StringVar(&f.since, "since", "", "only what was dialed, or opened, since: a date like 2026-12-01, a time of RFC 3339, or a duration like 24h before now")
	c.Flags().StringVar(&f.until, "until", "", "only what was dialed, or opened, before: as --since")
	c.Flags().StringVar(&f.campaign, "campaign", "", "only those of this campaign; - is those without one")
	c.Flags().StringVarP(&f.file, "output", "o", "", "the file to write, which is replaced when all is written; standard output where none is given")
	return c
}

// folded is a list of names over some lines.
func folded(title string, names []string) string {
	const most = 120
	var b strings.Builder
	line := "  " + title + ":"
	for i, name := range names {
		if i < len(names)-1 {
			name += ","
		}
		if len(line)+1+len(name) > most {
			b.WriteString(line + "\n")
			line = "   "
		}
		line += " " + name
	}
	return b.String() + line + "\n"
}

func (f exportFlags) filter(now time.Time) (e ledger.ExportFilter, err error) {
	if f.format != "csv" && f.format != "jsonl" {
		return e, usagef("--format %.40q: write csv or jsonl", f.format)
	}
	if err := plainText(f.campaign, longestReason); err != nil {
		return e, usagef("--campaign: %w", err)
	}
	e.Campaign = campaignNamed(f.campaign)
	if e.Since, err = past(f.since, now); err != nil {
		return e, usagef("--since: %w", err)
	}
	if e.Until, err = past(f.until, now); err != nil {
		return e, usagef("--until: %w", err)
	}
	if !e.Until.IsZero() && !e.Since.Before(e.Until) {
		return e, usagef("--until %.40q is not after --since", f.until)
	}
	return e, nil
}

// into writes to the file that was named, which is there as a whole or as it was before, or else to out.
func (f exportFlags) into(out io.Writer, write func(io.Writer) error) error {
	if f.file == "" {
		return write(out)
	}
	part := f.file + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return usagef("-o: %w: name a file that can be written", err)
	}
	err = write(file)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(part, f.file)
	}
	if err != nil {
		_ = os.Remove(part)
	}
	return err
}

// export writes rows as they come.
func export[T any](out io.Writer, format string, columns []exported[T], rows iter.Seq2[T, error]) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	as := asCSV[T]
	if format == "jsonl" {
		as = asJSONLines[T]
	}
	write, flush := as(buffered, columns)
	for row, err := range rows {
		if err == nil {
			err = write(row)
		}
		if err != nil {
			return errors.Join(err, flush(), buffered.Flush())
		}
	}
	return errors.Join(flush(), buffered.Flush())
}

func asCSV[T any](out io.Writer, columns []exported[T]) (write func(T) error, flush func() error) {
	w := csv.NewWriter(out)
	_ = w.Write(named(columns)) // what is wrong with the file is said by flush, too
	line := make([]string, len(columns))
	write = func(row T) error {
		for i, c := range columns {
			line[i] = inCell(c.value(row))
		}
		return w.Write(line)
	}
	return write, func() error { w.Flush(); return w.Error() }
}

// inCell is a value as CSV has it.
func inCell(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return noFormula(inert(fmt.Sprint(v)))
	}
}

// inert is a text on one line, without what a terminal would act on.
func inert(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case actsOnTerminal(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// actsOnTerminal tells of a control character, or of one that is not seen and changes how others are, such as their direction.
func actsOnTerminal(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

var phoneNumber = regexp.MustCompile(`^\+[0-9]+$`)

// noFormula keeps a spreadsheet from running a text that somebody else has written. Some pass over spaces before a formula, and some read
// the wide signs of East Asian keyboards.
func noFormula(text string) string {
	begin := strings.TrimLeft(text, " ")
	first, _ := utf8.DecodeRuneInString(begin)
	if strings.ContainsRune("=+-@＝＋－＠", first) && !phoneNumber.MatchString(begin) {
		return "'" + text
	}
	return text
}

func asJSONLines[T any](out io.Writer, columns []exported[T]) (write func(T) error, flush func() error) {
	write = func(row T) error {
		line := []byte("{")
		for i, c := range columns {
			if i > 0 {
				line = append(line, ',')
			}
			v := c.value(row)
			if at, is := v.(time.Time); is {
				if v = at.UTC(); at.IsZero() {
					v = nil
				}
			}
			value, err := json.Marshal(v)
			if err != nil {
				return err
			}
			line = append(append(strconv.AppendQuote(line, c.name), ':'), escaped(value)...)
		}
		_, err := out.Write(append(line, "}\n"...))
		return err
	}
	return write, func() error { return nil }
}

// escaped writes the control characters that JSON takes as they are, from delete on, as it writes the others.
func escaped(value []byte) []byte {
	if !bytes.ContainsFunc(value, unicode.IsControl) {
		return value
	}
	var line []byte
	for _, r := range string(value) {
		if unicode.IsControl(r) {
			line = fmt.Appendf(line, `\u%04x`, r)
		} else {
			line = utf8.AppendRune(line, r)
		}
	}
	return line
}
