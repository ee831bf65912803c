package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/followup"
)

// CallOption says how one call differs from what the run was started with.
type CallOption func(*request)

// To calls another target than the contact's own. One that must not be called ends nothing: Call returns a *RefusedError, and
// the flow may call somebody else.
func To(t call.Target) CallOption {
	return func(r *request) { r.dial.To, r.dial.Others, r.other = t, true, true }
}

// From shows another caller id.
func From(caller string) CallOption { return func(r *request) { r.dial.Caller = caller } }

// Through takes another trunk.
func Through(trunk string) CallOption { return func(r *request) { r.dial.Trunk = trunk } }

// Tell adds to what the bot is told, over the contact's own metadata.
func Tell(key string, value any) CallOption {
	return func(r *request) {
		r.dial.Metadata = maps.Clone(r.dial.Metadata)
		if r.dial.Metadata == nil {
			r.dial.Metadata = map[string]any{}
		}
		r.dial.Metadata[key] = value
	}
}

// Before gives a call up that could not be dialed by then, however it was held: Call returns a *RefusedError, and the flow may go
// on. A call that is under way by then is heard out.
func Before(t time.Time) CallOption { return func(r *request) { r.before = t.UTC() } }

// ResultWithin waits, after the end of a call in which somebody may have spoken with the bot, for what the bot says of it. It is for
// CallAny; after a Call, AwaitResult does the same.
func ResultWithin(d time.Duration) CallOption { return func(r *request) { r.hear = d } }

func (r request) tooLate(now time.Time) bool { return !r.before.IsZero() && !now.Before(r.before) }

// Reaction is what a flow does in mid-call. It may run activities; the call goes on meanwhile and cannot be hung up. It must not
// use the flow's other methods that take a context, but for Note and Do. A flow that has reacted is not continued in a new run: what
// a reaction leaves in the flow's variables is in no journal.
type Reaction func(workflow.Context, call.Attempt) error

// OnAnswered reacts when it is first heard that a call was answered: at most once, and at the end of the call at the latest. The
// first generation of the gateway reports nothing sooner.
func OnAnswered(do Reaction) CallOption {
	return func(r *request) {
		r.react("answered", func(a call.Attempt) bool { return !a.AnsweredAt.IsZero() }, do)
	}
}

// OnVerdict reacts to the first verdict of answering-machine detection, and to none that comes later: at most once, and at the
// end of the call at the latest.
func OnVerdict(do Reaction) CallOption {
	return func(r *request) {
		r.react("verdict", func(a call.Attempt) bool { return a.AMD.IsVerdict() }, do)
	}
}

// request is one call as the flow wants it.
type request struct {
	dial      activities.DialoutInput
	other     bool          // another target than the contact's own
	before    time.Time     // when it is too late to dial; zero: never
	hear      time.Duration // how long the bot's result is waited for after the end
	reactions []reaction
}

type reaction struct {
	name string
	due  func(call.Attempt) bool
	do   Reaction
}

func (r *request) react(name string, due func(call.Attempt) bool, do Reaction) {
	r.dial.MidCall = true
	r.reactions = append(r.reactions, reaction{name, due, do})
}

// request numbers a call and puts it together.
func (f *Flow) request(options []CallOption) request {
	f.numbered++
	_, others := f.further()
	r := request{dial: activities.DialoutInput{N: f.numbered, FirstRunID: f.info.FirstRunID, ContactID: f.in.ContactID, Campaign: f.in.Campaign,
		To: f.to, Others: others, Promised: f.promised, Caller: f.in.Caller, Trunk: f.in.Trunk, Metadata: f.in.Metadata,
		Subject: f.in.Subject, Consent: f.in.Consent}}
	for _, o := range options {
		o(&r)
	}
	return r
}

// underPolicy puts in what the policy says of a dial, as it is now.
func (f *Flow) underPolicy(in activities.DialoutInput) activities.DialoutInput {
	p := f.under.Policy
	in.Dial, in.Lifetime, in.Rules, in.Follows, in.FollowsVersion = p.Dial, p.Lifetime, p.Rules(), f.under.Follows, f.under.Version
	in.Promised = f.promised
	return in
}

// claim names the contact to the ledger.
func (f *Flow) claim(target string) followup.Claim {
	c := followup.Claim{WorkflowID: f.info.WorkflowExecution.ID, FirstRunID: f.info.FirstRunID, ContactID: f.in.ContactID, Campaign: f.in.Campaign, Target: target,
		Follows: f.under.Follows}
	if target == f.to.URI {
		c.Zone = f.to.Zone
	}
	return c
}

// What stops an attempt before it is dialed.
var (
	errSettled = errors.New("the last attempt has ended after all") // it was in doubt
	errMoved   = errors.New("another number is called")             // the policy has changed
)

// Call makes one attempt and returns when it is over, however long it has to wait for leave to dial. What is in the air
// cannot be hung up: a flow that is canceled meanwhile gets the attempt first. When the attempt before was in doubt, and its
// end is heard before this one is dialed, nothing is dialed and that attempt is returned: what follows it is to be decided anew.
// A number that must not be called is passed over for the contact's next one.
//
// The error is ErrCanceled, a *RefusedError, or that of a reaction.
func (f *Flow) Call(ctx workflow.Context, options ...CallOption) (call.Attempt, error) {
	defer func() { f.planned = false }()
	return step(ctx, f, "Call", func(ctx workflow.Context) (call.Attempt, error) { return f.call(ctx, options) })
}

func (f *Flow) call(ctx workflow.Context, options []CallOption) (call.Attempt, error) {
	r := f.request(options)
	attempt, err := f.dial(ctx, r)
	if err != nil {
		f.numbered--
	}
	switch {
	case errors.Is(err, errSettled):
		f.tell(f.Last())
		return f.Last(), nil
	case errors.Is(err, errMoved):
		return f.call(ctx, options)
	case NotThisTarget(err) && !r.other:
		if next, found := f.further(); found {
			f.to = next
			return f.call(ctx, options)
		}
		return call.Attempt{}, err
	case err != nil:
		return call.Attempt{}, err
	}
	f.promised = false
	if attempt, err = f.hearOut(ctx, attempt, r); err != nil || !f.changed {
		return attempt, err
	}
	_, err = f.refresh(ctx, false) // so that the flow goes on by the policy as it is now
	return attempt, err
}

// hearOut takes in an attempt that was dialed, its end, and what the bot says of it where that is waited for.
func (f *Flow) hearOut(ctx workflow.Context, attempt call.Attempt, r request) (call.Attempt, error) {
	f.add(attempt)
	ended, err := f.awaitEnd(ctx, attempt.N, r.reactions)
	if ended.N == f.Last().N {
		f.tell(ended)
	}
	if err == nil && r.hear > 0 {
		_, err = f.hear(ctx, ended, r.hear)
	}
	return ended, err
}

// told is an attempt as the flow was last given it.
type told struct {
	N  int              `json:"n"`
	As call.Disposition `json:"as"`
}

func (f *Flow) tell(a call.Attempt) { f.told = told{a.N, a.Disposition} }

// settledAfterAll tells whether the last attempt has become something else than the flow was told.
func (f *Flow) settledAfterAll() bool {
	f.listen()
	last := f.Last()
	return f.told.As != "" && f.told.N == last.N && last.Disposition != "" && last.Disposition != f.told.As
}

// dial asks for leave and dials, as often as it is held.
func (f *Flow) dial(ctx workflow.Context, r request) (call.Attempt, error) {
	if r.dial.To.URI == "" {
		return call.Attempt{}, temporal.NewNonRetryableApplicationError(
			"nobody to call: start the run with a target, or name one with workflows.To", "Input", nil)
	}
	if f.status.Outcome != "" {
		return call.Attempt{}, &RefusedError{Refusal: followup.Refusal{Outcome: f.status.Outcome, Reason: "the contact has its outcome", Rule: "flow " + f.name}}
	}
	for {
		if r.dial.First == 0 {
			f.renew(ctx) // nothing of this attempt is anywhere yet
		}
		if err := f.whilePaused(ctx); err != nil {
			return call.Attempt{}, err
		}
		if err := f.stopped(ctx); err != nil {
			return call.Attempt{}, err
		}
		if r.dial.First == 0 && f.settledAfterAll() {
			return call.Attempt{}, errSettled
		}
		if f.changed {
			if err := f.replanCall(ctx, r); err != nil {
				return call.Attempt{}, err
			}
			continue
		}
		if r.tooLate(workflow.Now(ctx)) {
			return call.Attempt{}, &RefusedError{Refusal: followup.Refusal{Outcome: call.OutcomeExpired, Rule: "flow " + f.name,
				Reason: "not dialed before " + r.before.Format(time.RFC3339)}, open: true}
		}
		f.show(ctx, StateCalling, nil, fmt.Sprintf("attempt %d is dialed", r.dial.N))
		f.listen()
		woken := f.woken
		r.dial.Notes = f.take()
		result, err := f.dialout(ctx, f.underPolicy(r.dial))
		switch {
		case err != nil:
			return call.Attempt{}, err
		case result.Refused != nil:
			return call.Attempt{}, &RefusedError{Refusal: *result.Refused, open: result.Open}
		case result.Attempt != nil:
			return *result.Attempt, nil
		}
		if !r.before.IsZero() && r.before.Before(result.Held.Until) {
			result.Held.Until = r.before
		}
		if err := f.hold(ctx, r.dial, woken, *result.Held); err != nil {
			return call.Attempt{}, err
		}
	}
}

// dialout runs the activity that dials. It is never retried into a second call, because the ledger knows the attempt's
// key; so it may be retried for as long as the ledger or the worker is away. A flow that is canceled before the activity has
// started dials nothing; one that has started is heard out.
func (f *Flow) dialout(ctx workflow.Context, in activities.DialoutInput) (activities.DialoutResult, error) {
	ctx, done := f.withdrawable(ctx)
	defer done()
	f.steer.called = in.To.URI
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           DialTaskQueue,
		WaitForCancellation: true,
		StartToCloseTimeout: activities.DialoutTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
		Summary:             fmt.Sprintf("attempt %d", in.N),
	})
	var result activities.DialoutResult
	err := workflow.ExecuteActivity(ctx, activities.NameDialout, in).Get(ctx, &result)
	if err == nil || ctx.Err() == nil {
		return result, err
	}
	if temporal.IsCanceledError(err) { // it had not begun
		f.notes = append(in.Notes, f.notes...)
		return result, cmp.Or(f.steer.end, error(ErrCanceled))
	}
	// It had begun, and the server does not repeat what is canceled: the ledger knows whether a request has left.
	if result.Attempt, err = f.look(ctx, in.N); err == nil && result.Attempt == nil {
		err = cmp.Or(f.steer.end, error(ErrCanceled))
	}
	return result, err
}

// look asks the ledger for an attempt; nil: it was never cleared.
func (f *Flow) look(ctx workflow.Context, n int) (*call.Attempt, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if !since(ctx, "redial: a canceled dial is looked for") {
		return nil, nil
	}
	var found *call.Attempt
	key := call.AttemptKey(f.info.WorkflowExecution.ID, f.info.FirstRunID, n)
	err := workflow.ExecuteActivity(f.lightly(ctx, fmt.Sprintf("was attempt %d made?", n)), activities.NameLook, key).Get(ctx, &found)
	return found, err
}

// hold sleeps until the hold ends, by its time or by a wake that came after the dial was asked for.
func (f *Flow) hold(ctx workflow.Context, d activities.DialoutInput, woken int, h followup.Hold) error {
	err := f.upsert(ctx, StateHeld, AttributeReason.ValueSet(string(h.Reason)), AttributeNextAction.ValueSet(h.Next()))
	if err != nil {
		return err
	}
	f.show(ctx, StateHeld, &h, fmt.Sprintf("attempt %d has to wait (%s), %s [%s]", d.N, h.Reason, whenOver(h), h.Rule))
	enough := func() bool { return f.settledAfterAll() && d.First == 0 || f.woken > woken }
	if d.First != 0 {
		_, err := f.sleep(ctx, h.Until, "held: "+string(h.Reason), enough)
		return err
	}
	return f.rest(ctx, h, "held: "+string(h.Reason), enough)
}

// awaitEnd waits for the end of an attempt and runs the reactions to it. When nothing is heard until the call must be over, the
// ledger gives it up and says what it is.
func (f *Flow) awaitEnd(ctx workflow.Context, n int, reactions []reaction) (call.Attempt, error) {
	reacting, done := f.withdrawable(ctx)
	defer done()
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	// What the relay tells is settled; what the dial itself has learned may still be within the hold for a late verdict.
	over := func() bool {
		f.listen()
		return f.ended[f.known(n).Key]
	}
	var failed error
	if !over() && !f.settled(ctx, n) {
		f.show(ctx, StateCalling, nil, fmt.Sprintf("attempt %d is under way", n))
		watchdog := f.alarm(ctx, f.known(n).HearUntil, fmt.Sprintf("give up on attempt %d if its end is not heard", n))
		defer watchdog.stop()
		for !over() {
			heard, _ := f.until(ctx, watchdog, func() bool { return over() || due(reactions, f.known(n)) })
			if !heard {
				return f.giveUp(ctx, n)
			}
			reactions, failed = f.run(reacting, n, reactions, failed)
		}
		watchdog.stop()
	}
	_, failed = f.run(reacting, n, reactions, failed)
	return f.known(n), failed
}

// due tells whether one of the reactions is to be run.
func due(reactions []reaction, a call.Attempt) bool {
	for _, r := range reactions {
		if r.due(a) {
			return true
		}
	}
	return false
}

// run runs the reactions that are due, and returns those that are not. The first error is kept: a call cannot be hung up, so
// that its end is awaited first.
func (f *Flow) run(ctx workflow.Context, n int, reactions []reaction, failed error) (left []reaction, err error) {
	for _, r := range reactions {
		a := f.known(n)
		if !r.due(a) {
			left = append(left, r)
			continue
		}
		f.journal.past("react in mid-call")
		if err := r.do(ctx, a); err != nil && failed == nil {
			failed = fmt.Errorf("the reaction of attempt %d to %s: %w", n, r.name, err)
		}
	}
	return left, failed
}

// giveUp stops listening for an attempt's end.
func (f *Flow) giveUp(ctx workflow.Context, n int) (call.Attempt, error) {
	var attempt call.Attempt
	if err := workflow.ExecuteActivity(f.lightly(ctx, "no end was heard"), activities.NameGiveUp, f.known(n).Key).Get(ctx, &attempt); err != nil {
		return call.Attempt{}, err
	}
	f.learn(attempt)
	return f.known(n), nil
}

// settled tells whether an attempt needs no more listening: its disposition is final.
func (f *Flow) settled(ctx workflow.Context, n int) bool {
	a := f.known(n)
	return a.Disposition != "" && !a.SettledAt.After(workflow.Now(ctx))
}
