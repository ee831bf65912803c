package ledger

import (
	"encoding/json"
	"fmt"

	"redial/call"
	"redial/followup"
)

// Conclude decides what follows an attempt and records the decision, with the contact's outcome where it has one. Asked
// again about the same disposition it returns what was decided then, whatever policy it is asked with. Numbers are those that
// next_number goes through; none: the contact has one.
func (l *Ledger) Conclude(ctx ctx, workflowID, key string, p followup.Policy, numbers ...call.Target) (followup.Decision, error) {
	var d followup.Decision
	err := l.update(ctx, part.of(key), "conclude "+key, func(t *tx) error {
		row, err := t.known(key)
		if err != nil {
			return err
		}
		if row.attempt.Disposition == "" {
			return fmt.Errorf("attempt %s is still under way", key)
		}
		if row.decision.Disposition == row.attempt.Disposition {
			d = row.decision.Decision
			return nil
		}
		contact, attempts, err := t.story(workflowID)
		if err != nil {
			return err
		}
		p := p
		switch v, found, err := t.followed(contact); {
		case err != nil:
			return err
		case found:
			p = v.Policy
		}
		var request call.DialRequest
		if !p.Window.IsZero() || len(numbers) > 0 || p.AsksForResults() {
			if request, err = t.request(key); err != nil {
				return err
			}
		}
		said, err := t.said(workflowID, row.attempt, p)
		if err != nil {
			return err
		}
		d = p.Decide(followup.Contact{OpenedAt: contact.openedAt, Target: request.To, Numbers: numbers, Attempts: upTo(attempts, row.attempt.N), Results: said}, t.now)
		row.decision = recordedDecision{row.attempt.Disposition, d}
		if err := t.store(&row); err != nil {
			return err
		}
		return t.follow(workflowID, row.attempt, d, p, "decided")
	})
	return d, err
}

// said is what bots have said of a contact's attempts, where that may decide.
func (t *tx) said(workflowID string, last call.Attempt, p followup.Policy) (map[string]call.BotResult, error) {
	if !p.AsksForResults() && !last.Disposition.Conversation() {
		return nil, nil
	}
	results, err := t.results(workflowID)
	said := map[string]call.BotResult{}
	for _, r := range results {
		if r.Note == "" && r.Said != nil {
			said[r.AttemptKey] = *r.Said
		}
	}
	return said, err
}

// upTo leaves out attempts after the n-th: they belong to a future that a workflow reset took back.
func upTo(attempts []call.Attempt, n int) []call.Attempt {
	for i, a := range attempts {
		if a.N == n {
			return attempts[:i+1]
		}
	}
	return attempts
}

// follow records a decision and what it means for the contact. Kind is that of the entry in the decision log.
func (t *tx) follow(workflowID string, a call.Attempt, d followup.Decision, p followup.Policy, kind string) error {
	if d.Suppress {
		if err := t.suppressCalled(a.Key, false, workflowID, "policy "+d.Rule, d.Reason); err != nil {
			return err
		}
	}
	if err := t.turn(workflowID, a, d, p); err != nil {
		return err
	}
	evidence := map[string]any{"disposition": a.Disposition, "action": d.Action, "outcome": d.Outcome}
	if d.Target != nil {
		evidence["target"] = d.Target
	}
	return t.decide(decision{workflowID: workflowID, attemptKey: a.Key, kind: kind, reason: d.Reason, rule: d.Rule, until: d.At, evidence: evidence})
}

// retryHold is the wait for a retry.
func retryHold(d followup.Decision) followup.Hold {
	return followup.Hold{Reason: followup.ReasonRetry, Rule: d.Rule, Until: d.At}
}

// turn makes the contact wait, or end. Whoever is escalated is owed to people from the moment at which the contact is closed:
// its flow may never come to say so.
func (t *tx) turn(workflowID string, a call.Attempt, d followup.Decision, p followup.Policy) error {
	if d.Action == followup.ActionRetry {
		if err := t.quit(workflowID); err != nil {
			return err
		}
		return t.waitFor(workflowID, retryHold(d))
	}
	if err := t.close(workflowID, d.Outcome, d.Action == followup.ActionEscalate, d.Reason, d.Rule); err != nil || d.Action != followup.ActionEscalate {
		return err
	}
	c, err := t.show(workflowID)
	if err != nil {
		return err
	}
	request, err := t.request(a.Key)
	if err != nil {
		return err
	}
	return t.escalate(followup.Escalated{WorkflowID: workflowID, ContactID: c.ContactID, Campaign: c.Campaign, To: c.Opened, Reason: d.Reason,
		Rule: d.Rule, At: t.now, Metadata: request.Metadata, Attempts: c.Folded()}, p.Escalate.Webhook)
}

// request is what the gateway was asked for an attempt.
func (t *tx) request(key string) (r call.DialRequest, err error) {
	_, err = t.get(`SELECT request FROM attempts WHERE key = ?`, []any{key}, document{&r})
	return r, err
}

// story is a contact with its attempts in order.
func (t *tx) story(workflowID string) (c contact, attempts []call.Attempt, err error) {
	if err := t.contactSoon(workflowID, &c, new(bool)); err != nil {
		return c, nil, err
	}
	err = t.each(`SELECT attempt FROM attempts WHERE workflow_id = ? ORDER BY n`, []any{workflowID}, func(scan func(...any) error) error {
		var a call.Attempt
		err := scan(document{&a})
		attempts = append(attempts, a)
		return err
	})
	return c, attempts, err
}

// Finish gives an open contact an outcome that no attempt decided, such as canceled, and returns the outcome that
// stands.
func (l *Ledger) Finish(ctx ctx, workflowID string, outcome call.Outcome, reason string) (call.Outcome, error) {
	stands := outcome
	err := l.update(ctx, part, "finish "+workflowID, func(t *tx) error {
		stands = outcome
		if err := t.close(workflowID, outcome, false, reason, string(outcome)); err != nil {
			return err
		}
		if err := t.decide(decision{workflowID: workflowID, kind: "finished", reason: reason, rule: string(outcome)}); err != nil {
			return err
		}
		c, found, err := t.contact(workflowID)
		if found {
			stands = c.outcome
		}
		return err
	})
	return stands, err
}

// Escalate owes people the story of a contact: a webhook where url is given, else an entry of the inbox, which a relay that has a sink
// gives to it. Escalating the same contact again changes nothing. A contact that is still open is closed with it.
func (l *Ledger) Escalate(ctx ctx, e followup.Escalated, url string) error {
	return l.update(ctx, part, "escalate "+e.WorkflowID, func(t *tx) error {
		if err := t.close(e.WorkflowID, call.OutcomeEscalated, true, e.Reason, e.Rule); err != nil {
			return err
		}
		return t.escalate(e, url)
	})
}

func (t *tx) escalate(e followup.Escalated, url string) error {
	topic := kindWebhook + "/" + e.WorkflowID
	found, err := t.get(`SELECT 1 FROM outbox WHERE topic = ?`, []any{topic}, new(int))
	if err != nil || found {
		return err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := t.owe(delivery{kind: kindWebhook, workflowID: e.WorkflowID, url: url, body: string(body), due: t.now}); err != nil || url != "" {
		return err
	}
	return t.exec(`UPDATE outbox SET delivered_at = ? WHERE topic = ?`, micros(t.now), topic)
}
