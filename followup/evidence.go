package followup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"redial/phone"
)

// Evidence is by what a call was allowed. It is recorded with the dial.
type Evidence struct {
	Policy string `json:"policy,omitempty"`
	// Rules is the version of the policy's rules: the same text has the same.
	Rules        string        `json:"rules,omitempty"`
	Presets      []string      `json:"presets,omitempty"` // by name, with the version of their data
	Clocks                     // by which a window was open, or a day was not full
	Recipient    *Clocks       `json:"recipient,omitempty"`     // the recipient's, that were asked beside the policy's
	ZonesVersion string        `json:"zones_version,omitempty"` // of the data of time zones
	Consent      *Consent      `json:"consent,omitempty"`
	Limits       []CountedCall `json:"limits,omitempty"` // each limit and each ceiling
	Quiet        []QuietSince  `json:"quiet,omitempty"`  // each quiet time
	Calls        map[By]int    `json:"calls,omitempty"`  // earlier ones that were looked at: there were at least so many
	// AboveCeilings: the policy's limits held instead of the deployment's ceilings.
	AboveCeilings bool `json:"above_ceilings,omitempty"`
}

// BasisPolicy is that of a zone which the policy names for its window.
const BasisPolicy phone.Basis = "policy"

// Clocks are those of time zones.
type Clocks struct {
	Zones []string    `json:"zones,omitempty"`
	Basis phone.Basis `json:"basis,omitempty"` // what the zones were taken from: stated, number, country, policy
}

// asked records whose clocks were asked.
func (e *Evidence) asked(named string, theirs Clocks) {
	e.Clocks = theirs
	if named != "" {
		e.Clocks = Clocks{[]string{named}, BasisPolicy}
		if len(theirs.Zones) > 0 {
			e.Recipient = &theirs
		}
	}
	if len(e.Zones) > 0 {
		e.ZonesVersion = phone.ZonesVersion
	}
}

// CountedCall is a limit that was asked.
type CountedCall struct {
	Rule  string `json:"rule"`
	Calls int    `json:"calls"` // earlier ones that count
	Of    int    `json:"of"`    // as many as there may be, this one included
}

// QuietSince is a quiet time that was asked for.
type QuietSince struct {
	Rule string    `json:"rule"`
	Last time.Time `json:"last,omitzero"` // when it last happened; zero: never
}

// Evidence is by what the rules allow the call.
func (f Facts) Evidence() Evidence {
	e := Evidence{Policy: f.Rules.Policy, Rules: f.Rules.version(), Consent: f.Consent, AboveCeilings: f.Rules.AboveCeilings}
	if f.Rules.none() {
		return e
	}
	for _, p := range f.Rules.presets() {
		e.Presets = append(e.Presets, p.Rule())
	}
	o, _ := f.Rules.Window.forTarget(f.Rules.Policy, f.Target) // a window that has no hours for the target has refused it
	for _, l := range f.Rules.limits() {
		o.theirs = o.theirs || l.of.Per.Day
		e.Limits = append(e.Limits, CountedCall{l.rule, l.of.counted(f.Now, f.Calls[l.of.By.orNumber()], o.zones), l.of.Calls})
	}
	for _, q := range f.Rules.quiet() {
		e.Quiet = append(e.Quiet, QuietSince{q.rule, f.Last[Happening{q.of.After, q.of.By.orNumber()}]})
	}
	var theirs Clocks
	if o.theirs {
		theirs.Zones, theirs.Basis = phone.Zones(f.Target)
	}
	e.asked(o.named, theirs)
	for by, calls := range f.Calls {
		if e.Calls == nil {
			e.Calls = map[By]int{}
		}
		e.Calls[by] = len(calls)
	}
	return e
}

// version is short, and another one for other rules; empty without any.
func (r Rules) version() string { return version(r) }

// Version is short, and another one for another policy.
func (p Policy) Version() string { return version(p) }

func version(v any) string {
	data, err := json.Marshal(v)
	if err != nil || string(data) == "{}" {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}
