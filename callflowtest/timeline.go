package callflowtest

import (
	"fmt"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
	"redial/internal/timeline"
)

// Kind is what an event of a timeline is about.
type Kind string

// Kinds of events.
const (
	KindDial      Kind = "dial"      // a request to dial that may have rung a phone
	KindNotPlaced Kind = "no call"   // a request that was provably no call
	KindAnswered  Kind = "answered"  // the call was answered
	KindVerdict   Kind = "verdict"   // detection said who answered
	KindEnd       Kind = "end"       // the end of the call was heard
	KindGivenUp   Kind = "given up"  // no end was heard in time
	KindResult    Kind = "result"    // the bot said what came of it
	KindDecided   Kind = "decided"   // the policy was asked
	KindReplanned Kind = "replanned" // the policy was asked anew, because it has changed
	KindHeld      Kind = "held"      // a wait, with its reason, its rule and its end
	KindWake      Kind = "wake"      // a wait ended before its time
	KindNote      Kind = "note"      // the flow's own words
	KindRefused   Kind = "refused"   // the target must not be called
	KindEscalated Kind = "escalated" // people were told
	KindOutcome   Kind = "outcome"   // the contact has its outcome
	KindRenewed   Kind = "renewed"   // the flow went on in a new run
	KindCanceled  Kind = "canceled"  // the run was asked to stop
	KindFailed    Kind = "failed"    // the flow failed
)

// Event is one line of a contact's timeline.
type Event struct {
	At         time.Time
	WorkflowID string
	N          int // the attempt; 0: the contact
	Kind       Kind
	Text       string
	Rule       string    // the rule behind it, or what is to be remarked
	Until      time.Time // of a wait, or of what was decided

	escalated *followup.Escalated
}

// hidden are the events that say nothing that another line does not.
var hidden = map[Kind]bool{"cleared": true, "finished": true}

// describe is an ended attempt in a few words.
func describe(a call.Attempt) string {
	text := string(a.Disposition)
	switch {
	case a.Status == call.StatusFailed:
		text += fmt.Sprintf(", %d %s", a.SIP, a.Reason)
	case a.DurationS > 0:
		text += fmt.Sprintf(", after %s", time.Duration(a.DurationS)*time.Second)
	}
	if a.EndedBy != "" {
		text += fmt.Sprintf(", the %s hung up", a.EndedBy)
	}
	return text
}

func describeResult(r call.BotResult) string {
	text := string(r.Kind)
	if !r.At.IsZero() {
		text += " at " + r.At.Format(time.RFC3339)
	}
	if len(r.Data) > 0 {
		text += " " + string(r.Data)
	}
	return text
}

// newTimeline begins a timeline in the contact's zone.
func newTimeline(title string, start time.Time, zone *time.Location) *timeline.Timeline {
	l := timeline.New(start, zone)
	l.Title(fmt.Sprintf("%s · from %s", title, start.In(zone).Format("Mon 2 Jan 2006 15:04:05 MST")))
	return l
}

// show adds the event to a timeline.
func (e Event) show(l *timeline.Timeline) {
	text := e.Text
	switch {
	case e.Until.IsZero():
	case e.Kind == KindDecided, e.Kind == KindReplanned:
		text += ", at " + l.Moment(e.Until, e.At)
	default:
		text += " until " + l.Moment(e.Until, e.At)
	}
	if e.Rule != "" && e.Rule != e.Text {
		text += "  (" + e.Rule + ")"
	}
	l.Add(e.At, e.N, string(e.Kind), strings.TrimLeft(text, " "))
}
