package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
)

// Page is the first of what a query finds, no more than limit, and whether there is more: the query is asked for one more.
func Page[T any](limit int, query func(limit int) ([]T, error)) (first []T, more bool, err error) {
	first, err = query(limit + 1)
	if more = len(first) > limit; more {
		first = first[:limit]
	}
	return first, more, err
}

// ContactState is where a contact stands, in one word: that of its flow, as the ledger knows it.
type ContactState string

// States of contacts.
const (
	ContactCalling ContactState = "calling" // an attempt is under way, or is decided on
	ContactHeld    ContactState = "held"    // the next attempt waits for leave to dial
	ContactWaiting ContactState = "waiting" // the next attempt is due later
	ContactPaused  ContactState = "paused"  // somebody has paused it
	ContactDone    ContactState = "done"    // it has its outcome
)

// stateOf is the state of an open contact by what it waits for. The list of reasons is closed.
var stateOf = map[followup.Reason]ContactState{
	followup.ReasonCall: ContactCalling, followup.ReasonResult: ContactCalling,
	followup.ReasonLinesBusy: ContactHeld, followup.ReasonRate: ContactHeld, followup.ReasonNumber: ContactHeld, followup.ReasonThrottled: ContactHeld,
	followup.ReasonUnreachable: ContactHeld, followup.ReasonWindow: ContactHeld, followup.ReasonLimit: ContactHeld, followup.ReasonQuiet: ContactHeld,
	followup.ReasonPolicy: ContactHeld,
	followup.ReasonRetry:  ContactWaiting, followup.ReasonRescheduled: ContactWaiting, followup.ReasonFlow: ContactWaiting,
	followup.ReasonPaused: ContactPaused,
}

// Reasons are all that contacts wait for, by name.
func Reasons() []followup.Reason {
	var all []followup.Reason
	for r := range stateOf {
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// ContactStates are all states of contacts.
func ContactStates() []ContactState {
	return []ContactState{ContactCalling, ContactHeld, ContactWaiting, ContactPaused, ContactDone}
}

// State is where the contact stands.
func (r ContactRow) State() ContactState {
	switch {
	case !r.ClosedAt.IsZero():
		return ContactDone
	case r.Wait == nil:
		return ContactCalling
	}
	return stateOf[r.Wait.Reason]
}

// ContactLine is one contact in a page of contacts.
type ContactLine struct {
	ContactRow
	State    ContactState     `json:"state"`
	Attempts int              `json:"attempts"`
	Last     call.Disposition `json:"last_disposition,omitempty"` // of the attempt made last; empty: it is under way, or there is none
}

// lineColumns are the columns of a ContactLine, of the table contacts as c.
const lineColumns = rowColumns + `, (SELECT COUNT(*) FROM attempts a WHERE a.workflow_id = c.workflow_id),
	COALESCE((SELECT a.disposition FROM attempts a WHERE a.workflow_id = c.workflow_id ORDER BY a.n DESC LIMIT 1), '')`

// scanLine scans lineColumns, and the columns that come after them into more.
func (l *ContactLine) scanLine(scan func(...any) error, more ...any) error {
	err := l.scan(scan, append([]any{&l.Attempts, &l.Last}, more...)...)
	l.State = l.ContactRow.State()
	return err
}

// ContactFilter says which contacts are listed, and in which order; the zero filter is all of them, by their workflow ids.
type ContactFilter struct {
	Campaign *string         // "": those without one; nil: all
	State    ContactState    // "": any
	Reason   followup.Reason // what an open contact waits for; "": anything, or nothing
	Outcome  call.Outcome    // "": any, or none yet
	Open     bool            // only those without an outcome
	Since    time.Time       // only those opened then or later; zero: all
	// Newest lists the contact first that was opened last, instead of by workflow ids.
	Newest bool
	After  string // only those that come behind this workflow id, in the order asked for; "": from the beginning
	Limit  int    // at most so many; 0: no limit
}

// where is a condition with its values.
type where struct {
	all  []string
	args []any
}

func (w *where) and(condition string, values ...any) {
	w.all, w.args = append(w.all, condition), append(w.args, values...)
}

func (w where) String() string {
	if len(w.all) == 0 {
		return "1 = 1"
	}
	return strings.Join(w.all, " AND ")
}

// awaits is the condition that a contact waits for one of these: a wait is kept with its reason first.
func (w *where) awaits(reasons ...followup.Reason) {
	either := make([]string, len(reasons))
	values := make([]any, len(reasons))
	for i, r := range reasons {
		either[i], values[i] = `c.wait LIKE ? ESCAPE '\'`, `{"reason":"`+strings.ReplaceAll(string(r), "_", `\_`)+`"%`
	}
	w.and("("+strings.Join(either, " OR ")+")", values...)
}

func (w *where) state(s ContactState) {
	if s == ContactDone {
		w.and("c.closed_at > 0")
		return
	}
	w.and("c.closed_at = 0")
	var reasons []followup.Reason
	for _, r := range Reasons() {
		if stateOf[r] == s {
			reasons = append(reasons, r)
		}
	}
	w.awaits(reasons...)
	if s == ContactCalling {
		w.all[len(w.all)-1] = "(c.wait = '' OR " + w.all[len(w.all)-1] + ")"
	}
}

func (f ContactFilter) where() where {
	var w where
	if f.Campaign != nil {
		w.and("c.campaign = ?", *f.Campaign)
	}
	if f.State != "" {
		w.state(f.State)
	}
	if f.Reason != "" {
		w.and("c.closed_at = 0")
		w.awaits(f.Reason)
	}
	if f.Outcome != "" {
		w.and("c.outcome = ?", f.Outcome)
	}
	if f.Open {
		w.and("c.closed_at = 0")
	}
	if !f.Since.IsZero() {
		w.and("c.opened_at >= ?", micros(f.Since))
	}
	switch {
	case f.After != "" && f.Newest:
		w.and("(c.opened_at, c.workflow_id) < (SELECT b.opened_at, b.workflow_id FROM contacts b WHERE b.workflow_id = ?)", f.After)
	case f.After != "":
		w.and("c.workflow_id > ?", f.After)
	}
	return w
}

// Contacts lists contacts. The next page comes after the last workflow id of this one.
func (l *Ledger) Contacts(ctx ctx, f ContactFilter) ([]ContactLine, error) {
	list := []ContactLine{}
	w, order := f.where(), "c.workflow_id"
	if f.Newest {
		order = "c.opened_at DESC, c.workflow_id DESC"
	}
	query := fmt.Sprintf(`SELECT %s FROM contacts c WHERE %s ORDER BY %s`, lineColumns, w, order)
	if f.Limit > 0 {
		query, w.args = query+" LIMIT CAST(? AS INTEGER)", append(w.args, f.Limit)
	}
	err := l.view(ctx, "list contacts", func(t *tx) error {
		return t.each(query, w.args, func(scan func(...any) error) error {
			var line ContactLine
			err := line.scanLine(scan)
			list = append(list, line)
			return err
		})
	})
	return list, err
}
