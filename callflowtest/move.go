package callflowtest

import (
	"math/rand/v2"
	"time"

	"redial/call"
)

// Moves that are no disposition: requests that are provably no call, after which the same attempt is sent again.
const (
	throttled   = "throttled"
	gatewayDown = "gateway down"
)

// callbackIn is when people of a search want to be called back.
const callbackIn = 2 * time.Hour

// move is one thing that can become of a dial. Its zero fields are what is usual.
type move struct {
	do                      string // a disposition, or one of the moves above
	ring, talk, late, after time.Duration
	fault                   Fault
	result                  call.ResultKind
}

// add writes the move into a script.
func (m move) add(s *Script) *Step {
	switch m.do {
	case throttled:
		return s.Throttled(time.Minute)
	case gatewayDown:
		return s.GatewayDown()
	}
	step := s.Ends(call.Disposition(m.do))
	if m.ring != 0 {
		step.Ring(m.ring)
	}
	if m.talk != 0 {
		step.Talk(m.talk)
	}
	if m.result != "" {
		if m.result == call.Callback {
			step.CallbackIn(callbackIn)
		} else {
			step.Result(m.result)
		}
	}
	if m.after != 0 {
		step.After(m.after)
	}
	if m.late != 0 {
		step.Late(m.late)
	}
	if m.fault != "" {
		step.fault(m.fault)
	}
	return step
}

// answered tells whether somebody or something answers, so that there is a conversation.
func (m move) answered() bool {
	switch call.Disposition(m.do) {
	case call.Human, call.Machine, call.Silent, call.Undecided, call.AMDFailed, call.Answered:
		return true
	}
	return false
}

// placed tells whether the gateway takes the call, so that there is something to be heard of it.
func (m move) placed() bool {
	switch m.do {
	case throttled, gatewayDown, string(call.NotPlaced), string(call.Unknown):
		return false
	}
	return true
}

// plainer are the moves that differ less from what is usual.
func (m move) plainer() (all []move) {
	try := func(change func(*move)) {
		p := m
		if change(&p); p != m {
			all = append(all, p)
		}
	}
	if m.do != string(call.Busy) {
		all = append(all, move{do: string(call.Busy)})
	}
	try(func(p *move) { *p = move{do: m.do} })
	try(func(p *move) { p.fault = "" })
	try(func(p *move) { p.late = 0 })
	try(func(p *move) { p.after = 0 })
	try(func(p *move) { p.result, p.after = "", 0 })
	try(func(p *move) { p.ring = 0 })
	try(func(p *move) { p.talk = 0 })
	return all
}

// plain are the moves of which all short sequences are tried: every disposition, and everything that a bot may say of a person.
func (e *explorer) plain() (moves []move) {
	for _, d := range e.Dispositions {
		moves = append(moves, move{do: string(d)})
	}
	for _, kind := range call.ResultKinds() {
		if e.may(call.Human) {
			moves = append(moves, move{do: string(call.Human), result: kind})
		}
	}
	return moves
}

// odd are what else can become of a dial.
func (e *explorer) odd() []move {
	moves := []move{{do: throttled}, {do: gatewayDown}}
	for _, d := range []call.Disposition{call.Busy, call.Human} {
		if !e.may(d) {
			continue
		}
		for _, f := range AllFaults() {
			if f != FaultLate {
				moves = append(moves, move{do: string(d), fault: f})
			}
		}
		for _, late := range lates {
			moves = append(moves, move{do: string(d), late: late})
		}
	}
	return moves
}

// odd tells whether the move is one of the odd ones.
func (m move) odd() bool {
	return m.fault != "" || m.late != 0 || m.do == throttled || m.do == gatewayDown
}

func (e *explorer) may(d call.Disposition) bool {
	for _, have := range e.Dispositions {
		if have == d {
			return true
		}
	}
	return false
}

// Times that are tried at random: within what is usual, at the edges of the default policy's time-outs, and beyond them.
var (
	rings  = []time.Duration{0, time.Second, 30 * time.Second, 44 * time.Second}
	talks  = []time.Duration{0, time.Second, 3 * time.Second, 5 * time.Minute, 29 * time.Minute}
	lates  = []time.Duration{20 * time.Second, 40 * time.Minute, 13 * time.Hour}
	afters = []time.Duration{0, time.Second, 2 * time.Minute, 3 * time.Hour}
)

// any is a move at random: half of them plain, the others with something unusual.
func (e *explorer) any(dice *rand.Rand) move {
	if dice.IntN(12) == 0 {
		return move{do: pick(dice, []string{throttled, gatewayDown})}
	}
	m := move{do: string(pick(dice, e.Dispositions))}
	if m.answered() && dice.IntN(3) == 0 {
		m.result, m.after = pick(dice, call.ResultKinds()), pick(dice, afters)
	}
	if !m.placed() || dice.IntN(2) == 0 {
		return m
	}
	m.ring = pick(dice, rings)
	if m.answered() {
		m.talk = pick(dice, talks)
	}
	switch dice.IntN(3) {
	case 0:
		m.late = pick(dice, lates)
	case 1:
		m.fault = pick(dice, AllFaults())
	}
	return m
}

func pick[T any](dice *rand.Rand, of []T) T { return of[dice.IntN(len(of))] }
