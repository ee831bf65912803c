package callflowtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"redial/call"
	"redial/followup"
)

// Conclude decides what follows an attempt and records the decision. Asked again about the same disposition it returns what was
// decided then. Numbers are those that next_number goes through; none: the contact has one.
func (l *Ledger) Conclude(_ context.Context, workflowID, key string, p followup.Policy, numbers ...call.Target) (followup.Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := l.known(key)
	switch {
	case err != nil:
		return followup.Decision{}, err
	case a.Disposition == "":
		return followup.Decision{}, fmt.Errorf("attempt %s is still under way", key)
	case a.decidedOn == a.Disposition:
		return a.decision, nil
	}
	c := l.contacts[workflowID]
	if c == nil {
		return followup.Decision{}, errors.New("no such contact: " + workflowID)
	}
	p, _ = l.policyOf(c, p)
	d := p.Decide(c.story(a, p, numbers), l.now())
	a.decidedOn, a.decision, a.decidedAt = a.Disposition, d, l.now()
	l.store(a)
	l.follow(c, a, d, "decided")
	return d, nil
}

// story is what is decided from on an attempt.
func (c *contact) story(a *attempt, p followup.Policy, numbers []call.Target) followup.Contact {
	attempts := c.folded()
	for i := range attempts {
		if attempts[i].N == a.N {
			attempts = attempts[:i+1]
			break
		}
	}
	return followup.Contact{OpenedAt: c.openedAt, Target: a.request.To, Numbers: numbers, Attempts: attempts, Results: c.results(a, p)}
}

// results are what bots have said of the contact's attempts, where that may decide.
func (c *contact) results(last *attempt, p followup.Policy) map[string]call.BotResult {
	if !p.AsksForResults() && !last.Disposition.Conversation() {
		return nil
	}
	said := map[string]call.BotResult{}
	for _, a := range c.attempts {
		if len(a.said) > 0 {
			said[a.Key] = a.said[0]
		}
	}
	return said
}

// follow records a decision and what it means for the contact. Whoever is escalated is owed to people from the moment at which the
// contact is closed.
func (l *Ledger) follow(c *contact, a *attempt, d followup.Decision, kind string) {
	if d.Suppress {
		l.suppressCalled(a, false, c.WorkflowID, "policy "+d.Rule, d.Reason)
	}
	l.decide(c.WorkflowID, Decided{N: a.N, Kind: kind, Reason: d.Reason, Rule: d.Rule, Until: d.At})
	if d.Action == followup.ActionRetry {
		l.quit(c.WorkflowID)
		c.wait = followup.Hold{Reason: followup.ReasonRetry, Rule: d.Rule, Until: d.At}
		return
	}
	l.close(c, d.Outcome, d.Action == followup.ActionEscalate, d.Reason, d.Rule)
	if d.Action == followup.ActionEscalate {
		l.escalate(followup.Escalated{WorkflowID: c.WorkflowID, ContactID: c.ContactID, Campaign: c.Campaign, To: c.Target, Reason: d.Reason,
			Rule: d.Rule, At: l.now(), Metadata: a.request.Metadata, Attempts: c.folded()})
	}
}

// Finish gives an open contact an outcome that no attempt decided, and returns the outcome that stands.
func (l *Ledger) Finish(_ context.Context, workflowID string, outcome call.Outcome, reason string) (call.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decide(workflowID, Decided{Kind: "finished", Reason: reason, Rule: string(outcome)})
	if c := l.contacts[workflowID]; c != nil {
		l.close(c, outcome, false, reason, string(outcome))
		outcome = c.outcome
	}
	return outcome, nil
}

// Open makes a contact known, for a flow that ends without a dial.
func (l *Ledger) Open(_ context.Context, r followup.Claim) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _, err := l.claim(r, true)
	return err
}

// Look returns an attempt; nil: it was never cleared.
func (l *Ledger) Look(_ context.Context, key string) (*call.Attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[key]; a != nil {
		found := a.Attempt
		return &found, nil
	}
	return nil, nil
}

// Escalate owes people the story of a contact. Escalating the same contact again changes nothing. A contact that is still open is
// closed with it.
func (l *Ledger) Escalate(_ context.Context, e followup.Escalated, _ string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.contacts[e.WorkflowID]; c != nil {
		l.close(c, call.OutcomeEscalated, true, e.Reason, e.Rule)
	}
	l.escalate(e)
	return nil
}

func (l *Ledger) escalate(e followup.Escalated) {
	if l.told[e.WorkflowID] {
		return
	}
	l.told[e.WorkflowID] = true
	l.observe(Event{At: l.now(), WorkflowID: e.WorkflowID, Kind: KindEscalated, Text: e.Reason, Rule: e.Rule, escalated: &e})
}

// Wait notes what an open contact waits for by its flow's own choice. A contact that the ledger has not heard of is opened.
func (l *Ledger) Wait(_ context.Context, r followup.Claim, h followup.Hold) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, refusal, err := l.claim(r, true)
	if err != nil || refusal != nil || !c.closedAt.IsZero() {
		return err // the next attempt is told why it is refused
	}
	l.quit(c.WorkflowID)
	c.wait = h
	l.decide(c.WorkflowID, Decided{Kind: "held", Reason: string(h.Reason), Rule: h.Rule, Until: h.Until})
	return nil
}

// Note adds to the contact's decision log what its flow has noted. Notes that are there already, by their numbers, are not written
// again.
func (l *Ledger) Note(_ context.Context, workflowID string, notes []followup.Note) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range notes {
		d := Decided{Kind: "note", Reason: n.Text, Rule: fmt.Sprintf("note %d", n.N)}
		if !slices.ContainsFunc(l.decisions[workflowID], func(have Decided) bool { return have.Kind == d.Kind && have.Rule == d.Rule }) {
			l.decide(workflowID, d)
		}
	}
	return nil
}
