package workflows

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/followup"
)

// Flow is the handle with which a call flow is written. It dials, waits for what the gateway and the bot report, asks the policy,
// and keeps what an operator sees up to date. It owns the flow's signals and its timers.
//
// A flow does one thing at a time: the methods that take a context are for the flow's own function. Used in a query handler, or
// beside one another, they panic and say so.
type Flow struct {
	name     string
	in       Input
	under    Under // the policy by which it goes now
	info     *workflow.Info
	attempts []call.Attempt // in the order of their numbers, each as it was last heard of
	numbered int            // attempts that were begun
	to       call.Target    // who is called next, of the contact's numbers
	promised bool           // the next call is a callback
	calls    int            // coroutines beside the flow's own: calls of CallAny, and updates
	told     told
	hinted   told             // the settled attempt for which a wait has ended early
	early    []call.Attempt   // heard of before their dial was answered
	ended    map[string]bool  // attempts, by their keys, whose end was heard
	results  []call.BotResult // in the order of their arrival, the first of each attempt
	notes    []followup.Note  // not written down yet
	noted    int
	wrote    int // notes of the flow's own, those of earlier runs included
	status   Status

	heard     workflow.ReceiveChannel // SignalAttempt
	wakes     workflow.ReceiveChannel // SignalWake
	said      workflow.ReceiveChannel // SignalResult
	woken     int                     // wakes so far
	recheck   bool                    // it has to ask whether it may go on
	given     bool                    // it goes by another policy than that of its input
	changed   bool                    // its policy has: it has to ask what it waits for
	planned   bool                    // it goes by what the policy has decided on the last attempt, which is
	concluded followup.Decision
	steer     steering
	step      string // the method that the flow is in
	journal   journal
	renewed   *Input // the run is to be continued with this
}

// ErrCanceled is what the methods of a Flow return when the run was asked to stop.
var ErrCanceled = errors.New("canceled")

// RefusedError is what Call returns when the target must not be called: nothing was dialed, and nothing will be by asking
// again.
type RefusedError struct {
	followup.Refusal
	open bool // the contact has other targets and no outcome yet
	told bool // the flow has told of it already
}

func (e *RefusedError) Error() string { return e.Reason }

// newFlow begins a run. It refuses one that Temporal repeats by a retry policy or a cron schedule: the keys of its attempts
// would be those of the first run.
func newFlow(ctx workflow.Context, name string, in Input) (*Flow, error) {
	info := workflow.GetInfo(ctx)
	if info.Attempt > 1 || info.CronSchedule != "" {
		return nil, temporal.NewNonRetryableApplicationError(
			"a call flow must not be started with a retry policy or a cron schedule: it retries by itself", "RepeatedRun", nil)
	}
	f := &Flow{name: name, in: in, under: Under{in.Policy, in.Follows, in.FollowsVersion}, to: in.To, info: info, status: Status{State: StateCalling}, ended: map[string]bool{},
		heard: workflow.GetSignalChannel(ctx, SignalAttempt), wakes: workflow.GetSignalChannel(ctx, SignalWake),
		said: workflow.GetSignalChannel(ctx, SignalResult)}
	f.begin(ctx)
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (Status, error) { return f.current(), nil },
		workflow.QueryHandlerOptions{Description: "Where the call flow stands, its attempts, and what it waits for"})
	if err != nil {
		return nil, err
	}
	return f, f.steerable(ctx)
}

// current is where the flow stands.
func (f *Flow) current() Status {
	s := f.status
	s.Attempts = slices.Clone(f.attempts)
	if p := f.steer.paused; p != nil {
		s.Paused = p.words("paused")
	}
	if by := f.steer.ending; by != nil && s.Outcome == "" {
		s.Ending = by.words(f.ends())
	}
	return s
}

// Input is what the run was started with.
func (f *Flow) Input() Input { return f.in }

// numbers are all that the contact has, in the order in which they are tried.
func (f *Flow) numbers() []call.Target {
	return followup.Numbers(append([]call.Target{f.in.To}, f.in.Further...))
}

// further is the number after the one that is called now; false when there is none.
func (f *Flow) further() (call.Target, bool) { return followup.Further(f.numbers(), f.to) }

// Attempts are the attempts so far in the order of their numbers, each as it was last heard of.
func (f *Flow) Attempts() []call.Attempt { return slices.Clone(f.attempts) }

// Last is the attempt dialed last, as it was last heard of; the zero Attempt before the first.
func (f *Flow) Last() call.Attempt {
	if len(f.attempts) == 0 {
		return call.Attempt{}
	}
	return f.attempts[len(f.attempts)-1]
}

// Outcome is the outcome that the contact has; empty while it has none.
func (f *Flow) Outcome() call.Outcome { return f.status.Outcome }

// Note adds a line to the contact's decision log: why the flow does what it does next. It is written with what comes next, and
// shown by redial show. It must hold no number and no name.
func (f *Flow) Note(ctx workflow.Context, text string) {
	inFlow(ctx, "Note")
	f.wrote++
	if e := f.journal.earlier; e != nil && f.wrote <= e.Wrote {
		return // made in an earlier run
	}
	f.noteDown(ctx, text)
}

func (f *Flow) noteDown(ctx workflow.Context, text string) {
	f.noted++
	f.notes = append(f.notes, followup.Note{N: f.noted, At: workflow.Now(ctx), Text: shorten(text)})
}

// take are the notes that the next activity writes down.
func (f *Flow) take() []followup.Note {
	notes := f.notes
	f.notes = nil
	return notes
}

// enter says that the flow is in one of its methods until leave is called.
func (f *Flow) enter(ctx workflow.Context, method string) (leave func()) {
	inFlow(ctx, method)
	if f.step != "" {
		panic(fmt.Sprintf("workflows: Flow.%s was called while the flow is in Flow.%s: a flow does one thing at a time, in its own "+
			"function; for calls at the same time use CallAny", method, f.step))
	}
	f.step = method
	return func() { f.step = "" }
}

// inFlow panics, before anything has changed, when the caller is a query handler or a validator: these may only look.
func inFlow(ctx workflow.Context, method string) {
	defer func() {
		if recover() != nil {
			panic(fmt.Sprintf("workflows: Flow.%s was called in a query handler or a validator, which may only look at the flow: call it "+
				"in the flow's own function", method))
		}
	}()
	_ = workflow.Await(inHandle(ctx), func() bool { return true }) // the cheapest thing that is forbidden there
}

// listen takes in every signal that has arrived.
func (f *Flow) listen() {
	for {
		var a call.Attempt
		if !f.heard.ReceiveAsync(&a) {
			break
		}
		f.learn(a)
		f.ended[a.Key] = f.ended[a.Key] || a.Disposition != ""
	}
	for {
		var r call.BotResult
		if !f.said.ReceiveAsync(&r) {
			break
		}
		if f.resultOf(r.AttemptKey) == nil {
			f.results = append(f.results, r)
		}
	}
	for {
		var w Wake
		if !f.wakes.ReceiveAsync(&w) {
			break
		}
		f.woken++
		f.recheck = f.recheck || w.Recheck
		f.changed = f.changed || w.Replan
	}
}

// learn replaces what is known of an attempt, unless newer things are known.
func (f *Flow) learn(a call.Attempt) {
	for i := range f.attempts {
		if f.attempts[i].Key == a.Key {
			if f.attempts[i].Seq < a.Seq {
				f.attempts[i] = a
			}
			return
		}
	}
	f.early = append(f.early, a)
}

// add puts an attempt in its place.
func (f *Flow) add(a call.Attempt) {
	i, found := slices.BinarySearchFunc(f.attempts, a.N, func(have call.Attempt, n int) int { return have.N - n })
	if found {
		f.learn(a)
		return
	}
	f.attempts = slices.Insert(f.attempts, i, a)
	early := f.early
	f.early = nil
	for _, heard := range early {
		f.learn(heard)
	}
}

// known is an attempt as it was last heard of.
func (f *Flow) known(n int) call.Attempt {
	for _, a := range f.attempts {
		if a.N == n {
			return a
		}
	}
	return call.Attempt{}
}

func (f *Flow) resultOf(key string) *call.BotResult {
	for i := range f.results {
		if f.results[i].AttemptKey == key {
			return &f.results[i]
		}
	}
	return nil
}

// since tells whether a run goes by a change of this package, or was there before it. The change's name stands in histories.
func since(ctx workflow.Context, change string) bool {
	return workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// lightly are the options of activities that only write to the ledger: quick, and repeated until they succeed.
func (f *Flow) lightly(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 15 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:             shorten(summary),
	})
}

// write runs an activity that only writes to the ledger, as a local one: it costs one event. When the ledger is away longer, a
// regular one goes on, for it must not keep a workflow task open.
func (f *Flow) write(ctx workflow.Context, summary, activity string, in, out any) error {
	free, _ := workflow.NewDisconnectedContext(ctx)
	local := workflow.WithLocalActivityOptions(free, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 5 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2},
		Summary:                shorten(summary),
	})
	if workflow.ExecuteLocalActivity(local, activity, in).Get(free, out) == nil {
		return nil
	}
	return workflow.ExecuteActivity(f.lightly(free, summary), activity, in).Get(free, out)
}
