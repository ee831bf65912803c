package phone_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/phone"
)

func TestATargetOfAnInputIsReadAsAPersonSpellsItAndThenByItsFormAlone(t *testing.T) {
	var in struct{ To phone.Target }
	require.NoError(t, json.Unmarshal([]byte(`{"To": "+1 (415) 555-0100"}`), &in))
	require.Equal(t, "tel:+14155550100", in.To.URI)
	written, err := json.Marshal(in)
	require.NoError(t, err)
	require.JSONEq(t, `{"To": {"uri": "tel:+14155550100"}}`, string(written))
	again := in
	require.NoError(t, json.Unmarshal(written, &again))
	require.Equal(t, in, again)
	// A number that no plan knows today may have been one when the run began.
	require.NoError(t, json.Unmarshal([]byte(`{"To": {"uri": "tel:+19995550100", "zone": "Europe/Berlin"}}`), &again))
	require.Equal(t, "Europe/Berlin", again.To.Zone)

	for _, bad := range []string{`"+1 555 555 0100"`, `"415 555 0100"`, `""`, `7`, `{"uri": "tel:4155550100"}`, `{"uri": "sip:A@B?x=y"}`, `{"uri": "http://a"}`, `{}`} {
		require.Error(t, json.Unmarshal([]byte(`{"To": `+bad+`}`), &again), bad)
	}
}
