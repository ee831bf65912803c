package followup_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/followup"
)

func TestAConsentIsReadFromYAMLAndFromJSON(t *testing.T) {
	want := followup.Consent{Scope: "reminders", Source: "form 7", At: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), Expires: time.Date(2027, 3, 2, 9, 0, 0, 0, time.UTC)}
	for _, text := range []string{
		"scope: reminders\nsource: form 7\nat: 2026-03-02T10:00:00+01:00\nexpires: 2027-03-02T09:00:00Z\n",
		"{scope: reminders, source: form 7, at: '2026-03-02T09:00:00Z', expires: \"2027-03-02T10:00:00+01:00\"}",
		"{\"scope\":\"reminders\",\n\t\"source\":\"form 7\", \"at\":\"2026-03-02T09:00:00Z\", \"expires\":\"2027-03-02T09:00:00Z\"}",
	} {
		c, err := followup.ParseConsent([]byte(text))
		require.NoError(t, err, text)
		c.At, c.Expires = c.At.UTC(), c.Expires.UTC()
		require.Equal(t, want, c)
	}
	c, err := followup.ParseConsent([]byte("{scope: a, source: b, at: 2026-03-02T09:00:00Z}"))
	require.NoError(t, err)
	require.Zero(t, c.Expires)
}

func TestAConsentIsNeverTakenForLongerThanItSays(t *testing.T) {
	const begin = "scope: a\nsource: b\nat: 2026-03-02T10:00:00Z\n"
	for _, c := range []struct {
		consent string
		says    []string
	}{
		{begin + "expires: 31.12.2026", []string{"line 4", "expires", `"31.12.2026" is no time: write it like 2026-03-02T10:00:00+01:00`}},
		{begin + "expires: tomorrow", []string{"line 4", "expires", "tomorrow"}},
		{begin + "expires: 90d", []string{"line 4", "expires", "90d"}},
		{begin + "expires: 2026-12-31T10:00", []string{"line 4", "expires", "with a Z for UTC"}},
		{begin + "expires: 2026-12-31", []string{"line 4", "expires", "2026-12-31"}},
		{begin + "expires: 1798675200", []string{"line 4", "expires"}},
		{begin + "expires: [2026-12-31T10:00:00Z]", []string{"line 4"}},
		{begin + "expires:", []string{"line 4", "expires: it is empty"}},
		{begin + "expires: null", []string{"line 4", "expires: it is empty"}},
		{begin + "expires: ''", []string{"expires", "is no time"}},
		{begin + "expires: 0001-01-01T00:00:00Z", []string{"line 4", "expires: it is empty"}},
		{begin + "expires: 2026-03-01T10:00:00Z", []string{"line 4", "expires: it is not after the consent was given"}},
		{begin + "exipres: 2026-12-31T10:00:00Z", []string{"line 4", "exipres"}},
		{begin + "---\nexpires: 2026-12-31T10:00:00Z", []string{"more than one document", "one consent"}},
		{"scope: a\nsource: b\nat: tomorrow", []string{"line 3", "at", `"tomorrow" is no time`}},
		{"scope: a\nsource: b\nat:\n", []string{"line 3", "at: it is missing"}},
		{"scope: a\nsource: b", []string{"at: it is missing"}},
		{"scope: ''\nsource: b", []string{"line 1", "scope: it is missing"}},
		{"scope: [a]\nsource: b", []string{"line 1", "scope"}},
		{`{"scope": "a", "source": "b", "at": "2026-03-02T10:00:00Z",` + "\n" + ` "expires": "31.12.2026"}`, []string{"line 2", "expires", "31.12.2026"}},
		{"", []string{"the consent is empty"}},
		{"yes", []string{"line 1"}},
		{"scope: \xff", []string{"UTF-8"}},
		{"scope: " + strings.Repeat("x", followup.MaxConsentSize), []string{"16 KiB"}},
	} {
		t.Run(fmt.Sprintf("%.60q", strings.TrimPrefix(c.consent, begin)), func(t *testing.T) {
			got, err := followup.ParseConsent([]byte(c.consent))
			require.Error(t, err, "%+v", got)
			require.NotContains(t, err.Error(), "\n")
			for _, word := range c.says {
				require.ErrorContains(t, err, word)
			}
		})
	}
}
