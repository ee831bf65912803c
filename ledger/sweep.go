package ledger

import (
	"fmt"
	"time"

	"redial/call"
	"redial/followup"
)

// sweepGrace is how long a contact, or an attempt that should be over, is left to its own flow before the sweeper looks.
const sweepGrace = time.Minute

// OpenContact is a contact without an outcome, whose run ought to be under way.
type OpenContact struct {
	WorkflowID, FirstRunID string
}

// ToSweep returns up to limit open contacts that were looked at longest ago, and notes that they are looked at now.
// Those opened within the last minute are left to their flows.
func (l *Ledger) ToSweep(ctx ctx, limit int) ([]OpenContact, error) {
	var open []OpenContact
	err := l.update(ctx, whole, "list open contacts", func(t *tx) error {
		open = open[:0]
		old := micros(t.now.Add(-sweepGrace))
		err := t.each(`SELECT workflow_id, first_run_id FROM contacts WHERE closed_at = 0 AND opened_at < ? AND swept_at < ? ORDER BY swept_at LIMIT ?`,
			[]any{old, old, limit}, func(scan func(...any) error) error {
				var c OpenContact
				err := scan(&c.WorkflowID, &c.FirstRunID)
				open = append(open, c)
				return err
			})
		for _, c := range open {
			if err == nil {
				err = t.exec(`UPDATE contacts SET swept_at = ? WHERE workflow_id = ?`, micros(t.now), c.WorkflowID)
			}
		}
		return err
	})
	return open, err
}

// Abandon gives an open contact whose run is over an outcome: canceled where somebody ended the run, else people are
// told, because nobody decided that this contact was done. It tells whether the contact was still open.
func (l *Ledger) Abandon(ctx ctx, c OpenContact, canceled bool, why string) (bool, error) {
	var abandoned bool
	err := l.update(ctx, whole, "abandon "+c.WorkflowID, func(t *tx) error {
		abandoned = false
		row, found, err := t.contact(c.WorkflowID)
		if err != nil || !found || !row.closedAt.IsZero() || row.firstRunID != c.FirstRunID {
			return err
		}
		abandoned = true
		outcome := call.OutcomeEscalated
		if canceled {
			outcome = call.OutcomeCanceled
		}
		if err := t.close(c.WorkflowID, outcome, !canceled, why, "sweeper"); err != nil {
			return err
		}
		if err := t.decide(decision{workflowID: c.WorkflowID, kind: "abandoned", reason: why, rule: "sweeper"}); err != nil || canceled {
			return err
		}
		return t.escalateAbandoned(c.WorkflowID, why)
	})
	return abandoned, err
}

// escalateAbandoned puts an abandoned contact into the inbox: the webhook of its policy went with its run.
func (t *tx) escalateAbandoned(workflowID, why string) error {
	c, err := t.show(workflowID)
	if err != nil {
		return err
	}
	return t.escalate(followup.Escalated{WorkflowID: workflowID, ContactID: c.ContactID, Campaign: c.Campaign, To: c.Opened, Reason: why, Rule: "sweeper",
		At: t.now, Attempts: c.Folded()}, "")
}

// ExpireAttempts closes attempts that must be over and that no flow has closed: their runs are gone, or their workers are
// away. It returns how many there were.
func (l *Ledger) ExpireAttempts(ctx ctx, limit int) (int, error) {
	var expired int
	err := l.update(ctx, whole, "expire attempts", func(t *tx) error {
		var keys []string
		err := t.each(`SELECT key FROM attempts WHERE disposition = '' AND line_until < ? LIMIT ?`, []any{micros(t.now.Add(-sweepGrace)), limit},
			func(scan func(...any) error) error {
				keys = append(keys, "")
				return scan(&keys[len(keys)-1])
			})
		for _, key := range keys {
			if err != nil {
				return err
			}
			var row attemptRow
			if row, err = t.known(key); err == nil {
				before := row.attempt.State
				row.attempt.Close(t.now, "no notification of the call's end arrived in time")
				if err = t.doubt(row, before); err == nil {
					err = t.store(&row)
				}
			}
		}
		expired = len(keys)
		return err
	})
	return expired, err
}

// UnknownAttempt is an attempt that is in doubt, with what explains it.
type UnknownAttempt struct {
	call.Attempt
	WorkflowID  string           `json:"workflow_id"`
	ContactID   string           `json:"contact_id"`
	Request     call.DialRequest `json:"request"`               // what the gateway was asked
	Heard       int              `json:"heard"`                 // notifications that arrived about it
	BlocksUntil time.Time        `json:"blocks_until,omitzero"` // until when its number and its line are taken for in use
}

// UnknownAttempts lists attempts in doubt, the newest first.
func (l *Ledger) UnknownAttempts(ctx ctx, limit int) ([]UnknownAttempt, error) {
	list := []UnknownAttempt{}
	err := l.view(ctx, "list unknown attempts", func(t *tx) error {
		return t.each(`SELECT a.attempt, a.workflow_id, c.contact_id, a.request, a.line_until, (SELECT COUNT(*) FROM notifications n WHERE n.attempt_key = a.key)
			FROM attempts a JOIN contacts c ON c.workflow_id = a.workflow_id WHERE a.state = 'unknown' ORDER BY a.send_by DESC LIMIT ?`,
			[]any{limit}, func(scan func(...any) error) error {
				var u UnknownAttempt
				var line int64
				err := scan(document{&u.Attempt}, &u.WorkflowID, &u.ContactID, document{&u.Request}, &line, &u.Heard)
				if until := moment(line); until.After(t.now) {
					u.BlocksUntil = until
				}
				list = append(list, u)
				return err
			})
	})
	return list, err
}

// Resolve settles an attempt in doubt the way an operator found out, and tells its flow. An attempt whose end was heard,
// or that was provably not placed, is no longer in doubt and is refused.
func (l *Ledger) Resolve(ctx ctx, key string, as call.Disposition, who, reason string) (call.Attempt, error) {
	var a call.Attempt
	err := l.update(ctx, whole, "resolve "+key, func(t *tx) error {
		row, found, err := t.attempt(key)
		switch {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("there is no attempt %s: see redial attempt list", key)
		case t.again && row.attempt.Disposition == as: // it was this, before its commit was in doubt
			a = row.attempt
			return nil
		case row.attempt.State != call.StateUnknown:
			return fmt.Errorf("attempt %s is %s and not in doubt", key, row.attempt.State)
		}
		row.attempt.Settle(as, t.now)
		a = row.attempt
		if err := t.oweAttempt(row, t.now); err != nil {
			return err
		}
		if err := t.store(&row); err != nil {
			return err
		}
		return t.decide(decision{workflowID: row.workflowID, attemptKey: key, kind: "resolved", reason: reason, rule: "operator " + who,
			evidence: map[string]any{"disposition": as}})
	})
	return a, err
}

// Detected is how often detection said that a machine answered, and how often the callee then hung up at once, as people do
// and machines do not: a suspected false positive.
type Detected struct {
	Machines, SuspectedHumans int
}

// Detected counts the attempts that were dialed since a time.
func (l *Ledger) Detected(ctx ctx, since time.Time) (d Detected, err error) {
	err = l.view(ctx, "count verdicts", func(t *tx) error {
		_, err := t.get(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN attempt LIKE '%"suspected_human":true%' THEN 1 ELSE 0 END), 0)
			FROM attempts WHERE disposition = ? AND send_by > ?`, []any{call.Machine, micros(since)}, &d.Machines, &d.SuspectedHumans)
		return err
	})
	return d, err
}
