package workflows

import (
	"fmt"
	"slices"
	"strings"
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

// show puts the state on the run's page in the Temporal UI, and the attempts, the newest first: the page may cut the end off. It writes
// nothing to the history.
func (f *Flow) show(ctx workflow.Context, s State, wait *followup.Hold, text string) {
	f.status.State, f.status.Wait = s, wait
	text = fmt.Sprintf("**%s**: %s.\n", strings.ToUpper(string(s[:1]))+string(s[1:]), text)
	for _, a := range slices.Backward(f.attempts) {
		text += fmt.Sprintf("\n- attempt %d: %s", a.N, describe(a))
	}
	workflow.SetCurrentDetails(ctx, text)
}

// clock is a time as people read it.
func clock(t time.Time) string { return t.UTC().Format("Mon 2 Jan 15:04:05 MST") }

// whenOver says when a hold ends.
func whenOver(h followup.Hold) string {
	switch {
	case !h.NotBefore.IsZero():
		return "until **" + clock(h.NotBefore) + "**, then in its turn"
	case h.Until.IsZero():
		return "until " + h.Event
	}
	return "until **" + clock(h.Until) + "** at the latest"
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
