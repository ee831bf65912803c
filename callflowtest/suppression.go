package callflowtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"redial/call"
	"redial/followup"
)

// Suppression is a statement that somebody must not be called.
type Suppression struct {
	Contact bool   // a contact by whatever number; else a number, whoever's it is
	Subject string // a contact id, or the URI of a target
	Source  string // who or what has said so
	Reason  string
	Until   time.Time // from when on it does not hold any more; zero: never
}

// concerned are those of whom a statement may be made.
type concerned struct {
	contact bool
	subject string
}

// Suppress records a statement, and tells whether it was new. Every open contact concerned is woken to recheck whether it may go on.
func (l *Ledger) Suppress(_ context.Context, s Suppression) (added bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.suppress(s, ""), nil
}

// suppress records a statement. The contact that makes it itself, if there is one, need not be told.
func (l *Ledger) suppress(s Suppression, by string) (added bool) {
	of := concerned{s.Contact, s.Subject}
	for _, have := range l.suppressions[of] {
		longer := have.Until.IsZero() || !s.Until.IsZero() && !have.Until.Before(s.Until)
		if have.Source == s.Source && have.Reason == s.Reason && longer {
			return false
		}
	}
	l.suppressions[of] = append(l.suppressions[of], s)
	for _, id := range slices.Sorted(maps.Keys(l.contacts)) {
		if id != by && l.contacts[id].concerned(s, l.queue.byID[id]) {
			l.owe(Delivery{WorkflowID: id, Wake: true, Recheck: true, Due: l.now()})
		}
	}
	return true
}

// concerned tells whether a statement is of an open contact: it was opened for the number, was called at it, or waits to be.
func (c *contact) concerned(s Suppression, waiting *queued) bool {
	switch {
	case !c.closedAt.IsZero():
		return false
	case s.Contact:
		return c.ContactID == s.Subject
	}
	return c.Target == s.Subject || waiting != nil && waiting.target == s.Subject ||
		slices.ContainsFunc(c.attempts, func(a *attempt) bool { return a.target == s.Subject })
}

// Recheck tells why a contact that waits must not be called any more, and ends it then; nil: it goes on. An empty target leaves the
// contact's numbers out.
func (l *Ledger) Recheck(_ context.Context, r followup.Claim) (*followup.Refusal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.contacts[r.WorkflowID]
	switch {
	case c == nil || c.FirstRunID != r.FirstRunID:
		return nil, nil
	case !c.closedAt.IsZero():
		return &followup.Refusal{Outcome: c.outcome, Reason: c.reason, Rule: c.rule}, nil
	}
	f := followup.Facts{Now: l.now(), Allowed: true}
	l.suppression(followup.ClearanceRequest{ContactID: r.ContactID, Request: call.DialRequest{To: call.Target{URI: r.Target}}}, &f)
	if f.Suppressed == "" {
		return nil, nil
	}
	_, refused := followup.Clear(f)
	l.close(c, refused.Outcome, false, refused.Reason, refused.Rule)
	l.decide(c.WorkflowID, Decided{Kind: "refused", Reason: refused.Reason, Rule: refused.Rule})
	return refused, nil
}

// OptOut suppresses a contact, and the number that it was called at.
func (l *Ledger) OptOut(_ context.Context, c followup.Claim, by, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	source, reason := "opt-out, "+by, cmp.Or(reason, "opted out")
	if c.Target != "" {
		l.suppress(Suppression{Subject: c.Target, Source: source, Reason: reason}, c.WorkflowID)
	}
	l.suppress(Suppression{Contact: true, Subject: c.ContactID, Source: source, Reason: reason}, c.WorkflowID)
	return nil
}

// suppressCalled suppresses the number that an attempt was made to, and the contact if it is asked for, too. By is as for suppress.
func (l *Ledger) suppressCalled(a *attempt, contact bool, by, source, reason string) {
	l.suppress(Suppression{Subject: a.target, Source: source, Reason: reason}, by)
	if contact && a.contact.ContactID != "" {
		l.suppress(Suppression{Contact: true, Subject: a.contact.ContactID, Source: source, Reason: reason}, by)
	}
}

// suppression is why the request's number or contact must not be called: by the statement of the contact, or else of the number,
// that holds longest.
func (l *Ledger) suppression(r followup.ClearanceRequest, f *followup.Facts) {
	for _, of := range []concerned{{true, r.ContactID}, {false, r.Request.To.URI}} {
		hold := slices.DeleteFunc(slices.Clone(l.suppressions[of]), func(s Suppression) bool { return !s.Until.IsZero() && !s.Until.After(f.Now) })
		if len(hold) == 0 {
			continue
		}
		slices.SortStableFunc(hold, func(a, b Suppression) int {
			if a.Until.IsZero() || b.Until.IsZero() {
				return cmp.Compare(a.Until.Unix(), b.Until.Unix()) // that without an end first
			}
			return b.Until.Compare(a.Until)
		})
		f.Suppressed, f.SuppressedBy, f.SuppressedContact = hold[0].Reason, hold[0].Source, of.contact
		return
	}
}
