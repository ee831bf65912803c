package followup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
)

// Presets are data of a build. A contact that sleeps while another build takes over is decided on by the new data from then on: what
// was decided before is in its history, and is not worked out again.
func TestAPresetThatHasChangedChangesTheNextDecisionAndTheNextClearance(t *testing.T) {
	before := presets
	defer func() { presets = before }()
	p := Policy{Name: "test", Window: Window{Presets: []string{"us-florida"}}}
	miami := call.Target{URI: "tel:+13055550100"}
	evening := moment(t, "2026-03-02T19:00:00-05:00")
	contact := Contact{OpenedAt: evening.Add(-time.Hour), Target: miami, Attempts: []call.Attempt{{Key: "anna/1", Disposition: call.Busy, DialedAt: evening}}}
	facts := Facts{Now: evening, Allowed: true, Target: miami, Ring: ringing, Rules: p.Rules()}

	today := p.Decide(contact, evening)
	require.Equal(t, evening.Add(20*time.Minute), today.At)
	hold, refusal := Clear(facts)
	require.Nil(t, hold)
	require.Nil(t, refusal)

	presets = append([]Preset{{Name: "us-florida", Days: daily(8, 19)}}, before...)
	tomorrow := p.Decide(contact, evening)
	require.Equal(t, 3, tomorrow.At.Day())
	require.Contains(t, tomorrow.Rule, "preset us-florida")
	hold, _ = Clear(facts)
	require.Equal(t, ReasonWindow, hold.Reason)
}
