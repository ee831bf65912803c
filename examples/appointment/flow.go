package main

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/workflows"
)

// Appointment is what a person is reminded of.
type Appointment struct {
	Subject string    `json:"subject"` // what the bot says it is about
	At      time.Time `json:"at"`      // when it begins
}

// Validate refuses an appointment that nobody could be reminded of.
func (a Appointment) Validate() error {
	switch {
	case a.Subject == "":
		return errors.New("subject: it is missing: say what the appointment is about")
	case a.At.IsZero():
		return errors.New("at: it is missing: write it like 2026-12-01T15:00:00+01:00")
	}
	return nil
}

// notice is how long before the appointment the last call is made: nobody wants to be reminded at the door.
const notice = 2 * time.Hour

// calls is how many calls a person gets at most, those included that were asked for.
const calls = 6

// Remind calls until the person has confirmed, wants another day, or the appointment is near.
func Remind(ctx workflow.Context, f *workflows.Flow, a Appointment) error {
	latest := a.At.Add(-notice)
	for range calls {
		attempt, err := f.Call(ctx, workflows.Before(latest), workflows.Tell("subject", a.Subject), workflows.Tell("at", a.At))
		if err != nil {
			return err
		}
		answer, err := f.AwaitResult(ctx, attempt, time.Minute)
		if err != nil {
			return err
		}
		switch answer.Kind {
		case call.Confirmed:
			return f.Finish(ctx, call.Outcome(call.Human), "confirmed")
		case call.Refused:
			return f.Escalate(ctx, "wants another appointment")
		case call.OptedOut:
			return f.Finish(ctx, call.OutcomeOptedOut, "does not want to be called")
		case call.Callback:
			if err := f.Hold(ctx, earlier(answer.At, latest), "asked to be called back"); err != nil {
				return err
			}
			continue
		}
		next, err := f.Conclude(ctx, attempt)
		if err != nil || next.Final() {
			return err
		}
		if next.At.After(latest) {
			return f.Finish(ctx, call.OutcomeExpired, "not reached before the appointment")
		}
		if err := f.WaitForRetry(ctx, next); err != nil {
			return err
		}
	}
	return f.Finish(ctx, call.OutcomeExhausted, "not settled after six calls")
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
