package app

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/followup"
	"redial/internal/devserver/devservertest"
	"redial/ledger"
	"redial/starter"
	"redial/workflows"
)

// document is a policy as somebody writes it into an update.
func document(p followup.Policy) json.RawMessage {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return data
}

// slowly is a policy whose next attempt after a busy one is an hour away.
func slowly() followup.Policy {
	p := quick()
	p.On[call.Busy] = followup.Rule{Retry: []followup.Delay{{After: seconds(3600)}}}
	return p
}

// limited is a policy whose next attempt is due at once and held for an hour.
func limited() followup.Policy {
	p := quick()
	p.Limits = []followup.Limit{{Calls: 1, Per: followup.Span{For: seconds(3600)}}}
	return p
}

// talkative is a policy under which a call may last, and the next attempt is due at once.
func talkative() followup.Policy {
	p := quick()
	p.Dial.MaxCall = seconds(600)
	return p
}

// situation is where a run stands when it is steered. Its first attempt is, or becomes, busy, and whatever is dialed after it is
// answered by a person.
type situation struct {
	begin func(w *world, number string) starter.Call
	land  func(w *world, number string) // ends the call that is in the air; nil: there is none, or it ends by itself
	air   bool                          // an attempt is being made
}

var situations = map[string]situation{
	"asleep": {begin: func(w *world, number string) starter.Call {
		c := w.start(number, "busy+ring=1s,human+ring=1s", slowly())
		w.awaitState(c, workflows.StateWaiting)
		return c
	}},
	"held": {begin: func(w *world, number string) starter.Call {
		c := w.start(number, "busy+ring=1s,human+ring=1s", limited())
		w.awaitState(c, workflows.StateHeld)
		return c
	}},
	"paused": {begin: func(w *world, number string) starter.Call {
		c := w.start(number, "busy+ring=1s,human+ring=1s", slowly())
		w.awaitState(c, workflows.StateWaiting)
		w.steer(c, workflows.UpdatePause, workflows.Steering{})
		return c
	}},
	"dialing": {air: true, begin: func(w *world, number string) starter.Call {
		c := w.start(number, "busy+ring=1s+slow_answer=5s,human+ring=1s", talkative())
		require.Eventually(w.t, func() bool { return w.placed(number) == 1 }, 30*time.Second, 5*time.Millisecond)
		return c
	}},
	"in a call": {air: true, begin: func(w *world, number string) starter.Call {
		c := w.start(number, "human+never_ends+lost,human+ring=1s", talkative())
		w.notifyURL(number)
		return c
	}, land: func(w *world, number string) { w.post(w.notifyURL(number), seedSamples[4].body) }},
}

// awaitState waits until a flow itself says where it stands: the ledger knows of a wait a moment before its flow does.
func (w *world) awaitState(c starter.Call, s workflows.State) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		status := askRun(w.t.Context(), w.client, c.WorkflowID)
		return status != nil && status.State == s
	}, 30*time.Second, 20*time.Millisecond, "%s is not %s", c.WorkflowID, s)
}

// awaitWait waits until a contact waits for a reason.
func (w *world) awaitWait(c starter.Call, reason followup.Reason) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.waitingFor([]starter.Call{c}, reason) == 1 }, 30*time.Second, 20*time.Millisecond,
		"%s does not wait for %s", c.WorkflowID, reason)
}

// steer asks something of a run in the name of the test, and requires that it is done.
func (w *world) steer(c starter.Call, update string, with workflows.Steering) workflows.Status {
	w.t.Helper()
	with.By = "the test"
	status, err := w.starter.Steer(w.t.Context(), c.WorkflowID, update, with)
	require.NoError(w.t, err)
	return status
}

// refuses asks something of a run, and requires that it refuses for the reason.
func (w *world) refuses(c starter.Call, update string, with workflows.Steering, reason string) {
	w.t.Helper()
	with.By = "the test"
	_, err := w.starter.Steer(w.t.Context(), c.WorkflowID, update, with)
	var refused *starter.RefusedError
	require.ErrorAs(w.t, err, &refused)
	require.Contains(w.t, refused.Reason, reason)
	require.NotContains(w.t, err.Error(), "\n")
}

// landed ends what is in the air.
func (w *world) landed(s situation, number string) {
	w.t.Helper()
	if s.land != nil {
		s.land(w, number)
	}
}

// actions are what is asked in each situation, and what must come of it. The simulator's record is the judge.
var actions = map[string]func(w *world, in string, s situation, c starter.Call, number string){
	workflows.UpdatePause: func(w *world, in string, s situation, c starter.Call, number string) {
		if in == "paused" {
			w.refuses(c, workflows.UpdatePause, workflows.Steering{}, "it is paused by the test already")
			return
		}
		const paused = "paused by the test: a complaint"
		status := w.steer(c, workflows.UpdatePause, workflows.Steering{Reason: "a complaint"})
		contact, err := w.ledger.Show(w.t.Context(), c.WorkflowID)
		require.NoError(w.t, err)
		require.Equal(w.t, paused, contact.Decisions[len(contact.Decisions)-1].Reason, "it is told at once, whatever is in the air")
		require.Contains(w.t, strings.Join(shown{Contact: contact, Run: &status}.present(time.Now(), clock{zone: time.UTC}), " "), map[bool]string{
			true: "nothing follows the call: it is " + paused, false: "it is not called until somebody resumes it"}[s.air])
		w.landed(s, number)
		w.awaitWait(c, followup.ReasonPaused)
		require.Equal(w.t, 1, w.placed(number))
		w.steer(c, workflows.UpdateResume, workflows.Steering{})
		if s.air { // its retry is due
			require.Equal(w.t, call.Outcome(call.Human), w.result(c).Outcome)
			require.Equal(w.t, 2, w.placed(number))
		}
	},
	workflows.UpdateResume: func(w *world, in string, s situation, c starter.Call, number string) {
		if in != "paused" {
			w.refuses(c, workflows.UpdateResume, workflows.Steering{}, "it is not paused")
			return
		}
		w.steer(c, workflows.UpdateResume, workflows.Steering{})
		w.steer(c, workflows.UpdateCallNow, workflows.Steering{})
		require.Equal(w.t, call.Outcome(call.Human), w.result(c).Outcome)
		require.Equal(w.t, 2, w.placed(number))
	},
	workflows.UpdateCallNow: func(w *world, in string, s situation, c starter.Call, number string) {
		switch in {
		case "asleep":
			w.steer(c, workflows.UpdateCallNow, workflows.Steering{})
			require.Equal(w.t, call.Outcome(call.Human), w.result(c).Outcome)
			require.Equal(w.t, 2, w.placed(number))
		case "held": // the rules still hold
			held := w.heldSoFar(c)
			w.steer(c, workflows.UpdateCallNow, workflows.Steering{})
			require.Eventually(w.t, func() bool { return w.heldSoFar(c) > held }, 30*time.Second, 20*time.Millisecond)
			require.Equal(w.t, 1, w.placed(number))
		default:
			w.refusesToMove(c, in, workflows.UpdateCallNow, workflows.Steering{})
		}
	},
	workflows.UpdateReschedule: func(w *world, in string, s situation, c starter.Call, number string) {
		at := time.Now().Add(3 * time.Second)
		switch in {
		case "asleep":
			w.steer(c, workflows.UpdateReschedule, workflows.Steering{At: at})
			r := w.result(c)
			require.Equal(w.t, call.Outcome(call.Human), r.Outcome)
			require.Equal(w.t, 2, w.placed(number))
			require.False(w.t, r.Attempts[1].DialedAt.Before(at), "%s is before %s", r.Attempts[1].DialedAt, at)
		case "held":
			w.steer(c, workflows.UpdateReschedule, workflows.Steering{At: at})
			w.awaitWait(c, followup.ReasonRescheduled)
			w.awaitWait(c, followup.ReasonLimit) // the rules still hold then
			require.Equal(w.t, 1, w.placed(number))
		default:
			w.refusesToMove(c, in, workflows.UpdateReschedule, workflows.Steering{At: at})
		}
	},
	workflows.UpdateOptOut: func(w *world, in string, s situation, c starter.Call, number string) {
		w.steer(c, workflows.UpdateOptOut, workflows.Steering{Reason: "said so"})
		by, err := w.ledger.Suppressed(w.t.Context(), "tel:"+number, "")
		require.NoError(w.t, err)
		require.Equal(w.t, "opt-out, the test", by.Source, "at once, whatever is in the air")
		w.landed(s, number)
		w.ends(c, number, call.OutcomeOptedOut, "opted out by the test: said so")
	},
	workflows.UpdateCancel: func(w *world, in string, s situation, c starter.Call, number string) {
		w.steer(c, workflows.UpdateCancel, workflows.Steering{Reason: "returned"})
		w.landed(s, number)
		w.ends(c, number, call.OutcomeCanceled, "canceled by the test: returned")
	},
	workflows.UpdateChangePolicy: func(w *world, in string, s situation, c starter.Call, number string) {
		gentle := quick()
		gentle.Name, gentle.On[call.Busy] = "gentle", followup.Rule{Do: followup.VerbStop}
		w.steer(c, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(gentle), Reason: "complaints"})
		w.landed(s, number)
		if in == "paused" {
			w.steer(c, workflows.UpdateResume, workflows.Steering{})
		}
		w.ends(c, number, call.Outcome(call.Busy), "")
	},
}

func (w *world) refusesToMove(c starter.Call, in, update string, with workflows.Steering) {
	w.t.Helper()
	reason := "an attempt is being made"
	if in == "paused" {
		reason = "resume it first"
	}
	w.refuses(c, update, with, reason)
}

// ends requires that a run ends after its one call, which is heard out, and answers nothing more.
func (w *world) ends(c starter.Call, number string, outcome call.Outcome, reason string) {
	w.t.Helper()
	r := w.result(c)
	require.Equal(w.t, outcome, r.Outcome)
	require.Equal(w.t, reason, r.Reason)
	require.Len(w.t, r.Attempts, 1)
	require.Equal(w.t, call.Busy, r.Attempts[0].Disposition)
	require.Equal(w.t, 1, w.placed(number))
	shown, err := w.ledger.Show(w.t.Context(), c.WorkflowID)
	require.NoError(w.t, err)
	require.Equal(w.t, outcome, shown.Outcome)
	for _, update := range []string{workflows.UpdatePause, workflows.UpdateResume, workflows.UpdateCallNow, workflows.UpdateReschedule, workflows.UpdateOptOut, workflows.UpdateCancel,
		workflows.UpdateChangePolicy} {
		_, err := w.starter.Steer(w.t.Context(), c.WorkflowID, update, workflows.Steering{By: "the test", At: time.Now().Add(time.Hour)})
		require.ErrorIs(w.t, err, starter.ErrRunOver)
	}
}

// heldSoFar is how often a contact was held.
func (w *world) heldSoFar(c starter.Call) (n int) {
	w.t.Helper()
	shown, err := w.ledger.Show(w.t.Context(), c.WorkflowID)
	require.NoError(w.t, err)
	for _, d := range shown.Decisions {
		if d.Kind == "held" {
			n++
		}
	}
	return n
}

func TestEachSteeringActionInEachSituationDoesWhatItSaysAndNothingIsDialedAgainstIt(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		n := 0
		for in, s := range situations {
			for name, act := range actions {
				n++
				number := fmt.Sprintf("+120255501%02d", n)
				t.Run(in+"/"+name, func(t *testing.T) {
					one := *w
					one.t = t
					act(&one, in, s, s.begin(&one, number), number)
				})
			}
		}
		require.Zero(t, w.simulator.Stats().DuplicateDials)
	})
}

func TestAContactThatHasItsOutcomeIsNotSteeredAnyMoreWhileItsRunGoesOn(t *testing.T) {
	goesOn := define("GoesOn", func(ctx workflow.Context, f *workflows.Flow) error {
		if err := f.Finish(ctx, call.Outcome(call.Human), "came by"); err != nil {
			return err
		}
		return f.Hold(ctx, workflow.Now(ctx).Add(5*time.Second), "until it was refused")
	})
	w := newWorld(t, worldOptions{flows: []workflows.Definition{goesOn}})
	c := w.flow(goesOn, "anna", call.Target{URI: "tel:+12025550101"})
	require.Eventually(t, func() bool {
		status := askRun(t.Context(), w.client, c.WorkflowID)
		return status != nil && status.Outcome != ""
	}, 30*time.Second, 10*time.Millisecond)
	for update := range actions {
		if update != workflows.UpdateOptOut {
			w.refuses(c, update, workflows.Steering{At: time.Now().Add(time.Hour)}, "the contact has its outcome: human")
		}
	}
	w.steer(c, workflows.UpdateOptOut, workflows.Steering{Reason: "said so at the door"})
	by, err := w.ledger.Suppressed(t.Context(), "", "anna")
	require.NoError(t, err)
	require.Equal(t, "said so at the door", by.Reason)
	require.Equal(t, "came by", w.result(c).Reason)
	require.Zero(t, w.placed("+12025550101"))
}

func TestARunThatNobodyHasStartedAndAnUpdateThatIsNoneAreToldApart(t *testing.T) {
	w := newWorld(t, worldOptions{})
	_, err := w.starter.Steer(t.Context(), "redial/-/nobody", workflows.UpdatePause, workflows.Steering{By: "the test"})
	require.ErrorIs(t, err, starter.ErrNoRun)
	_, err = w.starter.Steer(t.Context(), "redial/-/nobody", "hang_up", workflows.Steering{By: "the test"})
	var input *starter.InputError
	require.ErrorAs(t, err, &input)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, err = w.starter.Pause(stopped, "redial/-/nobody", "the test", "")
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheNamedMethodsSteerAsTheUpdatesDo(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const number = "+12025550101"
	c := situations["asleep"].begin(w, number)
	ctx, at := t.Context(), time.Now().Add(2*time.Hour)
	_, err := w.starter.Pause(ctx, c.WorkflowID, "anna", "a complaint")
	require.NoError(t, err)
	w.awaitWait(c, followup.ReasonPaused)
	_, err = w.starter.CallNow(ctx, c.WorkflowID, "bert", "")
	require.ErrorContains(t, err, "redial/-/"+c.ContactID+" refuses to call now: it is paused by anna: a complaint: resume it first")
	_, err = w.starter.Resume(ctx, c.WorkflowID, "anna", "settled")
	require.NoError(t, err)
	_, err = w.starter.Reschedule(ctx, c.WorkflowID, at, "anna", "asked for it")
	require.NoError(t, err)
	w.awaitWait(c, followup.ReasonRescheduled)
	shown, err := w.ledger.Show(ctx, c.WorkflowID)
	require.NoError(t, err)
	require.WithinDuration(t, at, shown.Wait.Until, time.Second)
	_, err = w.starter.Cancel(ctx, c.WorkflowID, "", "")
	require.ErrorContains(t, err, "by: it is missing")
	_, err = w.starter.OptOut(ctx, c.WorkflowID, "anna", "")
	require.NoError(t, err)
	require.Equal(t, call.OutcomeOptedOut, w.result(c).Outcome)
	_, err = w.starter.Cancel(ctx, c.WorkflowID, "anna", "")
	require.ErrorIs(t, err, starter.ErrRunOver)
}

// From the Temporal UI an update is sent with its name and a JSON input, as by any other client of Temporal.
func TestAnyClientOfTemporalSteersWithAnUpdateAndIsToldWhyItIsRefused(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := situations["asleep"].begin(w, "+12025550101")
	plain := func(input map[string]any) error {
		handle, err := w.client.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{WorkflowID: c.WorkflowID, UpdateName: "pause",
			Args: []any{input}, WaitForStage: client.WorkflowUpdateStageCompleted})
		if err != nil {
			return err
		}
		return handle.Get(t.Context(), nil)
	}
	require.ErrorContains(t, plain(map[string]any{"reason": "a complaint"}), "by: it is missing: say who asks")
	require.NoError(t, plain(map[string]any{"by": "anna"}))

	cli := func(name, input string) (string, error) {
		out, err := exec.CommandContext(t.Context(), devservertest.Binary(t), "workflow", "update", "execute", "--address", w.temporal.Address(),
			"--workflow-id", c.WorkflowID, "--name", name, "--input", input, "--env-file", t.TempDir()+"/none.yaml").CombinedOutput()
		return string(out), err
	}
	said, err := cli("resume", `{"reason":"settled"}`)
	require.Error(t, err)
	require.Contains(t, said, "by: it is missing: say who asks")
	said, err = cli("resume", `{"by":"bert","reason":"settled"}`)
	require.NoError(t, err, said)
	said, err = cli("reschedule", `{"by":"bert","at":"2020-01-01T09:00:00Z"}`)
	require.Error(t, err)
	require.Contains(t, said, "is over")
	said, err = cli("cancel", `{"by":"bert"}`)
	require.NoError(t, err, said)
	r := w.result(c)
	require.Equal(t, "canceled by bert", r.Reason)
	require.Equal(t, 1, w.placed("+12025550101"))
}

var followers = flag.Int("followers", 50, "how many flows wait to call the number that opts out in the test of it")

// TestAnOptOutStopsEveryFlowThatWaitsToCallTheNumberWithinSeconds; with the thousand of the budget:
// go test ./app -run AnOptOutStopsEvery -followers 1000 -v
func TestAnOptOutStopsEveryFlowThatWaitsToCallTheNumberWithinSeconds(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		const number, target = "+12025550101", "tel:+12025550101"
		later := define("Later", func(ctx workflow.Context, f *workflows.Flow) error {
			if err := f.Hold(ctx, workflow.Now(ctx).Add(24*time.Hour), "not before tomorrow"); err != nil {
				return err
			}
			_, err := f.Call(ctx)
			return err
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{later}})
		// Some wait for their retry, some are held by a limit, and the others have not called yet.
		calls := []starter.Call{situations["asleep"].begin(w, number)}
		for i := range *followers - 1 {
			if i%5 == 0 {
				calls = append(calls, w.start(number, "", limited()))
			} else {
				calls = append(calls, w.flow(later, fmt.Sprintf("later-%d", i), call.Target{URI: target}))
			}
		}
		require.Eventually(t, func() bool {
			return w.waitingFor(calls, followup.ReasonLimit)+w.waitingFor(calls, followup.ReasonFlow) == len(calls)-1
		}, 5*time.Minute, 100*time.Millisecond)
		before := w.placed(number)

		begin := time.Now()
		_, err := w.ledger.Suppress(t.Context(), ledger.Suppression{Kind: ledger.SuppressedNumber, Subject: target, Source: "opt-out, the test", Reason: "said so"})
		require.NoError(t, err)
		for _, c := range calls {
			require.Equal(t, call.OutcomeSuppressed, w.result(c).Outcome)
		}
		took := time.Since(begin)
		t.Logf("opt-out to the last of %d flows that wait: %s", len(calls), took.Round(time.Millisecond))
		require.Less(t, took, 10*time.Second+time.Duration(len(calls))*50*time.Millisecond, "a dev server ends some dozens of runs a second")
		require.Equal(t, before, w.placed(number))
	})
}

// While people are being told, a contact has its outcome, whoever has decided on it. Here that takes long: what tells them waits for its
// task queue, which an operator has stopped.
func TestWhilePeopleAreToldAContactIsNotSteeredAnyMore(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		own := define("Own", func(ctx workflow.Context, f *workflows.Flow) error {
			if _, err := f.Call(ctx); err != nil {
				return err
			}
			return f.Escalate(ctx, "somebody has to look at it")
		})
		w := at.newWorld(t, worldOptions{flows: []workflows.Definition{own}})
		escalates := quick()
		escalates.On[call.Busy] = followup.Rule{Do: followup.VerbEscalate}
		w.limitActivities(&taskqueuepb.RateLimit{})
		by := map[string]starter.Call{"its policy": w.start("+12025550101", "busy+ring=1s", escalates),
			"its flow": w.flow(own, "anna", w.script("+12025550102", "busy+ring=1s"))}
		for who, c := range by {
			w.awaitState(c, workflows.StateEscalating)
			for update := range actions {
				t.Run(update+", escalated by "+who, func(t *testing.T) {
					one := *w
					one.t = t
					if update == workflows.UpdateOptOut {
						one.steer(c, update, workflows.Steering{})
						return
					}
					one.refuses(c, update, workflows.Steering{At: time.Now().Add(time.Hour)}, "the contact has its outcome: escalated")
				})
			}
		}
		w.limitActivities(nil)
		for _, c := range by {
			r := w.result(c)
			require.Equal(t, call.OutcomeEscalated, r.Outcome)
			require.Len(t, r.Attempts, 1)
			shown, err := w.ledger.Show(t.Context(), c.WorkflowID)
			require.NoError(t, err)
			require.NotNil(t, shown.Escalation)
			require.Len(t, shown.Suppressed, 2, "the contact and its number")
		}
		require.Equal(t, 2, w.simulator.Stats().Launched)
	})
}

// limitActivities limits how many light activities may start in a second, as temporal task-queue config set does; nil: there is no limit.
func (w *world) limitActivities(limit *taskqueuepb.RateLimit) {
	w.t.Helper()
	_, err := w.client.WorkflowService().UpdateTaskQueueConfig(w.t.Context(), &workflowservice.UpdateTaskQueueConfigRequest{
		Namespace: "default", TaskQueue: workflows.TaskQueue, TaskQueueType: enumspb.TASK_QUEUE_TYPE_ACTIVITY,
		UpdateQueueRateLimit: &workflowservice.UpdateTaskQueueConfigRequest_RateLimitUpdate{RateLimit: limit}})
	require.NoError(w.t, err)
}
