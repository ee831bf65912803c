package followup

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// By is what calls are counted by.
type By string

const (
	ByNumber  By = "number"  // the target, whoever it belongs to
	ByContact By = "contact" // the contact, whichever of its numbers is called
	BySubject By = "subject" // what the calls are about, such as a debt; the contact where none is stated
)

func bys() []By { return []By{ByNumber, ByContact, BySubject} }

// Limit is how many calls there may be in a time. Every call counts that may have rung a phone: also one that is in doubt.
type Limit struct {
	Calls int `json:"calls" yaml:"calls"` // 1 to 1000
	// Per is over what they are counted.
	Per Span `json:"per" yaml:"per"`
	By  By   `json:"by,omitempty" yaml:"by"` // default number
}

// Span is a time over which calls are counted: any stretch of that length, or the recipient's calendar day, which is written
// "day".
type Span struct {
	For Duration
	Day bool
}

func (s Span) String() string {
	if s.Day {
		return "day"
	}
	return s.For.String()
}

// MarshalText and UnmarshalText are the written form, in YAML and JSON alike.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Span) UnmarshalText(text []byte) error {
	if strings.TrimSpace(string(text)) == "day" {
		*s = Span{Day: true}
		return nil
	}
	length, err := ParseDuration(string(text))
	if err != nil {
		return &valueError{string(text), "is no time to count over: write it like 24h or 7d, or day for a calendar day"}
	}
	*s = Span{For: length}
	return nil
}

// UnmarshalYAML reads the written form.
func (s *Span) UnmarshalYAML(unmarshal func(any) error) error { return unmarshalText(s, unmarshal) }

// maxPer is the longest time that calls are counted over.
const maxPer = Duration(400 * day)

// Validate names what is out of range.
func (l Limit) Validate() error {
	switch {
	case l.Calls < 1 || l.Calls > 1000:
		return fmt.Errorf("calls: %d is out of range: write 1 to 1000", l.Calls)
	case !l.Per.Day && (l.Per.For <= 0 || l.Per.For > maxPer):
		return fmt.Errorf("per: %s is out of range: write up to 400d, or day", l.Per)
	case l.By != "" && !slices.Contains(bys(), l.By):
		return fmt.Errorf("by: %q is unknown: write one of %s", l.By, join(bys()))
	}
	return nil
}

func (l Limit) String() string {
	per := "in any " + inWords(l.Per.For)
	if l.Per.Day {
		per = "on a day"
	}
	return fmt.Sprintf("at most %s %s to a %s", amount(l.Calls, "call"), per, l.By.orNumber())
}

// amount is a number of things.
func amount(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// inWords is a length of time that nobody takes for a calendar day.
func inWords(d Duration) string {
	switch days := time.Duration(d) / day; {
	case time.Duration(d) == day:
		return "24 hours"
	case days > 1 && time.Duration(d) == days*day:
		return fmt.Sprintf("%d days", days)
	}
	return d.String()
}

func (b By) orNumber() By {
	if b == "" {
		return ByNumber
	}
	return b
}

// longestDay is a day on which the clock goes back.
const longestDay = 25 * time.Hour

// counts is how long a call counts after it was cleared: its request may have left SendWithin later. A calendar day counts as the
// longest one.
func (l Limit) counts() time.Duration {
	if l.Per.Day {
		return longestDay + SendWithin
	}
	return time.Duration(l.Per.For) + SendWithin
}

// next is when another call is within the limit, by the times at which the earlier ones were cleared, in order; now, when it is
// within it already. A calendar day has to allow it in each zone in which the recipient may be; where none is known, any stretch as
// long as a day has to.
func (l Limit) next(now time.Time, calls []time.Time, zones []*time.Location) time.Time {
	if l.Per.Day && len(zones) > 0 {
		next := now
		for _, d := range days(now, zones) {
			if d.count(calls) >= l.Calls {
				next = later(next, d.End)
			}
		}
		return next
	}
	if count(calls, now.Add(-l.counts())) >= l.Calls {
		return calls[len(calls)-l.Calls].Add(l.counts())
	}
	return now
}

// counted is how many of the earlier calls stand against one that is made now.
func (l Limit) counted(now time.Time, calls []time.Time, zones []*time.Location) (n int) {
	if !l.Per.Day || len(zones) == 0 {
		return count(calls, now.Add(-l.counts()))
	}
	for _, d := range days(now, zones) {
		n = max(n, d.count(calls))
	}
	return n
}

// days are the calendar days, by each clock, on which the request of a call may leave that is cleared now.
func days(now time.Time, zones []*time.Location) (all []Interval) {
	for _, zone := range zones {
		for _, at := range []time.Time{now, now.Add(SendWithin)} {
			d := DateOf(at.In(zone))
			all = append(all, Interval{d.begins(zone), d.next().begins(zone)})
		}
	}
	return all
}

// count is how many of the calls that were cleared may have been made in a time, or are to come.
func (i Interval) count(calls []time.Time) int { return count(calls, i.Start.Add(-SendWithin-1)) }

// count is how many times are after since.
func count(times []time.Time, since time.Time) int {
	n := 0
	for _, t := range times {
		if t.After(since) {
			n++
		}
	}
	return n
}

// Event is what may start a quiet period.
type Event string

const (
	EventConversation Event = "conversation" // a person was spoken to
	EventRefusal      Event = "refusal"      // a person declined, or does not want to be called
)

// Quiet is a time without calls after something has happened.
type Quiet struct {
	After Event    `json:"after" yaml:"after"`
	For   Duration `json:"for" yaml:"for"` // at most 400d
	By    By       `json:"by,omitempty" yaml:"by"`
}

func (q Quiet) validate() error {
	switch {
	case q.After != EventConversation && q.After != EventRefusal:
		return fmt.Errorf("after: %q is unknown: write %s or %s", q.After, EventConversation, EventRefusal)
	case q.For <= 0 || q.For > maxPer:
		return fmt.Errorf("for: %s is out of range: write up to 400d", q.For)
	case q.By != "" && !slices.Contains(bys(), q.By):
		return fmt.Errorf("by: %q is unknown: write one of %s", q.By, join(bys()))
	}
	return nil
}

func (q Quiet) String() string {
	return fmt.Sprintf("no call to a %s for %s after a %s", q.By.orNumber(), inWords(q.For), q.After)
}
