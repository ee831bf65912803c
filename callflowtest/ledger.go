package callflowtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"redial/call"
	"redial/followup"
)

// Ledger is a ledger in memory: it keeps what the product's own ledgers keep, under the same rules, for as long as the test lasts.
// It may be shared by any number of flows under one clock. Whoever uses it delivers what it owes: after each of its methods, and
// at the time that Tick names, what Due returns is to be signalled.
//
// It implements activities.Ledger.
type Ledger struct {
	now     func() time.Time
	observe func(Event)

	mu           sync.Mutex
	account      account
	allow        func(uri string) bool
	ceilings     []followup.Limit
	suppressions map[concerned][]Suppression
	decisions    map[string][]Decided // by workflow
	told         map[string]bool      // workflows of which people were told
	contacts     map[string]*contact
	attempts     map[string]*attempt
	live         []*attempt             // those that hold a line or a place in the rate's window
	counted      map[counted][]*attempt // by what rules count
	queue        queue
	policies     map[string]kept // those that contacts follow
	outbox       map[string]Delivery
	owed         int64
}

// account is what the gateway's account carries, and how it fares.
type account struct {
	lines, rate int
	window      time.Duration
	pausedUntil time.Time
	pausedFor   followup.Reason
	refusals    int
}

// contact is one contact and what was decided on it.
type contact struct {
	followup.Claim
	openedAt, closedAt time.Time
	outcome            call.Outcome
	escalated          bool
	reason, rule       string
	wait               followup.Hold
	attempts           []*attempt // in the order of their numbers
}

// attempt is an attempt with what only the ledger needs of it.
type attempt struct {
	call.Attempt
	contact   *contact
	target    string
	owner     string
	sends     int
	resend    bool // provably no call, and it may be sent again
	sendBy    time.Time
	lineUntil time.Time
	rateUntil time.Time
	midCall   bool
	request   call.DialRequest
	decidedOn call.Disposition
	decidedAt time.Time
	decision  followup.Decision
	said      []call.BotResult // by the bot; the first stands
	refusedAt time.Time        // when a person has declined, or does not want to be called, last
	keys      keyOf
}

// Decided is one line of a contact's decision log.
type Decided struct {
	At     time.Time
	N      int    // the attempt; 0: the contact
	Kind   string // cleared, held, refused, doubted, decided, finished, note or restored
	Reason string
	Rule   string
	Until  time.Time
}

// NewLedger makes a ledger with nothing in it and no limits, under a clock.
func NewLedger(now func() time.Time) *Ledger {
	return &Ledger{now: now, observe: func(Event) {}, allow: func(string) bool { return true }, suppressions: map[concerned][]Suppression{},
		decisions: map[string][]Decided{}, told: map[string]bool{}, contacts: map[string]*contact{}, attempts: map[string]*attempt{}, counted: map[counted][]*attempt{}, queue: newQueue(), outbox: map[string]Delivery{},
		policies: map[string]kept{}}
}

// SetLimits sets how many calls the account may carry at the same time and how many dials it may make in a window; 0 is no limit.
func (l *Ledger) SetLimits(_ context.Context, lines, rate int, window time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account.lines, l.account.rate, l.account.window = lines, rate, window
	l.grant()
	return nil
}

// Allow says which targets may be dialed at all; all may be at first.
func (l *Ledger) Allow(allowed func(uri string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allow = allowed
}

// SetCeilings sets the limits that hold for every policy which does not say otherwise; there are none at first.
func (l *Ledger) SetCeilings(ceilings ...followup.Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ceilings = ceilings
}

// Decisions is the decision log of a contact, in order.
func (l *Ledger) Decisions(workflowID string) []Decided {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.decisions[workflowID])
}

// Contact is how a contact stands.
type Contact struct {
	followup.Claim
	OpenedAt, ClosedAt time.Time
	Outcome            call.Outcome // empty while the contact is open
	Escalated          bool
	Reason             string
	Wait               followup.Hold // what an open contact waits for
	Attempts           []call.Attempt
}

// Show is how a contact stands; false when the ledger does not know it.
func (l *Ledger) Show(workflowID string) (Contact, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.contacts[workflowID]
	if c == nil {
		return Contact{}, false
	}
	return Contact{c.Claim, c.openedAt, c.closedAt, c.outcome, c.escalated, c.reason, c.wait, c.folded()}, true
}

// folded are the contact's attempts as they stand.
func (c *contact) folded() (attempts []call.Attempt) {
	for _, a := range c.attempts {
		attempts = append(attempts, a.Attempt)
	}
	return attempts
}

// decide adds to a contact's decision log.
func (l *Ledger) decide(workflowID string, d Decided) {
	d.At = l.now()
	l.decisions[workflowID] = append(l.decisions[workflowID], d)
	l.observe(Event{At: d.At, WorkflowID: workflowID, N: d.N, Kind: Kind(d.Kind), Text: d.Reason, Rule: d.Rule, Until: d.Until})
}

// claim makes the contact this run's own, or refuses a run that comes second. Begins is whether the ledger may not have heard of
// it before.
func (l *Ledger) claim(r followup.Claim, begins bool) (*contact, *followup.Refusal, error) {
	c := l.contacts[r.WorkflowID]
	switch {
	case c == nil && !begins:
		return nil, nil, fmt.Errorf("%w (contact %s was dialed before)", followup.ErrLost, r.WorkflowID)
	case c == nil:
		return l.open(r), nil, nil
	case c.FirstRunID != r.FirstRunID:
		return c, &followup.Refusal{Outcome: call.OutcomeDuplicateID, Rule: "one run per contact id",
			Reason: "the contact id " + r.ContactID + " was dialed by an earlier run, " + c.FirstRunID}, nil
	}
	return c, nil, nil
}

func (l *Ledger) open(r followup.Claim) *contact {
	c := &contact{Claim: r, openedAt: l.now()}
	l.contacts[r.WorkflowID] = c
	return c
}

// close gives the contact its outcome; the first one stands.
func (l *Ledger) close(c *contact, outcome call.Outcome, escalated bool, reason, rule string) {
	l.quit(c.WorkflowID)
	if !c.closedAt.IsZero() {
		return
	}
	c.outcome, c.escalated, c.reason, c.rule, c.closedAt, c.wait = outcome, escalated, reason, rule, l.now(), followup.Hold{}
	l.observe(Event{At: c.closedAt, WorkflowID: c.WorkflowID, Kind: KindOutcome, Text: string(outcome), Rule: reason})
}

// known is an attempt that was recorded.
func (l *Ledger) known(key string) (*attempt, error) {
	a := l.attempts[key]
	if a == nil {
		return nil, fmt.Errorf("%w (%s)", followup.ErrLost, key)
	}
	return a, nil
}

// store takes in how an attempt has changed. What a call no longer occupies is given to those who wait.
func (l *Ledger) store(a *attempt) {
	over := a.Over() || a.Disposition != ""
	switch now := l.now(); {
	case !over:
		a.lineUntil = a.HearUntil // taken again by a call that was refused and is reported on all the same
		l.occupy(a)
	case now.Before(a.lineUntil):
		a.lineUntil = now
	}
	if over {
		l.grant()
	}
}

// occupy counts an attempt among those that hold a line or a place in the rate's window.
func (l *Ledger) occupy(a *attempt) {
	for _, have := range l.live {
		if have == a {
			return
		}
	}
	l.live = append(l.live, a)
}

// prune forgets those that hold nothing any more.
func (l *Ledger) prune() {
	now, kept := l.now(), l.live[:0]
	for _, a := range l.live {
		if a.lineUntil.After(now) || a.rateUntil.After(now) || a.State == call.StateDialing {
			kept = append(kept, a)
		}
	}
	clear(l.live[len(kept):])
	l.live = kept
}

// attemptNumber is the number of an attempt; 0 when there is none of this key.
func (l *Ledger) attemptNumber(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[key]; a != nil {
		return a.N
	}
	return 0
}

// workflowOf is the workflow that an attempt belongs to.
func (l *Ledger) workflowOf(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[key]; a != nil {
		return a.contact.WorkflowID
	}
	return ""
}
