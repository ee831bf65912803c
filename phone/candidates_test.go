package phone_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/phone"
)

func TestTheZonesOfATargetAreStatedOrGuessedAndAGuessLeavesNoneOut(t *testing.T) {
	for uri, want := range map[string]struct {
		basis phone.Basis
		some  []string
		most  int
	}{
		"tel:+14155550100":   {phone.BasisNumber, []string{"America/Los_Angeles"}, 1},
		"tel:+442071234567":  {phone.BasisNumber, []string{"Europe/London"}, 1},
		"tel:+79161234567":   {phone.BasisCountry, []string{"Europe/Moscow", "Asia/Vladivostok", "Europe/Kaliningrad"}, 40},
		"tel:+61412345678":   {phone.BasisCountry, []string{"Australia/Perth", "Australia/Sydney"}, 20},
		"tel:+18005550100":   {phone.BasisCountry, []string{"America/New_York", "Pacific/Honolulu", "America/St_Johns"}, 80},
		"tel:+4915112345678": {phone.BasisCountry, []string{"Europe/Berlin"}, 2},
		"tel:+80012345678":   {phone.BasisNone, nil, 0},
		"sip:anna@pbx":       {phone.BasisNone, nil, 0},
	} {
		zones, basis := phone.Zones(call.Target{URI: uri})
		require.Equal(t, want.basis, basis, uri)
		require.Subset(t, zones, want.some, uri)
		require.LessOrEqual(t, len(zones), want.most, uri)
		for _, z := range zones {
			_, err := phone.Zone(z)
			require.NoError(t, err, uri)
		}
	}
	zones, basis := phone.Zones(call.Target{URI: "sip:anna@pbx", Zone: "Asia/Kathmandu"})
	require.Equal(t, phone.BasisStated, basis)
	require.Equal(t, []string{"Asia/Kathmandu"}, zones)
}
