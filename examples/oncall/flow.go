package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/phone"
	"redial/workflows"
)

// Incident is what the people on call are told.
type Incident struct {
	Summary string         `json:"summary"`          // what the bot says
	OnCall  []phone.Target `json:"on_call"`          // in the order in which they are rung, one to ten
	Rounds  int            `json:"rounds,omitempty"` // through the list, before all are rung at once; default 2, at most 5
}

// Validate refuses an incident of which nobody could be told.
func (i Incident) Validate() error {
	switch {
	case i.Summary == "":
		return errors.New("summary: it is missing: say what has happened")
	case len(i.OnCall) == 0 || len(i.OnCall) > 10:
		return fmt.Errorf("on_call: %d people: name one to ten", len(i.OnCall))
	case i.Rounds < 0 || i.Rounds > 5:
		return fmt.Errorf("rounds: %d is out of range: write 1 to 5", i.Rounds)
	}
	return nil
}

// RaiseAlarm rings one after the other, twice, then all at once, until somebody accepts. When nobody does, people are told in
// another way.
func RaiseAlarm(ctx workflow.Context, f *workflows.Flow, i Incident) error {
	accepted := func(a call.Attempt) bool { return f.Result(a).Kind == call.Confirmed }
	about := workflows.Tell("incident", i.Summary)
	for range cmp.Or(i.Rounds, 2) {
		for _, person := range i.OnCall {
			attempt, err := f.Call(ctx, workflows.To(person.Target), about)
			if workflows.NotThisTarget(err) {
				continue
			}
			if err != nil {
				return err
			}
			if _, err := f.AwaitResult(ctx, attempt, 5*time.Second); err != nil {
				return err
			}
			if accepted(attempt) {
				return f.Finish(ctx, call.Outcome(call.Human), "accepted")
			}
		}
	}
	reached, err := f.CallAny(ctx, workflows.AtOnce, targets(i.OnCall), accepted, about, workflows.ResultWithin(5*time.Second))
	if err != nil {
		return err
	}
	if _, ok := reached.First(); ok {
		return f.Finish(ctx, call.Outcome(call.Human), "accepted when all were rung")
	}
	return f.Escalate(ctx, "nobody has accepted the alarm")
}

func targets(people []phone.Target) []call.Target {
	var all []call.Target
	for _, p := range people {
		all = append(all, p.Target)
	}
	return all
}
