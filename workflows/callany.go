package workflows

import (
	"errors"

	"go.temporal.io/sdk/workflow"

	"redial/call"
)

// Order is how CallAny goes through its targets.
type Order int

const (
	InTurn Order = iota // one after the other, until one is enough
	AtOnce              // all together
)

// Reached is what came of CallAny.
type Reached struct {
	Attempts []call.Attempt  `json:"attempts"`          // one for each target that was dialed, in the order of the targets
	Enough   []int           `json:"enough,omitempty"`  // places in Attempts of those that were enough
	Refused  []TargetRefused `json:"refused,omitempty"` // targets that must not be called
}

// TargetRefused is a target that must not be called, and why.
type TargetRefused struct {
	Target call.Target `json:"target"`
	Reason string      `json:"reason"`
}

// First is the first attempt, in the order of the targets, that was enough; false when none was.
func (r Reached) First() (call.Attempt, bool) {
	if len(r.Enough) == 0 {
		return call.Attempt{}, false
	}
	return r.Attempts[r.Enough[0]], true
}

// Human is enough for CallAny when a person was spoken to.
func Human(a call.Attempt) bool { return a.Disposition == call.Human }

// CallAny calls several targets until one is enough, in the order of the targets or at once.
//
// At once, all of them ring, and the gateway cannot be told to hang up: two may answer, and both then speak with the bot. CallAny
// returns as soon as one is enough; the others go on, are in Attempts as they stand, and are heard out before the run ends.
// Each call needs a line and counts against the pace, so that "at once" is as many at a time as the limits allow.
//
// enough is asked when a call is over, and at once also at every piece of news in mid-call; with Flow.Result it may look at what the
// bot has said, for which ResultWithin waits. It must decide from these alone. A target that must not be called is in Refused; when
// all are refused the error is a *RefusedError.
func (f *Flow) CallAny(ctx workflow.Context, order Order, targets []call.Target, enough func(call.Attempt) bool, options ...CallOption) (Reached, error) {
	defer func() { f.planned = false }()
	return step(ctx, f, "CallAny", func(ctx workflow.Context) (Reached, error) {
		g := group{f: f, enough: enough, options: options}
		if order == AtOnce {
			return g.atOnce(ctx, targets)
		}
		return g.inTurn(ctx, targets)
	})
}

// group is the calls of one CallAny.
type group struct {
	f       *Flow
	enough  func(call.Attempt) bool
	options []CallOption
}

func (g *group) to(t call.Target) []CallOption { return append([]CallOption{To(t)}, g.options...) }

func (g *group) inTurn(ctx workflow.Context, targets []call.Target) (Reached, error) {
	var lines []*line
	for i := 0; i < len(targets); {
		before := g.f.Last().N
		a, err := g.f.call(ctx, g.to(targets[i]))
		switch {
		case err != nil && !NotThisTarget(err):
			return Reached{}, err
		case err == nil && a.N == before: // the call before was in doubt, and has ended after all: this target's turn is still to come
			if g.enough(a) {
				return g.reached(append(lines, &line{n: a.N}))
			}
			continue
		default:
			lines = append(lines, &line{target: targets[i], n: a.N, err: err})
			i++
		}
		if err == nil && g.enough(a) {
			break
		}
	}
	return g.reached(lines)
}

// line is one call of a group.
type line struct {
	target call.Target
	n      int
	over   bool
	err    error
}

// atOnce returns when one call is enough, or when all are over. Calls that were not dialed by then are not made.
func (g *group) atOnce(ctx workflow.Context, targets []call.Target) (Reached, error) {
	dialing, stop := workflow.WithCancel(ctx)
	first := g.f.numbered + 1
	var lines []*line
	for _, t := range targets {
		r := g.f.request(g.to(t))
		r.dial.First = first
		l := &line{target: t, n: r.dial.N}
		lines = append(lines, l)
		g.f.calls++
		workflow.GoNamed(dialing, "CallAny", func(ctx workflow.Context) {
			l.err = g.f.line(ctx, r)
			l.over = true
			g.f.calls--
		})
	}
	free, _ := workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(free, func() bool { return g.satisfied(lines) || over(lines) }); err != nil {
		return Reached{}, err
	}
	stop()
	r, err := g.reached(lines)
	if stopped := g.f.stopped(ctx); stopped != nil && len(r.Enough) == 0 {
		return r, stopped
	}
	return r, err
}

// line makes one call of several.
func (f *Flow) line(ctx workflow.Context, r request) error {
	attempt, err := f.dial(ctx, r)
	if err != nil {
		return err
	}
	_, err = f.hearOut(ctx, attempt, r)
	return err
}

func (g *group) satisfied(lines []*line) bool {
	g.f.listen()
	for _, l := range lines {
		if a := g.f.known(l.n); a.N != 0 && g.enough(a) {
			return true
		}
	}
	return false
}

func over(lines []*line) bool {
	for _, l := range lines {
		if !l.over {
			return false
		}
	}
	return true
}

// reached is what came of the lines. An error is one only when nothing was enough, and a refusal only when there is nothing else.
func (g *group) reached(lines []*line) (r Reached, err error) {
	var failed error
	for _, l := range lines {
		var refused *RefusedError
		switch a := g.f.known(l.n); {
		case a.N != 0 && g.enough(a):
			r.Enough = append(r.Enough, len(r.Attempts))
			r.Attempts = append(r.Attempts, a)
		case errors.As(l.err, &refused) && refused.open:
			r.Refused = append(r.Refused, TargetRefused{l.target, refused.Reason})
			err = l.err
		case errors.Is(l.err, ErrCanceled): // it was not needed any more
		case l.err != nil && failed == nil:
			failed = l.err
		case a.N != 0:
			r.Attempts = append(r.Attempts, a)
		}
	}
	switch {
	case len(r.Enough) > 0:
		return r, nil
	case failed != nil:
		return r, failed
	case len(r.Attempts) > 0:
		return r, nil
	}
	return r, err
}

// NotThisTarget tells whether a call was refused for its target alone, so that another may be called.
func NotThisTarget(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused) && refused.open
}
