package call

import (
	"fmt"
	"time"
)

// VerdictHold is how long the end of a completed call is held back for a verdict that travels behind it. Upstream
// sends every notification as a request of its own and waits for none, so that the last two often swap.
const VerdictHold = 2 * time.Second

// Effect is what an event did to an attempt.
type Effect struct {
	Changed  bool   // the attempt differs, and its sequence number grew
	Answered bool   // this event was the first sign that somebody or something answered
	Verdict  bool   // this event brought a verdict stronger than any before
	Ended    bool   // this event ended the attempt
	Late     bool   // it came after the disposition was final
	Anomaly  string // what contradicts the attempt as it stood; empty: nothing does
}

// Fold applies one event to the attempt. The disposition does not depend on the order in which the events of a call
// arrive, nor on how often each does, as long as they arrive before it is settled; of two ends that contradict each
// other the first stands. An ended attempt is never reopened.
//
// An end that names a verdict is final at once. An answered call whose end names none is held for VerdictHold, and the
// strongest verdict heard in mid-call or in that time counts.
func (a *Attempt) Fold(e Event) Effect {
	if a.State == StateEnded && !e.ReceivedAt.Before(a.SettledAt) {
		return Effect{Late: true, Anomaly: a.contradiction(e)}
	}
	var f Effect
	before := *a
	a.identify(e)
	switch {
	case a.State == StateEnded && e.Status.Terminal():
		if f.Anomaly = a.contradiction(e); f.Anomaly == "" && e.AMD.IsVerdict() {
			f.Verdict = true
			a.AMD, a.SettledAt = e.AMD, e.ReceivedAt
		}
	case e.Status.Terminal():
		f.Anomaly = a.surprise()
		f.Ended, f.Verdict = true, e.AMD.IsVerdict()
		a.end(e)
	default:
		f.Anomaly = a.surprise()
		f.Verdict = a.hear(e.AMD)
		if e.Status == StatusAnswered || e.Status == StatusProgress || e.AMD.isEvent() {
			f.Answered = a.answer(e)
		}
		if a.State != StateEnded && a.Disposition != Unknown {
			a.State, a.Disposition, a.Error, a.Permanent = StatePlaced, "", "", false
		}
	}
	if a.State == StateEnded {
		a.Disposition = a.dispose()
		a.SuspectedHuman = a.Disposition == Machine && a.EndedBy == PartyCallee && time.Duration(a.DurationS)*time.Second <= QuickHangup
	}
	if *a != before {
		a.Seq++
		f.Changed = true
	}
	return f
}

// surprise names what is odd about hearing of this attempt at all.
func (a *Attempt) surprise() string {
	if a.State == StateNotPlaced {
		return "the gateway refused this call and now reports on it"
	}
	return ""
}

// contradiction names what a further end says against the first one; events that are no end contradict nothing.
func (a *Attempt) contradiction(e Event) string {
	if !e.Status.Terminal() {
		return ""
	}
	switch {
	case e.Status != a.Status:
		return fmt.Sprintf("a second end says %s, the first said %s", e.Status, a.Status)
	case a.Status == StatusFailed && e.SIP != a.SIP:
		return fmt.Sprintf("a second end says SIP %d, the first said %d", e.SIP, a.SIP)
	case a.Status == StatusCompleted && e.AMD.IsVerdict() && a.AMD.IsVerdict() &&
		verdicts[e.AMD].disposition != verdicts[a.AMD].disposition:
		return fmt.Sprintf("a second end says %s, the first said %s", e.AMD, a.AMD)
	}
	return ""
}

// identify fills in the gateway's ids; the first value heard of each stands.
func (a *Attempt) identify(e Event) {
	first := func(have *string, heard string) {
		if *have == "" {
			*have = heard
		}
	}
	first(&a.SID, e.SID)
	first(&a.CallID, e.CallID)
	first(&a.ConversationID, e.ConversationID)
	first(&a.SessionID, e.SessionID)
}

// hear keeps the stronger of what was heard in mid-call, and tells whether it is a verdict stronger than any before.
// Where detection is off there is nothing to hear.
func (a *Attempt) hear(heard AMD) bool {
	if !a.Detection {
		return false
	}
	before := a.AMD
	a.AMD = stronger(a.AMD, heard)
	return a.AMD != before && a.AMD.IsVerdict()
}

// answer notes when the answer was reported, and tells whether it is the first sign of it.
func (a *Attempt) answer(e Event) bool {
	first := a.AnsweredAt.IsZero()
	if first || e.ReceivedAt.Before(a.AnsweredAt) {
		a.AnsweredAt = e.ReceivedAt
	}
	return first
}

func (a *Attempt) end(e Event) {
	a.State, a.Status, a.Error, a.Permanent = StateEnded, e.Status, "", false
	a.SIP, a.Reason, a.ReasonCode, a.EndedBy = e.SIP, e.Reason, e.ReasonCode, e.EndedBy
	a.EndedAt, a.SettledAt = e.ReceivedAt, e.ReceivedAt
	a.DurationS = int64(e.Duration / time.Second)
	if e.Status == StatusFailed {
		a.AMD, a.AnsweredAt = e.AMD, time.Time{}
		return
	}
	if e.AMD.IsVerdict() {
		a.AMD = e.AMD
	} else {
		a.AMD = stronger(a.AMD, e.AMD)
	}
	if e.Duration > 0 || a.AnsweredAt.IsZero() {
		a.AnsweredAt = e.ReceivedAt.Add(-e.Duration)
	}
	if a.Detection && !e.AMD.IsVerdict() {
		a.SettledAt = e.ReceivedAt.Add(VerdictHold)
	}
}

// dispose is the disposition of an ended attempt.
func (a *Attempt) dispose() Disposition {
	if a.Status == StatusFailed {
		return ofFailed(a.SIP)
	}
	return ofCompleted(a.AMD)
}

// Answer applies the gateway's answer to the dial request. An event may have arrived before it and is believed over
// it: a call that has been reported on was placed, whatever the answer says. An attempt that was taken for unknown, because
// nobody had recorded an answer, is what the answer says when it comes after all.
func (a *Attempt) Answer(d DialAnswer) {
	before := *a
	a.identify(Event{SID: d.SID, CallID: d.CallID, ConversationID: d.ConversationID})
	if a.State == StateDialing || a.State == StateUnknown && a.Disposition == "" {
		switch d.Class {
		case AnswerPlaced:
			a.State, a.Error = StatePlaced, ""
		case AnswerUnknown:
			a.State, a.Error = StateUnknown, d.Message
		default:
			a.State, a.Disposition, a.Error = StateNotPlaced, NotPlaced, d.Message
			a.Permanent = d.Class == AnswerRefused
		}
	}
	if *a != before {
		a.Seq++
	}
}

// Close gives up listening for the end of a call, at the hard watchdog: an attempt whose end was heard is settled as it
// stands, any other becomes unknown. A late end still settles it.
func (a *Attempt) Close(at time.Time, why string) {
	before := *a
	switch a.State {
	case StateEnded:
		if at.Before(a.SettledAt) {
			a.SettledAt = at
		}
	case StateNotPlaced:
	default:
		a.State, a.Disposition = StateUnknown, Unknown
		if a.Error == "" {
			a.Error = why
		}
	}
	if *a != before {
		a.Seq++
	}
}

// Settle ends an attempt in doubt the way somebody found out; what the gateway reports from then on is late.
func (a *Attempt) Settle(as Disposition, at time.Time) {
	a.State, a.Disposition, a.EndedAt, a.SettledAt, a.Error = StateEnded, as, at, at, ""
	a.Seq++
}
