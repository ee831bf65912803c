package simulator

import "time"

// ending is how a call ends, and therefore what its terminal notification says.
type ending struct {
	answered bool
	sip      int // 200 for an answered call; 0 when the gateway has no code
	noCode   bool
	endedBy  Party  // of an answered call
	amd      string // what the notification says of detection; "" leaves the field out
}

// outcome names what the call came to, as far as anybody can tell from its ending.
func (e ending) outcome() Outcome {
	if e.answered {
		return outcomeOfAMD(e.amd)
	}
	return outcomeOfSIP(e.sip)
}

// contradiction is an ending of another outcome that a confused gateway might report of the same call.
func (e ending) contradiction() ending {
	switch {
	case !e.answered:
		return ending{answered: true, sip: 200, endedBy: ByCaller, amd: amdHuman}
	case e.amd == amdHuman:
		return ending{answered: true, sip: 200, endedBy: ByGateway, amd: amdMachine}
	default:
		return ending{answered: true, sip: 200, endedBy: ByCaller, amd: amdHuman}
	}
}

// plan is a call laid out in advance, in times of the gateway's clock. A pure function of the step, the request and
// the dice makes it, and only a hang-up from outside departs from it.
type plan struct {
	ring    time.Duration // from ringing to the answer or the failure
	connect time.Duration // from placing the call to the answer or the failure
	talk    time.Duration // from the answer to the end
	endless bool
	amd     []amdEvent // from the answer
	end     ending
	dialect Dialect
}

// makePlan lays out a call.
func makePlan(s step, asked Requested, d dice, dialect Dialect) plan {
	p := plan{dialect: dialect, endless: s.endless}
	if p.dialect == Mixed {
		if p.dialect = Gen1; d.gen2 {
			p.dialect = Gen2
		}
	}
	if s.notify.lateVerdict > 0 {
		p.dialect = Gen2
	}
	if s.dialect != "" {
		p.dialect = s.dialect
	}
	if !s.answered() {
		p.fail(s, asked, d)
		return p
	}
	p.ringFor(s, d, between(4*time.Second, min(20*time.Second, max(asked.Timeout/2, 4*time.Second)), d.ring))
	if p.connect >= asked.Timeout {
		p.ringOut(asked)
		return p
	}
	p.answer(s, asked, d)
	return p
}

// ringFor sets the times until the answer or the failure: the post-dial delay, then the ringing.
func (p *plan) ringFor(s step, d dice, ring time.Duration) {
	pdd := between(300*time.Millisecond, 1500*time.Millisecond, d.pdd)
	if s.answer.early {
		pdd, ring = 0, 0
	}
	if s.pdd != nil {
		pdd = *s.pdd
	}
	if s.ring != nil {
		ring = *s.ring
	}
	p.ring, p.connect = ring, pdd+ring
}

// ringOut ends a call that nobody takes: the gateway cancels it at the time-out, and the far end says 487.
func (p *plan) ringOut(asked Requested) {
	p.ring = max(0, p.ring-(p.connect-asked.Timeout))
	p.connect = asked.Timeout
	p.end = ending{sip: 487}
	p.finish(asked, "")
	p.talk, p.endless, p.amd = 0, false, nil
}

// fail lays out a call that is not answered.
func (p *plan) fail(s step, asked Requested, d dice) {
	code := s.sip
	if codes := failureCodes[Outcome(s.outcome)]; code == 0 && codes != nil {
		code = codes[0]
	}
	var ring time.Duration
	switch outcomeOfSIP(code) {
	case NoAnswer:
		ring = asked.Timeout
	case Declined, Unwanted, Unreachable:
		ring = between(2*time.Second, min(12*time.Second, max(asked.Timeout/2, 2*time.Second)), d.ring)
	}
	p.ringFor(s, d, ring)
	if p.connect >= asked.Timeout {
		p.ringOut(asked)
		if outcomeOfSIP(code) != NoAnswer {
			return
		}
	}
	p.end = ending{sip: code, noCode: s.noCode || code == 0}
	p.finish(asked, "")
}

// answer lays out a call that is answered: what is heard, what detection makes of it, and who hangs up when.
func (p *plan) answer(s step, asked Requested, d dice) {
	p.end = ending{answered: true, sip: 200, endedBy: ByCaller}
	switch {
	case asked.Detection == Disabled:
	case s.outcome == "answered":
		// Detection gives up without a verdict, as it does when the flow stops it.
		p.amd = []amdEvent{{time.Second, amdStopped}}
	default:
		p.amd = detect(listen(s, asked, d), asked.Timers, asked.Threshold)
	}
	p.hangUp(s, asked, d)
	verdict := verdictOf(p.amd)
	switch {
	case s.outcome == "answered":
		verdict = ""
	case s.outcome == "stopped_speaking" && heard(p.amd, amdStoppedSpeaking):
		verdict = amdStoppedSpeaking
	}
	p.finish(asked, verdict)
	switch s.amd {
	case "":
	case "mode":
		p.end.amd = string(asked.Detection)
	case "none":
		p.end.amd = ""
	default:
		p.end.amd = s.amd
	}
}

// finish settles what the terminal notification says of detection. Gen1 fills a missing verdict with the mode that was
// asked for, as the documented samples do; gen2 leaves the field out.
func (p *plan) finish(asked Requested, verdict string) {
	if p.end.amd = verdict; verdict == "" && p.dialect == Gen1 {
		p.end.amd = string(asked.Detection)
	}
}

// hangUp settles the end of an answered call.
func (p *plan) hangUp(s step, asked Requested, d dice) {
	var settled time.Duration
	if len(p.amd) > 0 {
		settled = p.amd[len(p.amd)-1].at
	}
	stay := between(10*time.Second, 60*time.Second, d.talk)
	switch s.outcome {
	case "machine", "tone", "stopped_speaking":
		stay, p.end.endedBy = between(5*time.Second, 15*time.Second, d.talk), ByBot
	case "silent", "undecided", "answered":
		stay = between(2*time.Second, 8*time.Second, d.talk)
	case "amd_error":
		// The documentation's table gives the gateway's hang-up as the one "due to amd-error".
		stay, p.end.endedBy = between(time.Second, 2*time.Second, d.talk), ByGateway
	}
	if s.answer.early {
		stay = time.Second
	}
	if p.talk = settled + stay; s.talk != nil {
		p.talk = *s.talk
	}
	if s.endedBy != "" {
		p.end.endedBy = s.endedBy
	}
	if at, machine := p.recognised(s); machine && asked.Detection == Disconnect && (p.endless || at < p.talk) {
		p.talk, p.endless, p.end.endedBy = at, false, ByGateway
	}
	if !p.endless {
		p.amd = hangUpDuring(p.amd, p.talk)
	}
}

// recognised is when mode disconnect hangs up: at the first sign of a machine. The step stopped_speaking stands for a
// gateway that hears the greeting out before.
func (p *plan) recognised(s step) (at time.Duration, found bool) {
	for _, e := range p.amd {
		hangsUp := e.name == amdMachine || e.name == amdTone
		if s.outcome == "stopped_speaking" {
			hangsUp = e.name == amdStoppedSpeaking
		}
		if hangsUp {
			return e.at + stopLag, true
		}
	}
	return 0, false
}

// listen is what the gateway hears on the line. What a script leaves open is chosen so that the detection asked for
// comes to the outcome named, where that is possible at all; what it says is kept as said.
func listen(s step, asked Requested, d dice) voice {
	v := voice{speechAt: between(300*time.Millisecond, 1500*time.Millisecond, d.speechAt)}
	switch s.outcome {
	case "machine", "stopped_speaking":
		v.words = asked.Threshold + 6 + int(d.words*8)
	case "silent":
		return voice{}
	case "undecided":
		v.words, v.unclear = max(1, min(3, asked.Threshold-1)), true
	case "amd_error":
		v.words, v.deafAt = 0, 800*time.Millisecond
	case "tone":
		v = voice{beepAt: min(3*time.Second, asked.Timers.NoSpeech/2, asked.Timers.Tone/2)}
	default:
		v.words = max(1, min(1+int(d.words*3), asked.Threshold-1))
	}
	if s.words != 0 {
		v.words = s.words
	}
	if s.beep != nil {
		if v.beepAt = *s.beep; *s.beep == 0 {
			v.beepAt = v.greetingEnd() + 500*time.Millisecond
		}
	}
	return v
}

func heard(events []amdEvent, name string) bool {
	for _, e := range events {
		if e.name == name {
			return true
		}
	}
	return false
}
