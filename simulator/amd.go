package simulator

import (
	"cmp"
	"slices"
	"time"
)

// The speech that the gateway listens to.
const (
	wordTime = 400 * time.Millisecond // 150 words a minute
	// finalDelay is the silence after which a recogniser closes a phrase.
	finalDelay = 300 * time.Millisecond
	// toneSettle separates a beep from the end of detection; the engine does not wait for silence after a beep.
	toneSettle = time.Second
	// stopLag separates the last event from amd_stopped; the documented sample has 11 ms.
	stopLag = 11 * time.Millisecond
)

// Timers are the limits of answering-machine detection. All four run on the gateway's clock, from the answer, except
// GreetingCompletion, which is a silence.
type Timers struct {
	NoSpeech           time.Duration // default 5 s
	Decision           time.Duration // default 15 s
	Tone               time.Duration // default 20 s; ends detection, whatever it knows by then
	GreetingCompletion time.Duration // default 2 s
}

// defaultTimers are the documented defaults.
var defaultTimers = Timers{
	NoSpeech:           5 * time.Second,
	Decision:           15 * time.Second,
	Tone:               20 * time.Second,
	GreetingCompletion: 2 * time.Second,
}

// voice is what is heard on the line after an answer.
type voice struct {
	speechAt time.Duration // when the first word begins
	words    int           // how many words are spoken; 0 is silence
	unclear  bool          // the recogniser never closes a phrase, so that words are heard and nothing follows from them
	beepAt   time.Duration // when a beep sounds; 0 is none
	deafAt   time.Duration // when speech recognition breaks; 0 is never
}

// greetingEnd is when the last word has been spoken.
func (v voice) greetingEnd() time.Duration { return v.speechAt + time.Duration(v.words)*wordTime }

// amdEvent is one event of answering-machine detection, at a time from the answer.
type amdEvent struct {
	at   time.Duration
	name string
}

// detect is answering-machine detection as the engine does it: three timers start together at the answer, the first
// word stops the no-speech timer, the first verdict stops the decision timer, and the tone timer ends everything
// without a word. A tone timer shorter than the others therefore ends some calls without any verdict.
func detect(v voice, t Timers, threshold int) []amdEvent {
	type finding = amdEvent
	findings := []finding{{t.Decision, amdDecisionTimeout}}
	if v.words == 0 || v.speechAt+wordTime > t.NoSpeech {
		findings = append(findings, finding{t.NoSpeech, amdNoSpeech})
	}
	if v.words >= threshold && v.words > 0 {
		findings = append(findings, finding{v.speechAt + time.Duration(threshold)*wordTime, amdMachine})
	} else if v.words > 0 && !v.unclear {
		findings = append(findings, finding{v.greetingEnd() + finalDelay, amdHuman})
	}
	if v.beepAt > 0 {
		findings = append(findings, finding{v.beepAt, amdTone})
	}
	if v.deafAt > 0 {
		findings = append(findings, finding{v.deafAt, amdError})
	}
	first := slices.MinFunc(findings, func(a, b finding) int { return cmp.Compare(a.at, b.at) })
	if first.at >= t.Tone {
		return []amdEvent{{t.Tone, amdStopped}}
	}
	switch first.name {
	case amdMachine:
		return append([]amdEvent{first}, hearOut(v, t, first.at)...)
	case amdTone:
		return []amdEvent{first, {first.at + toneSettle, amdStopped}}
	default:
		return []amdEvent{first, {first.at + stopLag, amdStopped}}
	}
}

// hearOut is what follows the recognition of a machine: a beep, or enough silence, ends the greeting; failing both in
// time, the tone timer ends detection without saying that the machine has finished.
func hearOut(v voice, t Timers, recognised time.Duration) []amdEvent {
	silence := v.greetingEnd() + t.GreetingCompletion
	if v.beepAt > recognised && v.beepAt < min(silence, t.Tone) {
		over := v.beepAt + toneSettle
		return []amdEvent{{v.beepAt, amdTone}, {over, amdStoppedSpeaking}, {over + stopLag, amdStopped}}
	}
	if silence >= t.Tone {
		return []amdEvent{{t.Tone, amdStopped}}
	}
	return []amdEvent{{silence, amdStoppedSpeaking}, {silence + stopLag, amdStopped}}
}

// hangUpDuring cuts detection short at the end of the call, which ends it with amd_stopped if it was still listening.
func hangUpDuring(events []amdEvent, end time.Duration) []amdEvent {
	heard := slices.DeleteFunc(slices.Clone(events), func(e amdEvent) bool { return e.at > end })
	if len(heard) < len(events) {
		heard = append(heard, amdEvent{end, amdStopped})
	}
	return heard
}

// verdictOf is what a completed call repeats of its detection: the verdict if there was one, then a tone, then an
// error, and failing all that amd_stopped. Without any event it is empty.
func verdictOf(events []amdEvent) string {
	ranks := []string{amdHuman, amdMachine, amdNoSpeech, amdDecisionTimeout, amdTone, amdError, amdStopped}
	best := len(ranks)
	for _, e := range events {
		if rank := slices.Index(ranks, e.name); rank >= 0 {
			// The first four exclude each other; a lower rank is the stronger statement.
			best = min(best, rank)
		}
	}
	if best == len(ranks) {
		return ""
	}
	return ranks[best]
}
