package callflowtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"redial/activities"
	"redial/call"
	"redial/followup"
)

// Dial is a request to dial that may have rung a phone.
type Dial struct {
	N        int // the attempt
	Number   string
	Caller   string
	Trunk    string
	Metadata map[string]any // as the bot is told
	At       time.Time
	Over     time.Time // when the call is truly over, heard or not
}

// gateway goes by the kit's scripts.
type gateway struct{ *Kit }

// errDead is what is left of a worker that dies in mid-dial.
var errDead = errors.New("the worker died")

// Dial implements activities.Gateway.
func (g gateway) Dial(ctx context.Context, r call.DialRequest, notifyURL string, _ time.Time) call.DialAnswer {
	key := strings.TrimPrefix(notifyURL, notifyBase)
	n := g.ledger.attemptNumber(key)
	p, scripted := g.take(r.To.URI, n)
	answer := call.DialAnswer{Class: p.answer, RetryAfter: p.retryAfter, Message: answers[p.answer]}
	if !scripted {
		g.blame("an unexpected dial to %s: script it with kit.On(%q)", number(r.To.URI), number(r.To.URI))
		answer = call.DialAnswer{Class: call.AnswerRefused, Message: "the test has no script for this dial"}
	}
	if answer.Class != call.AnswerPlaced && answer.Class != call.AnswerUnknown {
		g.observe(Event{At: g.Now(), WorkflowID: g.ledger.workflowOf(key), N: n, Kind: KindNotPlaced, Text: number(r.To.URI), Rule: answer.Message})
		return answer
	}
	if p.answer == call.AnswerPlaced {
		answer.SID, answer.CallID = fmt.Sprintf("sid-%d", n), fmt.Sprintf("call-%d", n)
	}
	c := p.course(r)
	g.dialed(key, n, r, p, c)
	for _, n := range c.news {
		g.report(ctx, key, n, p.early && n.at == 0)
	}
	if p.dies {
		panic(errDead)
	}
	return answer
}

var answers = map[call.AnswerClass]string{
	call.AnswerThrottled: "too many requests", call.AnswerNotPlaced: "connection refused", call.AnswerRefused: "the gateway refuses the request",
	call.AnswerUnknown: "the answer was lost",
}

// take is what becomes of the next request to a target, for its n-th attempt.
func (k *Kit) take(uri string, n int) (p plan, scripted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.scripts[uri]
	switch {
	case s == nil && k.direct != nil:
		s = &Script{kit: k, number: number(uri)}
		k.scripts[uri] = s
	case s == nil:
		s = k.anyNumber
	}
	var step *Step
	switch {
	case k.direct != nil:
		step = k.direct(s, n)
	case s != nil:
		step = s.next()
	}
	if step == nil {
		return p, false
	}
	p = step.plan
	if k.faults != nil && k.faults.IntN(4) == 0 && p.answer == call.AnswerPlaced {
		p.suffer(k.faulty[k.faults.IntN(len(k.faulty))])
	}
	return p, true
}

// dialed notes a dial.
func (k *Kit) dialed(key string, n int, r call.DialRequest, p plan, c course) {
	now := k.Now()
	d := Dial{N: n, Number: number(r.To.URI), Caller: r.Caller, Trunk: r.Trunk, Metadata: r.Metadata, At: now, Over: now.Add(c.over)}
	e := Event{At: now, WorkflowID: k.ledger.workflowOf(key), N: n, Kind: KindDial, Text: d.Number}
	if len(p.faults) > 0 {
		e.Rule = fmt.Sprint("fault: ", strings.Trim(fmt.Sprint(p.faults), "[]"))
	} else if p.answer == call.AnswerUnknown {
		e.Rule = "fault: " + answers[p.answer]
	}
	k.observe(e)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.run.dials = append(k.run.dials, d)
}

// report lets something be heard of a call, now or at its time.
func (k *Kit) report(ctx context.Context, key string, n news, now bool) {
	tell := func() {
		if n.event != nil {
			_ = k.ledger.Receive(ctx, key, *n.event)
		} else {
			r := n.result.result
			if n.result.in != 0 {
				r.At = k.Now().Add(n.result.in)
			}
			_ = k.ledger.ReceiveResult(ctx, key, r)
		}
		k.pump()
	}
	if now {
		tell()
		return
	}
	k.schedule(k.Now().Add(n.at), tell)
}

// addresses are the URLs that the gateway and the bot are given; nothing is ever sent there.
type addresses struct{}

const (
	notifyBase = "https://redial.invalid/notify/"
	resultBase = "https://redial.invalid/result/"
)

func (addresses) NotifyURL(key string, _ time.Time) (string, error) { return notifyBase + key, nil }
func (addresses) ResultURL(key string, _ time.Time) (string, error) { return resultBase + key, nil }

// clocked is the ledger as the activities see it: they reckon waits by this machine's clock, and the ledger by the virtual one.
type clocked struct {
	*Ledger
	kit *Kit
}

func (c clocked) Clear(ctx context.Context, r followup.ClearanceRequest) (followup.Clearance, error) {
	clearance, err := c.Ledger.Clear(ctx, r)
	c.kit.pump()
	if clearance.Held != nil {
		c.kit.mu.Lock()
		c.kit.held[r.Key] = *clearance.Held
		c.kit.mu.Unlock()
		here := *clearance.Held
		here.Until = time.Now().Add(here.Until.Sub(c.kit.Now()))
		clearance.Held = &here
	}
	return clearance, err
}

// office is the activities of a run under the virtual clock. Its methods bear the names under which they are registered: the SDK knows
// a function by its name, too, and closures of authors must not be taken for ours.
type office struct {
	*activities.Activities
	kit   *Kit
	turns *turns
}

// Dialout is the activity of this name.
func (o *office) Dialout(ctx context.Context, in activities.DialoutInput) (result activities.DialoutResult, err error) {
	info, k := activity.GetInfo(ctx), o.kit
	defer o.turns.await(in.N)()
	defer k.pump()
	if info.Attempt > 1 && stopped(ctx) {
		return result, temporal.NewNonRetryableApplicationError("the flow does not wait for it any more", "Canceled", nil)
	}
	if err := k.busy(); err != nil {
		return result, err
	}
	defer func() {
		if p := recover(); p == errDead { // the very value
			err = temporal.NewApplicationErrorWithOptions("the worker died", "Dead", temporal.ApplicationErrorOptions{NextRetryDelay: activities.DialoutTimeout})
		} else if p != nil {
			panic(p)
		}
	}()
	result, err = o.Activities.Dialout(ctx, in)
	return k.exact(call.AttemptKey(info.WorkflowExecution.ID, in.FirstRunID, in.N), result, err)
}

// Hold is the activity of this name.
func (o *office) Hold(ctx context.Context, in activities.HoldInput) error {
	if err := o.kit.busy(); err != nil {
		return err
	}
	return o.Activities.Hold(ctx, in)
}

// exact puts the virtual time back where the activity has reckoned with this machine's.
func (k *Kit) exact(key string, result activities.DialoutResult, err error) (activities.DialoutResult, error) {
	k.mu.Lock()
	held := k.held[key]
	k.mu.Unlock()
	wait := max(held.Until.Sub(k.Now()), time.Second)
	var retry *temporal.ApplicationError
	switch {
	case result.Held != nil:
		held.Until = k.Now().Add(wait).UTC()
		result.Held = &held
	case errors.As(err, &retry) && retry.NextRetryDelay() > 0:
		err = temporal.NewApplicationErrorWithOptions(retry.Message(), retry.Type(), temporal.ApplicationErrorOptions{NextRetryDelay: wait})
	}
	return result, err
}

// stopped tells whether the flow has given up an activity that waits for its next try: a real server would not try again.
func stopped(ctx context.Context) bool {
	activity.RecordHeartbeat(ctx)
	return ctx.Err() != nil
}
