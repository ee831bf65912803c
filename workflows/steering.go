package workflows

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/followup"
)

// Updates with which people steer a run, from Go, from the command line or from the Temporal UI. Each takes a Steering and
// returns the flow's Status. One that makes no sense now is refused, with the reason. What is in the air cannot be hung up: it ends,
// and what was asked holds from then on.
const (
	UpdatePause      = "pause"      // no dial until it is resumed
	UpdateResume     = "resume"     // takes a pause back
	UpdateCallNow    = "call_now"   // ends the wait for the next attempt; calling rules still hold
	UpdateReschedule = "reschedule" // waits until Steering.At instead
	UpdateOptOut     = "opt_out"    // suppresses the number and the contact at once, and ends the flow; never refused while the run goes on
	UpdateCancel     = "cancel"     // ends the flow

	// UpdateChangePolicy lets the run go by Steering.Policy, or by the policy of the ledger that Steering.Follows names, from now on: what it
	// waits for is planned anew.
	UpdateChangePolicy = "change_policy"
)

// Steering is what somebody asks of a run.
type Steering struct {
	By     string    `json:"by"`               // who asks: at most 120 bytes
	Reason string    `json:"reason,omitempty"` // why: at most 500 bytes
	At     time.Time `json:"at,omitzero"`      // reschedule: when to call
	// Policy and Follows are for change_policy: exactly one of them is given, and means what it means in an Input. A policy is JSON as in a
	// file: unknown keys are refused.
	Policy  json.RawMessage `json:"policy,omitempty"`
	Follows string          `json:"follows,omitempty"`
}

const maxBy, maxReason = 120, 500

func (s Steering) validate() error {
	switch {
	case s.By == "":
		return errors.New("by: it is missing: say who asks")
	case len(s.By) > maxBy:
		return fmt.Errorf("by: %d bytes are too long: write at most %d", len(s.By), maxBy)
	case len(s.Reason) > maxReason:
		return fmt.Errorf("reason: %d bytes are too long: write at most %d", len(s.Reason), maxReason)
	case len(s.Follows) > maxBy:
		return fmt.Errorf("follows: %d bytes are too long: write at most %d", len(s.Follows), maxBy)
	}
	return nil
}

// plain tells whether what is for people to read holds nothing that a terminal acts on. It is asked of what is new, not of what a run has taken
// up already.
func (s Steering) plain() error {
	for _, field := range [][2]string{{"by", s.By}, {"reason", s.Reason}, {"follows", s.Follows}} {
		if strings.ContainsFunc(field[1], unicode.IsControl) || !utf8.ValidString(field[1]) {
			return fmt.Errorf("%s: it holds a control character, or no UTF-8: write plain text on one line", field[0])
		}
	}
	return nil
}

// words are what was done, by whom and why.
func (s Steering) words(done string) string {
	text := done + " by " + s.By
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// steering is what people have asked of the flow.
type steering struct {
	paused *Steering              // nil: it is not paused
	ending *Steering              // nil: nobody has asked it to end
	end    error                  // how it is to end: ErrCanceled or errOptedOut
	calls  int                    // how often it was asked to call now
	moved  *Steering              // a new time that the flow has not heard of yet
	wait   *followup.Hold         // what it sleeps for; nil: it does not sleep
	aborts []*workflow.CancelFunc // withdraw what may be withdrawn: dials that have not begun, activities of the flow's own
	called string                 // the target dialed last
}

// errOptedOut ends a flow whose recipient does not want to be called.
var errOptedOut = fmt.Errorf("opted out: %w", ErrCanceled)

// refusal tells why something cannot be asked of the flow now.
type refusal func(now time.Time, s Steering) error

// steerable lets people steer the run.
func (f *Flow) steerable(ctx workflow.Context) error {
	for _, u := range []struct {
		name, does string
		refuse     refusal
		do         func(workflow.Context, Steering) error
	}{
		{UpdatePause, "Dials nothing until it is resumed", f.refusePause, f.pause},
		{UpdateResume, "Takes a pause back", f.refuseResume, f.resume},
		{UpdateCallNow, "Ends the wait for the next attempt; the rules for calling hold", f.refuseToMove, f.callNow},
		{UpdateReschedule, "Waits until the time at instead", f.refuseReschedule, f.reschedule},
		{UpdateOptOut, "Suppresses the contact and the number, and ends the run", nil, f.optOut},
		{UpdateCancel, "Ends the run without a further call", nil, f.cancelBy},
		{UpdateChangePolicy, "Goes by another policy from now on", f.refuseChange, f.changePolicy},
	} {
		handle := func(ctx workflow.Context, s Steering) (Status, error) {
			f.calls++ // the run waits for what is under way here
			defer func() { f.calls-- }()
			// A run that was continued has to stand where the one before it stood.
			if err := workflow.Await(inHandle(ctx), func() bool { return !f.journal.replaying() }); err != nil {
				return f.current(), err
			}
			if err := f.refuse(workflow.Now(ctx), s, u.refuse); err != nil && !(u.name == UpdateOptOut && s.validate() == nil && sinceOptOutIsTaken(ctx)) {
				return f.current(), temporal.NewApplicationError(err.Error(), "Refused")
			}
			err := u.do(inHandle(ctx), s)
			return f.current(), err
		}
		err := workflow.SetUpdateHandlerWithOptions(ctx, u.name, handle, workflow.UpdateHandlerOptions{
			Description: u.does + `. Input: {"by": "who asks", "reason": "why"}`,
			Validator: func(ctx workflow.Context, s Steering) error { // a replay does not come here
				err := s.validate()
				if err == nil && u.name != UpdateOptOut { // which is taken, however it is written
					err = s.plain()
				}
				switch {
				case err != nil, f.journal.replaying(), u.name == UpdateOptOut:
					return err
				case f.status.State == StateEscalating && f.status.Outcome == "": // by a flow of one's own
					return outcomeStands(call.OutcomeEscalated)
				}
				return cmp.Or(f.refuse(workflow.Now(ctx), s, u.refuse), f.outlives(s.At))
			}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Flow) refuse(now time.Time, s Steering, more refusal) error {
	switch err := s.validate(); {
	case err != nil:
		return err
	case f.status.Outcome != "":
		return outcomeStands(f.status.Outcome)
	case f.steer.ending != nil:
		return fmt.Errorf("the run is ending, stopped by %s", f.steer.ending.By)
	case more != nil:
		return more(now, s)
	}
	return nil
}

func outcomeStands(o call.Outcome) error { return fmt.Errorf("the contact has its outcome: %s", o) }

func (f *Flow) refusePause(time.Time, Steering) error {
	if f.steer.paused != nil {
		return fmt.Errorf("it is %s already", f.steer.paused.words("paused"))
	}
	return nil
}

func (f *Flow) refuseResume(time.Time, Steering) error {
	if f.steer.paused == nil {
		return errors.New("it is not paused")
	}
	return nil
}

func (f *Flow) refuseToMove(time.Time, Steering) error {
	switch {
	case f.steer.paused != nil:
		return fmt.Errorf("it is %s: resume it first", f.steer.paused.words("paused"))
	case f.steer.wait == nil:
		return errors.New("an attempt is being made: what follows it is decided when it is over")
	}
	return nil
}

func (f *Flow) refuseReschedule(now time.Time, s Steering) error {
	switch {
	case s.At.IsZero():
		return errors.New("at: it is missing: say when to call")
	case !s.At.After(now):
		return fmt.Errorf("at: %s is over", s.At.Format(time.RFC3339))
	}
	return f.refuseToMove(now, s)
}

// outlives tells whether a time is behind the contact's lifetime, where it would end without a call.
func (f *Flow) outlives(at time.Time) error {
	if lifetime := time.Duration(f.under.Policy.Lifetime); lifetime > 0 && at.After(f.journal.began.Add(lifetime)) {
		return fmt.Errorf("at: %s is after the contact's lifetime of %s, which is over at %s: write an earlier time, or give it a policy with a longer one",
			at.UTC().Format(time.RFC3339), f.under.Policy.Lifetime, f.journal.began.Add(lifetime).UTC().Format(time.RFC3339))
	}
	return nil
}

func (f *Flow) pause(ctx workflow.Context, s Steering) error {
	f.steer.paused = &s
	f.noteDown(ctx, s.words("paused"))
	if f.steer.wait == nil {
		return f.noteAtOnce(ctx) // it waits for that when the attempt is over
	}
	return f.sayPaused(ctx)
}

// inMidCall tells whether a pause of while an attempt is made is told at once, and not with what comes next. It is asked in such a pause
// only, so that other runs are what they were.
func inMidCall(ctx workflow.Context) bool {
	return since(ctx, "redial: a pause in mid-call is told at once")
}

// noteAtOnce writes down what was noted.
func (f *Flow) noteAtOnce(ctx workflow.Context) error {
	if !inMidCall(ctx) {
		return nil
	}
	return f.writeNotes(ctx)
}

func (f *Flow) writeNotes(ctx workflow.Context) error {
	notes := f.take()
	return f.write(ctx, notes[len(notes)-1].Text, activities.NameNote, activities.NoteInput{WorkflowID: f.info.WorkflowExecution.ID, Notes: notes}, nil)
}

func (f *Flow) sayPaused(ctx workflow.Context) error {
	return f.say(ctx, StatePaused, followup.Hold{Reason: followup.ReasonPaused, Rule: f.steer.paused.words("paused"), Event: "it is resumed"})
}

func (f *Flow) resume(ctx workflow.Context, s Steering) error {
	f.steer.paused = nil
	f.noteDown(ctx, s.words("resumed"))
	switch {
	case f.steer.wait != nil && f.changed && f.planned && sincePlannedFirst(ctx):
		f.show(ctx, StateWaiting, f.steer.wait, "the policy has changed: what follows is planned anew")
		return nil
	case f.steer.wait != nil && held(*f.steer.wait) && sinceItQuits(ctx):
		f.woken++
		f.show(ctx, StateCalling, nil, fmt.Sprintf("attempt %d asks for leave again", f.numbered))
		return nil
	case f.steer.wait != nil:
		return f.say(ctx, StateWaiting, *f.steer.wait)
	case f.status.State == StatePaused:
		return nil // it goes on to its dial, with which this is told
	}
	return f.noteAtOnce(ctx)
}

// sincePlannedFirst tells whether a run that is resumed under another policy than it was paused says what it waits for when that was planned
// anew, and not before. It is asked there only.
func sincePlannedFirst(ctx workflow.Context) bool {
	return since(ctx, "redial: what is resumed under another policy is planned first")
}

func (f *Flow) callNow(ctx workflow.Context, s Steering) error {
	f.steer.calls++
	f.planned = false // the time is somebody's choice now
	f.noteDown(ctx, s.words("asked to call now"))
	return nil
}

func (f *Flow) reschedule(ctx workflow.Context, s Steering) error {
	s.At = s.At.UTC()
	f.steer.moved = &s
	f.planned = false
	f.noteDown(ctx, s.words("rescheduled"))
	return nil
}

// optOut suppresses at once, whatever is in the air.
func (f *Flow) optOut(ctx workflow.Context, s Steering) error {
	in := activities.OptOutInput{Claim: f.claim(cmp.Or(f.steer.called, f.to.URI)), By: s.By, Reason: s.Reason}
	if err := f.write(ctx, "opted out", activities.NameOptOut, in, nil); err != nil {
		return err
	}
	if f.status.Outcome != "" || f.steer.ending != nil || f.status.State == StateEscalating && sinceOptOutIsTaken(ctx) {
		return nil // how it ends is settled
	}
	f.stop(errOptedOut, s)
	return nil
}

// sinceOptOutIsTaken tells whether somebody may opt out of a contact that has its outcome, or of a run that is ending: that suppresses, and
// changes nothing else. It is asked then only, so that other runs are what they were.
func sinceOptOutIsTaken(ctx workflow.Context) bool {
	return since(ctx, "redial: an opt-out is always taken")
}

func (f *Flow) cancelBy(ctx workflow.Context, s Steering) error {
	f.stop(ErrCanceled, s)
	if f.steer.wait != nil || f.status.State == StatePaused || !sinceCancelIsTold(ctx) {
		return nil // it ends at once, and its outcome says by whom and why
	}
	f.noteDown(ctx, s.words("canceled"))
	f.show(ctx, f.status.State, f.status.Wait, s.words("it ends when its call is over: canceled"))
	return f.writeNotes(ctx)
}

// sinceCancelIsTold tells whether a cancel in mid-call is told at once: the call may come to another outcome. It is asked in such a cancel
// only.
func sinceCancelIsTold(ctx workflow.Context) bool {
	return since(ctx, "redial: a cancel in mid-call is told at once")
}

// stop ends the flow, as soon as nothing is in the air.
func (f *Flow) stop(end error, s Steering) {
	f.steer.ending, f.steer.end = &s, end
	for _, abort := range f.steer.aborts {
		(*abort)()
	}
}

// ends is what becomes of a run that somebody has asked to end.
func (f *Flow) ends() string {
	if f.steer.end == errOptedOut {
		return "opted out"
	}
	return "canceled"
}

// withdrawable is a context that ends when somebody asks the flow to end, until done is called.
func (f *Flow) withdrawable(ctx workflow.Context) (withdrawable workflow.Context, done func()) {
	ctx, abort := workflow.WithCancel(ctx)
	f.steer.aborts = append(f.steer.aborts, &abort)
	return ctx, func() {
		f.steer.aborts = slices.DeleteFunc(f.steer.aborts, func(a *workflow.CancelFunc) bool { return a == &abort })
	}
}

// stopped is why the flow is to end: it was canceled, or somebody has asked. Nil: it goes on.
func (f *Flow) stopped(ctx workflow.Context) error {
	if ctx.Err() != nil && f.steer.end == nil {
		return ErrCanceled
	}
	return f.steer.end
}

// say writes down what the flow waits for, and shows it.
func (f *Flow) say(ctx workflow.Context, s State, h followup.Hold) error {
	in := activities.HoldInput{Claim: f.claim(f.to.URI), Hold: h, Notes: f.take()}
	if err := f.write(ctx, h.Rule, activities.NameHold, in, nil); err != nil {
		return err
	}
	if f.status.Outcome != "" && since(ctx, "redial: who has an outcome does not wait") {
		return nil
	}
	next := AttributeNextAction.ValueUnset()
	if !h.Until.IsZero() {
		next = AttributeNextAction.ValueSet(h.Next())
	}
	if err := f.upsert(ctx, s, AttributeReason.ValueSet(string(h.Reason)), next); err != nil {
		return err
	}
	f.show(ctx, s, &h, fmt.Sprintf("%s, %s", strings.TrimPrefix(h.Rule, string(s)+" "), whenOver(h)))
	return nil
}

// whilePaused waits until the flow is not paused.
func (f *Flow) whilePaused(ctx workflow.Context) error {
	if f.steer.paused == nil {
		return nil
	}
	if f.status.State != StatePaused {
		if err := f.sayPaused(ctx); err != nil {
			return err
		}
	}
	for f.steer.paused != nil {
		err := workflow.Await(ctx, func() bool {
			f.listen()
			return f.steer.paused == nil || f.steer.end != nil || f.recheck
		})
		if stopped := f.stopped(ctx); stopped != nil || err != nil {
			return cmp.Or(stopped, error(ErrCanceled))
		}
		if f.recheck && f.steer.paused != nil {
			if err := f.mayGoOn(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
