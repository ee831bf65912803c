package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"redial/call"
	"redial/followup"
)

// Contact is all that the ledger knows of one contact.
type Contact struct {
	WorkflowID    string         `json:"workflow_id"`
	ContactID     string         `json:"contact_id"`
	Campaign      string         `json:"campaign,omitempty"`
	FirstRunID    string         `json:"first_run_id"`
	Target        string         `json:"target"`
	OpenedAt      time.Time      `json:"opened_at"`
	ClosedAt      time.Time      `json:"closed_at,omitzero"`
	Outcome       call.Outcome   `json:"outcome,omitempty"`
	Escalated     bool           `json:"escalated"`
	Reason        string         `json:"reason,omitempty"`
	Rule          string         `json:"rule,omitempty"`
	Wait          *followup.Hold `json:"wait,omitempty"` // what an open contact waits for
	Attempts      []call.Attempt `json:"attempts"`
	Decisions     []Decision     `json:"decisions"`
	Notifications []Notification `json:"notifications"`
	Escalation    *Escalation    `json:"escalation,omitempty"`
}

// Decision is one entry of the decision log.
type Decision struct {
	At         time.Time       `json:"at"`
	AttemptKey string          `json:"attempt_key,omitempty"`
	Kind       string          `json:"kind"` // cleared, held, refused, decided, finished
	Reason     string          `json:"reason"`
	Rule       string          `json:"rule"`
	Until      time.Time       `json:"until,omitzero"`
	Evidence   json.RawMessage `json:"evidence,omitempty"`
}

// Notification is one notification as it was received.
type Notification struct {
	At         time.Time `json:"at"`
	AttemptKey string    `json:"attempt_key"`
	Raw        string    `json:"raw"`
	Note       string    `json:"note,omitempty"`
}

// Escalation is where the word to people stands.
type Escalation struct {
	URL         string    `json:"url,omitempty"` // empty: the inbox
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	Tries       int       `json:"tries"`
	LastError   string    `json:"last_error,omitempty"`
}

// Show returns a contact by its workflow id, or by its contact id where that is not ambiguous.
func (l *Ledger) Show(ctx ctx, id string) (Contact, error) {
	var c Contact
	err := l.view(ctx, "show "+id, func(t *tx) error {
		var ids []string
		err := t.each(`SELECT workflow_id FROM contacts WHERE workflow_id = ? OR contact_id = ? ORDER BY workflow_id = ? DESC, opened_at DESC LIMIT 2`,
			[]any{id, id, id}, func(scan func(...any) error) error {
				ids = append(ids, "")
				return scan(&ids[len(ids)-1])
			})
		switch {
		case err != nil:
			return err
		case len(ids) == 0:
			return &NotFoundError{ID: id}
		case len(ids) > 1 && ids[0] != id:
			return fmt.Errorf("contact id %q is used in several campaigns: name one by its workflow id, such as %s", id, ids[0])
		}
		c, err = t.show(ids[0])
		return err
	})
	return c, err
}

// NotFoundError says that the ledger knows no such contact.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no contact %q: it was not dialed with this ledger", e.ID)
}

func (t *tx) show(workflowID string) (Contact, error) {
	c := Contact{WorkflowID: workflowID, Decisions: []Decision{}, Notifications: []Notification{}}
	var opened, closed int64
	var wait followup.Hold
	if _, err := t.get(`SELECT contact_id, campaign, first_run_id, target, opened_at, closed_at, outcome, escalated, reason, rule, wait
			FROM contacts WHERE workflow_id = ?`, []any{workflowID},
		&c.ContactID, &c.Campaign, &c.FirstRunID, &c.Target, &opened, &closed, &c.Outcome, &c.Escalated, &c.Reason, &c.Rule, document{&wait}); err != nil {
		return c, err
	}
	c.OpenedAt, c.ClosedAt = moment(opened), moment(closed)
	if wait.Reason != "" {
		c.Wait = &wait
	}
	var err error
	if _, c.Attempts, err = t.story(workflowID); err != nil {
		return c, err
	}
	if c.Attempts == nil {
		c.Attempts = []call.Attempt{} // a list in JSON, too
	}
	if err := t.each(`SELECT at, attempt_key, kind, reason, rule, until, evidence FROM decisions WHERE workflow_id = ? ORDER BY id`, []any{workflowID},
		func(scan func(...any) error) error {
			var d Decision
			var at, until int64
			var evidence string
			err := scan(&at, &d.AttemptKey, &d.Kind, &d.Reason, &d.Rule, &until, &evidence)
			d.At, d.Until = moment(at), moment(until)
			if evidence != "" {
				d.Evidence = json.RawMessage(evidence)
			}
			c.Decisions = append(c.Decisions, d)
			return err
		}); err != nil {
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
	var e Escalation
	var delivered int64
	found, err := t.get(`SELECT url, delivered_at, tries, last_error FROM outbox WHERE topic = ?`, []any{kindWebhook + "/" + workflowID},
		&e.URL, &delivered, &e.Tries, &e.LastError)
	if found {
		e.DeliveredAt = moment(delivered)
		c.Escalation = &e
	}
	return c, err
}

// Summary is one contact in a list.
type Summary struct {
	WorkflowID, ContactID, FirstRunID, Target string
	OpenedAt, ClosedAt                        time.Time
	Outcome                                   call.Outcome
	Reason                                    string
	Wait                                      *followup.Hold
	Attempts                                  []call.Attempt
}

// List returns the contacts of a campaign in the order in which they were opened.
func (l *Ledger) List(ctx ctx, campaign string) ([]Summary, error) {
	var list []Summary
	err := l.view(ctx, "list "+campaign, func(t *tx) error {
		err := t.each(`SELECT workflow_id, contact_id, first_run_id, target, opened_at, closed_at, outcome, reason, wait FROM contacts
				WHERE campaign = ? ORDER BY opened_at, workflow_id`, []any{campaign}, func(scan func(...any) error) error {
			var s Summary
			var opened, closed int64
			var wait followup.Hold
			err := scan(&s.WorkflowID, &s.ContactID, &s.FirstRunID, &s.Target, &opened, &closed, &s.Outcome, &s.Reason, document{&wait})
			s.OpenedAt, s.ClosedAt = moment(opened), moment(closed)
			if wait.Reason != "" {
				s.Wait = &wait
			}
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
