package callflowtest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"redial/call"
)

// What a machine lets detection hear.
const (
	Greeting      = call.AMDMachine         // a greeting that no person would speak
	EndOfGreeting = call.AMDStoppedSpeaking // a greeting that was heard to its end
	Beep          = call.AMDTone            // the tone after which a message is recorded
)

// Script is what becomes of the dials to one number, one step for each request to the gateway. The last step repeats for as long
// as there are dials, unless it says NoMore.
type Script struct {
	kit    *Kit
	number string // as it was written
	steps  []*Step
	taken  int // requests so far
}

// Step is what becomes of one request to dial. Its methods change it and return it; Then leads on to the next step.
type Step struct {
	script *Script
	code   string // the call that made it, for printing
	extras []string
	plan   plan
	times  int
	noMore bool
}

// Human is a person who takes the call and speaks with the bot for that long.
func (s *Script) Human(talk time.Duration) *Step {
	return s.answered(call.Human, call.AMDHuman, 2*time.Second, talk, fmt.Sprintf("Human(%s)", source(talk)))
}

// Machine is an answering machine that is recognised by what was heard of it: Greeting, EndOfGreeting or Beep.
func (s *Script) Machine(heard call.AMD) *Step {
	names := map[call.AMD]string{Greeting: "Greeting", EndOfGreeting: "EndOfGreeting", Beep: "Beep"}
	if names[heard] == "" {
		s.kit.fatal(fmt.Sprintf("%q is no sign of a machine: write callflowtest.Greeting, EndOfGreeting or Beep", heard))
	}
	return s.answered(call.Machine, heard, 4*time.Second, 12*time.Second, "Machine(callflowtest."+names[heard]+")")
}

// Silent is a call that is answered and in which nobody speaks.
func (s *Script) Silent() *Step {
	return s.answered(call.Silent, call.AMDNoSpeech, 5*time.Second, 10*time.Second, "Silent()")
}

// Undecided is an answered call in which detection runs out of time.
func (s *Script) Undecided() *Step {
	return s.answered(call.Undecided, call.AMDDecisionTimeout, 15*time.Second, 20*time.Second, "Undecided()")
}

// AMDFailed is an answered call in which detection breaks.
func (s *Script) AMDFailed() *Step {
	return s.answered(call.AMDFailed, call.AMDError, time.Second, 15*time.Second, "AMDFailed()")
}

// Answered is a call that is answered for that long, and nobody says by whom.
func (s *Script) Answered(talk time.Duration) *Step {
	return s.answered(call.Answered, "", 0, talk, fmt.Sprintf("Answered(%s)", source(talk)))
}

// Busy is a line that is engaged.
func (s *Script) Busy() *Step { return s.failed(call.Busy, time.Second, "Busy()") }

// NoAnswer is a phone that rings until the gateway gives up.
func (s *Script) NoAnswer() *Step { return s.failed(call.NoAnswer, ringOut, "NoAnswer()") }

// Unreachable is a phone that is switched off or out of reach.
func (s *Script) Unreachable() *Step {
	return s.failed(call.Unreachable, 2*time.Second, "Unreachable()")
}

// Declined is a person who does not take the call.
func (s *Script) Declined() *Step { return s.failed(call.Declined, 6*time.Second, "Declined()") }

// Unwanted is a person who marks the call as one that is not wanted, now and ever.
func (s *Script) Unwanted() *Step { return s.failed(call.Unwanted, 6*time.Second, "Unwanted()") }

// Blocked is a call that a carrier's analytics reject.
func (s *Script) Blocked() *Step { return s.failed(call.Blocked, time.Second, "Blocked()") }

// InvalidNumber is a number that does not exist.
func (s *Script) InvalidNumber() *Step {
	return s.failed(call.InvalidNumber, time.Second, "InvalidNumber()")
}

// TrunkError is a carrier that does not let the call through.
func (s *Script) TrunkError() *Step { return s.failed(call.TrunkError, time.Second, "TrunkError()") }

// NetworkError is a fault of the network.
func (s *Script) NetworkError() *Step {
	return s.failed(call.NetworkError, time.Second, "NetworkError()")
}

// Failed is a call that fails for a reason that is none of the others.
func (s *Script) Failed() *Step { return s.failed(call.Failed, time.Second, "Failed()") }

// Unknown is a request whose answer is lost, and of which nothing is ever heard: a phone may have rung.
func (s *Script) Unknown() *Step {
	return s.add("Unknown()", plan{disposition: call.Unknown, ring: ringOut, answer: call.AnswerUnknown, lost: true})
}

// Throttled is a request that the gateway refuses because the account is over a limit; the account may try again after that long,
// or, when it is 0, after a time that the gateway does not state. It is no call: the same attempt is sent again, and takes the
// next step.
func (s *Script) Throttled(retryAfter time.Duration) *Step {
	return s.add(fmt.Sprintf("Throttled(%s)", source(retryAfter)), plan{disposition: call.NotPlaced, answer: call.AnswerThrottled, retryAfter: retryAfter})
}

// GatewayDown is a request that provably does not reach the gateway. It is no call: the same attempt is sent again, and takes the
// next step.
func (s *Script) GatewayDown() *Step {
	return s.add("GatewayDown()", plan{disposition: call.NotPlaced, answer: call.AnswerNotPlaced})
}

// NotPlaced is a request that the gateway refuses for good, before it is a call.
func (s *Script) NotPlaced() *Step {
	return s.add("NotPlaced()", plan{disposition: call.NotPlaced, answer: call.AnswerRefused})
}

// Ends is a call with this disposition and the timing that is usual for it.
func (s *Script) Ends(d call.Disposition) *Step {
	const talk = 40 * time.Second
	steps := map[call.Disposition]func() *Step{
		call.Human: func() *Step { return s.Human(talk) }, call.Machine: func() *Step { return s.Machine(Greeting) },
		call.Silent: s.Silent, call.Undecided: s.Undecided, call.AMDFailed: s.AMDFailed,
		call.Answered: func() *Step { return s.Answered(talk) }, call.Busy: s.Busy, call.NoAnswer: s.NoAnswer,
		call.Unreachable: s.Unreachable, call.Declined: s.Declined, call.Unwanted: s.Unwanted, call.Blocked: s.Blocked,
		call.InvalidNumber: s.InvalidNumber, call.TrunkError: s.TrunkError, call.NetworkError: s.NetworkError, call.Failed: s.Failed,
		call.NotPlaced: s.NotPlaced, call.Unknown: s.Unknown,
	}
	if steps[d] == nil {
		s.kit.fatal(fmt.Sprintf("%q is no disposition: write one of call.Dispositions()", d))
	}
	return steps[d]()
}

func (s *Script) answered(d call.Disposition, amd call.AMD, decided, talk time.Duration, code string) *Step {
	return s.add(code, plan{disposition: d, answered: true, amd: amd, decided: decided, ring: 8 * time.Second, talk: talk, answer: call.AnswerPlaced})
}

func (s *Script) failed(d call.Disposition, ring time.Duration, code string) *Step {
	return s.add(code, plan{disposition: d, ring: ring, answer: call.AnswerPlaced})
}

func (s *Script) add(code string, p plan) *Step {
	step := &Step{script: s, code: code, plan: p, times: 1}
	s.steps = append(s.steps, step)
	return step
}

// next is the step of the next request; nil when there is to be none.
func (s *Script) next() *Step {
	s.taken++
	n := 0
	for _, step := range s.steps {
		if n += step.times; s.taken <= n {
			return step
		}
	}
	if len(s.steps) == 0 || s.steps[len(s.steps)-1].noMore {
		return nil
	}
	return s.steps[len(s.steps)-1]
}

// Then leads on to what becomes of the next dial.
func (st *Step) Then() *Script { return st.script }

// Times repeats the step: it is what becomes of the next n requests.
func (st *Step) Times(n int) *Step {
	st.times = n
	return st.note("Times(%d)", n)
}

// NoMore says that no dial is to follow: one more fails the test.
func (st *Step) NoMore() *Step {
	st.noMore = true
	return st.note("NoMore()")
}

// Ring says how long it rings. A phone that is to ring longer than the flow allows is not answered.
func (st *Step) Ring(d time.Duration) *Step {
	st.plan.ring = d
	return st.note("Ring(%s)", source(d))
}

// Talk says how long an answered call lasts.
func (st *Step) Talk(d time.Duration) *Step {
	st.must(st.plan.answered, "Talk")
	st.plan.talk = d
	return st.note("Talk(%s)", source(d))
}

// Result makes the bot say what the conversation came to, one second before the call ends.
func (st *Step) Result(kind call.ResultKind) *Step {
	st.must(st.plan.answered, "Result")
	st.must(kind != call.Callback, "a callback without a time: write Callback or CallbackIn instead of Result")
	st.plan.says = append(st.plan.says, said{result: call.BotResult{Kind: kind}})
	return st.note("Result(%s)", resultNames[kind])
}

// Callback is Result with a person who asked to be called at a time.
func (st *Step) Callback(at time.Time) *Step {
	st.must(st.plan.answered, "Callback")
	st.plan.says = append(st.plan.says, said{result: call.BotResult{Kind: call.Callback, At: at}})
	return st.note("Callback(%q)", at.Format(time.RFC3339))
}

// CallbackIn is Callback at a time that counts from when the bot says so.
func (st *Step) CallbackIn(d time.Duration) *Step {
	st.must(st.plan.answered, "CallbackIn")
	st.plan.says = append(st.plan.says, said{result: call.BotResult{Kind: call.Callback}, in: d})
	return st.note("CallbackIn(%s)", source(d))
}

// Data adds to the bot's result what else it has to say: anything that goes through JSON.
func (st *Step) Data(v any) *Step {
	st.must(len(st.plan.says) > 0, "Data before a Result")
	data, err := json.Marshal(v)
	if err != nil {
		st.script.kit.fatal("Data: " + err.Error())
	}
	st.plan.says[len(st.plan.says)-1].result.Data = data
	return st.note("Data(%s)", data)
}

// After makes the bot say its result that long after the end of the call.
func (st *Step) After(d time.Duration) *Step {
	st.must(len(st.plan.says) > 0, "After before a Result")
	last := &st.plan.says[len(st.plan.says)-1]
	last.late, last.after = true, d
	return st.note("After(%s)", source(d))
}

// Early lets the call be over, and all of it be heard, before the dial is answered.
func (st *Step) Early() *Step { return st.fault(FaultEarly) }

// Late lets the end be heard that long after it happened.
func (st *Step) Late(d time.Duration) *Step {
	st.must(st.plan.answer == call.AnswerPlaced, "Late")
	st.plan.late = d
	return st.note("Late(%s)", source(d))
}

// Lost lets the end never be heard.
func (st *Step) Lost() *Step { return st.fault(FaultLost) }

// Duplicate lets everything be heard twice.
func (st *Step) Duplicate() *Step { return st.fault(FaultDuplicate) }

// OutOfOrder lets the end be heard first, and what went before it in the second that follows.
func (st *Step) OutOfOrder() *Step { return st.fault(FaultOutOfOrder) }

// AnswerLost loses the answer to the request to dial; what the gateway reports on the call is heard.
func (st *Step) AnswerLost() *Step { return st.fault(FaultAnswerLost) }

// WorkerDies lets the worker die after the request has left and before its answer is written down.
func (st *Step) WorkerDies() *Step { return st.fault(FaultWorkerDies) }

func (st *Step) fault(f Fault) *Step {
	st.must(st.plan.answer == call.AnswerPlaced, string(f))
	st.plan.suffer(f)
	return st.note("%s()", f)
}

func (st *Step) must(can bool, what string) {
	if !can {
		st.script.kit.fatal(fmt.Sprintf("%s has no meaning after %s: there is nobody to speak, or nothing to be heard", what, st.code))
	}
}

func (st *Step) note(format string, args ...any) *Step {
	st.extras = append(st.extras, fmt.Sprintf(format, args...))
	return st
}

// String is the step as it is written in a script.
func (st *Step) String() string { return strings.Join(append([]string{st.code}, st.extras...), ".") }

// String is the script as it is written in a test.
func (s *Script) String() string {
	steps := make([]string, len(s.steps))
	for i, st := range s.steps {
		steps[i] = st.String()
	}
	return fmt.Sprintf("kit.On(%q).%s", s.number, strings.Join(steps, ".Then()."))
}

var resultNames = map[call.ResultKind]string{call.Confirmed: "call.Confirmed", call.Refused: "call.Refused", call.Callback: "call.Callback",
	call.OptedOut: "call.OptedOut", call.Unfinished: "call.Unfinished"}

// source is a duration as it is written in Go.
func source(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "time.Hour"}, {time.Minute, "time.Minute"}, {time.Second, "time.Second"}, {time.Millisecond, "time.Millisecond"}} {
		switch {
		case d == unit.of:
			return unit.name
		case d != 0 && d%unit.of == 0:
			return fmt.Sprintf("%d*%s", d/unit.of, unit.name)
		}
	}
	return fmt.Sprint(int64(d))
}

var (
	e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	sip  = regexp.MustCompile(`^sip:[^\s@]+@[^\s@]+$`)
)

// parseTarget turns what a test writes into a target's URI: "+14155550100", "tel:+14155550100" or "sip:user@host".
func parseTarget(number string) (string, error) {
	digits := strings.TrimPrefix(number, "tel:")
	switch {
	case e164.MatchString(digits):
		return "tel:" + digits, nil
	case sip.MatchString(number):
		return strings.ToLower(number), nil
	}
	return "", fmt.Errorf("%q is no target: write a number with its plus and country, such as +14155550100, or sip:user@host", number)
}

// Target is a target from a number with its plus and country, such as +14155550100, or from sip:user@host; it panics when the
// text is neither.
func Target(number string) call.Target {
	uri, err := parseTarget(number)
	if err != nil {
		panic("callflowtest.Target: " + err.Error())
	}
	return call.Target{URI: uri}
}

// number is a target as a person writes it.
func number(uri string) string { return strings.TrimPrefix(uri, "tel:") }

// Fault is something that goes wrong between the gateway and the flow.
type Fault string

// Faults, by the methods of Step that plant them.
const (
	FaultEarly      Fault = "Early"
	FaultLate       Fault = "Late"
	FaultLost       Fault = "Lost"
	FaultDuplicate  Fault = "Duplicate"
	FaultOutOfOrder Fault = "OutOfOrder"
	FaultAnswerLost Fault = "AnswerLost"
	FaultWorkerDies Fault = "WorkerDies"
)

// AllFaults lists every fault.
func AllFaults() []Fault {
	return []Fault{FaultEarly, FaultLate, FaultLost, FaultDuplicate, FaultOutOfOrder, FaultAnswerLost, FaultWorkerDies}
}

// defaultLate is how late an end is heard that is late at random: within the grace of the default policy.
const defaultLate = 20 * time.Second

func (p *plan) suffer(f Fault) {
	switch f {
	case FaultEarly:
		p.early = true
	case FaultLate:
		p.late = defaultLate
	case FaultLost:
		p.lost = true
	case FaultDuplicate:
		p.duplicate = true
	case FaultOutOfOrder:
		p.disorder = true
	case FaultAnswerLost:
		p.answer = call.AnswerUnknown
	case FaultWorkerDies:
		p.dies = true
	}
	p.faults = append(slices.Clip(p.faults), f)
}
