package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Profile draws the calls that no script and no convention decides.
type Profile struct {
	// Outcomes weighs scripts of one step, such as "human", "machine+beep" or "busy+ring=2s"; weights are relative and
	// need not add up to one. Empty: "human".
	Outcomes map[string]float64 `json:"outcomes"`
	// Faults gives the probability, 0 to 1, of each option, such as "duplicate", "late=5s" or "http=503", drawn
	// independently. A fault that contradicts what was drawn before it (in alphabetical order) is left out.
	Faults map[string]float64 `json:"faults,omitempty"`
}

// profiles are those that have a name.
var profiles = map[string]func() Profile{"everyday": Everyday, "storm": Storm}

// NamedProfile gives the profile "everyday" or "storm". The error says which names there are.
func NamedProfile(name string) (Profile, error) {
	make, known := profiles[name]
	if !known {
		return Profile{}, fmt.Errorf("profile %q: give %s", name, strings.Join(slices.Sorted(maps.Keys(profiles)), " or "))
	}
	return make(), nil
}

// SetProfile changes the profile, from the next dial on; the zero value is a human every time. The error lists what is
// wrong with it, and leaves the earlier one in place.
func (s *Simulator) SetProfile(p Profile) error {
	ready, err := p.ready()
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.profile = ready
	return nil
}

// Everyday is a profile of ordinary days: the mix of a consumer campaign, and a gateway without faults. The shares are
// round numbers of ours, meant to exercise every branch, not a statistic.
func Everyday() Profile {
	return Profile{Outcomes: map[string]float64{
		"human": 35, "machine": 20, "machine+beep": 7, "silent": 3, "undecided": 2, "answered": 1, "amd_error": 0.5,
		"no_answer": 18, "busy": 7, "unreachable": 3, "declined": 1.5, "invalid_number": 1, "network_error": 0.7, "unwanted": 0.2, "blocked": 0.1,
	}}
}

// Storm is [Everyday] on a day when everything that can go wrong on the way does, each in some calls.
func Storm() Profile {
	p := Everyday()
	p.Faults = map[string]float64{
		"lost": 0.03, "duplicate": 0.10, "reorder": 0.10, "late": 0.10, "contradict": 0.02, "malformed=first": 0.02, "wrong_token=first": 0.02,
		"lost_answer": 0.02, "reset_before": 0.02, "http=503": 0.02, "http=500+placed": 0.01, "rubbish": 0.01, "no_ids": 0.02,
		"array": 0.02, "string_duration": 0.05, "odd_case": 0.05,
	}
	return p
}

// weighed is a profile made ready: its keys in a fixed order, so that a draw does not depend on a map's.
type weighed struct {
	outcomes []step
	weights  []float64
	total    float64
	faults   []string
	chances  []float64
}

// ready checks a profile and orders it.
func (p Profile) ready() (weighed, error) {
	var (
		w        weighed
		problems []error
	)
	for _, text := range slices.Sorted(maps.Keys(p.Outcomes)) {
		weight := p.Outcomes[text]
		outcome, err := parseStep(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("profile outcome %q: %w", text, err))
		}
		if !(weight >= 0 && weight <= 1e9) {
			problems = append(problems, fmt.Errorf("profile outcome %q has weight %v: give a number from 0 to 1e9", text, weight))
		}
		w.outcomes, w.weights = append(w.outcomes, outcome), append(w.weights, weight)
		w.total += weight
	}
	for _, text := range slices.Sorted(maps.Keys(p.Faults)) {
		chance := p.Faults[text]
		if _, err := parseStep("human+" + text); err != nil {
			problems = append(problems, fmt.Errorf("profile fault %q: %w", text, err))
		}
		if !(chance >= 0 && chance <= 1) {
			problems = append(problems, fmt.Errorf("profile fault %q has probability %v: give a number from 0 to 1", text, chance))
		}
		w.faults, w.chances = append(w.faults, text), append(w.chances, chance)
	}
	if len(w.outcomes) > 0 && w.total == 0 {
		problems = append(problems, errors.New("profile outcomes all have weight 0: give one of them a weight"))
	}
	return w, errors.Join(problems...)
}

// draw chooses a step.
func (w weighed) draw(r *rand.Rand) step {
	s := step{text: "human", outcome: "human"}
	if pick := r.Float64() * w.total; w.total > 0 {
		for i, weight := range w.weights {
			if pick -= weight; pick < 0 {
				s = w.outcomes[i]
				break
			}
		}
	}
	for i, fault := range w.faults {
		if r.Float64() >= w.chances[i] {
			continue
		}
		if with, conflict := parseStep(s.text + "+" + fault); conflict == nil {
			s = with
		}
	}
	return s
}

// source is the randomness of one dial: a function of the seed, the target and the number of its dial, so that neither
// the order of dials nor the clock has a say in it.
func source(seed uint64, key string, n int) *rand.Rand {
	h := sha256.New()
	var fixed [16]byte
	binary.BigEndian.PutUint64(fixed[:8], seed)
	binary.BigEndian.PutUint64(fixed[8:], uint64(n))
	h.Write(fixed[:])
	h.Write([]byte(key))
	return rand.New(rand.NewChaCha8([32]byte(h.Sum(nil))))
}

// dice are the draws of one call. All are drawn for every call, so that an option which makes one of them needless does
// not shift the others.
type dice struct {
	gen2                             bool
	pdd, ring, talk, words, speechAt float64 // each in [0, 1)
}

func throw(r *rand.Rand) dice {
	return dice{
		gen2: r.Float64() < 0.5,
		pdd:  r.Float64(), ring: r.Float64(), talk: r.Float64(), words: r.Float64(), speechAt: r.Float64(),
	}
}

// between is the point of a range of durations that a draw stands for.
func between(low, high time.Duration, draw float64) time.Duration {
	return (low + time.Duration(draw*float64(high-low))).Truncate(time.Millisecond)
}
