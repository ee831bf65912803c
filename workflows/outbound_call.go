package workflows

import (
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/followup"
)

// OutboundCall is the standard flow: it calls, lets the policy decide what follows, and calls again when that is due,
// until the contact has its outcome.
func OutboundCall(ctx workflow.Context, in Input) (call.Result, error) {
	flow, err := NewFlow(ctx, in)
	if err != nil {
		return call.Result{}, err
	}
	for {
		attempt, err := flow.Call(ctx)
		if err != nil {
			return flow.End(ctx, err)
		}
		decision, err := flow.Conclude(ctx, attempt)
		for err == nil && decision.Action == followup.ActionRetry {
			var settled bool
			if settled, err = flow.WaitForRetry(ctx, decision); !settled {
				break
			}
			// An attempt that was in doubt has ended after all: what follows it is decided anew.
			decision, err = flow.Conclude(ctx, flow.Last())
		}
		switch {
		case err != nil:
			return flow.End(ctx, err)
		case decision.Action == followup.ActionEscalate:
			return flow.End(ctx, flow.Escalate(ctx, decision))
		case decision.Action == followup.ActionFinish:
			return flow.End(ctx, nil)
		}
	}
}
