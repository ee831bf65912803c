package callflowtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"redial/call"
	"redial/followup"
)

// kept is a policy that is kept under its name.
type kept struct {
	followup.Policy
	version int
}

// PutPolicy makes p the policy of its name, which those who follow the name go by from now on. Open contacts among them are woken one after
// the other, every so often. It is refused where they could not be called any more.
func (l *Ledger) PutPolicy(_ context.Context, p followup.Policy, every time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p = p.WithDefaults()
	have, found := l.policies[p.Name]
	if found && have.Version() == p.Version() {
		return nil
	}
	if err := l.refusePut(have.Policy, p); err != nil {
		return fmt.Errorf("put policy %s: %w", p.Name, err)
	}
	l.policies[p.Name] = kept{p, have.version + 1}
	due := l.now()
	for _, id := range slices.Sorted(maps.Keys(l.contacts)) {
		if c := l.contacts[id]; c.closedAt.IsZero() && c.Follows == p.Name {
			l.owe(Delivery{WorkflowID: id, Wake: true, Replan: true, Due: due})
			due = due.Add(every)
		}
	}
	return nil
}

// refusePut is why p cannot become the policy of those who follow its name; nil: it can. Whom the current version has left without a clock
// already, p makes no worse.
func (l *Ledger) refusePut(current, p followup.Policy) error {
	if current.Window.NeedsZone() {
		return nil
	}
	var unzoned followup.Unzoned
	for _, id := range slices.Sorted(maps.Keys(l.contacts)) {
		if c := l.contacts[id]; c.closedAt.IsZero() && c.Follows == p.Name {
			unzoned.Look(c.ContactID, c.next())
		}
	}
	return unzoned.Refuse(p)
}

// next is the number that a contact is called at next, as far as the ledger knows that.
func (c *contact) next() call.Target {
	if len(c.attempts) == 0 {
		return call.Target{URI: c.Target, Zone: c.Zone}
	}
	last := c.attempts[len(c.attempts)-1]
	if last.decision.Target != nil {
		return *last.decision.Target
	}
	return last.request.To
}

// policyOf is the policy by which a contact goes: the one that it follows, or else its run's own.
func (l *Ledger) policyOf(c *contact, own followup.Policy) (p followup.Policy, version int) {
	if v, found := l.policies[c.Follows]; found && c.Follows != "" {
		return v.Policy, v.version
	}
	return own, 0
}

// Replan says what a contact that waits waits for under its policy as it is now. An empty key asks for the policy alone.
func (l *Ledger) Replan(_ context.Context, workflowID, key string, p followup.Policy, numbers ...call.Target) (plan followup.Plan, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.contacts[workflowID]
	if c == nil {
		return plan, nil
	}
	p, version := l.policyOf(c, p)
	if version > 0 {
		plan.Policy, plan.Version = &p, version
	}
	if a := l.attempts[key]; a != nil && a.decidedOn != "" && a.decidedOn == a.Disposition {
		plan.Decision = l.replan(c, a, p, numbers)
	}
	return plan, nil
}

func (l *Ledger) replan(c *contact, a *attempt, p followup.Policy, numbers []call.Target) *followup.Decision {
	before := a.decision
	switch {
	case !c.closedAt.IsZero() && before.Final():
		return &before
	case !c.closedAt.IsZero():
		return nil
	}
	d := p.Decide(c.story(a, p, numbers), a.decidedAt)
	if d.Target == nil && before.Target != nil {
		d.Target = &a.request.To // back from the next number
	}
	if d.Same(before) {
		if d.Action == followup.ActionRetry && d.At.After(l.now()) { // it may have been paused, and waits for that again
			c.wait = followup.Hold{Reason: followup.ReasonRetry, Rule: before.Rule, Until: before.At}
		}
		return &before
	}
	a.decision = d
	l.store(a)
	if d.Action == followup.ActionRetry && !d.At.After(l.now()) { // it may have its place in the queue already
		l.decide(c.WorkflowID, Decided{N: a.N, Kind: "replanned", Reason: d.Reason, Rule: d.Rule, Until: d.At})
	} else {
		l.follow(c, a, d, "replanned")
	}
	return &d
}

// ChangePolicy lets a contact follow another policy, which its claim names, or, where that names none, go by the one that is given, unless the
// check refuses it.
func (l *Ledger) ChangePolicy(_ context.Context, r followup.Claim, given followup.Policy, check func(followup.Policy) error) (followup.Plan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	plan := followup.Plan{Policy: &given}
	if r.Follows != "" {
		v, found := l.policies[r.Follows]
		if !found {
			return plan, &followup.UnknownPolicyError{Name: r.Follows}
		}
		plan.Policy, plan.Version = &v.Policy, v.version
	}
	if err := check(*plan.Policy); err != nil {
		return plan, err
	}
	c, refusal, err := l.claim(r, true)
	if err == nil && refusal == nil {
		c.Follows = r.Follows
	}
	return plan, err
}

// stale holds a contact that asks under another version of the policy that it follows than the newest.
func (l *Ledger) stale(c *contact, version int, r followup.ClearanceRequest) followup.Hold {
	h := followup.Hold{Reason: followup.ReasonPolicy, Rule: fmt.Sprintf("policy %s, version %d holds now", c.Follows, version),
		Until: l.now().Add(settleFor), Event: "its run has taken that up"}
	l.owe(Delivery{WorkflowID: c.WorkflowID, Wake: true, Replan: true, Due: l.now()})
	c.wait = h
	l.decide(c.WorkflowID, Decided{N: r.N, Kind: "held", Reason: string(h.Reason), Rule: h.Rule, Until: h.Until})
	return h
}
