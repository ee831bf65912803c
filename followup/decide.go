package followup

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"redial/call"
)

// Action is what a decision makes the flow do.
type Action string

const (
	ActionRetry    Action = "retry"    // dial again at Decision.At
	ActionFinish   Action = "finish"   // the contact has its outcome
	ActionEscalate Action = "escalate" // the contact has its outcome, and people are told
)

// Decision is what follows an attempt. It is written to the ledger and to the flow's history, never worked out again.
type Decision struct {
	Action   Action       `json:"action"`
	At       time.Time    `json:"at,omitzero"`        // retry: when
	Outcome  call.Outcome `json:"outcome,omitempty"`  // finish and escalate: how the contact ended
	Suppress bool         `json:"suppress,omitempty"` // the number is never to be called again
	Reason   string       `json:"reason"`             // in words, for a person
	Rule     string       `json:"rule"`               // the key of the policy that decided
}

// Final tells whether the contact has its outcome.
func (d Decision) Final() bool { return d.Action != ActionRetry }

// Note is a line that a flow adds to its contact's decision log.
type Note struct {
	N    int       `json:"n"` // counted from 1 in the flow
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// Claim names a contact and the run that it belongs to.
type Claim struct {
	WorkflowID string `json:"workflow_id"`
	FirstRunID string `json:"first_run_id"`
	ContactID  string `json:"contact_id"`
	Campaign   string `json:"campaign,omitempty"`
	Target     string `json:"target,omitempty"`
}

// Contact is what a decision is made from: when the contact was opened, and its attempts in the order of their numbers.
type Contact struct {
	OpenedAt time.Time
	Target   call.Target // of the last attempt
	Attempts []call.Attempt
}

// Decide says what follows the contact's last attempt, at the time now. Retry lists count per disposition over the whole
// contact; technical dispositions are no business attempts.
func (p Policy) Decide(c Contact, now time.Time) Decision {
	p = p.WithDefaults()
	last := c.Attempts[len(c.Attempts)-1]
	disposition := last.Disposition
	rule := p.On[disposition]
	key := fmt.Sprintf("%s: on.%s", p.Name, disposition)
	if rule.Do != "" {
		return p.perform(rule.Do, last, key+": "+string(rule.Do))
	}
	same, business := 0, 0
	for _, a := range c.Attempts {
		if a.Disposition == disposition {
			same++
		}
		if !a.Disposition.Technical() {
			business++
		}
	}
	if same > len(rule.Retry) || last.Permanent {
		return p.exhausted(rule, last, same, key)
	}
	if !disposition.Technical() && business >= p.Attempts {
		return Decision{Action: ActionFinish, Outcome: call.OutcomeExhausted, Rule: p.Name + ": attempts",
			Reason: fmt.Sprintf("%s, and all %d attempts are used", disposition, p.Attempts)}
	}
	delay := rule.Retry[same-1]
	end := c.OpenedAt.Add(time.Duration(p.Lifetime))
	at, moved, err := p.when(c, now, end, delay)
	if err != nil || at.After(end) {
		return Decision{Action: ActionFinish, Outcome: call.OutcomeExpired, Rule: cmp.Or(moved, p.Name+": lifetime"),
			Reason: fmt.Sprintf("%s, and the next attempt would be after the lifetime of %s", disposition, p.Lifetime)}
	}
	rules := fmt.Sprintf("%s.retry[%d]: %s", key, same-1, delay)
	if moved != "" {
		rules += ", moved by " + moved
	}
	return Decision{Action: ActionRetry, At: at, Rule: rules, Reason: fmt.Sprintf("%s, retry %d of %d", disposition, same, len(rule.Retry))}
}

// errNever says that a window does not open in time.
var errNever = errors.New("the calling window does not open in time")

// when is when a retry is made: after its delay, or, where that is outside the calling window, in the next part of the day in which
// the contact was not called yet. Moved is the rule that was in the way.
func (p Policy) when(c Contact, now, end time.Time, delay Delay) (at time.Time, moved string, err error) {
	if p.Window.IsZero() {
		return now.Add(delay.wait()), "", nil
	}
	o, err := p.Window.forTarget(p.Name, c.Target)
	if err != nil {
		return now, p.Name + ": window", err
	}
	var tried []time.Time
	for _, a := range c.Attempts {
		tried = append(tried, a.DialedAt)
	}
	want := now
	if !delay.NextWindow {
		want = now.Add(delay.wait())
	}
	at, moved, found := o.place(want, end, p.Dial.ring(), delay.NextWindow, tried, c.Attempts[len(c.Attempts)-1].Key)
	if !found {
		return end, moved, errNever
	}
	return at, moved, nil
}

// exhausted is what follows when a disposition has no retry left, or when another try would only fail again.
func (p Policy) exhausted(rule Rule, last call.Attempt, same int, key string) Decision {
	why := fmt.Sprintf("%s %d times, no retry left", last.Disposition, same)
	if last.Permanent {
		why = fmt.Sprintf("%s for good: %s", last.Disposition, last.Error)
	}
	if rule.Then == "" || rule.Then == VerbNextNumber {
		return Decision{Action: ActionFinish, Outcome: call.OutcomeExhausted, Reason: why, Rule: key}
	}
	d := p.perform(rule.Then, last, key+".then: "+string(rule.Then))
	d.Reason = why
	return d
}

// perform is a verb. A contact has one number in this version, so next_number finds none and the disposition stands.
func (p Policy) perform(verb Verb, last call.Attempt, key string) Decision {
	d := Decision{Action: ActionFinish, Outcome: call.Outcome(last.Disposition), Reason: string(last.Disposition), Rule: key}
	switch verb {
	case VerbEscalate:
		d.Action, d.Outcome = ActionEscalate, call.OutcomeEscalated
	case VerbSuppress:
		d.Outcome, d.Suppress = call.OutcomeSuppressed, true
	case VerbNextNumber:
		d.Reason += ", and there is no further number"
	}
	return d
}

// Escalated is what people are told about a contact that was escalated.
type Escalated struct {
	WorkflowID string         `json:"workflow_id"`
	ContactID  string         `json:"contact_id"`
	Campaign   string         `json:"campaign,omitempty"`
	To         string         `json:"to"`
	Reason     string         `json:"reason"`
	Rule       string         `json:"rule"`
	At         time.Time      `json:"at"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	Attempts   []call.Attempt `json:"attempts"`
}
