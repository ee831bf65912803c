package callflowtest

import (
	"fmt"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
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

// timeline prints events, one a line, in the contact's zone.
type timeline struct {
	zone  *time.Location
	start time.Time
	out   strings.Builder
	day   string
	shift int // offset of the zone at the last line, in seconds
}

func newTimeline(title string, start time.Time, zone *time.Location) *timeline {
	l := &timeline{zone: zone, start: start}
	_, l.shift = start.In(zone).Zone()
	fmt.Fprintf(&l.out, "%s · from %s\n", title, start.In(zone).Format("Mon 2 Jan 2006 15:04:05 MST"))
	return l
}

func (l *timeline) add(e Event) {
	at := e.At.In(l.zone)
	name, shift := at.Zone()
	if shift != l.shift {
		fmt.Fprintf(&l.out, "%24s──  the clocks have changed by %s: %s  ──\n", "", signed(time.Duration(shift-l.shift)*time.Second), name)
		l.shift = shift
	}
	day := at.Format("Mon _2 Jan")
	shown := day
	if day == l.day {
		shown = ""
	}
	l.day = day
	n := ""
	if e.N > 0 {
		n = fmt.Sprintf("#%d", e.N)
	}
	line := fmt.Sprintf("  %-10s  %s  %13s  %3s  %-9s  %s", shown, at.Format("15:04:05"), elapsed(e.At.Sub(l.start)), n, e.Kind, l.text(e))
	l.out.WriteString(strings.TrimRight(line, " ") + "\n")
}

// leaveOut says that lines are left out.
func (l *timeline) leaveOut(n int) {
	fmt.Fprintf(&l.out, "%24s──  %d lines are left out  ──\n", "", n)
	l.day = ""
}

func (l *timeline) text(e Event) string {
	text := e.Text
	if !e.Until.IsZero() {
		text += " until " + l.moment(e.Until)
	}
	if e.Kind == KindDecided && !e.Until.IsZero() {
		text = fmt.Sprintf("%s, at %s", e.Text, l.moment(e.Until))
	}
	if e.Rule != "" && e.Rule != e.Text {
		text += "  (" + e.Rule + ")"
	}
	return strings.TrimLeft(text, " ")
}

// moment is a time as short as it can be said beside the line that it stands in.
func (l *timeline) moment(at time.Time) string {
	local := at.In(l.zone)
	if local.Format("Mon _2 Jan") == l.day {
		return local.Format("15:04:05")
	}
	return local.Format("Mon 2 Jan 15:04:05")
}

// elapsed is a duration for a column: +1d 04:00:20.
func elapsed(d time.Duration) string {
	const day = 24 * time.Hour
	clock := fmt.Sprintf("%02d:%02d:%02d", d%day/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second)
	if d >= day {
		return fmt.Sprintf("+%dd %s", d/day, clock)
	}
	return "+" + clock
}

func signed(d time.Duration) string {
	text := strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
	if d > 0 {
		return "+" + text
	}
	return text
}
