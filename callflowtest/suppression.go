package callflowtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

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

// Suppress records a statement, and tells whether it was new. Of those who wait for their turn now, the ones concerned are woken,
// and end.
func (l *Ledger) Suppress(_ context.Context, s Suppression) (added bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.suppress(s), nil
}

func (l *Ledger) suppress(s Suppression) (added bool) {
	of := concerned{s.Contact, s.Subject}
	for _, have := range l.suppressions[of] {
		longer := have.Until.IsZero() || !s.Until.IsZero() && !have.Until.Before(s.Until)
		if have.Source == s.Source && have.Reason == s.Reason && longer {
			return false
		}
	}
	l.suppressions[of] = append(l.suppressions[of], s)
	for _, id := range slices.Sorted(maps.Keys(l.queue.byID)) {
		if c := l.contacts[id]; s.Contact && c.ContactID == s.Subject || !s.Contact && l.queue.byID[id].target == s.Subject {
			l.owe(Delivery{WorkflowID: id, Wake: true, Due: l.now()})
		}
	}
	return true
}

// OptOut suppresses a contact, and the number that it was called at.
func (l *Ledger) OptOut(_ context.Context, c followup.Claim, by, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	source := "opt-out, " + by
	if c.Target != "" {
		l.suppress(Suppression{Subject: c.Target, Source: source, Reason: reason})
	}
	l.suppress(Suppression{Contact: true, Subject: c.ContactID, Source: source, Reason: reason})
	return nil
}

// suppressCalled suppresses the number that an attempt was made to, and the contact if it is asked for, too.
func (l *Ledger) suppressCalled(a *attempt, contact bool, source, reason string) {
	l.suppress(Suppression{Subject: a.target, Source: source, Reason: reason})
	if contact && a.contact.ContactID != "" {
		l.suppress(Suppression{Contact: true, Subject: a.contact.ContactID, Source: source, Reason: reason})
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
