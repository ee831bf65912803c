package followup

import (
	"errors"
	"fmt"
	"time"

	"redial/call"
)

// Reason is why a contact waits. The list is closed: whoever waits, waits for one of these.
type Reason string

const (
	ReasonLinesBusy   Reason = "lines_busy"          // every line of the account carries a call
	ReasonRate        Reason = "rate"                // the account's dials of the last minute are used up
	ReasonNumber      Reason = "number_in_call"      // another call to the same number is under way, or may be
	ReasonThrottled   Reason = "throttled"           // the gateway said that the account is over a limit
	ReasonUnreachable Reason = "gateway_unreachable" // the last requests provably placed no call, and the way to the gateway is to blame
	ReasonRetry       Reason = "retry"               // the policy's delay before the next attempt
	ReasonCall        Reason = "in_call"             // the attempt is under way
	ReasonWindow      Reason = "window"              // the calling window is closed, by one of the recipient's clocks
	ReasonLimit       Reason = "limit"               // there were as many calls already as there may be in a time
	ReasonQuiet       Reason = "quiet"               // something has happened that is followed by a time without calls
	ReasonResult      Reason = "result"              // the bot has yet to say what the call came to
	ReasonPaused      Reason = "paused"              // somebody has paused it
	ReasonRescheduled Reason = "rescheduled"         // somebody has asked for another time
	ReasonFlow        Reason = "flow"                // a wait that the flow has chosen itself; the rule says why
	ReasonPolicy      Reason = "policy"              // the policy that it follows has changed, and is taken up first
)

// ErrLost says that a ledger does not know an attempt that was recorded. It was replaced by an older one: restored, or taken over by a
// standby that had not received everything.
var ErrLost = errors.New("the ledger does not know the attempt: was it replaced by an older one?")

// SendWithin is how long after its intent is recorded a dial request may leave. After that the rules it was cleared
// under may no longer hold, and it never leaves.
const SendWithin = 5 * time.Second

// Throttle is how long the whole account waits after the gateway's n-th refusal in a row for its rate: what the gateway
// stated, else half a minute, doubled each time up to eight minutes.
func Throttle(stated time.Duration, n int) time.Duration {
	if stated > 0 {
		return stated
	}
	const first, longest = 30 * time.Second, 8 * time.Minute
	return min(first<<min(max(n-1, 0), 10), longest)
}

// Outage is how long the whole account waits after the n-th request in a row that provably did not reach the gateway:
// five seconds, half a minute, then two minutes each time. What is wrong with the way there is wrong for everybody.
func Outage(n int) time.Duration {
	waits := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}
	return waits[min(max(n-1, 0), len(waits)-1)]
}

// shortPause is the longest outage that is slept through at the dial instead of in the queue: most are over by then.
const shortPause = 5 * time.Second

// ClearanceRequest asks for leave to place one call.
type ClearanceRequest struct {
	Key        string           `json:"key"` // of the attempt
	N          int              `json:"n"`
	WorkflowID string           `json:"workflow_id"`
	FirstRunID string           `json:"first_run_id"`
	ContactID  string           `json:"contact_id"`
	Campaign   string           `json:"campaign,omitempty"`
	Request    call.DialRequest `json:"request"`
	// HearFor is how long after the dial the call may be under way: ringing, talking, and the grace for its notification.
	HearFor time.Duration `json:"hear_for"`
	// Lifetime is how long after it was opened the contact may be dialed; 0: for ever.
	Lifetime time.Duration `json:"lifetime,omitempty"`
	// Rules are who may be called, when and how often.
	Rules Rules `json:"rules,omitzero"`
	// Subject is what the call is about; empty: the contact.
	Subject string `json:"subject,omitempty"`
	// Consent is the recipient's; nil: none is known.
	Consent *Consent `json:"consent,omitempty"`
	// MidCall asks for signals while the call is under way, not only at its end.
	MidCall bool `json:"mid_call,omitempty"`
	// Owner tells executions of the same attempt apart.
	Owner string `json:"owner"`
	// Others is whether the contact has other targets: what refuses this one alone leaves the contact open.
	Others bool `json:"others,omitempty"`
	// First is the number of the first attempt that is dialed at the same time; 0: this one is dialed alone.
	First int `json:"first,omitempty"`
	// Promised is whether the call was promised for this time: it goes ahead of all others that wait.
	Promised bool `json:"promised,omitempty"`
	// Follows is as of Claim. It counts for a contact that the ledger has not heard of.
	Follows string `json:"follows,omitempty"`
	// FollowsVersion is the version of that policy by which the request was made.
	FollowsVersion int `json:"follows_version,omitempty"`
}

// Claim is the contact that the request is made for.
func (r ClearanceRequest) Claim() Claim {
	return Claim{WorkflowID: r.WorkflowID, FirstRunID: r.FirstRunID, ContactID: r.ContactID, Campaign: r.Campaign, Target: r.Request.To.URI,
		Zone: r.Request.To.Zone, Follows: r.Follows}
}

// SubjectKey is what calls are counted by that are about the same: the subject, or the contact where none is stated.
func (r ClearanceRequest) SubjectKey() string {
	if r.Subject == "" {
		return "contact:" + r.ContactID
	}
	return "subject:" + r.Subject
}

// Keys are what the call is counted by.
func (r ClearanceRequest) Keys() map[By]string {
	return map[By]string{ByNumber: r.Request.To.URI, ByContact: r.ContactID, BySubject: r.SubjectKey()}
}

// Begins tells whether the request may be the first that a ledger hears of its contact.
func (r ClearanceRequest) Begins() bool { return r.N == 1 || r.First == 1 }

// Clearance is the answer: exactly one of Cleared, Recorded, Held and Refused is given.
type Clearance struct {
	// Cleared: the intent is on disk, and the request may leave until SendBy.
	Cleared bool      `json:"cleared,omitempty"`
	SendBy  time.Time `json:"send_by,omitzero"`
	// Recorded: somebody was here before under the same key; Attempt is what became of it, and nothing may be sent.
	Recorded bool `json:"recorded,omitempty"`
	// Attempt is the attempt as it stands, when cleared or recorded.
	Attempt call.Attempt `json:"attempt,omitzero"`
	Held    *Hold        `json:"held,omitempty"`
	Refused *Refusal     `json:"refused,omitempty"`
	// Open: the target was refused, and the contact, which has others, has no outcome yet.
	Open bool `json:"open,omitempty"`
}

// Hold is a wait: why, under which rule, and until when at the latest. What is held in the queue is woken earlier, when
// the thing it waits for happens.
type Hold struct {
	Reason Reason    `json:"reason"`
	Rule   string    `json:"rule"`
	Until  time.Time `json:"until,omitzero"`  // zero: until an event
	Event  string    `json:"event,omitempty"` // what ends the wait before its time
	Queued bool      `json:"queued,omitempty"`
	// NotBefore is when what is waited for happens at the earliest; zero: at any time. From then on the queue wakes those who wait for
	// it, in order.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Next is when the wait probably ends.
func (h Hold) Next() time.Time {
	if !h.NotBefore.IsZero() {
		return h.NotBefore
	}
	return h.Until
}

// Refusal ends a contact without a further call.
type Refusal struct {
	Outcome call.Outcome `json:"outcome"`
	Reason  string       `json:"reason"`
	Rule    string       `json:"rule"`
	// Target: it is of the target alone.
	Target bool `json:"target,omitempty"`
}

// OfTarget tells whether another target of the same contact may still be called.
func (r Refusal) OfTarget() bool { return r.Target }

// Facts are what the ledger counted, in the transaction that will record the intent.
type Facts struct {
	Now       time.Time
	ExpiresAt time.Time // of the contact; zero: never

	Key     string      // of the attempt
	Target  call.Target // who is called
	Ring    time.Duration
	Rules   Rules
	Consent *Consent                // of the recipient; nil: none is known
	Calls   map[By][]time.Time      // when earlier calls that may have rung a phone were cleared, as Rules.Count asks for them, in order
	Last    map[Happening]time.Time // what has happened, of what Rules.Happened asks for

	Allowed    bool   // the target is among those that this deployment may dial
	Suppressed string // why the number, or the contact, must not be called; empty: it may
	// SuppressedBy is who or what has said so. SuppressedContact: of the contact, by whatever number.
	SuppressedBy      string
	SuppressedContact bool

	PausedUntil time.Time // until when no request of this account may leave; zero: not paused
	PausedFor   Reason    // throttled, or gateway_unreachable
	// Failing: the last requests did not get through. Probing: one that finds out whether they do again is on its way.
	Failing, Probing bool

	NumberUntil time.Time // until when another call to the number may be under way; zero: none is
	KeptUntil   time.Time // until when the number is kept for another contact, which was woken; zero: it is not
	Awaited     bool      // another contact waits for the number, and comes first

	Lines         int // calls at the same time; 0: no limit
	LinesUsed     int
	LinesReserved int       // promised to contacts that were woken
	LinesUntil    time.Time // when all calls now under way are surely over

	Rate       int           // requests per Window; 0: no limit
	Window     time.Duration // over which requests are counted
	RateUsed   int
	NextRateAt time.Time // when the next request of the window runs out

	Ahead int // contacts before this one in the queue
}

// Clear rules on one call: cleared when both answers are nil. No hold outlasts the contact's life.
func Clear(f Facts) (*Hold, *Refusal) {
	if r := f.refusal(); r != nil {
		return nil, r
	}
	h, r := f.ruled()
	if r != nil {
		return nil, r
	}
	if h == nil {
		h = f.hold()
	}
	if h != nil && !f.ExpiresAt.IsZero() && h.Until.After(f.ExpiresAt) {
		h.Until = f.ExpiresAt
	}
	return h, nil
}

// refusal is why the contact is never dialed again; nil: it may be.
func (f Facts) refusal() *Refusal {
	switch {
	case !f.Allowed:
		return &Refusal{call.OutcomeSuppressed, "this deployment may not dial the target", "REDIAL_ALLOW_TO", true}
	case f.Suppressed != "":
		return f.suppression()
	case !f.ExpiresAt.IsZero() && !f.Now.Before(f.ExpiresAt):
		return &Refusal{call.OutcomeExpired, "the contact's lifetime is over", "lifetime", false}
	}
	if rule := f.Rules.ConsentNeeded(); rule != "" {
		switch c := f.Consent; {
		case c == nil:
			return &Refusal{call.OutcomeSuppressed, "no consent of the recipient is known", rule, false}
		case f.Now.Before(c.At) || !c.Expires.IsZero() && !f.Now.Before(c.Expires):
			return &Refusal{call.OutcomeSuppressed, "the recipient's consent does not hold now", rule, false}
		}
	}
	return nil
}

// suppression ends the contact where the contact is suppressed; a suppressed number leaves the contact its other ones.
func (f Facts) suppression() *Refusal {
	rule := "suppression of the number"
	if f.SuppressedContact {
		rule = "suppression of the contact"
	}
	if f.SuppressedBy != "" {
		rule += ", by " + f.SuppressedBy
	}
	return &Refusal{call.OutcomeSuppressed, f.Suppressed, rule, !f.SuppressedContact}
}

// hold is why the call cannot be placed now; nil: it can.
func (f Facts) hold() *Hold {
	switch {
	case f.Now.Before(f.PausedUntil):
		h := &Hold{Reason: f.PausedFor, Rule: pauses[f.PausedFor], Until: f.turn(f.PausedUntil), Event: "the account's pause is over and its turn has come", Queued: true}
		if f.PausedFor == ReasonUnreachable && f.PausedUntil.Sub(f.Now) <= shortPause {
			h.Until, h.Queued = f.PausedUntil, false
		}
		return h
	case f.Failing && (f.Probing || f.LinesReserved > 0):
		return &Hold{Reason: f.PausedFor, Rule: "one request at a time until one gets through", Until: f.turn(f.Now.Add(Outage(2))),
			Event: "a request gets through, or its turn to try has come", Queued: true}
	case f.Now.Before(f.NumberUntil):
		return &Hold{Reason: ReasonNumber, Rule: "one call at a time to a number", Until: f.NumberUntil, Event: "the other call ends", Queued: true}
	case f.Now.Before(f.KeptUntil):
		return &Hold{Reason: ReasonNumber, Rule: "another contact was called in for this number first", Until: f.turn(f.KeptUntil),
			Event: "the other contact has had its turn", Queued: true}
	case f.Awaited:
		return &Hold{Reason: ReasonNumber, Rule: "another contact waits for this number first", Until: later(f.turn(f.Now), f.Now.Add(time.Minute)),
			Event: "the other contact has had its turn", Queued: true}
	case f.Lines > 0 && f.LinesUsed+f.LinesReserved >= f.Lines:
		return &Hold{Reason: ReasonLinesBusy, Rule: fmt.Sprintf("at most %s at the same time (REDIAL_MAX_CALLS)", amount(f.Lines, "call")),
			Until: f.turn(f.LinesUntil), Event: "a call ends", Queued: true}
	case f.Rate > 0 && f.RateUsed+f.LinesReserved >= f.Rate:
		return &Hold{Reason: ReasonRate, Rule: fmt.Sprintf("at most %s in %s (REDIAL_DIAL_RATE)", amount(f.Rate, "dial"), f.Window),
			Until: f.turn(f.NextRateAt), Event: "a dial leaves the window", Queued: true}
	}
	return nil
}

// pauses are the rules behind a paused account.
var pauses = map[Reason]string{
	ReasonThrottled:   "the gateway refused a request of this account for its rate",
	ReasonUnreachable: "the last request placed no call (its attempt says why): the account waits 5s, 30s, then 2m at a time",
}

// turn is when a queued contact asks again if nothing wakes it: the time its capacity is due, later by as many rounds
// as the queue before it takes.
func (f Facts) turn(due time.Time) time.Time {
	due = later(due, f.Now.Add(time.Second))
	rounds := 0
	if f.Rate > 0 {
		rounds = f.Ahead / f.Rate
	}
	if f.Lines > 0 {
		rounds = max(rounds, f.Ahead/f.Lines)
	}
	return due.Add(time.Duration(1+rounds) * max(f.Window, time.Second))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
