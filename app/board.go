package app

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"
	"golang.org/x/term"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// board shows how the contacts fare: on a terminal that is large enough, a table that is drawn over itself; on a smaller one,
// a line that is; elsewhere, a line for every change.
type board struct {
	out   io.Writer
	total int
	width int    // of the terminal; 0: there is none
	tall  bool   // it takes the table
	lines int    // drawn last
	last  string // said last
}

// What the table takes, with and without its column of words, and the lines around its rows.
const (
	wideBoard   = 118
	narrowBoard = 72
	boardRest   = 6
)

func newBoard(out io.Writer, total int) *board {
	b := &board{out: out, total: total}
	if f, ok := terminal(out); ok {
		width, height, err := term.GetSize(int(f.Fd()))
		if err == nil {
			b.width, b.tall = width, width >= narrowBoard && height >= total+boardRest
		}
	}
	if b.width == 0 || os.Getenv("NO_COLOR") != "" {
		text.DisableColors()
	}
	return b
}

// terminal is the file that out is, when it is a terminal that understands more than lines.
func terminal(out io.Writer) (*os.File, bool) {
	f, ok := outputFile(out)
	return f, ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

func (b *board) draw(contacts []ledger.Summary, elapsed time.Duration) {
	line := fmt.Sprintf("%d of %d contacts have their outcome, %d in a call, %d waiting", finished(contacts), b.total, inCall(contacts),
		b.total-finished(contacts)-inCall(contacts))
	switch {
	case b.tall:
		b.redraw(b.table(contacts) + fmt.Sprintf("\n%s   %4.1f s\n", line, elapsed.Seconds()))
	case b.width > 0:
		b.redraw(text.Trim(line, b.width-1) + "\n")
	case line != b.last:
		fmt.Fprintln(b.out, line)
	}
	b.last = line
}

// redraw puts a picture in the place of the last one.
func (b *board) redraw(picture string) {
	if b.lines > 0 {
		picture = text.CursorUp.Sprintn(b.lines) + "\x1b[J" + picture
	}
	fmt.Fprint(b.out, picture)
	b.lines = strings.Count(picture, "\n")
}

func inCall(contacts []ledger.Summary) int {
	n := 0
	for _, c := range contacts {
		if c.Outcome == "" && len(c.Attempts) > 0 && c.Attempts[len(c.Attempts)-1].Disposition == "" {
			n++
		}
	}
	return n
}

// table is one row a contact, in the demo's order.
func (b *board) table(contacts []ledger.Summary) string {
	known := map[string]ledger.Summary{}
	for _, c := range contacts {
		known[c.ContactID] = c
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleRounded)
	t.Style().Options.SeparateRows = false
	if b.width > 0 && b.width < wideBoard {
		t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Hidden: true}})
	}
	t.AppendHeader(table.Row{"contact", "what happens to the call", "attempts", "now"})
	for _, d := range demoContacts {
		c := known[d.id]
		t.AppendRow(table.Row{d.id, d.says, attemptChain(c.Attempts), standing(c)})
	}
	return t.Render()
}

// attemptChain is the dispositions of the attempts, in their order.
func attemptChain(attempts []call.Attempt) string {
	words := make([]string, len(attempts))
	for i, a := range attempts {
		words[i] = string(a.Disposition)
		switch {
		case a.Disposition == "":
			words[i] = text.FgYellow.Sprint(a.State)
		case a.Disposition == call.Human:
			words[i] = text.FgGreen.Sprint(a.Disposition)
		}
	}
	return strings.Join(words, " → ")
}

// standing is where a contact stands.
func standing(c ledger.Summary) string {
	switch {
	case c.Outcome == call.OutcomeEscalated:
		return text.FgMagenta.Sprint(c.Outcome)
	case c.Outcome == call.Outcome(call.Human) || c.Outcome == call.Outcome(call.Answered):
		return text.FgGreen.Sprint("reached")
	case c.Outcome != "":
		return text.FgHiBlack.Sprint(c.Outcome)
	case c.Wait != nil && c.Wait.Reason == followup.ReasonCall:
		return text.FgYellow.Sprint("in a call")
	case c.Wait != nil:
		return text.FgCyan.Sprint("waits: " + string(c.Wait.Reason))
	}
	return ""
}

// printDemo is the end of the demo in words.
func printDemo(w io.Writer, b *board, contacts []ledger.Summary, r demoResult) {
	if !b.tall {
		fmt.Fprintln(w, b.table(contacts))
	}
	reached := map[int]int{}
	var escalated []ledger.Summary
	for _, c := range contacts {
		switch c.Outcome {
		case call.Outcome(call.Human), call.Outcome(call.Answered):
			reached[len(c.Attempts)]++
		case call.OutcomeEscalated:
			escalated = append(escalated, c)
		}
	}
	fmt.Fprintln(w, "\nReached")
	for _, n := range slices.Sorted(maps.Keys(reached)) {
		fmt.Fprintf(w, "  at attempt %d: %d\n", n, reached[n])
	}
	fmt.Fprintf(w, "\nEscalated to people, by a signed webhook (%d delivered, signatures verified)\n", r.Escalations)
	for _, c := range escalated {
		fmt.Fprintf(w, "  %-8s %s\n", c.ContactID, c.Reason)
	}
	fmt.Fprintln(w, "\nOtherwise ended")
	for _, o := range slices.Sorted(maps.Keys(r.Contacts)) {
		if o != call.OutcomeEscalated && o != call.Outcome(call.Human) && o != call.Outcome(call.Answered) {
			fmt.Fprintf(w, "  %-16s %d\n", o, r.Contacts[o])
		}
	}
	fmt.Fprintf(w, "\nDial requests     %3d in the ledger, %d received by the gateway\n", r.Dials, r.Received)
	fmt.Fprintf(w, "Calls placed      %3d, attempts dialed twice: %d\n", r.Placed, r.Doubles)
	fmt.Fprintf(w, "Calls at once     %3d at most (the limit is %d), to one number: %d\n", r.MaxConcurrent, demoLines, r.MaxPerNumber)
	fmt.Fprintf(w, "\nRuns in the Temporal UI (open while the demo runs; redial demo --keep stays up)\n")
	for _, id := range []string{"greta", "zoe", "amir"} {
		fmt.Fprintf(w, "  %-8s %s\n", id, r.Runs[id])
	}
	fmt.Fprintf(w, "\nDone in %.0f seconds.\n", r.Seconds)
}
