package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"

	"redial/workflows"
)

type flowsKey struct{}

// withFlows hands the flows of this binary to its commands, OutboundCall first. Two flows, or activities, of one name are refused:
// half of the runs would be the other's.
func withFlows(ctx context.Context, own []workflows.Definition) (context.Context, error) {
	flows := []workflows.Definition{workflows.Standard}
	for _, f := range own {
		if _, taken := find(flows, f.Name()); taken {
			return ctx, fmt.Errorf("app.Main: two flows are called %s: give each a name of its own", f.Name())
		}
		flows = append(flows, f)
	}
	if _, err := workflows.ActivitiesOf(flows...); err != nil {
		return ctx, fmt.Errorf("app.Main: %w", err)
	}
	return context.WithValue(ctx, flowsKey{}, flows), nil
}

// flowsOf are the flows of this binary, OutboundCall first.
func flowsOf(ctx context.Context) []workflows.Definition {
	flows, _ := ctx.Value(flowsKey{}).([]workflows.Definition)
	if flows == nil {
		return []workflows.Definition{workflows.Standard}
	}
	return flows
}

// flowNames are the names of the flows of this binary, for people.
func flowNames(ctx context.Context) string {
	var names []string
	for _, f := range flowsOf(ctx) {
		names = append(names, f.Name())
	}
	return strings.Join(names, ", ")
}

func find(flows []workflows.Definition, name string) (workflows.Definition, bool) {
	for _, f := range flows {
		if f.Name() == name {
			return f, true
		}
	}
	return workflows.Definition{}, false
}

// readFlow finds the flow of a call and reads what it takes as its own input, from a file of YAML or JSON.
func (f callFlags) readFlow(ctx context.Context, stdin io.Reader) (workflows.Definition, json.RawMessage, error) {
	flow, found := find(flowsOf(ctx), f.flow)
	if !found {
		return flow, nil, fmt.Errorf("--flow: this binary has no flow %q: name one of %s", f.flow, flowNames(ctx))
	}
	var data []byte
	if f.input != "" {
		var err error
		if data, err = readAll(f.input, stdin, workflows.MaxData); err != nil {
			return flow, nil, fmt.Errorf("--input: %w", err)
		}
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return flow, nil, fmt.Errorf("--input %s: %s", f.input, oneLine(err))
		}
	}
	own, err := flow.Parse(data)
	if err != nil {
		where := "--input is missing"
		if f.input != "" {
			where = "--input " + f.input
		}
		return flow, nil, fmt.Errorf("%s: %s: %w", where, flow.Name(), err)
	}
	return flow, own, nil
}
