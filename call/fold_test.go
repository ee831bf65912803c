package call_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"redial/call"
)

var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func dialing() call.Attempt {
	return call.Attempt{N: 1, Key: "k", State: call.StateDialing, Detection: true, DialedAt: start}
}

// fold applies the events in order, a millisecond apart, so that all of them arrive before anything is settled by time.
func fold(a call.Attempt, events []call.Event) call.Attempt {
	for i, e := range events {
		e.ReceivedAt = start.Add(time.Minute + time.Duration(i)*time.Millisecond)
		a.Fold(e)
	}
	return a
}

var midCall = rapid.Custom(func(t *rapid.T) call.Event {
	return call.Event{
		Status: rapid.SampledFrom([]call.Status{call.StatusAnswered, call.StatusProgress, call.StatusOther}).Draw(t, "status"),
		AMD: rapid.SampledFrom([]call.AMD{"", call.AMDHuman, call.AMDMachine, call.AMDTone, call.AMDStoppedSpeaking, call.AMDNoSpeech,
			call.AMDDecisionTimeout, call.AMDError, call.AMDStopped, "detect", "amd_tone_timeout"}).Draw(t, "amd"),
	}
})

var terminal = rapid.Custom(func(t *rapid.T) call.Event {
	if rapid.Bool().Draw(t, "failed") {
		return call.Event{Status: call.StatusFailed, SIP: rapid.SampledFrom([]int{0, 404, 480, 486, 487, 503, 603, 607}).Draw(t, "sip"), AMD: "detect"}
	}
	return call.Event{Status: call.StatusCompleted, Duration: 14 * time.Second,
		AMD: rapid.SampledFrom([]call.AMD{"", "detect", call.AMDHuman, call.AMDMachine, call.AMDStopped}).Draw(t, "amd")}
})

func TestEveryOrderAndDuplicationOfOneCallsEventsFoldsToTheSameDisposition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(midCall, 0, 5).Draw(t, "mid-call")
		end := terminal.Draw(t, "end")
		events = append(events, end)
		for range rapid.IntRange(0, 3).Draw(t, "duplicates") {
			events = append(events, rapid.SampledFrom(events).Draw(t, "duplicate"))
		}
		one := fold(dialing(), rapid.Permutation(events).Draw(t, "one order"))
		other := fold(dialing(), rapid.Permutation(events).Draw(t, "other order"))
		if one.State != call.StateEnded || one.Disposition == "" {
			t.Fatalf("with its end heard the attempt is %s, %q", one.State, one.Disposition)
		}
		if one.Disposition != other.Disposition || one.AMD != other.AMD || one.Status != other.Status || one.SIP != other.SIP {
			t.Fatalf("two orders of the same events differ:\n%+v\n%+v", one, other)
		}
	})
}

func TestATerminalIsNeverReopenedAndTheFirstStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := terminal.Draw(t, "first end")
		first.ReceivedAt = start.Add(time.Minute)
		a := dialing()
		a.Fold(first)
		settled := a
		later := rapid.SliceOfN(rapid.OneOf(midCall, terminal), 1, 6).Draw(t, "later")
		for i, e := range later {
			e.ReceivedAt = start.Add(time.Minute + call.VerdictHold + time.Duration(i)*time.Second)
			f := a.Fold(e)
			if !f.Late {
				t.Fatalf("an event after the attempt was settled is not late: %+v", f)
			}
			if e.Status.Terminal() && e.Status != first.Status && f.Anomaly == "" {
				t.Fatal("a contradicting end leaves no anomaly")
			}
		}
		if a != settled {
			t.Fatalf("late events changed a settled attempt:\n%+v\n%+v", settled, a)
		}
	})
}

func TestOfTwoContradictingTerminalsTheFirstStoredStands(t *testing.T) {
	human := call.Event{Status: call.StatusCompleted, AMD: call.AMDHuman, Duration: 14 * time.Second}
	machine := call.Event{Status: call.StatusCompleted, AMD: call.AMDMachine, Duration: 14 * time.Second}
	busy := call.Event{Status: call.StatusFailed, SIP: 486}
	for _, c := range []struct {
		first, second call.Event
		want          call.Disposition
	}{{human, machine, call.Human}, {machine, human, call.Machine}, {busy, human, call.Busy}, {human, busy, call.Human}} {
		a := dialing()
		c.first.ReceivedAt, c.second.ReceivedAt = start, start.Add(time.Millisecond)
		a.Fold(c.first)
		f := a.Fold(c.second)
		if a.Disposition != c.want || f.Anomaly == "" {
			t.Errorf("%v then %v: %s, anomaly %q; want %s and an anomaly", c.first.Status, c.second.Status, a.Disposition, f.Anomaly, c.want)
		}
	}
}

func TestAnEndWithoutAVerdictIsHeldForTheOneThatTravelsBehindIt(t *testing.T) {
	end := call.Event{Status: call.StatusCompleted, AMD: "detect", ReceivedAt: start}
	a := dialing()
	a.Fold(end)
	if a.Disposition != call.Answered || !a.SettledAt.Equal(start.Add(call.VerdictHold)) {
		t.Fatalf("after the end: %s, settled at %s", a.Disposition, a.SettledAt)
	}
	inTime, late := a, a
	inTime.Fold(call.Event{Status: call.StatusProgress, AMD: call.AMDMachine, ReceivedAt: start.Add(call.VerdictHold - time.Millisecond)})
	if inTime.Disposition != call.Machine {
		t.Errorf("a verdict within the hold: %s", inTime.Disposition)
	}
	if f := late.Fold(call.Event{Status: call.StatusProgress, AMD: call.AMDMachine, ReceivedAt: start.Add(call.VerdictHold)}); !f.Late || late != a {
		t.Errorf("a verdict after the hold changed the attempt: %+v", f)
	}
}

func TestDispositionOfEveryRowOfTheTable(t *testing.T) {
	completed := map[call.AMD]call.Disposition{
		call.AMDHuman: call.Human, call.AMDMachine: call.Machine, call.AMDTone: call.Machine, call.AMDStoppedSpeaking: call.Machine,
		call.AMDNoSpeech: call.Silent, call.AMDDecisionTimeout: call.Undecided, call.AMDError: call.AMDFailed,
		call.AMDStopped: call.Answered, "disabled": call.Answered, "detect": call.Answered, "disconnect": call.Answered, "": call.Answered,
		"amd_tone_timeout": call.Answered,
	}
	for amd, want := range completed {
		t.Run("completed "+string(amd), func(t *testing.T) {
			a := fold(dialing(), []call.Event{{Status: call.StatusCompleted, AMD: amd}})
			if a.Disposition != want {
				t.Errorf("%s; want %s", a.Disposition, want)
			}
		})
	}
	failed := map[call.Disposition][]int{
		call.Busy: {486, 600}, call.NoAnswer: {408, 487}, call.Unreachable: {480}, call.Declined: {603}, call.Unwanted: {607},
		call.Blocked: {608}, call.InvalidNumber: {404, 410, 484, 485, 604}, call.TrunkError: {401, 403, 407, 488, 606},
		call.NetworkError: {500, 502, 503, 504, 580}, call.Failed: {0, 400, 491, 699},
	}
	for want, codes := range failed {
		for _, sip := range codes {
			t.Run(fmt.Sprintf("failed %d", sip), func(t *testing.T) {
				a := fold(dialing(), []call.Event{{Status: call.StatusFailed, SIP: sip, AMD: "disconnect"}})
				if a.Disposition != want {
					t.Errorf("%s; want %s", a.Disposition, want)
				}
			})
		}
	}
}

func TestAnEventBeforeTheDialsAnswerIsBelievedOverIt(t *testing.T) {
	for _, class := range []call.AnswerClass{call.AnswerPlaced, call.AnswerUnknown, call.AnswerNotPlaced, call.AnswerRefused, call.AnswerThrottled} {
		a := dialing()
		a.Fold(call.Event{Status: call.StatusFailed, SIP: 486, ReceivedAt: start})
		a.Answer(call.DialAnswer{Class: class, SID: "s", CallID: "c"})
		if a.State != call.StateEnded || a.Disposition != call.Busy || a.SID != "s" || a.CallID != "c" {
			t.Errorf("%s after a busy: %s %s, sid %q", class, a.State, a.Disposition, a.SID)
		}
	}
}

func TestTheDialsAnswerDecidesTheState(t *testing.T) {
	for class, want := range map[call.AnswerClass]call.State{
		call.AnswerPlaced: call.StatePlaced, call.AnswerNotPlaced: call.StateNotPlaced, call.AnswerThrottled: call.StateNotPlaced,
		call.AnswerRefused: call.StateNotPlaced, call.AnswerUnknown: call.StateUnknown,
	} {
		a := dialing()
		a.Answer(call.DialAnswer{Class: class, Message: "m"})
		if a.State != want || a.Permanent != (class == call.AnswerRefused) {
			t.Errorf("%s: %s, permanent %t; want %s", class, a.State, a.Permanent, want)
		}
	}
}

func TestAWatchdogMakesAnUnheardCallUnknownAndALateEndStillSettlesIt(t *testing.T) {
	a := dialing()
	a.Answer(call.DialAnswer{Class: call.AnswerPlaced})
	a.Close(start.Add(time.Hour), "no end was heard")
	if a.State != call.StateUnknown || a.Disposition != call.Unknown {
		t.Fatalf("%s %s", a.State, a.Disposition)
	}
	a.Fold(call.Event{Status: call.StatusProgress, AMD: call.AMDStopped, ReceivedAt: start.Add(time.Hour + time.Minute)})
	if a.Disposition != call.Unknown {
		t.Fatalf("late progress reopened a closed attempt: %s %s", a.State, a.Disposition)
	}
	a.Fold(call.Event{Status: call.StatusCompleted, AMD: call.AMDHuman, ReceivedAt: start.Add(2 * time.Hour)})
	if a.State != call.StateEnded || a.Disposition != call.Human {
		t.Fatalf("a late end left %s %s", a.State, a.Disposition)
	}
}

func TestAnsweredAtIsTheEndLessTheReportedDuration(t *testing.T) {
	a := fold(dialing(), []call.Event{{Status: call.StatusCompleted, AMD: call.AMDHuman, Duration: 14 * time.Second}})
	if got := a.EndedAt.Sub(a.AnsweredAt); got != 14*time.Second || a.DurationS != 14 {
		t.Errorf("answered %s before the end, duration %d s", got, a.DurationS)
	}
}

func TestMaskHidesAllButTheLastTwoDigits(t *testing.T) {
	for in, want := range map[string]string{"tel:+14155550100": "tel:…00", "sip:a": "sip:…", "+4930": "…30", "": "…"} {
		if got := call.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestAnEchoedModeIsNoSignOfAnAnswer(t *testing.T) {
	a := dialing()
	if f := a.Fold(call.Event{Status: call.StatusOther, AMD: "detect", ReceivedAt: start}); f.Answered || !a.AnsweredAt.IsZero() {
		t.Errorf("%+v %+v", f, a)
	}
	if f := a.Fold(call.Event{Status: call.StatusOther, AMD: call.AMDStopped, ReceivedAt: start}); !f.Answered || a.AnsweredAt.IsZero() {
		t.Errorf("%+v %+v", f, a)
	}
}

func TestAMachineThatHangsUpAtOnceIsCountedAsASuspectedPerson(t *testing.T) {
	for _, c := range []struct {
		event call.Event
		want  bool
	}{
		{call.Event{Status: call.StatusCompleted, AMD: call.AMDMachine, EndedBy: call.PartyCallee, Duration: 3 * time.Second}, true},
		{call.Event{Status: call.StatusCompleted, AMD: call.AMDMachine, EndedBy: call.PartyCallee, Duration: 20 * time.Second}, false},
		{call.Event{Status: call.StatusCompleted, AMD: call.AMDMachine, EndedBy: call.PartyGateway, Duration: time.Second}, false},
		{call.Event{Status: call.StatusCompleted, AMD: call.AMDHuman, EndedBy: call.PartyCallee, Duration: time.Second}, false},
	} {
		if a := fold(dialing(), []call.Event{c.event}); a.SuspectedHuman != c.want {
			t.Errorf("%+v: %t", c.event, a.SuspectedHuman)
		}
	}
}
