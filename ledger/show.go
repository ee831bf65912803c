package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"redial/call"
	"redial/followup"
)

// ContactRow is where one contact stands.
type ContactRow struct {
	WorkflowID string         `json:"workflow_id"`
	ContactID  string         `json:"contact_id"`
	Campaign   string         `json:"campaign,omitempty"`
	OpenedAt   time.Time      `json:"opened_at"`
	ClosedAt   time.Time      `json:"closed_at,omitzero"`
	Outcome    call.Outcome   `json:"outcome,omitempty"`
	Escalated  bool           `json:"escalated"`
	Reason     string         `json:"reason,omitempty"`
	Rule       string         `json:"rule,omitempty"`
	Wait       *followup.Hold `json:"wait,omitempty"` // what an open contact waits for
}

// rowColumns are the columns of a ContactRow, of the table contacts as c.
const rowColumns = `c.workflow_id, c.contact_id, c.campaign, c.opened_at, c.closed_at, c.outcome, c.escalated, c.reason, c.rule, c.wait`

// scan scans rowColumns, and the columns that come after them into more.
func (r *ContactRow) scan(scan func(...any) error, more ...any) error {
	var opened, closed int64
	var wait followup.Hold
	err := scan(append([]any{&r.WorkflowID, &r.ContactID, &r.Campaign, &opened, &closed, &r.Outcome, &r.Escalated, &r.Reason, &r.Rule, document{&wait}}, more...)...)
	r.OpenedAt, r.ClosedAt = moment(opened), moment(closed)
	if wait.Reason != "" {
		r.Wait = &wait
	}
	return err
}

// Contact is all that the ledger knows of one contact.
type Contact struct {
	ContactRow
	FirstRunID    string           `json:"first_run_id"`
	Follows       string           `json:"follows,omitempty"` // the policy of the ledger by which it goes; empty: it goes by its run's own
	Opened        string           `json:"opened_for"`        // the number that was to be called first
	Target        string           `json:"target"`            // the number that it is at: that it called, asked for or is to call, last
	Zone          string           `json:"zone,omitempty"`    // that was stated for Target
	Attempts      []ContactAttempt `json:"attempts"`
	Decisions     []Decision       `json:"decisions"`
	Notifications []Notification   `json:"notifications"`
	Results       []Result         `json:"results"`
	Escalation    *Escalation      `json:"escalation,omitempty"`
	Suppressed    []Suppression    `json:"suppressed,omitempty"` // why it, or one of its numbers, must not be called now

	openedZone string // that was stated for Opened
}

// ContactAttempt is an attempt with whom it was made to.
type ContactAttempt struct {
	call.Attempt
	Target string `json:"target"`
	Zone   string `json:"zone,omitempty"` // that was stated for Target
}

// Folded are the attempts alone.
func (c Contact) Folded() []call.Attempt {
	list := make([]call.Attempt, len(c.Attempts))
	for i, a := range c.Attempts {
		list[i] = a.Attempt
	}
	return list
}

// Numbers are all that the ledger knows of, in the order in which it heard of them.
func (c Contact) Numbers() []string {
	var all []string
	for _, t := range c.targets() {
		if !slices.Contains(all, t.URI) {
			all = append(all, t.URI)
		}
	}
	return all
}

// targets are whom it was opened for, and has asked for, called, or was told to call next.
func (c Contact) targets() []call.Target {
	all := []call.Target{{URI: c.Opened, Zone: c.openedZone}}
	for _, d := range c.Decisions {
		if t := d.Target(); t.URI != "" {
			all = append(all, t)
		}
	}
	for _, a := range c.Attempts { // versions before this one kept only those
		all = append(all, call.Target{URI: a.Target, Zone: a.Zone})
	}
	return all
}

// zoneOf is the zone that was stated for a number; empty: none was.
func (c Contact) zoneOf(number string) (zone string) {
	for _, t := range c.targets() {
		if t.URI == number && t.Zone != "" {
			zone = t.Zone
		}
	}
	return zone
}

// Decision is one entry of the decision log.
type Decision struct {
	At         time.Time       `json:"at"`
	AttemptKey string          `json:"attempt_key,omitempty"`
	Kind       string          `json:"kind"` // such as cleared, held, refused, doubted, decided, finished
	Reason     string          `json:"reason"`
	Rule       string          `json:"rule"`
	Until      time.Time       `json:"until,omitzero"`
	Evidence   json.RawMessage `json:"evidence,omitempty"`
}

// Target is whom it is about; the zero Target: it names nobody, or a version before this one has made it.
func (d Decision) Target() call.Target {
	var e asked
	_ = json.Unmarshal(d.Evidence, &e) // what is there was written by the ledger
	return e.Target
}

// Notification is one notification as it was received.
type Notification struct {
	At         time.Time `json:"at"`
	AttemptKey string    `json:"attempt_key"`
	Raw        string    `json:"raw"`
	Note       string    `json:"note,omitempty"`
}

// Show returns a contact by its workflow id, or else by its contact id. Errors are a *NotFoundError, or an *AmbiguousError where
// several campaigns have used the contact id.
func (l *Ledger) Show(ctx ctx, id string) (Contact, error) {
	var c Contact
	err := l.view(ctx, "show "+id, func(t *tx) error {
		workflowID, err := t.named(id)
		if err != nil {
			return err
		}
		if c, err = t.show(workflowID); err != nil {
			return err
		}
		if c.Target, err = t.at(workflowID); err != nil {
			return err
		}
		c.Zone = c.zoneOf(c.Target)
		held, err := t.suppressionsOf(c.ContactID, c.Numbers())
		if len(held) > 0 {
			c.Suppressed = held
		}
		return err
	})
	return c, err
}

// NotFoundError says that the ledger knows no such contact.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no contact %q: it was not dialed with this ledger", e.ID)
}

// AmbiguousError says that several contacts share a contact id.
type AmbiguousError struct {
	ID          string
	WorkflowIDs []string // of those contacts, ten at the most, in order
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("contact id %q is used in several campaigns: name one by its workflow id, such as %s", e.ID, e.WorkflowIDs[0])
}

// mostNamed is how many contacts that share a contact id are told of.
const mostNamed = 10

// named is the workflow id that an id means: itself where it is one, else that of the contact with this contact id.
func (t *tx) named(id string) (string, error) {
	if found, err := t.get(`SELECT 1 FROM contacts WHERE workflow_id = ?`, []any{id}, new(int)); err != nil || found {
		return id, err
	}
	var ids []string
	err := t.each(`SELECT workflow_id FROM contacts WHERE contact_id = ? ORDER BY workflow_id LIMIT CAST(? AS INTEGER)`, []any{id, mostNamed},
		func(scan func(...any) error) error {
			ids = append(ids, "")
			return scan(&ids[len(ids)-1])
		})
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", &NotFoundError{ID: id}
	case len(ids) > 1:
		return "", &AmbiguousError{ID: id, WorkflowIDs: ids}
	}
	return ids[0], nil
}

func (t *tx) show(workflowID string) (Contact, error) {
	c := Contact{Notifications: []Notification{}, Attempts: []ContactAttempt{}} // lists in JSON, too
	err := t.each(`SELECT `+rowColumns+`, c.first_run_id, c.target, c.zone, c.follows FROM contacts c WHERE c.workflow_id = ?`, []any{workflowID}, func(scan func(...any) error) error {
		return c.scan(scan, &c.FirstRunID, &c.Opened, &c.openedZone, &c.Follows)
	})
	if err != nil {
		return c, err
	}
	if err := t.each(`SELECT attempt, request FROM attempts WHERE workflow_id = ? ORDER BY n`, []any{workflowID}, func(scan func(...any) error) error {
		var a ContactAttempt
		var request call.DialRequest
		err := scan(document{&a.Attempt}, document{&request})
		a.Target, a.Zone = request.To.URI, request.To.Zone
		c.Attempts = append(c.Attempts, a)
		return err
	}); err != nil {
		return c, err
	}
	if c.Decisions, err = t.decisions(workflowID); err != nil {
		return c, err
	}
	if err := t.each(`SELECT n.received_at, n.attempt_key, n.raw, n.note FROM notifications n JOIN attempts a ON a.key = n.attempt_key
			WHERE a.workflow_id = ? ORDER BY n.id`, []any{workflowID},
		func(scan func(...any) error) error {
			var n Notification
			var at int64
			var raw []byte
			err := scan(&at, &n.AttemptKey, &raw, &n.Note)
			n.At, n.Raw = moment(at), string(raw)
			c.Notifications = append(c.Notifications, n)
			return err
		}); err != nil {
		return c, err
	}
	if c.Results, err = t.results(workflowID); err != nil {
		return c, err
	}
	c.Escalation, err = t.escalation(workflowID)
	return c, err
}

// newest is the last entry of a decision log that tells which number a contact, of the table contacts as c, is at. One that names none is of
// its attempt's.
const newest = `FROM decisions x LEFT JOIN attempts l ON l.key = x.attempt_key WHERE x.workflow_id = c.workflow_id
	AND (x.kind IN ('cleared', 'decided', 'replanned', 'restored') OR x.kind IN ('held', 'refused') AND x.evidence <> '') ORDER BY x.id DESC LIMIT 1`

// whereColumns are the columns that tell the number that a contact is at, of the table contacts as c.
const whereColumns = `COALESCE((SELECT x.evidence ` + newest + `), ''), COALESCE((SELECT l.target ` + newest + `), c.target)`

// isAt is what whereColumns hold.
type isAt struct{ evidence, otherwise string }

func (p isAt) target() string {
	return cmp.Or(Decision{Evidence: json.RawMessage(p.evidence)}.Target().URI, p.otherwise)
}

// at is the number that a contact is at.
func (t *tx) at(workflowID string) (string, error) {
	var p isAt
	_, err := t.get(`SELECT `+whereColumns+` FROM contacts c WHERE c.workflow_id = ?`, []any{workflowID}, &p.evidence, &p.otherwise)
	return p.target(), err
}

// decisions is the decision log of a contact.
func (t *tx) decisions(workflowID string) ([]Decision, error) {
	list := []Decision{} // a list in JSON, too
	err := t.each(`SELECT at, attempt_key, kind, reason, rule, until, evidence FROM decisions WHERE workflow_id = ? ORDER BY id`, []any{workflowID},
		func(scan func(...any) error) error {
			var d Decision
			var at, until int64
			var evidence string
			err := scan(&at, &d.AttemptKey, &d.Kind, &d.Reason, &d.Rule, &until, &evidence)
			d.At, d.Until = moment(at), moment(until)
			if evidence != "" {
				d.Evidence = json.RawMessage(evidence)
			}
			list = append(list, d)
			return err
		})
	return list, err
}

// Summary is one contact in the list of a campaign.
type Summary struct {
	ContactRow
	FirstRunID string
	Attempts   []call.Attempt
}

// List returns the contacts of a campaign in the order in which they were opened.
func (l *Ledger) List(ctx ctx, campaign string) ([]Summary, error) {
	var list []Summary
	err := l.view(ctx, "list "+campaign, func(t *tx) error {
		err := t.each(`SELECT `+rowColumns+`, c.first_run_id FROM contacts c WHERE c.campaign = ? ORDER BY c.opened_at, c.workflow_id`, []any{campaign},
			func(scan func(...any) error) error {
				var s Summary
				err := s.scan(scan, &s.FirstRunID)
				list = append(list, s)
				return err
			})
		if err != nil {
			return err
		}
		index := make(map[string]int, len(list))
		for i, s := range list {
			index[s.WorkflowID] = i
		}
		return t.each(`SELECT a.workflow_id, a.attempt FROM attempts a JOIN contacts c ON c.workflow_id = a.workflow_id WHERE c.campaign = ? ORDER BY a.n`,
			[]any{campaign}, func(scan func(...any) error) error {
				var id string
				var a call.Attempt
				err := scan(&id, document{&a})
				if i, ok := index[id]; ok {
					list[i].Attempts = append(list[i].Attempts, a)
				}
				return err
			})
	})
	return list, err
}

// Dials counts the dial requests that were cleared to leave since the ledger began.
func (l *Ledger) Dials(ctx ctx) (n int, err error) {
	err = l.view(ctx, "count dials", func(t *tx) error {
		_, err := t.get(`SELECT COALESCE(SUM(sends), 0) FROM attempts`, nil, &n)
		return err
	})
	return n, err
}
