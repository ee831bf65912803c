package simulator

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func names(events []amdEvent) []string {
	var list []string
	for _, e := range events {
		list = append(list, e.name)
	}
	return list
}

func TestDetectionFollowsTheEngine(t *testing.T) {
	t.Parallel()
	// The timers of the documentation's sample request, whose tone timer is the shortest.
	sample := Timers{NoSpeech: 12 * time.Second, Decision: 15 * time.Second, Tone: 10 * time.Second, GreetingCompletion: 10 * time.Second}
	speech := func(words int) voice { return voice{speechAt: time.Second, words: words} }
	for name, c := range map[string]struct {
		heard     voice
		timers    Timers
		threshold int
		want      []string
		verdict   string
	}{
		"fewer words than the threshold are a human": {speech(3), defaultTimers, 4, []string{amdHuman, amdStopped}, amdHuman},
		"as many words are a machine":                {speech(4), defaultTimers, 4, []string{amdMachine, amdStoppedSpeaking, amdStopped}, amdMachine},
		"silence":                                    {voice{}, defaultTimers, 4, []string{amdNoSpeech, amdStopped}, amdNoSpeech},
		"speech that begins too late is silence":     {voice{speechAt: 6 * time.Second, words: 20}, defaultTimers, 4, []string{amdNoSpeech, amdStopped}, amdNoSpeech},
		"unclear speech runs into the decision timer": {voice{speechAt: time.Second, words: 2, unclear: true}, defaultTimers, 4,
			[]string{amdDecisionTimeout, amdStopped}, amdDecisionTimeout},
		"a beep ends the greeting a second later": {voice{speechAt: time.Second, words: 10, beepAt: 6 * time.Second}, defaultTimers, 4,
			[]string{amdMachine, amdTone, amdStoppedSpeaking, amdStopped}, amdMachine},
		"a beep alone is a tone":                  {voice{beepAt: 2 * time.Second}, defaultTimers, 4, []string{amdTone, amdStopped}, amdTone},
		"a long greeting outlasts the tone timer": {speech(60), defaultTimers, 4, []string{amdMachine, amdStopped}, amdMachine},
		"a beep after the tone timer is not heard": {voice{speechAt: time.Second, words: 60, beepAt: 22 * time.Second}, defaultTimers, 4,
			[]string{amdMachine, amdStopped}, amdMachine},
		"broken recognition":                              {voice{deafAt: time.Second}, defaultTimers, 4, []string{amdError, amdStopped}, amdError},
		"the sample's timers end silence without verdict": {voice{}, sample, 4, []string{amdStopped}, amdStopped},
		"and unclear speech": {voice{speechAt: time.Second, words: 2, unclear: true}, sample, 4,
			[]string{amdStopped}, amdStopped},
		"and never hear a machine stop": {speech(10), sample, 4, []string{amdMachine, amdStopped}, amdMachine},
	} {
		t.Run(name, func(t *testing.T) {
			events := detect(c.heard, c.timers, c.threshold)
			assert.Equal(t, c.want, names(events))
			assert.Equal(t, c.verdict, verdictOf(events))
		})
	}
}

func TestAHangUpEndsDetectionAndUndoesNothing(t *testing.T) {
	t.Parallel()
	events := detect(voice{speechAt: time.Second, words: 10}, defaultTimers, 4)
	recognised := events[0].at
	for end, want := range map[time.Duration][]string{
		recognised - 1: {amdStopped}, recognised: {amdMachine, amdStopped}, time.Minute: {amdMachine, amdStoppedSpeaking, amdStopped},
	} {
		assert.Equal(t, want, names(hangUpDuring(events, end)))
	}
	assert.Empty(t, hangUpDuring(nil, time.Second), "there was none to end")
}

func TestDetectionAlwaysEndsOnceInOrderAndWithAtMostOneVerdict(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		span := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(1, 30_000).Draw(t, name)) * time.Millisecond
		}
		heard := voice{
			speechAt: span("speech at"), words: rapid.IntRange(0, 80).Draw(t, "words"), unclear: rapid.Bool().Draw(t, "unclear"),
		}
		if rapid.Bool().Draw(t, "beeps") {
			heard.beepAt = span("beep at")
		}
		timers := Timers{NoSpeech: span("no speech"), Decision: span("decision"), Tone: span("tone"), GreetingCompletion: span("greeting completion")}
		events := detect(heard, timers, rapid.IntRange(1, 20).Draw(t, "threshold"))
		if rapid.Bool().Draw(t, "hung up") {
			end := span("end")
			events = hangUpDuring(events, end)
			if last := events[len(events)-1]; last.at > end {
				t.Fatalf("%s at %s, after the end at %s", last.name, last.at, end)
			}
		}
		if !slices.IsSortedFunc(events, func(a, b amdEvent) int { return int(a.at - b.at) }) {
			t.Fatalf("out of order: %v", events)
		}
		if events[len(events)-1].name != amdStopped {
			t.Fatalf("does not end with %s: %v", amdStopped, events)
		}
		verdicts, seen := 0, map[string]bool{}
		for _, e := range events {
			if seen[e.name] {
				t.Fatalf("%s twice: %v", e.name, events)
			}
			seen[e.name] = true
			if slices.Contains([]string{amdHuman, amdMachine, amdNoSpeech, amdDecisionTimeout}, e.name) {
				verdicts++
			}
		}
		if verdicts > 1 {
			t.Fatalf("%d verdicts: %v", verdicts, events)
		}
	})
}
