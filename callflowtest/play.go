package callflowtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"redial/activities"
	"redial/call"
	"redial/workflows"
)

// Bounds beyond which a flow is taken for one that never ends.
const (
	maxLife = 400 * 24 * time.Hour // the longest lifetime of a contact is 365 days
	maxBusy = 1000                 // dials and waits
	maxActs = 20_000               // timers and activities
)

// Call runs the flow for one contact to its end, and returns what came of it. To is whom it is for, such as +14155550100; empty
// where the flow names its targets itself. Own is the flow's own input, nil for none: it goes through JSON and through
// Definition.Parse, as in production. With changes the rest of what a run is started with; the contact is "anna", with the
// default policy.
//
// The kit may be called again, with the same ledger: from when all is over that the call before has brought about.
func (k *Kit) Call(to string, own any, with ...func(*workflows.Input)) *Run {
	k.t.Helper()
	in := workflows.Input{ContactID: "anna"}
	if to != "" {
		uri, err := parseTarget(to)
		if err != nil {
			k.fatal("Call: " + err.Error())
		}
		in.To = call.Target{URI: uri}
	}
	for _, change := range with {
		change(&in)
	}
	r := k.play(in, own)
	for _, line := range k.broken {
		r.Fail(line)
	}
	k.broken = nil
	return r
}

// play is Call without a word to the test.
func (k *Kit) play(in workflows.Input, own any) *Run {
	k.runs++
	r := &Run{kit: k, id: workflows.WorkflowID(in.Campaign, in.ContactID), started: k.at, firstRunID: fmt.Sprintf("run-%d", k.runs)}
	k.run = r
	for _, p := range k.plans {
		k.schedule(r.started.Add(p.after), p.do)
	}
	k.plans = nil
	if r.err = k.parse(&in, own); r.err == nil {
		k.perform(r, in)
	}
	r.ended = k.at
	told := func(e Event) bool { return e.Kind == KindOutcome }
	switch {
	case r.err != nil:
		k.observe(Event{At: k.at, WorkflowID: r.id, Kind: KindFailed, Text: r.err.Error()})
	case !slices.ContainsFunc(r.events, told): // the ledger does not know the contact, or knows it from an earlier run
		k.observe(Event{At: k.at, WorkflowID: r.id, Kind: KindOutcome, Text: string(r.result.Outcome), Rule: r.result.Reason})
	}
	k.windUp()
	return r
}

// parse checks what the run is started with, as starting it would.
func (k *Kit) parse(in *workflows.Input, own any) error {
	if err := in.Policy.Validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	var data []byte
	if own != nil {
		var err error
		if data, err = json.Marshal(own); err != nil {
			return fmt.Errorf("the input of flow %s cannot be written as JSON: %w", k.flow.Name(), err)
		}
	}
	parsed, err := k.flow.Parse(data)
	if err != nil {
		return fmt.Errorf("the input of flow %s: %w", k.flow.Name(), err)
	}
	in.Data = parsed
	return nil
}

// perform runs the flow, and its next run for as long as it is continued in one.
func (k *Kit) perform(r *Run, in workflows.Input) {
	for {
		k.env = k.stage(r)
		k.env.SetStartTime(k.at)
		transit := r.inTransit
		r.inTransit = nil
		k.env.RegisterDelayedCallback(func() { k.rearm(transit) }, 0) // once the flow has begun to listen
		r.err = k.execute(r, in)
		k.at = k.Now()
		env := k.env
		k.env = nil
		var next *workflow.ContinueAsNewError
		if !errors.As(r.err, &next) || r.endless != "" {
			if r.err == nil {
				r.err = env.GetWorkflowResult(&r.result)
			}
			return
		}
		in = workflows.Input{}
		if r.err = converter.GetDefaultDataConverter().FromPayloads(next.Input, &in); r.err != nil {
			return
		}
		r.renewals++
		k.observe(Event{At: k.at, WorkflowID: r.id, Kind: KindRenewed, Text: fmt.Sprintf("the flow goes on in run %d", r.renewals+1)})
	}
}

// execute runs the environment until the flow has ended.
func (k *Kit) execute(r *Run, in workflows.Input) (err error) {
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p == errEndless: // the very value
			err = errEndless
		case strings.HasPrefix(fmt.Sprint(p), "test timeout"): // the environment's own
			err = fmt.Errorf("an activity does not return: %v", p)
		default:
			panic(p)
		}
	}()
	k.env.ExecuteWorkflow(k.flow.Name(), in)
	err = k.env.GetWorkflowError()
	if !k.Now().Before(r.started.Add(maxLife)) {
		r.endless = fmt.Sprintf("the flow had not ended after %d days", int(maxLife.Hours()/24))
	}
	return err
}

// stage makes an environment for one run of the flow.
func (k *Kit) stage(r *Run) *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	turns := newTurns()
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: r.id, TaskQueue: workflows.TaskQueue})
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 10 * time.Second,
		Interceptors: []interceptor.WorkerInterceptor{&workflows.Interceptor{}, &stagehand{firstRunID: r.firstRunID, turns: turns, kit: k}}})
	env.SetTestTimeout(20 * time.Second)
	env.SetWorkflowRunTimeout(r.started.Add(maxLife).Sub(k.at))
	env.RegisterWorkflowWithOptions(k.flow.Workflow(), workflow.RegisterOptions{Name: k.flow.Name()})
	for name, fn := range k.activities(turns) {
		env.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	for _, prepare := range k.configure {
		prepare(env)
	}
	return env
}

// activities are those of the handle and those that the flow brings along, by their names.
func (k *Kit) activities(turns *turns) map[string]any {
	all, err := workflows.ActivitiesOf(k.flow)
	if err != nil {
		k.fatal(err.Error())
	}
	desk := &office{k.desk(), k, turns}
	maps.Copy(all, desk.Light())
	maps.Copy(all, map[string]any{activities.NameDialout: desk.Dialout, activities.NameHold: desk.Hold})
	return all
}
