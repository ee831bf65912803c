package simulator

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// outageRefuse is the outage that answers nobody.
const outageRefuse = "refuse"

// defaultSlow is how long an outage of the kind slow keeps a dialer waiting.
const defaultSlow = 30 * time.Second

// outage is a fault that every dialout request meets for a while.
type outage struct {
	fault step
	until time.Duration // reading of the clock
	open  bool          // it has no end
}

// parseOutage reads the kind of an outage: refuse, reset, slow, slow=D, or a script's options of the answer.
func parseOutage(kind string) (step, error) {
	word, value, hasValue := strings.Cut(kind, "=")
	switch {
	case kind == outageRefuse:
		return step{text: kind, answer: answerFault{word: outageRefuse}}, nil
	case kind == "reset":
		kind = "reset_before"
	case word == "slow" && hasValue:
		kind = "slow_answer=" + value
	case word == "slow":
		kind = "slow_answer=" + defaultSlow.String()
	}
	const remedy = "give refuse, reset, slow, slow=5s, http=503, or other options of the answer to a request"
	fault, err := parseStep(kind)
	if err != nil {
		return step{}, fmt.Errorf("%w: %s", err, remedy)
	}
	answer := step{text: fault.text, answer: fault.answer, retryAfter: fault.retryAfter}
	if fault != answer || fault.answer == (answerFault{}) || fault.answer.early {
		return step{}, errors.New(remedy)
	}
	return answer, nil
}

// Outage makes every dialout request meet a fault for a time of the gateway's clock, or until [Simulator.EndOutage] when
// lasting is 0. Another outage takes its place. Calls that are live go on, and so do their notifications: it is the
// API that is out.
//
// Kinds: refuse breaks the connection before anything is read (whoever serves the [Simulator.Handler] has accepted it by
// then, so that this is as near to a refused connection as it gets); reset breaks it when the request has been read; http=NNN
// answers with a status. All three place no call, whoever asks, and count neither as dials of a target nor against the rate.
// slow, or slow=D with D in real time, places calls at once and answers after D; default 30 s. The other options of a
// script's answer do what they do there, as in http=500+placed or lost_answer; with these a request is admitted as on other days, and
// the target's script decides what becomes of the call unless it refuses the request itself.
func (s *Simulator) Outage(kind string, lasting time.Duration) error {
	fault, err := parseOutage(kind)
	switch {
	case err != nil:
		return fmt.Errorf("simulator: outage %q: %w", kind, err)
	case lasting < 0 || lasting > longest:
		return fmt.Errorf("simulator: outage for %s: give a duration up to %s, or 0s for one without an end", lasting, longest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = &outage{fault: fault, until: s.clock.now() + s.clock.real(lasting), open: lasting == 0}
	return nil
}

// EndOutage ends an outage before its time, if there is one.
func (s *Simulator) EndOutage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = nil
}

// meetOutage counts a dialout request, and gives the fault that it meets, if any.
func (s *Simulator) meetOutage() *step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era.stats.Requests++
	if s.outage == nil {
		return nil
	}
	if !s.outage.open && s.clock.now() >= s.outage.until {
		s.outage = nil
		return nil
	}
	s.era.stats.MetOutage++
	return &s.outage.fault
}
