package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/followup"
)

// alarm is a timer that is stopped when it is not needed any more.
type alarm struct {
	rings workflow.Future
	stop  workflow.CancelFunc
}

func (f *Flow) alarm(ctx workflow.Context, at time.Time, summary string) alarm {
	ctx, stop := workflow.WithCancel(ctx)
	return alarm{stop: stop, rings: workflow.NewTimerWithOptions(ctx, max(0, at.Sub(workflow.Now(ctx))), workflow.TimerOptions{Summary: shorten(summary)})}
}

// until waits for the alarm, or until what was heard is enough. It returns ErrCanceled when the flow is to end.
func (f *Flow) until(ctx workflow.Context, a alarm, enough func() bool) (heard bool, err error) {
	err = workflow.Await(ctx, func() bool {
		heard = enough()
		return heard || a.rings.IsReady()
	})
	if err != nil {
		return false, ErrCanceled
	}
	return heard, nil
}

// sleep waits until a time, or until what was heard is enough, and leaves no timer running.
func (f *Flow) sleep(ctx workflow.Context, at time.Time, summary string, enough func() bool) (heard bool, err error) {
	a := f.alarm(ctx, at, summary)
	defer a.stop()
	heard, err = f.until(ctx, a, func() bool { return f.steer.end != nil || enough() })
	if f.steer.end != nil {
		return false, f.steer.end
	}
	return heard, err
}

// rest is sleep between attempts, for what a hold says: it is over, too, when somebody asks to call now, and goes on to another time
// when somebody asks for that. It returns a *RefusedError when the contact must not be called any more.
func (f *Flow) rest(ctx workflow.Context, h followup.Hold, summary string, enough func() bool) error {
	defer func() { f.steer.wait = nil }()
	for calls := f.steer.calls; ; {
		f.steer.wait = &h
		if f.steer.paused != nil && f.status.State != StatePaused && inMidCall(ctx) {
			if err := f.sayPaused(ctx); err != nil {
				return err
			}
		}
		over := false // kept: a piece of news is enough only once
		_, err := f.sleep(ctx, h.Until, summary, func() bool {
			over = over || enough()
			return over || f.recheck || f.steer.calls > calls || f.steer.moved != nil || f.changed && f.steer.paused == nil
		})
		if err == nil && f.recheck && !over {
			if err := f.mayGoOn(ctx); err != nil {
				return err
			}
			continue
		}
		if err == nil && f.changed && !over && f.steer.paused == nil && f.steer.moved == nil && f.steer.calls == calls {
			if h, err = f.replanWait(ctx, h); err != nil {
				return err
			}
			continue
		}
		moved := f.steer.moved
		if err != nil || moved == nil {
			return err
		}
		f.steer.moved = nil
		if held(h) && sinceItQuits(ctx) {
			enough = f.newlySettled // what it was held for is not waited for any more
		}
		h = followup.Hold{Reason: followup.ReasonRescheduled, Rule: moved.words("rescheduled"), Until: moved.At}
		summary = h.Rule
		if err := f.say(ctx, StateWaiting, h); err != nil {
			return err
		}
	}
}

// held tells whether a wait is for leave to dial.
func held(h followup.Hold) bool {
	return h.Reason != followup.ReasonRetry && h.Reason != followup.ReasonRescheduled && h.Reason != followup.ReasonFlow
}

// sinceItQuits tells whether a held contact that is paused or rescheduled leaves the queue, and has to ask again by itself. It is asked where
// somebody does that only, so that other runs are what they were.
func sinceItQuits(ctx workflow.Context) bool {
	return since(ctx, "redial: who is paused or rescheduled leaves the queue")
}

// mayGoOn asks whether a contact that waits may still be called. It is asked when a wake says so: only there is the answer new, and
// runs that never got such a wake replay as they were. A suppressed number ends a contact that has no further one; a flow that calls
// others than its contact goes on.
func (f *Flow) mayGoOn(ctx workflow.Context) error {
	f.recheck = false
	if f.status.Outcome != "" {
		return nil
	}
	target := f.to.URI
	own := func(t call.Target) bool { return t.URI == f.steer.called }
	if _, more := f.further(); more || f.steer.called != "" && !slices.ContainsFunc(f.numbers(), own) {
		target = ""
	}
	var refused *followup.Refusal
	in := activities.RecheckInput{Claim: f.claim(target), Notes: f.take()}
	if err := f.write(ctx, "may it still be called?", activities.NameRecheck, in, &refused); err != nil || refused == nil {
		return err
	}
	return &RefusedError{Refusal: *refused}
}

// newlySettled is settledAfterAll, once: a flow that waits on although it was told is left to wait.
func (f *Flow) newlySettled() bool {
	if !f.settledAfterAll() {
		return false
	}
	last := f.Last()
	now := told{last.N, last.Disposition}
	news := f.hinted != now
	f.hinted = now
	return news
}

// WaitForRetry sleeps until the next attempt is due, as the policy has decided. It returns early when the end of an attempt that
// was unknown is heard after all: the next Call returns that attempt and dials nothing. When the contact must not be called any more it
// returns a *RefusedError at once.
func (f *Flow) WaitForRetry(ctx workflow.Context, d followup.Decision) error {
	f.planned = d.Same(f.concluded) // and not by a time of the flow's own
	_, err := step(ctx, f, "WaitForRetry", func(ctx workflow.Context) (struct{}, error) {
		f.renew(ctx)
		f.showRetry(ctx, d)
		return struct{}{}, f.rest(ctx, *f.status.Wait, d.Reason, f.newlySettled)
	})
	return err
}

func (f *Flow) showRetry(ctx workflow.Context, d followup.Decision) {
	f.show(ctx, StateWaiting, &followup.Hold{Reason: followup.ReasonRetry, Rule: d.Rule, Until: d.At},
		fmt.Sprintf("attempt %d at **%s**, after %s [%s]", f.numbered+1, clock(d.At), d.Reason, d.Rule))
}

// Hold sleeps until a time of the flow's own choice. The reason is what an operator reads meanwhile; it must hold no number and
// no name. Like WaitForRetry it returns early when an attempt that was unknown has ended after all, when somebody asks to call
// now, and when the contact must not be called any more.
func (f *Flow) Hold(ctx workflow.Context, until time.Time, reason string) error {
	f.planned = false
	_, err := step(ctx, f, "Hold", func(ctx workflow.Context) (struct{}, error) {
		f.renew(ctx)
		if err := f.stopped(ctx); err != nil {
			return struct{}{}, err
		}
		h := followup.Hold{Reason: followup.ReasonFlow, Rule: f.name + ": " + shorten(reason), Until: until.UTC()}
		if err := f.say(ctx, StateWaiting, h); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, f.rest(ctx, h, reason, f.newlySettled)
	})
	return err
}

// Result is what the bot has said of an attempt so far; the zero BotResult when it has said nothing.
func (f *Flow) Result(a call.Attempt) call.BotResult {
	if r := f.resultOf(a.Key); r != nil {
		return *r
	}
	return call.BotResult{}
}

// AwaitResult waits for what the bot says of an attempt, for the given time at most, and returns the zero BotResult when it
// says nothing. It returns at once when the bot has said so in mid-call, and when nobody can have spoken with it.
func (f *Flow) AwaitResult(ctx workflow.Context, a call.Attempt, atMost time.Duration) (call.BotResult, error) {
	return step(ctx, f, "AwaitResult", func(ctx workflow.Context) (call.BotResult, error) { return f.hear(ctx, a, atMost) })
}

func (f *Flow) hear(ctx workflow.Context, a call.Attempt, atMost time.Duration) (call.BotResult, error) {
	said := func() bool {
		f.listen()
		disposition := cmp.Or(f.known(a.N).Disposition, a.Disposition)
		return f.resultOf(a.Key) != nil || disposition != "" && !disposition.Conversation()
	}
	if atMost > 0 && !said() {
		at := workflow.Now(ctx).Add(atMost)
		wait := followup.Hold{Reason: followup.ReasonResult, Rule: fmt.Sprintf("%s: the bot has %s to say what came of it", f.name, atMost), Until: at}
		f.show(ctx, StateCalling, &wait, fmt.Sprintf("the bot's result of attempt %d is awaited until **%s**", a.N, clock(at)))
		if _, err := f.sleep(ctx, at, fmt.Sprintf("the bot's result of attempt %d", a.N), said); err != nil {
			return call.BotResult{}, err
		}
	}
	return f.Result(a), nil
}
