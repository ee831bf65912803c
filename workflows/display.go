package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"redial/call"
	"redial/followup"
)

// upsert tells visibility where the flow stands: once an attempt, and once a hold.
func (f *Flow) upsert(ctx workflow.Context, s State, updates ...temporal.SearchAttributeUpdate) error {
	updates = append(updates, AttributeState.ValueSet(string(s)), AttributeAttempts.ValueSet(int64(len(f.attempts))))
	return workflow.UpsertTypedSearchAttributes(ctx, updates...)
}

// show puts the state on the run's page in the Temporal UI; it writes nothing to the history.
func (f *Flow) show(ctx workflow.Context, s State, wait *followup.Hold, text string) {
	f.status.State, f.status.Wait = s, wait
	for _, a := range f.attempts {
		text += fmt.Sprintf("\n\n- attempt %d: %s", a.N, describe(a))
	}
	workflow.SetCurrentDetails(ctx, text)
}

// whenOver says when a hold ends.
func whenOver(h followup.Hold) string {
	if !h.NotBefore.IsZero() {
		return "until " + h.NotBefore.Format(time.RFC3339) + ", then in its turn"
	}
	return "until " + h.Until.Format(time.RFC3339) + " at the latest"
}

func describe(a call.Attempt) string {
	if a.Disposition == "" {
		return string(a.State)
	}
	text := "**" + string(a.Disposition) + "**"
	if a.Reason != "" {
		text += " (" + a.Reason + ")"
	}
	return text
}

// shorten keeps a summary within what the server stores.
func shorten(s string) string {
	const most = 180
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
