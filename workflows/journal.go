package workflows

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/followup"
)

// A history cannot grow without end, and a run that is pinned to a build ends with that build. So a flow that waits is now and
// then continued in a new run, in which its function starts anew: what its methods returned in earlier runs is in a journal,
// and they return it again, at once, until the function stands where it stood.

// Earlier is what the runs before this one have done, of a flow that was continued in a new run.
type Earlier struct {
	StartedAt time.Time        `json:"started_at"` // when the first run's first task was done
	Steps     []Step           `json:"steps"`
	Versions  []Version        `json:"versions,omitempty"`
	Attempts  []call.Attempt   `json:"attempts,omitempty"` // as they were last heard of
	Results   []call.BotResult `json:"results,omitempty"`
	Notes     []followup.Note  `json:"notes,omitempty"` // not written down yet
	Noted     int              `json:"noted,omitempty"`
	Paused    *Steering        `json:"paused,omitempty"`
	Wrote     int              `json:"wrote,omitempty"` // notes of the flow's own
	Under     *Under           `json:"under,omitempty"` // the policy by which it goes; nil: that of the input
	// Planned, To and Promised are as the flow has them, where a policy that has changed may have changed them since the last step.
	Planned  bool         `json:"planned,omitempty"`
	To       *call.Target `json:"to,omitempty"`
	Promised bool         `json:"promised,omitempty"`
}

// Step is what one method of the flow came to.
type Step struct {
	Method   string          `json:"method"`
	Of       string          `json:"of,omitempty"` // the activity of Do
	At       time.Time       `json:"at"`           // when it returned
	Value    json.RawMessage `json:"value,omitempty"`
	Attempts []call.Attempt  `json:"attempts,omitempty"` // those that are new or have changed since the step before
	Results  int             `json:"results,omitempty"`  // how many of the bot had been heard
	Numbered int             `json:"numbered,omitempty"`
	Told     told            `json:"told,omitzero"`
	To       call.Target     `json:"to,omitzero"`
	Promised bool            `json:"promised,omitempty"`
	Outcome  call.Outcome    `json:"outcome,omitempty"`
	Reason   string          `json:"reason,omitempty"`
}

// Version is what workflow.GetVersion said before the step of this place.
type Version struct {
	ID      string           `json:"id"`
	Version workflow.Version `json:"version"`
	Step    int              `json:"step"`
}

// journal is what the flow has done in this run and in earlier ones.
type journal struct {
	earlier  *Earlier
	steps    []Step
	values   []any // of this run's steps, not yet encoded
	versions []Version
	seqs     map[int]int64 // of each attempt, when the last step was recorded
	began    time.Time     // the first run
	now      time.Time     // while earlier steps are gone through: when the last of them returned
	told     bool          // that it is not continued
	own      string        // what the flow has done past its handle, so that it cannot be gone through again
}

// replaying tells whether the flow still goes through what earlier runs have done.
func (j *journal) replaying() bool { return j.earlier != nil && len(j.steps) < len(j.earlier.Steps) }

// begin takes up what earlier runs have left.
func (f *Flow) begin(ctx workflow.Context) {
	f.journal = journal{earlier: f.in.Earlier, seqs: map[int]int64{}, began: workflow.Now(ctx)}
	f.in.Earlier = nil
	if e := f.journal.earlier; e != nil {
		f.journal.began, f.journal.now, f.journal.versions = e.StartedAt, e.StartedAt, e.Versions
		f.notes, f.noted, f.steer.paused = e.Notes, e.Noted, e.Paused
		if e.Under != nil {
			f.under, f.given = *e.Under, true
		}
		f.caughtUp()
	}
}

// caughtUp gives the flow what had been heard when the earlier run ended, once it stands where it stood.
func (f *Flow) caughtUp() {
	e := f.journal.earlier
	if f.journal.replaying() {
		return
	}
	for _, a := range e.Attempts {
		f.add(a)
	}
	f.results = e.Results
	if f.planned = e.Planned; e.To != nil {
		f.to, f.promised = *e.To, e.Promised
	}
}

// step is one of the flow's methods: what it came to in an earlier run, or else what do comes to.
func step[T any](ctx workflow.Context, f *Flow, method string, do func(workflow.Context) (T, error)) (T, error) {
	return stepOf(ctx, f, method, "", do)
}

func stepOf[T any](ctx workflow.Context, f *Flow, method, of string, do func(workflow.Context) (T, error)) (value T, err error) {
	defer f.enter(ctx, method)()
	if f.journal.replaying() {
		s := f.again(method, of)
		if err := decode(s.Value, &value); err != nil {
			panic(fmt.Sprintf("workflows: step %d of the earlier runs, Flow.%s, cannot be read: %v", len(f.journal.steps), method, err))
		}
		return value, nil
	}
	if value, err = do(inHandle(ctx)); err != nil {
		// What the flow does about an error is not in the journal.
		f.journal.past("go on after an error of Flow." + method)
		return value, err
	}
	f.record(method, of, workflow.Now(ctx), value)
	return value, nil
}

// again is the next step of the earlier runs.
func (f *Flow) again(method, of string) Step {
	j := &f.journal
	s := j.earlier.Steps[len(j.steps)]
	if s.Method != method || s.Of != "" && s.Of != of {
		panic(fmt.Sprintf("workflows: step %d of the flow was Flow.%s%s in an earlier run and is Flow.%s%s in this build: gate the change with "+
			"workflow.GetVersion", len(j.steps)+1, s.Method, parenthesized(s.Of), method, parenthesized(of)))
	}
	j.steps, j.values = append(j.steps, s), append(j.values, nil)
	j.now = s.At
	for _, a := range s.Attempts {
		f.add(a)
		j.seqs[a.N] = a.Seq
	}
	f.results = j.earlier.Results[:min(s.Results, len(j.earlier.Results))]
	f.numbered, f.told, f.to, f.promised, f.status.Outcome, f.status.Reason = s.Numbered, s.Told, s.To, s.Promised, s.Outcome, s.Reason
	f.caughtUp()
	return s
}

func parenthesized(activity string) string {
	if activity == "" {
		return ""
	}
	return " (" + activity + ")"
}

func (f *Flow) record(method, of string, at time.Time, value any) {
	j := &f.journal
	s := Step{Method: method, Of: of, At: at, Results: len(f.results), Numbered: f.numbered, Told: f.told, To: f.to, Promised: f.promised, Outcome: f.status.Outcome, Reason: f.status.Reason}
	for _, a := range f.attempts {
		if seq, known := j.seqs[a.N]; !known || seq != a.Seq {
			s.Attempts = append(s.Attempts, a)
			j.seqs[a.N] = a.Seq
		}
	}
	j.steps, j.values = append(j.steps, s), append(j.values, value)
}

// past notes that the flow has done something that a new run could not repeat.
func (j *journal) past(what string) {
	if j.own == "" {
		j.own = what
	}
}

// maxEarlier is the longest journal that is handed to a new run, in bytes: the server takes inputs of two mebibytes.
const maxEarlier = 1 << 20

// renew continues the flow in a new run, where the server suggests it or where another build is to take it up, and does not
// return then. It is called between attempts, where a flow waits.
func (f *Flow) renew(ctx workflow.Context) {
	g := guardOf(ctx)
	if g == nil || f.calls > 0 || f.stopped(ctx) != nil || f.steer.moved != nil || !g.due(f.info) {
		return
	}
	if f.journal.own != "" {
		if !f.journal.told {
			workflow.GetLogger(ctx).Warn("the run is not continued in a new one: its flow did something past its handle", "did", f.journal.own)
			f.journal.told = true
		}
		return
	}
	f.listen()
	if f.settledAfterAll() || f.recheck || f.changed {
		return
	}
	next := f.in
	next.Earlier = f.earlier(ctx)
	if data, err := encode(next); err != nil || len(data) > maxEarlier {
		f.journal.past("have a journal that is too long")
		return
	}
	f.renewed = &next
	free, _ := workflow.NewDisconnectedContext(ctx)
	_ = workflow.Await(free, func() bool { return false })
}

// earlier is what the next run has to know.
func (f *Flow) earlier(ctx workflow.Context) *Earlier {
	j := &f.journal
	e := &Earlier{StartedAt: j.began, Versions: j.versions, Attempts: f.attempts, Results: f.results, Notes: f.notes, Noted: f.noted, Wrote: f.wrote,
		Paused: f.steer.paused}
	if f.given {
		e.Under, e.To, e.Promised = &f.under, &f.to, f.promised
	}
	e.Planned = f.planned
	for i, s := range j.steps {
		if s.Value == nil {
			value, err := encode(j.values[i])
			if err != nil {
				panic(fmt.Sprintf("workflows: what Flow.%s came to cannot be written as JSON: %v", s.Method, err))
			}
			s.Value = value
		}
		e.Steps = append(e.Steps, s)
	}
	return e
}

// encode and decode do the same in every replay: maps are written in the order of their keys.
func encode(v any) (json.RawMessage, error) {
	return json.Marshal(v) //workflowcheck:ignore
}

func decode(data json.RawMessage, out any) error {
	return json.Unmarshal(data, out) //workflowcheck:ignore
}

// Do runs an activity of the flow's own, which its definition brings along with WithActivities, and stores what it returns in out,
// a pointer or nil. The options of the context hold; where it has none, a try may take a minute, and is repeated until it succeeds.
// Like everything that goes through the handle it is not repeated when the flow is continued in a new run.
func (f *Flow) Do(ctx workflow.Context, activity any, out any, args ...any) error {
	if o := workflow.GetActivityOptions(ctx); o.StartToCloseTimeout == 0 && o.ScheduleToCloseTimeout == 0 {
		ctx = workflow.WithStartToCloseTimeout(ctx, time.Minute)
	}
	ctx, done := f.withdrawable(ctx)
	defer done()
	run := func(ctx workflow.Context) error {
		err := workflow.ExecuteActivity(ctx, activity, args...).Get(ctx, out)
		if err != nil && ctx.Err() != nil {
			return cmp.Or(f.steer.end, error(ErrCanceled))
		}
		return err
	}
	if f.step != "" { // in a reaction: part of the step that reacts
		return run(inHandle(ctx))
	}
	name, _ := activityName(activity)
	value, err := stepOf(ctx, f, "Do", name, func(ctx workflow.Context) (json.RawMessage, error) {
		if err := run(ctx); err != nil {
			return nil, err
		}
		return encode(out)
	})
	if err != nil || out == nil {
		return err
	}
	return decode(value, out)
}
