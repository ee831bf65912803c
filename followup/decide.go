package followup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
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
	Target   *call.Target `json:"target,omitempty"`   // retry: the next number; nil: the same
	Outcome  call.Outcome `json:"outcome,omitempty"`  // finish and escalate: how the contact ended
	Promised bool         `json:"promised,omitempty"` // retry: a callback that was promised
	Suppress bool         `json:"suppress,omitempty"` // the number is never to be called again
	Reason   string       `json:"reason"`             // in words, for a person
	Rule     string       `json:"rule"`               // the key of the policy that decided
}

// Same tells whether two decisions come to the same, in whatever words.
func (d Decision) Same(as Decision) bool {
	target := d.Target == as.Target || d.Target != nil && as.Target != nil && *d.Target == *as.Target
	return target && d.At.Equal(as.At) && d.Action == as.Action && d.Outcome == as.Outcome && d.Promised == as.Promised && d.Suppress == as.Suppress
}

// Plan is what a policy that has changed makes of a contact that waits.
type Plan struct {
	Policy   *Policy   `json:"policy,omitempty"`   // the newest version of the one that the contact follows; nil: its run's own holds
	Version  int       `json:"version,omitempty"`  // of Policy, in the ledger
	Decision *Decision `json:"decision,omitempty"` // what follows its last attempt; nil: nothing was decided on that
}

// UnknownPolicyError says that the ledger keeps no policy under a name.
type UnknownPolicyError struct{ Name string }

func (e *UnknownPolicyError) Error() string {
	return fmt.Sprintf("the ledger has no policy %.60q: see redial policy list, or put it there with redial policy put", e.Name)
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
	// Zone is the time zone that was stated for Target.
	Zone string `json:"zone,omitempty"`
	// Follows is the policy of the ledger by which the contact goes; empty: it goes by its run's own.
	Follows string `json:"follows,omitempty"`
}

// Contact is what a decision is made from: when the contact was opened, and its attempts in the order of their numbers.
type Contact struct {
	OpenedAt time.Time
	Target   call.Target   // of the last attempt
	Numbers  []call.Target // all that the contact has, in the order in which they are tried
	Attempts []call.Attempt
	Results  map[string]call.BotResult // what the bot has said of attempts, by their keys
}

// Numbers are targets in their order, each of them once: whoever goes from one to the next comes to an end.
func Numbers(all []call.Target) []call.Target {
	var once []call.Target
	for _, t := range all {
		if !slices.ContainsFunc(once, func(have call.Target) bool { return have.URI == t.URI }) {
			once = append(once, t)
		}
	}
	return once
}

// Further is the number after one of several; false when there is none.
func Further(all []call.Target, now call.Target) (call.Target, bool) {
	all = Numbers(all)
	at := slices.IndexFunc(all, func(t call.Target) bool { return t.URI == now.URI })
	if at < 0 || at+1 >= len(all) {
		return call.Target{}, false
	}
	return all[at+1], true
}

// further is the number after the one that was dialed last; false when there is none.
func (c Contact) further() (call.Target, bool) { return Further(c.Numbers, c.Target) }

// business tells whether a disposition is that of a business attempt: no technical fault, no number that does not exist, and no
// refusal on the way by an analytics engine.
func business(d call.Disposition) bool {
	return !d.Technical() && d != call.InvalidNumber && d != call.Blocked
}

// Decide says what follows the contact's last attempt, at the time now. Retry lists count per disposition, or per result, over the
// whole contact; technical dispositions, invalid_number and blocked are no business attempts. Whoever has opted out is done with, and a
// callback that was promised is kept, whatever the rules say.
func (p Policy) Decide(c Contact, now time.Time) Decision {
	jitter := p.Jitter
	p = p.WithDefaults()
	p.Jitter = jitter // a run that was started without one keeps none
	last := c.Attempts[len(c.Attempts)-1]
	rule := p.On[last.Disposition]
	key := fmt.Sprintf("%s: on.%s", p.Name, last.Disposition)
	why := string(last.Disposition)
	same, used := c.count(func(a call.Attempt) bool { return a.Disposition == last.Disposition })
	said := c.Results[last.Key].Kind
	switch {
	case said == call.OptedOut:
		return Decision{Action: ActionFinish, Outcome: call.OutcomeOptedOut, Suppress: true, Reason: "the bot says that the person opted out", Rule: key + ".opted_out"}
	case said == call.Callback && !c.Results[last.Key].At.IsZero():
		return p.callBack(c, now, c.Results[last.Key].At, used, key+".callback")
	case rule.WaitResult > 0:
		kind := cmp.Or(said, NoResult)
		rule, _ = rule.Result(kind)
		key, why = fmt.Sprintf("%s.%s", key, kind), fmt.Sprintf("%s, %s", last.Disposition, kind)
		same, _ = c.count(func(a call.Attempt) bool {
			return a.Disposition == last.Disposition && cmp.Or(c.Results[a.Key].Kind, NoResult) == kind
		})
	}
	if at, missed := c.promised(now); missed {
		return p.callBack(c, now, at, used, key+", and a callback is still owed")
	}
	switch {
	case rule.Do == VerbNextNumber:
		return p.nextNumber(c, now, used, why, key+": "+string(rule.Do))
	case rule.Do != "":
		return perform(rule.Do, last, why, key+": "+string(rule.Do))
	case same > len(rule.Retry) || last.Permanent:
		return p.exhausted(rule, c, now, same, used, why, key)
	case business(last.Disposition) && used >= p.Attempts:
		return p.used(last)
	}
	delay := rule.Retry[same-1]
	return p.retry(c, now, delay, nil, fmt.Sprintf("%s, retry %d of %d", why, same, len(rule.Retry)), fmt.Sprintf("%s.retry[%d]: %s", key, same-1, delay))
}

// callBack keeps a promise: the contact is called at its time, ahead of everybody who waits.
func (p Policy) callBack(c Contact, now, at time.Time, used int, key string) Decision {
	if used >= p.Attempts {
		return p.used(c.Attempts[len(c.Attempts)-1])
	}
	steady := p
	steady.Jitter = nil
	d := steady.retry(c, now, Delay{After: Duration(max(0, at.Sub(now)))}, nil, "a callback was promised for "+at.UTC().Format(time.RFC3339), key)
	d.Promised = d.Action == ActionRetry
	return d
}

// zone is a zone in which the recipient may be; UTC, where nobody knows.
func (c Contact) zone() *time.Location {
	if o, err := (Window{}).forTarget("", c.Target); err == nil {
		return o.local
	}
	return time.UTC
}

// missedMost is how many days a callback is tried again at its hour when nobody was reached.
const missedMost = 2

// promised is when a callback that was promised, and at which nobody was spoken to, is tried again: the next day at the same hour.
func (c Contact) promised(now time.Time) (at time.Time, missed bool) {
	since := 0
	for i := len(c.Attempts) - 1; i >= 0; i-- {
		a := c.Attempts[i]
		if r := c.Results[a.Key]; r.Kind == call.Callback && !r.At.IsZero() {
			for at = r.At.In(c.zone()); !at.After(now); {
				at = at.AddDate(0, 0, 1)
			}
			return at, since > 0 && since <= missedMost
		}
		if a.Disposition == call.Human || a.Disposition == call.Answered {
			return at, false
		}
		if !a.Disposition.Technical() {
			since++
		}
	}
	return at, false
}

// count is how many attempts are alike, and how many were business attempts.
func (c Contact) count(alike func(call.Attempt) bool) (same, used int) {
	for _, a := range c.Attempts {
		if alike(a) {
			same++
		}
		if business(a.Disposition) {
			used++
		}
	}
	return same, used
}

// used is what follows when all business attempts are used.
func (p Policy) used(last call.Attempt) Decision {
	return Decision{Action: ActionFinish, Outcome: call.OutcomeExhausted, Rule: p.Name + ": attempts",
		Reason: fmt.Sprintf("%s, and all %d attempts are used", last.Disposition, p.Attempts)}
}

// retry dials again after a delay, another number where one is given; or it ends the contact when that is past its life.
func (p Policy) retry(c Contact, now time.Time, delay Delay, to *call.Target, reason, rule string) Decision {
	if to != nil {
		c.Target = *to
	}
	end := c.OpenedAt.Add(time.Duration(p.Lifetime))
	at, moved, err := p.when(c, now, end, delay)
	var closed *closedToError
	if errors.As(err, &closed) {
		return p.passOver(c, now, delay, closed, reason, rule)
	}
	if err != nil || at.After(end) {
		return Decision{Action: ActionFinish, Outcome: call.OutcomeExpired, Rule: cmp.Or(moved, p.Name+": lifetime"),
			Reason: fmt.Sprintf("%s, and the next attempt would be after the lifetime of %s", c.Attempts[len(c.Attempts)-1].Disposition, p.Lifetime)}
	}
	if moved != "" {
		rule += ", moved by " + moved
	}
	return Decision{Action: ActionRetry, At: at, Target: to, Rule: rule, Reason: reason}
}

// passOver goes on with the number after one for which the window has no hours, as where clearance refuses that; without one, the contact
// ends.
func (p Policy) passOver(c Contact, now time.Time, delay Delay, closed *closedToError, reason, rule string) Decision {
	if to, found := c.further(); found {
		return p.retry(c, now, delay, &to, fmt.Sprintf("%s, at a further number: %s", reason, closed), rule)
	}
	r := closedTo(closed)
	return Decision{Action: ActionFinish, Outcome: r.Outcome, Rule: r.Rule,
		Reason: fmt.Sprintf("%s, and %s", c.Attempts[len(c.Attempts)-1].Disposition, r.Reason)}
}

// nextNumber goes on with the contact's next number at once; without one, the disposition is the outcome.
func (p Policy) nextNumber(c Contact, now time.Time, used int, why, key string) Decision {
	last := c.Attempts[len(c.Attempts)-1]
	to, found := c.further()
	switch {
	case !found:
		d := perform(VerbStop, last, why, key)
		d.Reason += ", and there is no further number"
		return d
	case used >= p.Attempts:
		return p.used(last)
	}
	return p.retry(c, now, Delay{}, &to, fmt.Sprintf("%s, the next number", why), key)
}

// errNever says that a window does not open in time.
var errNever = errors.New("the calling window does not open in time")

// when is when a retry is made: after its delay, or, where that is outside the calling window, in the next part of the day in which
// the contact was not called yet. Moved is the rule that was in the way.
func (p Policy) when(c Contact, now, end time.Time, delay Delay) (at time.Time, moved string, err error) {
	key := c.Attempts[len(c.Attempts)-1].Key
	if p.Window.IsZero() {
		return now.Add(p.jittered(delay.wait(), key)), "", nil
	}
	o, err := p.Window.forTarget(p.Name, c.Target)
	if err != nil {
		return now, "", err
	}
	var tried []time.Time
	for _, a := range c.Attempts {
		tried = append(tried, a.DialedAt)
	}
	want := now
	if !delay.NextWindow {
		want = now.Add(p.jittered(delay.wait(), key))
	}
	at, moved, found := o.place(want, end, p.Dial.ring(), delay.NextWindow, tried, key)
	if !found {
		return end, moved, errNever
	}
	return at, moved, nil
}

// jittered is a delay, longer or shorter by up to the policy's jitter: contacts that were called together are not called together
// again. For one attempt it is always the same.
func (p Policy) jittered(delay time.Duration, key string) time.Duration {
	if p.Jitter == nil || *p.Jitter == 0 {
		return delay
	}
	const steps = 1 << 20
	at := float64(hashed("jitter "+key)%(2*steps+1))/steps - 1 // -1 to 1
	return delay + time.Duration(at*float64(*p.Jitter)/100*float64(delay)).Round(time.Millisecond)
}

// exhausted is what follows when a disposition has no retry left, or when another try would only fail again.
func (p Policy) exhausted(rule Rule, c Contact, now time.Time, same, used int, was, key string) Decision {
	last := c.Attempts[len(c.Attempts)-1]
	why := fmt.Sprintf("%s %d times, no retry left", was, same)
	if last.Permanent {
		why = fmt.Sprintf("%s for good: %s", last.Disposition, last.Error)
	}
	_, further := c.further()
	switch {
	case rule.Then == VerbNextNumber && further:
		return p.nextNumber(c, now, used, why, key+".then: "+string(rule.Then))
	case rule.Then == "" || rule.Then == VerbNextNumber:
		return Decision{Action: ActionFinish, Outcome: call.OutcomeExhausted, Reason: why, Rule: key}
	}
	return perform(rule.Then, last, why, key+".then: "+string(rule.Then))
}

// perform is a verb that ends the contact.
func perform(verb Verb, last call.Attempt, why, key string) Decision {
	d := Decision{Action: ActionFinish, Outcome: call.Outcome(last.Disposition), Reason: why, Rule: key}
	switch verb {
	case VerbEscalate:
		d.Action, d.Outcome = ActionEscalate, call.OutcomeEscalated
	case VerbSuppress:
		d.Outcome, d.Suppress = call.OutcomeSuppressed, true
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
