package workflows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/call"
)

// MaxData is the largest input of a flow's own, in bytes of JSON: it stands in the history of every run.
const MaxData = 64 << 10

// None is the input of a flow that needs none of its own.
type None struct{}

// Definition is a call flow with its name: what a worker hosts and what a call is started with. Define makes one.
type Definition struct {
	name       string
	run        func(workflow.Context, Input) (call.Result, error)
	parse      func([]byte) (json.RawMessage, error)
	activities []ownActivity
}

// Name is the workflow type under which the flow runs. It is part of every history and must not change.
func (d Definition) Name() string { return d.name }

// Workflow is the function to register with a worker, a replayer or a test environment, under Name.
func (d Definition) Workflow() any { return d.run }

// Parse checks the flow's own input, one JSON value, and returns it as it belongs into Input.Data. Keys that the input's type
// does not have are errors, and an input with a method Validate() error is asked. Nothing at all is the zero input.
func (d Definition) Parse(data []byte) (json.RawMessage, error) { return d.parse(data) }

var flowName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)

// Define names a call flow. The flow's own input, I, is any type that goes through JSON; it may have a method
// Validate() error. Define panics when the name is not a letter and at most 99 letters, digits, dots, dashes and underscores.
//
// The flow gets its handle from here and from nowhere else, so that there is one to a run. It returns nil when it is done,
// and the error of the handle's methods as it is.
func Define[I any](name string, flow func(workflow.Context, *Flow, I) error) Definition {
	if !flowName.MatchString(name) {
		panic(fmt.Sprintf("workflows.Define: %q is no name of a flow: write a letter, then letters, digits, dots, dashes or underscores", name))
	}
	return Definition{name: name,
		run: func(ctx workflow.Context, in Input) (call.Result, error) {
			var own I
			if len(in.Data) > 0 {
				if err := json.Unmarshal(in.Data, &own); err != nil {
					return call.Result{}, temporal.NewNonRetryableApplicationError(
						fmt.Sprintf("the input of flow %s cannot be read: %v", name, err), "Input", nil)
				}
			}
			return run(ctx, name, in, func(ctx workflow.Context, f *Flow) error { return flow(ctx, f, own) })
		},
		parse: func(data []byte) (json.RawMessage, error) {
			var own I
			if err := parse(data, &own); err != nil {
				return nil, err
			}
			return json.Marshal(own)
		}}
}

// parse reads one JSON value strictly.
func parse(data []byte, own any) error {
	if len(data) > MaxData {
		return fmt.Errorf("%d bytes are too many: write at most %d", len(data), MaxData)
	}
	if len(bytes.TrimSpace(data)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(own); err != nil {
			return inWords(err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return errors.New("there is something after the value")
		}
	}
	if v, ok := own.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// inWords is an error of encoding/json without what only the programmer knows.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: there is a JSON %s, and the Go type %s is wanted", wrong.Field, wrong.Value, wrong.Type)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// run is the life of a flow: it gives the flow's function its handle, and ends the contact when the function has returned. The
// function has a coroutine of its own, which is left where it is when the run is continued in a new one.
func run(ctx workflow.Context, name string, in Input, flow func(workflow.Context, *Flow) error) (call.Result, error) {
	f, err := newFlow(ctx, name, in)
	if err != nil {
		return call.Result{}, err
	}
	var returned bool
	workflow.GoNamed(ctx, name, func(ctx workflow.Context) {
		err = flow(ctx, f)
		returned = true
	})
	if g := guardOf(ctx); g != nil {
		g.flow = f
	}
	free, _ := workflow.NewDisconnectedContext(inHandle(ctx))
	if err := workflow.Await(free, func() bool { return returned || f.renewed != nil }); err != nil {
		return call.Result{}, err
	}
	if f.renewed != nil {
		return call.Result{}, guardOf(ctx).next(free, name, *f.renewed)
	}
	return f.end(inHandle(ctx), err)
}
