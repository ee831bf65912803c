package followup

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"redial/call"
	"redial/phone"
)

// Rules are what a policy says about who may be called, when and how often. They go with each request for leave to dial.
type Rules struct {
	Policy string  `json:"policy,omitempty"` // its name
	Window Window  `json:"window,omitzero"`
	Limits []Limit `json:"limits,omitempty"`
	Quiet  []Quiet `json:"quiet,omitempty"`
	// AboveCeilings is whether the policy's limits hold instead of the deployment's ceilings.
	AboveCeilings bool `json:"above_ceilings,omitempty"`
	// Ceilings are the deployment's, which the ledger puts in.
	Ceilings []Limit `json:"-"`
}

// Rules are the policy's rules, for a dial.
func (p Policy) Rules() Rules {
	return Rules{Policy: p.Name, Window: p.Window, Limits: p.Limits, Quiet: p.Quiet, AboveCeilings: p.AboveCeilings}
}

// maxRules is how many limits and how many quiet periods a policy may have.
const maxRules = 20

func (r Rules) validate() error {
	if err := r.Window.validate(); err != nil {
		return fmt.Errorf("window.%w", err)
	}
	if r.AboveCeilings && !slices.ContainsFunc(r.Limits, func(l Limit) bool { return l.By.orNumber() == ByNumber }) {
		return errors.New("above_ceilings: it needs a limit by number of its own, which holds instead: name one, or leave it out")
	}
	if len(r.Limits) > maxRules || len(r.Quiet) > maxRules {
		return fmt.Errorf("limits: more than %d are too many, and so are more than %d quiet periods", maxRules, maxRules)
	}
	for i, l := range r.Limits {
		if err := l.Validate(); err != nil {
			return fmt.Errorf("limits[%d].%w", i, err)
		}
	}
	for i, q := range r.Quiet {
		if err := q.validate(); err != nil {
			return fmt.Errorf("quiet[%d].%w", i, err)
		}
	}
	return nil
}

// none tells whether there is nothing to keep.
func (r Rules) none() bool {
	return r.Window.IsZero() && len(r.Limits) == 0 && len(r.Quiet) == 0 && (len(r.Ceilings) == 0 || r.AboveCeilings)
}

// presets are the presets of the window.
func (r Rules) presets() []Preset {
	var all []Preset
	for _, name := range r.Window.Presets {
		if p, known := FindPreset(name); known {
			all = append(all, p)
		}
	}
	return all
}

// ConsentNeeded is the preset that asks for consent; empty: none does.
func (r Rules) ConsentNeeded() string {
	for _, p := range r.presets() {
		if p.Consent {
			return p.Rule()
		}
	}
	return ""
}

// ruled is a limit or a quiet period with the name of its rule.
type ruled[T any] struct {
	rule string
	of   T
}

func (r Rules) limits() []ruled[Limit] {
	var all []ruled[Limit]
	for _, l := range r.Limits {
		all = append(all, ruled[Limit]{r.Policy + ": limits: " + l.String(), l})
	}
	if !r.AboveCeilings {
		for _, l := range r.Ceilings {
			all = append(all, ruled[Limit]{"ceiling (REDIAL_CEILINGS): " + l.String(), l})
		}
	}
	for _, p := range r.presets() {
		for _, l := range p.Limits {
			all = append(all, ruled[Limit]{p.Rule() + ": " + l.String(), l})
		}
	}
	return all
}

func (r Rules) quiet() []ruled[Quiet] {
	var all []ruled[Quiet]
	for _, q := range r.Quiet {
		all = append(all, ruled[Quiet]{r.Policy + ": quiet: " + q.String(), q})
	}
	for _, p := range r.presets() {
		for _, q := range p.Quiet {
			all = append(all, ruled[Quiet]{p.Rule() + ": " + q.String(), q})
		}
	}
	return all
}

// Lookback is which calls by a key are counted: those that were cleared within a time, and no more than the newest of them that
// decide.
type Lookback struct {
	Within time.Duration
	Calls  int
}

// Count is what a ledger has to count before it asks for clearance.
func (r Rules) Count() map[By]Lookback {
	back := map[By]Lookback{}
	for _, l := range r.limits() {
		by := l.of.By.orNumber()
		back[by] = Lookback{max(back[by].Within, l.of.counts()), max(back[by].Calls, l.of.Calls)}
	}
	return back
}

// Happened is what a ledger has to look for: the last of each event, by each key.
func (r Rules) Happened() []Happening {
	var all []Happening
	for _, q := range r.quiet() {
		all = append(all, Happening{q.of.After, q.of.By.orNumber()})
	}
	return all
}

// Happening is an event by a key.
type Happening struct {
	Event Event
	By    By
}

// Check names what every dial of a contact would be refused for: a consent that is missing, or a target of which nobody can say
// what time it is there. The error begins with the field: consent, or zone.
func (p Policy) Check(targets []call.Target, c *Consent) error {
	if c != nil {
		if err := c.Validate(); err != nil {
			return fmt.Errorf("consent.%w", err)
		}
	}
	if rule := p.Rules().ConsentNeeded(); rule != "" && c == nil {
		return fmt.Errorf("consent: it is missing, and %s demands one: say to what was consented, where that is on record, and when", rule)
	}
	for _, to := range targets {
		if to.Zone != "" {
			if _, err := phone.Zone(to.Zone); err != nil {
				return fmt.Errorf("zone: %w", err)
			}
		}
		if zones, _ := phone.Zones(to); to.URI != "" && len(zones) == 0 && p.Window.NeedsZone() {
			return fmt.Errorf("zone: none is known for %s, and the policy has a calling window: state one, like Europe/Paris", to)
		}
	}
	return nil
}

// farOff is where a window is given up that never opens, for a contact without a lifetime.
const farOff = 400 * day

// wait is until when the rules let a call wait, and the last of them that said so.
type wait struct {
	Hold
	day bool // it ends with a calendar day
}

func (w *wait) move(until time.Time, reason Reason, rule, event string) {
	w.Until, w.Reason, w.Rule, w.Event, w.day = until, reason, rule, event, false
}

// count lets the call wait until its limits and quiet times allow it.
func (w *wait) count(f Facts, o opening) {
	for _, q := range f.Rules.quiet() {
		last, happened := f.Last[Happening{q.of.After, q.of.By.orNumber()}]
		if until := last.Add(time.Duration(q.of.For)); happened && until.After(w.Until) {
			w.move(until, ReasonQuiet, q.rule, "the time without calls is over")
		}
	}
	for _, l := range f.Rules.limits() {
		if next := l.of.next(w.Until, f.Calls[l.of.By.orNumber()], o.zones); next.After(w.Until) {
			w.move(next, ReasonLimit, l.rule, "an earlier call no longer counts")
			w.day = l.of.Per.Day && len(o.zones) > 0
		}
	}
}

// never says what does not allow a call any more.
var never = map[Reason]string{
	ReasonWindow: "the calling window does not open within the contact's lifetime",
	ReasonLimit:  "a limit allows no further call within the contact's lifetime",
	ReasonQuiet:  "a time without calls lasts beyond the contact's lifetime",
}

// closedTo refuses a target for which a window has no hours. Others of the contact may have some.
func closedTo(err error) *Refusal {
	r := Refusal{Outcome: call.OutcomeSuppressed, Reason: err.Error(), Target: true}
	var closed *closedToError
	if errors.As(err, &closed) {
		r.Rule = closed.rule
	}
	return &r
}

// ruled is why the policy's rules let the call wait: until the first time at which all of them allow it. It is refused when there
// is none before the contact's life ends.
func (f Facts) ruled() (*Hold, *Refusal) {
	if f.Rules.none() && f.Target.Zone == "" {
		return nil, nil // most dials of a deployment without ceilings: no numbering plan has to be asked
	}
	o, err := f.Rules.Window.forTarget(f.Rules.Policy, f.Target)
	if err != nil {
		return nil, closedTo(err)
	}
	horizon := f.ExpiresAt
	if horizon.IsZero() {
		horizon = f.Now.Add(farOff)
	}
	w := wait{Hold: Hold{Until: f.Now}}
	for at := f.Now; ; at = w.Until {
		w.count(f, o)
		open, rule, found := o.next(w.Until, horizon, f.Ring)
		switch {
		case !w.Until.Before(horizon):
			return nil, &Refusal{call.OutcomeExpired, never[w.Reason], w.Rule, false}
		case !found:
			return nil, &Refusal{call.OutcomeExpired, never[ReasonWindow], rule, false}
		case open.Start.After(w.Until):
			w.move(spread(open, horizon, f.Ring, f.Key), ReasonWindow, rule, "the calling window opens")
		case w.Until.Equal(at) && w.day:
			w.Until, w.day = f.sameTime(o, open, horizon), false
		}
		switch {
		case w.Until.Equal(at) && w.Reason == "":
			return nil, nil
		case w.Until.Equal(at):
			w.NotBefore, w.Until, w.Queued = at, at.Add(fallbackAfter+time.Duration(hashed(f.Key)%uint64(fallbackOver))), true
			return &w.Hold, nil
		}
	}
}

// Whoever waits for a time is woken then, and the wake is durable. Should it be lost, each asks by itself: long after, and not all of
// them at once.
const fallbackAfter, fallbackOver = 30 * time.Minute, 30 * time.Minute

// sameTime is the time of day that it is now, on the day that an opening begins with: not everybody whose day was full is called at
// midnight. Where that is closed, or too late, it is a time in the opening.
func (f Facts) sameTime(o opening, open Interval, horizon time.Time) time.Time {
	same := open.Start
	for _, zone := range o.zones {
		day, now := open.Start.In(zone), f.Now.In(zone)
		same = later(same, time.Date(day.Year(), day.Month(), day.Day(), now.Hour(), now.Minute(), now.Second(), now.Nanosecond(), zone))
	}
	if at, _, found := o.next(same, horizon, f.Ring); found && at.Start.Equal(same) {
		return same
	}
	return spread(open, horizon, f.Ring, f.Key)
}
