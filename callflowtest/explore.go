package callflowtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"redial/call"
	"redial/workflows"
)

// Search is what Explore starts a flow with, and how far it looks.
type Search struct {
	To    string                    // as for Kit.Call
	Input any                       // the flow's own input, as for Kit.Call
	With  func(in *workflows.Input) // the rest of what a run is started with
	At    time.Time                 // when each run starts; zero: as for New
	// Prepare sets up each run's kit: limits, the flow's own activities, what happens meanwhile.
	Prepare func(*Kit)
	// Dispositions are the ends that are tried; empty: all of them.
	Dispositions []call.Disposition
	// Runs is how many runs of the flow are tried at most, before what was found is made shorter. Default 500, about a second.
	Runs int
	// Seed decides what is tried beyond the short sequences. The same seed tries the same.
	Seed uint64
}

const (
	defaultRuns = 500
	longest     = 12  // moves of a random sequence
	shrinkRuns  = 400 // that are spent on making a random find shorter
)

// Explore looks for what the gateway, the network and the bot could do that breaks a promise, and fails the test with the shortest
// script that does, as code, and with its timeline.
//
// It tries short sequences of ends, faults and results first, shortest first, each followed by a person who confirms, and each end for
// ever; then, at random, longer ones with other times, and makes what it finds shorter.
func Explore(t testing.TB, flow workflows.Definition, s Search, promises ...Promise) {
	t.Helper()
	if s.Runs == 0 {
		s.Runs = defaultRuns
	}
	if len(s.Dispositions) == 0 {
		s.Dispositions = call.Dispositions()
	}
	e := &explorer{Search: s, t: t, flow: flow, promises: promises}
	found := e.exhaustive(s.Runs * 3 / 4)
	if found == nil {
		found = e.random(rand.New(rand.NewPCG(s.Seed, 0)))
	}
	if found != nil {
		t.Errorf("callflowtest.Explore: after %d runs, %v\n\n%s\n%s", e.tried, found.broken, found.script, found.timeline())
	}
}

// explorer is one Explore.
//
// The search and the shrinking are its own, and not those of pgregory.net/rapid: rapid takes its number of runs and its seed from
// the command line only, writes files beside the author's tests, and prints what it drew instead of a script.
type explorer struct {
	Search
	t        testing.TB
	flow     workflows.Definition
	promises []Promise
	tried    int
}

// sequence is what becomes of a flow's dials, in their order.
type sequence struct {
	moves  []move
	repeat bool // the last move goes on for ever; else a person confirms whoever is dialed after it
}

// find is a run, and what it broke.
type find struct {
	sequence
	run    *Run
	script string
	broken error
	taken  int // moves that were asked for, those beyond the sequence included
}

// exhaustive tries sequences, shortest first, within a number of runs. One that the flow did not go through to its end needs no
// longer ones, and what begins with a fault is left to chance.
func (e *explorer) exhaustive(runs int) *find {
	level := []sequence{{}}
	for len(level) > 0 {
		var next []sequence
		for _, s := range level {
			if e.tried >= runs {
				return nil
			}
			f := e.try(s)
			if f.broken != nil {
				return f
			}
			if f.taken <= len(s.moves) {
				continue
			}
			if len(s.moves) == 1 {
				if f := e.try(sequence{s.moves, true}); f.broken != nil {
					return e.finite(f)
				}
			}
			next = append(next, e.longer(s)...)
		}
		level = next
	}
	return nil
}

// longer are the sequences that go on from one.
func (e *explorer) longer(s sequence) (all []sequence) {
	if n := len(s.moves); n > 0 && s.moves[n-1].odd() {
		return nil
	}
	moves := e.plain()
	if len(s.moves) == 0 {
		moves = append(moves, e.odd()...)
	}
	for _, m := range moves {
		all = append(all, sequence{moves: append(slices.Clone(s.moves), m)})
	}
	return all
}

// finite says of a find whose last move goes on for ever how often that is needed, if a person who confirms may follow.
func (e *explorer) finite(f *find) *find {
	s := sequence{moves: slices.Clone(f.moves)}
	for len(s.moves) < min(f.taken, longest) {
		s.moves = append(s.moves, s.moves[len(s.moves)-1])
		if g := e.try(s); g.broken != nil {
			return g
		}
	}
	return f
}

// random tries longer sequences of everything that can happen, and shortens the first that breaks a promise.
func (e *explorer) random(dice *rand.Rand) *find {
	for e.tried < e.Runs {
		s := sequence{repeat: dice.IntN(2) == 0}
		for range 1 + dice.IntN(longest) {
			s.moves = append(s.moves, e.any(dice))
		}
		if f := e.try(s); f.broken != nil {
			return e.shrink(f)
		}
	}
	return nil
}

// shrink makes a find shorter and plainer for as long as it breaks a promise.
func (e *explorer) shrink(f *find) *find {
	for budget, again := shrinkRuns, true; again; {
		again = false
		for _, s := range shorter(f) {
			if budget--; budget < 0 {
				return f
			}
			if g := e.try(s); g.broken != nil {
				f, again = g, true
				break
			}
		}
	}
	return f
}

// shorter are the sequences that are a step shorter or plainer, best first.
func shorter(f *find) (all []sequence) {
	moves := f.moves[:min(len(f.moves), f.taken)]
	with := func(moves []move, repeat bool) { all = append(all, sequence{moves, repeat && len(moves) > 0}) }
	if len(moves) < len(f.moves) {
		with(moves, f.repeat)
	}
	for half := len(moves) / 2; half > 0; half /= 2 {
		for i := 0; i+half <= len(moves); i += half {
			with(slices.Delete(slices.Clone(moves), i, i+half), f.repeat)
		}
	}
	if f.repeat {
		with(moves, false)
	}
	for i, m := range moves {
		for _, p := range m.plainer() {
			changed := slices.Clone(moves)
			changed[i] = p
			with(changed, f.repeat)
		}
	}
	return all
}

// try runs the flow through a sequence and holds the promises against it.
func (e *explorer) try(s sequence) *find {
	e.tried++
	f := &find{sequence: s}
	k := New(probe{e.t}, e.flow)
	if !e.At.IsZero() {
		k.At(e.At)
	}
	resent := 0
	k.direct = func(script *Script, n int) *Step {
		i := n - 1 + resent
		f.taken = max(f.taken, i+1)
		m := move{do: string(call.Human), result: call.Confirmed}
		switch {
		case i < len(s.moves):
			m = s.moves[i]
		case s.repeat:
			m = s.moves[len(s.moves)-1]
		}
		if m.do == throttled || m.do == gatewayDown {
			if resent++; resent > maxResent {
				m = move{do: string(call.NotPlaced)}
			}
		}
		return m.add(script)
	}
	f.run, f.broken = e.hold(k)
	f.script = scripts(k, s.repeat)
	return f
}

// timeline is what happened; empty when the test itself was at fault.
func (f *find) timeline() string {
	if f.run == nil {
		return ""
	}
	return f.run.Timeline()
}

// maxResent is how often a request that was no call is sent again: a gateway that is down for ever keeps a flow waiting for ever.
const maxResent = 20

// hold runs the flow and holds the promises against what came of it. What a promise or the flow says to the test itself counts as
// broken, too.
func (e *explorer) hold(k *Kit) (r *Run, broken error) {
	defer func() {
		if p := recover(); p != nil {
			failed, ours := p.(failure)
			if !ours {
				panic(p)
			}
			broken = failed
		}
	}()
	if e.Prepare != nil {
		e.Prepare(k)
	}
	in := workflows.Input{ContactID: "anna"}
	if e.To != "" {
		in.To = Target(e.To)
	}
	if e.With != nil {
		e.With(&in)
	}
	r = k.play(in, e.Input)
	for _, p := range e.promises {
		if broken = p(r); broken != nil {
			break
		}
	}
	return r, broken
}

// scripts are the scripts of a run as they are written in a test, those of each number by themselves.
func scripts(k *Kit, repeat bool) string {
	var all strings.Builder
	for _, uri := range slices.Sorted(maps.Keys(k.scripts)) {
		s := k.scripts[uri]
		for n := len(s.steps); repeat && n > 1 && s.steps[n-1].String() == s.steps[n-2].String(); n-- {
			s.steps = s.steps[:n-1]
		}
		if len(s.steps) > 0 {
			fmt.Fprintf(&all, "\t%s\n", s)
		}
	}
	return all.String()
}

// failure is what somebody said to the test during a run that is only tried.
type failure string

func (f failure) Error() string { return string(f) }

// probe is the test as the runs see it that are only tried.
type probe struct{ testing.TB }

func (p probe) Error(args ...any)            { panic(failure(fmt.Sprint(args...))) }
func (p probe) Errorf(f string, args ...any) { panic(failure(fmt.Sprintf(f, args...))) }
func (p probe) Fatal(args ...any)            { panic(failure(fmt.Sprint(args...))) }
func (p probe) Fatalf(f string, args ...any) { panic(failure(fmt.Sprintf(f, args...))) }
func (p probe) FailNow()                     { panic(failure("the test has failed")) }
