package ledger

import (
	"cmp"
	"fmt"

	"redial/call"
	"redial/followup"
)

// Wait notes what an open contact waits for by its flow's own choice. A contact that the ledger has not heard of is opened: a
// flow may wait before its first attempt.
func (l *Ledger) Wait(ctx ctx, c followup.Claim, h followup.Hold) error {
	return l.update(ctx, part, "wait "+c.WorkflowID, func(t *tx) error {
		contact, refusal, err := t.claim(c, true)
		if err != nil || refusal != nil || !contact.closedAt.IsZero() {
			return err // the next attempt is told why it is refused
		}
		// It waits for something else now than for what the queue has to give.
		if err := t.quit(c.WorkflowID); err != nil {
			return err
		}
		if err := t.waitFor(c.WorkflowID, h); err != nil {
			return err
		}
		return t.decide(decision{workflowID: c.WorkflowID, kind: "held", reason: string(h.Reason), rule: h.Rule, until: h.Until})
	})
}

// Note adds to the contact's decision log what its flow has noted. Notes that are there already, by their numbers, are not
// written again.
func (l *Ledger) Note(ctx ctx, workflowID string, notes []followup.Note) error {
	return l.update(ctx, part, "note "+workflowID, func(t *tx) error {
		for _, n := range notes {
			rule := fmt.Sprintf("note %d", n.N)
			written, err := t.get(`SELECT 1 FROM decisions WHERE workflow_id = ? AND kind = 'note' AND rule = ?`, []any{workflowID, rule}, new(int))
			if err != nil {
				return err
			}
			if written {
				continue
			}
			if err := t.decide(decision{workflowID: workflowID, kind: "note", reason: n.Text, rule: rule}); err != nil {
				return err
			}
		}
		return nil
	})
}

// OptOut suppresses a contact, and the number that it was called at, for a recipient who does not want to be called.
func (l *Ledger) OptOut(ctx ctx, c followup.Claim, by, reason string) error {
	return l.update(ctx, part, "opt out "+c.WorkflowID, func(t *tx) error {
		source, reason := "opt-out, "+by, cmp.Or(reason, "opted out")
		if c.Target != "" {
			if _, err := t.suppress(Suppression{Kind: SuppressedNumber, Subject: c.Target, Source: source, Reason: reason}, c.WorkflowID); err != nil {
				return err
			}
		}
		_, err := t.suppress(Suppression{Kind: SuppressedContact, Subject: c.ContactID, Source: source, Reason: reason}, c.WorkflowID)
		return err
	})
}

// Open makes a contact known, for a flow that ends without a dial. One that is known stays as it is.
func (l *Ledger) Open(ctx ctx, c followup.Claim) error {
	return l.update(ctx, part, "open "+c.WorkflowID, func(t *tx) error {
		_, _, err := t.claim(c, true)
		return err
	})
}

// Look returns an attempt; nil: it was never cleared.
func (l *Ledger) Look(ctx ctx, key string) (found *call.Attempt, err error) {
	err = l.update(ctx, part.of(key), "look at "+key, func(t *tx) error {
		row, known, err := t.attempt(key)
		if known {
			found = &row.attempt
		}
		return err
	})
	return found, err
}
