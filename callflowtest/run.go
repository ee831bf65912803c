package callflowtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
)

// Run is what came of one call flow.
type Run struct {
	kit     *Kit
	id      string // of the workflow
	started time.Time
	ended   time.Time
	result  call.Result
	err     error
	endless string // why the flow is taken for one that never ends

	events      []Event
	dials       []Dial
	escalations []followup.Escalated
	renewals    int
	steps       int // dials and waits
	acts        int // timers and activities
	firstRunID  string
	inTransit   []Delivery
}

// Result is what the flow returned; the test ends here when it returned none.
func (r *Run) Result() call.Result {
	r.kit.t.Helper()
	if r.err != nil {
		r.kit.t.Fatalf("the flow has no result: %v\n\n%s", r.err, r.Timeline())
	}
	return r.result
}

// Err is why the flow has no result; nil: it has one.
func (r *Run) Err() error { return r.err }

// Dials are the requests that may have rung a phone, in order.
func (r *Run) Dials() []Dial { return slices.Clone(r.dials) }

// Escalations are what people were told.
func (r *Run) Escalations() []followup.Escalated { return slices.Clone(r.escalations) }

// Decisions is the contact's decision log.
func (r *Run) Decisions() []Decided { return r.kit.ledger.Decisions(r.id) }

// Notes are what the flow has noted, in order.
func (r *Run) Notes() (notes []string) {
	for _, e := range r.events {
		if e.Kind == KindNote {
			notes = append(notes, e.Text)
		}
	}
	return notes
}

// Events are the lines of the timeline.
func (r *Run) Events() []Event { return slices.Clone(r.events) }

// Renewals is how often the flow was continued in a new run.
func (r *Run) Renewals() int { return r.renewals }

// Lasted is how long the flow took, by its own clock.
func (r *Run) Lasted() time.Duration { return r.ended.Sub(r.started) }

// Timeline is what happened, one line for each event, in the zone of Kit.At. Of a very long one the middle is left out.
func (r *Run) Timeline() string {
	const head, tail = 100, 40
	var shown []Event
	for _, e := range r.events {
		if !hidden[e.Kind] {
			shown = append(shown, e)
		}
	}
	l := newTimeline(r.id, r.started, r.kit.zone)
	for i, e := range shown {
		switch left := len(shown) - head - tail; {
		case left <= 0 || i < head || i >= head+left:
			e.show(l)
		case i == head:
			l.LeaveOut(left)
		}
	}
	return l.String()
}

// Fail fails the test with the contact's timeline.
func (r *Run) Fail(why string) {
	r.kit.t.Helper()
	r.kit.t.Errorf("%s\n\n%s", why, r.Timeline())
}

func (r *Run) failf(format string, args ...any) {
	r.kit.t.Helper()
	r.Fail(fmt.Sprintf(format, args...))
}

// Keeps fails the test when a promise is broken.
func (r *Run) Keeps(promises ...Promise) *Run {
	r.kit.t.Helper()
	for _, p := range promises {
		if err := p(r); err != nil {
			r.failf("%v", err)
		}
	}
	return r
}

// NeverDialedOutside fails the test when a call was dialed outside a window of the day, such as "09:00-20:00", in a zone.
func (r *Run) NeverDialedOutside(window string, zone *time.Location) *Run {
	r.kit.t.Helper()
	return r.Keeps(NeverDialedOutside(window, zone))
}

// AtMost fails the test when more than n calls were dialed within any such time.
func (r *Run) AtMost(n int, per time.Duration) *Run {
	r.kit.t.Helper()
	return r.Keeps(AtMost(n, per))
}

// OneInFlightPerNumber fails the test when a number was dialed while a call to it was under way.
func (r *Run) OneInFlightPerNumber() *Run {
	r.kit.t.Helper()
	return r.Keeps(OneInFlightPerNumber())
}

// Ended fails the test unless the flow has ended, with exactly one outcome.
func (r *Run) Ended() *Run {
	r.kit.t.Helper()
	return r.Keeps(Ended())
}

// Outcome fails the test unless the contact ended with this outcome.
func (r *Run) Outcome(o call.Outcome) *Run {
	r.kit.t.Helper()
	if r.err != nil {
		r.failf("the outcome should be %s, and the flow has none: %v", o, r.err)
	} else if r.result.Outcome != o {
		r.failf("the outcome should be %s, and is %s", o, r.result.Outcome)
	}
	return r
}

// EscalatedWith fails the test unless people were told, once, with a reason that holds this text.
func (r *Run) EscalatedWith(reason string) *Run {
	r.kit.t.Helper()
	switch {
	case len(r.escalations) != 1:
		r.failf("people should be told once, with %q, and were told %d times", reason, len(r.escalations))
	case !strings.Contains(r.escalations[0].Reason, reason):
		r.failf("people should be told %q, and were told %q", reason, r.escalations[0].Reason)
	}
	return r
}

// DialedAt fails the test unless calls were dialed at these times and no others.
func (r *Run) DialedAt(times ...time.Time) *Run {
	r.kit.t.Helper()
	var dialed []time.Time
	for _, d := range r.dials {
		dialed = append(dialed, d.At)
	}
	if !slices.EqualFunc(dialed, times, time.Time.Equal) {
		r.failf("there should be dials at %s, and there were at %s", r.spell(times), r.spell(dialed))
	}
	return r
}

// Dialed fails the test unless these numbers were dialed, in this order.
func (r *Run) Dialed(numbers ...string) *Run {
	r.kit.t.Helper()
	var dialed []string
	for _, d := range r.dials {
		dialed = append(dialed, d.Number)
	}
	want := slices.Clone(numbers)
	for i := range want {
		want[i] = strings.TrimPrefix(want[i], "tel:")
	}
	if !slices.Equal(dialed, want) {
		r.failf("dialed should be %v, and were %v", want, dialed)
	}
	return r
}

// Gaps fails the test unless these times lay between the dials: from each to the next.
func (r *Run) Gaps(gaps ...time.Duration) *Run {
	r.kit.t.Helper()
	var have []time.Duration
	for i := 1; i < len(r.dials); i++ {
		have = append(have, r.dials[i].At.Sub(r.dials[i-1].At))
	}
	if !slices.Equal(have, gaps) {
		r.failf("there should be %v between the dials, and there were %v", gaps, have)
	}
	return r
}

func (r *Run) spell(times []time.Time) string {
	var said []string
	for _, t := range times {
		said = append(said, t.In(r.kit.zone).Format("Mon 2 Jan 15:04:05"))
	}
	return "[" + strings.Join(said, ", ") + "]"
}
