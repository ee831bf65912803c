// Package workflows is where call flows are written. A flow is a Go function that calls, waits and decides with a [Flow], the
// handle that it is given; [Define] gives it a name and makes it a Temporal workflow. [OutboundCall] is the standard flow,
// written with nothing else.
//
//	func Remind(ctx workflow.Context, f *workflows.Flow, a Appointment) error {
//		attempt, err := f.Call(ctx, workflows.Tell("at", a.At))
//		if err != nil {
//			return err
//		}
//		answer, err := f.AwaitResult(ctx, attempt, time.Minute)
//		if err != nil {
//			return err
//		}
//		if answer.Kind == call.Confirmed {
//			return f.Finish(ctx, call.Outcome(call.Human), "confirmed")
//		}
//		return f.Escalate(ctx, "has not confirmed")
//	}
//
//	var Reminder = workflows.Define("Reminder", Remind) // for app.Main, which makes a binary of it
//
// What the handle guarantees:
//
//   - An attempt is dialed at most once, through crashes, deployments, replays and resets.
//   - What is in the air is heard out: a flow that returns or is canceled in mid-call ends after the call.
//   - A contact ends in exactly one outcome: what Conclude, Escalate or Finish said first, or else what became of its last
//     attempt. A flow that fails is escalated.
//   - While it waits, the flow says for what, under which rule and until when, in the ledger and in the Temporal UI.
//   - A history that grows long is continued in a new run, between attempts, without a word in the flow.
//
// Workflow code is deterministic: whatever depends on a clock, a time zone, a default or the ledger is decided in an
// activity, and its answer is in the history.
package workflows
