package main

import (
	"testing"
	"time"

	"redial/call"
	"redial/callflowtest"
)

const patient = "+14155550100"

// monday is the start of each test; the dentist expects the patient on Thursday at three.
var (
	monday  = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	dentist = Appointment{Subject: "dentist", At: monday.Add(3*24*time.Hour + 5*time.Hour)}
)

func kit(t *testing.T) *callflowtest.Kit { return callflowtest.New(t, Reminder).At(monday) }

func TestWhoConfirmsIsNotCalledAgain(t *testing.T) {
	k := kit(t)
	k.On(patient).Busy().Then().Machine(callflowtest.Beep).Then().Human(40 * time.Second).Result(call.Confirmed)
	run := k.Call(patient, dentist)
	run.Outcome("human").AtMost(1, 15*time.Minute).Ended()
	if run.Result().Reason != "confirmed" || len(run.Dials()) != 3 {
		t.Error(run.Timeline())
	}
}

func TestWhoWantsAnotherDayIsHandedToPeople(t *testing.T) {
	k := kit(t)
	k.On(patient).Human(30 * time.Second).Result(call.Refused)
	k.Call(patient, dentist).EscalatedWith("wants another appointment").Ended()
}

func TestWhoDoesNotWantToBeCalledIsNotCalledAgain(t *testing.T) {
	k := kit(t)
	k.On(patient).Human(10 * time.Second).Result(call.OptedOut)
	k.Call(patient, dentist).Outcome(call.OutcomeOptedOut).Ended()
}

func TestAPromisedCallbackIsKept(t *testing.T) {
	k := kit(t)
	promised := monday.Add(30 * time.Hour)
	k.On(patient).Human(20 * time.Second).Callback(promised).Then().Human(20 * time.Second).Result(call.Confirmed)
	k.Call(patient, dentist).Outcome("human").DialedAt(monday, promised)
}

func TestNobodyIsRemindedAtTheDoor(t *testing.T) {
	k := kit(t)
	k.On(patient).NoAnswer()
	tonight := Appointment{Subject: "dentist", At: monday.Add(8 * time.Hour)}
	run := k.Call(patient, tonight).Outcome(call.OutcomeExpired).Ended()
	for _, d := range run.Dials() {
		if d.At.After(tonight.At.Add(-notice)) {
			run.Fail("called within two hours of the appointment")
		}
	}
}

func TestNothingThatThePatientDoesBreaksAPromise(t *testing.T) {
	callflowtest.Explore(t, Reminder, callflowtest.Search{To: patient, Input: dentist},
		callflowtest.Ended(), callflowtest.OneInFlightPerNumber(), callflowtest.AtMost(calls, 24*time.Hour))
}
