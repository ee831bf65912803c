package followup

import (
	"cmp"
	"errors"
	"fmt"
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
	if r.AboveCeilings && len(r.Limits) == 0 {
		return errors.New("above_ceilings: it needs limits of its own: name them, or leave it out")
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

// Count is what a ledger has to count before it asks for clearance: calls by each key, and how far back.
func (r Rules) Count() map[By]time.Duration {
	back := map[By]time.Duration{}
	for _, l := range r.limits() {
		by, per := l.of.By.orNumber(), time.Duration(l.of.Per.For)
		if l.of.Per.Day {
			per = 25 * time.Hour // a day on which the clock goes back
		}
		back[by] = max(back[by], per)
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

// Consent is a recipient's consent to be called.
type Consent struct {
	Scope   string    `json:"scope" yaml:"scope"`              // to what
	Source  string    `json:"source" yaml:"source"`            // where it is on record
	At      time.Time `json:"at" yaml:"at"`                    // when it was given
	Expires time.Time `json:"expires,omitzero" yaml:"expires"` // zero: until it is taken back
}

// Validate names what is missing.
func (c Consent) Validate() error {
	switch {
	case c.Scope == "":
		return errors.New("scope: it is missing: say to what was consented")
	case c.Source == "":
		return errors.New("source: it is missing: say where the consent is on record")
	case c.At.IsZero():
		return errors.New("at: it is missing: say when the consent was given, like 2026-03-02T10:00:00Z")
	case !c.Expires.IsZero() && !c.Expires.After(c.At):
		return errors.New("expires: it is not after the consent was given")
	}
	return nil
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

// ruled is why the policy's rules let the call wait: until the first time at which all of them allow it. It is refused when there
// is none before the contact's life ends.
func (f Facts) ruled() (*Hold, *Refusal) {
	o, err := f.Rules.Window.forTarget(f.Rules.Policy, f.Target)
	if err != nil {
		return nil, &Refusal{call.OutcomeSuppressed, err.Error(), f.Rules.Policy + ": window", true}
	}
	horizon := f.ExpiresAt
	if horizon.IsZero() {
		horizon = f.Now.Add(farOff)
	}
	var h Hold
	wait := func(reason Reason, rule, event string, until time.Time) {
		if h.Reason == "" {
			h.Reason, h.Rule, h.Event = reason, rule, event
		}
		h.Until = until
	}
	for at := f.Now; ; at = h.Until {
		h.Until = at
		for _, q := range f.Rules.quiet() {
			last, happened := f.Last[Happening{q.of.After, q.of.By.orNumber()}]
			if until := last.Add(time.Duration(q.of.For)); happened && until.After(h.Until) {
				wait(ReasonQuiet, q.rule, "the time without calls is over", until)
			}
		}
		for _, l := range f.Rules.limits() {
			if next := l.of.next(h.Until, f.Calls[l.of.By.orNumber()], o.zones); next.After(h.Until) {
				wait(ReasonLimit, l.rule, "an earlier call no longer counts", next)
			}
		}
		open, rule, found := o.next(h.Until, horizon, f.Ring)
		switch {
		case !found || !open.Start.Before(horizon):
			return nil, &Refusal{call.OutcomeExpired, "the calling window does not open within the contact's lifetime", cmp.Or(rule, h.Rule), false}
		case open.Start.After(h.Until):
			wait(ReasonWindow, rule, "the calling window opens", o.spread(open, f.Ring, f.Key))
		}
		switch {
		case h.Until.Equal(at) && h.Reason == "":
			return nil, nil
		case h.Until.Equal(at):
			h.NotBefore, h.Until, h.Queued = at, f.turn(at), true
			return &h, nil
		case !h.Until.Before(horizon):
			return nil, &Refusal{call.OutcomeExpired, "no call is allowed within the contact's lifetime", h.Rule, false}
		}
	}
}

// Evidence is by what a call was allowed. It is recorded with the dial.
type Evidence struct {
	Policy  string     `json:"policy,omitempty"`
	Presets []string   `json:"presets,omitempty"` // by name, with the version of their data
	Zones   []string   `json:"zones,omitempty"`   // whose clocks were open
	Basis   string     `json:"basis,omitempty"`   // what the zones were taken from: stated, number, country
	Consent *Consent   `json:"consent,omitempty"`
	Calls   map[By]int `json:"calls,omitempty"` // earlier ones that were counted
	// AboveCeilings: the policy's limits held instead of the deployment's ceilings.
	AboveCeilings bool `json:"above_ceilings,omitempty"`
}

// Evidence is by what the rules allow the call.
func (f Facts) Evidence() Evidence {
	e := Evidence{Policy: f.Rules.Policy, Consent: f.Consent, AboveCeilings: f.Rules.AboveCeilings}
	for _, p := range f.Rules.presets() {
		e.Presets = append(e.Presets, p.Rule())
	}
	if !f.Rules.Window.IsZero() {
		zones, basis := phone.Zones(f.Target)
		e.Zones, e.Basis = zones, string(basis)
	}
	for by, calls := range f.Calls {
		if e.Calls == nil {
			e.Calls = map[By]int{}
		}
		e.Calls[by] = len(calls)
	}
	return e
}
