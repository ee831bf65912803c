package app_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPolicyIsExplainedWithItsDefaultsItsCeilingsAndTheSourcesOfItsPresets(t *testing.T) {
	t.Parallel()
	p := newProgram(t).with("REDIAL_CEILINGS=2/day")
	file := p.file(t, "reminder.yaml", `name: reminder
window: {days: {mon-fri: ["09:00-12:30", "13:30-20:00"]}, holidays: [2026-12-25], presets: [us-federal, us-florida]}
limits: [{calls: 7, per: 7d, by: contact}]
quiet: [{after: conversation, for: 30d}]
on: {busy: {retry: [20m, next_window], then: next_number}}
`)
	text := p.must(t, "policy", "explain", file)
	for _, says := range []string{"Policy reminder", "at most 6 to a contact, within 14d", "mon-fri  09:00-12:30, 13:30-20:00", "never on 2026-12-25",
		"at most 7 calls in any 7 days to a contact", "at most 2 calls on a day to a number, whatever the policy says", "no call to a number for 30 days after a conversation",
		"another call after 20m, another part of the day; then the contact's next number", "only with the recipient's consent", "47 CFR 64.1200(c)(1)", "Fla. Stat. 501.616(6)",
		"verify them with counsel"} {
		require.Contains(t, text, says)
	}
	require.Contains(t, p.must(t, "policy", "explain"), "Policy default")
	require.Contains(t, p.must(t, "policy", "presets"), "Décret 2022-1313")
	var data struct {
		Policy  struct{ Jitter int }
		Presets []struct{ Source string }
	}
	require.NoError(t, json.Unmarshal([]byte(p.must(t, "policy", "explain", "--json", file)), &data))
	require.Len(t, data.Presets, 2)
	require.Equal(t, 15, data.Policy.Jitter)
}

func TestTheDocumentedPolicyAndConsentAreTakenAndAHeldCallSaysWhichRuleHoldsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, "REDIAL_CEILINGS=1/400d")
	data, err := os.ReadFile("../docs/policy.md")
	require.NoError(t, err)
	block := func(name string) string {
		_, after, found := strings.Cut(string(data), "<!-- checked: "+name+" -->\n```yaml\n")
		require.True(t, found, name)
		text, _, _ := strings.Cut(after, "```")
		return text
	}
	policy, consent := s.file(t, "policy.yaml", block("the whole policy")), s.file(t, "consent.yaml", block("consent"))
	require.Contains(t, s.must(t, "policy", "explain", policy), "Fla. Stat. 501.616(6)")
	require.Contains(t, s.must(t, "policy", "explain", s.file(t, "results.yaml", block("results"))), "the bot says declined")
	s.up(t)
	s.must(t, "call", "--to", anna, "--to", "+13055550100", "--id", "documented", "--policy", policy, "--consent", consent, "--subject", "debt-7", "--zone", "Europe/Paris")

	// The ceiling holds whoever calls the number next, and says so.
	require.Contains(t, s.must(t, "call", "--to", "+14155550188", "--id", "first", "--wait", "--metadata", "simulate=human"), "human")
	s.must(t, "call", "--to", "+14155550188", "--id", "second")
	eventually(t, "the second to be held", func() bool { return strings.Contains(s.run(t, "show", "second").stdout, "REDIAL_CEILINGS") })
}
