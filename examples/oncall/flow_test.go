package main

import (
	"testing"
	"time"

	"redial/call"
	"redial/callflowtest"
	"redial/phone"
	"redial/workflows"
)

const ann, ben, cleo = "+14155550111", "+14155550122", "+14155550133"

var incident = Incident{Summary: "The database of the shop does not answer.",
	OnCall: []phone.Target{{Target: callflowtest.Target(ann)}, {Target: callflowtest.Target(ben)}, {Target: callflowtest.Target(cleo)}}}

// hasty is how an alarm is called: minutes matter.
func hasty(in *workflows.Input) {
	in.Policy.Dial.RingTimeout, in.Policy.Dial.MaxCall, in.Policy.Dial.Grace = 25e9, 360e9, 15e9
}

func TestTheFirstWhoAcceptsEndsTheAlarm(t *testing.T) {
	k := callflowtest.New(t, Alarm)
	k.On(ann).NoAnswer()
	k.On(ben).Human(20 * time.Second).Result(call.Confirmed)
	run := k.Call("", incident, hasty).Outcome("human").Dialed(ann, ben)
	if run.Lasted() > 2*time.Minute {
		t.Errorf("it took %s\n%s", run.Lasted(), run.Timeline())
	}
}

func TestWhoPicksUpAndDoesNotAcceptIsNotEnough(t *testing.T) {
	k := callflowtest.New(t, Alarm)
	k.On(ann).Human(10 * time.Second)
	k.On(ben).Human(10 * time.Second).Result(call.Refused)
	k.On(cleo).Machine(callflowtest.Beep).Then().Human(10 * time.Second).Result(call.Confirmed)
	k.Call("", incident, hasty).Outcome("human").Dialed(ann, ben, cleo, ann, ben, cleo)
}

func TestAtLastAllAreRungAtOnce(t *testing.T) {
	k := callflowtest.New(t, Alarm)
	k.On(ann).NoAnswer()
	k.On(ben).NoAnswer().Times(2).Then().Human(30 * time.Second).Result(call.Confirmed)
	k.On(cleo).NoAnswer()
	run := k.Call("", incident, hasty).Outcome("human")
	dials := run.Dials()
	if len(dials) != 9 || !dials[6].At.Equal(dials[8].At) {
		t.Error(run.Timeline())
	}
}

func TestANumberThatMustNotBeCalledDoesNotStopTheAlarm(t *testing.T) {
	k := callflowtest.New(t, Alarm).Suppress(ann)
	k.On(ben).Human(20 * time.Second).Result(call.Confirmed)
	k.Call("", incident, hasty).Outcome("human").Dialed(ben)
}

func TestAnAlarmThatNobodyTakesIsTold(t *testing.T) {
	k := callflowtest.New(t, Alarm)
	k.OnAny().NoAnswer()
	run := k.Call("", incident, hasty).EscalatedWith("nobody has accepted the alarm").Ended()
	if run.Lasted() > 6*time.Minute {
		t.Errorf("people are told after %s\n%s", run.Lasted(), run.Timeline())
	}
}

func TestTheAlarmEndsWhateverHappens(t *testing.T) {
	callflowtest.Explore(t, Alarm, callflowtest.Search{Input: incident, With: hasty}, callflowtest.Ended())
}
