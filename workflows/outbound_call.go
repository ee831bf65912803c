package workflows

import "go.temporal.io/sdk/workflow"

// Standard is OutboundCall as a worker hosts it.
var Standard = Define(NameOutboundCall, OutboundCall)

// OutboundCall is the standard flow: it calls, hears what the bot has to say where the policy asks for it, lets the policy decide what
// follows, and calls again when that is due, until the contact has its outcome.
func OutboundCall(ctx workflow.Context, f *Flow, _ None) error {
	for {
		attempt, err := f.Call(ctx)
		if err != nil {
			return err
		}
		if _, err := f.AwaitResult(ctx, attempt, f.Policy().ResultWait(attempt)); err != nil {
			return err
		}
		decision, err := f.Conclude(ctx, attempt)
		if err != nil || decision.Final() {
			return err
		}
		if err := f.WaitForRetry(ctx, decision); err != nil {
			return err
		}
	}
}
