package app

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"

	"redial/call"
	"redial/ledger"
)

// board shows how the contacts fare: a table that is drawn over itself on a terminal, a line for every change elsewhere.
type board struct {
	out   io.Writer
	live  bool
	total int
	lines int    // drawn last
	last  string // said last
}

func newBoard(out io.Writer, total int) *board {
	live := onTerminal(out)
	if !live || os.Getenv("NO_COLOR") != "" {
		text.DisableColors()
	}
	return &board{out: out, live: live, total: total}
}

func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

func (b *board) draw(contacts []ledger.Summary, elapsed time.Duration) {
	line := fmt.Sprintf("%d of %d contacts have their outcome, %d in a call, %d waiting", finished(contacts), b.total, inCall(contacts),
		b.total-finished(contacts)-inCall(contacts))
	if !b.live {
		if line != b.last {
			fmt.Fprintln(b.out, line)
		}
		b.last = line
		return
	}
	picture := contactTable(contacts) + fmt.Sprintf("\n%s   %4.1f s\n", line, elapsed.Seconds())
	erase := ""
	if b.lines > 0 {
		erase = fmt.Sprintf("\x1b[%dA\x1b[J", b.lines)
	}
	fmt.Fprint(b.out, erase+picture)
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

// contactTable is one row a contact, in the demo's order.
func contactTable(contacts []ledger.Summary) string {
	known := map[string]ledger.Summary{}
	for _, c := range contacts {
		known[c.ContactID] = c
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleRounded)
	t.Style().Options.SeparateRows = false
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
	case c.Wait != nil:
		return text.FgCyan.Sprint("waits: " + string(c.Wait.Reason))
	}
	return ""
}

// printDemo is the end of the demo in words.
func printDemo(w io.Writer, contacts []ledger.Summary, r demoResult) {
	if !onTerminal(w) {
		fmt.Fprintln(w, contactTable(contacts))
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
	for _, n := range sortedKeys(reached) {
		fmt.Fprintf(w, "  at attempt %d: %d\n", n, reached[n])
	}
	fmt.Fprintf(w, "\nEscalated to people, by a signed webhook (%d delivered, signatures verified)\n", r.Escalations)
	for _, c := range escalated {
		fmt.Fprintf(w, "  %-8s %s\n", c.ContactID, c.Reason)
	}
	fmt.Fprintln(w, "\nOtherwise ended")
	for _, o := range sortedKeys(r.Contacts) {
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

func sortedKeys[K int | call.Outcome, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
