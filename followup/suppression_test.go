package followup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
)

func TestARefusalIsOfTheTargetOnlyWhereAnotherTargetCouldBeCalled(t *testing.T) {
	for _, c := range []struct {
		name     string
		forbid   func(*followup.Facts)
		rule     string
		ofTarget bool
	}{
		{"not allowed", func(f *followup.Facts) { f.Allowed = false }, "REDIAL_ALLOW_TO", true},
		{"a number", func(f *followup.Facts) { f.Suppressed, f.SuppressedBy = "asked", "import list.csv" }, "suppression of the number, by import list.csv", true},
		{"a contact", func(f *followup.Facts) { f.Suppressed, f.SuppressedBy, f.SuppressedContact = "asked", "bot", true }, "suppression of the contact, by bot", false},
		{"a source that nobody knows", func(f *followup.Facts) { f.Suppressed = "asked" }, "suppression of the number", true},
		{"expired", func(f *followup.Facts) { f.ExpiresAt = f.Now }, "lifetime", false},
		{"no zone", func(f *followup.Facts) {
			f.Target = call.Target{URI: "sip:anna@pbx.example.com"}
			f.Rules.Policy, f.Rules.Window.Presets = "p", []string{"us-federal"}
			f.Consent = &followup.Consent{Scope: "s", Source: "s", At: f.Now}
		}, "preset us-federal of " + followup.PresetsVersion, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open()
			c.forbid(&f)
			_, refusal := followup.Clear(f)
			require.NotNil(t, refusal)
			require.Equal(t, c.rule, refusal.Rule)
			require.Equal(t, c.ofTarget, refusal.OfTarget())
		})
	}
	f := open()
	f.Rules.Window.Presets = []string{"us-federal"}
	_, refusal := followup.Clear(f)
	require.NotNil(t, refusal)
	require.Equal(t, call.OutcomeSuppressed, refusal.Outcome)
	require.False(t, refusal.OfTarget(), "a consent is the recipient's, at whatever number")
}
