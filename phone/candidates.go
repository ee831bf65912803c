package phone

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"

	"redial/call"
)

// zoneTable lists the zones of each country: zone.tab of the IANA time zone database 2025b, which is in the public domain.
//
//go:embed zone.tab
var zoneTable string

var zonesOf = sync.OnceValue(func() map[string][]string {
	zones := map[string][]string{}
	for line := range strings.Lines(zoneTable) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) >= 3 && len(fields[0]) == 2 {
			zones[fields[0]] = append(zones[fields[0]], fields[2])
		}
	}
	return zones
})

// Basis is what a target's zones were taken from.
type Basis string

const (
	BasisStated  Basis = "stated"  // somebody said so
	BasisNumber  Basis = "number"  // a geographic number: its area
	BasisCountry Basis = "country" // any other number: all zones of its country
	BasisNone    Basis = ""        // nothing is known: a SIP address, or a number of no country
)

// Zones are the IANA time zones in which the person may be who answers a target, sorted, and what they were taken from. A stated
// zone stands alone. Otherwise a number's zones are a guess, and all of them count: a number that is not geographic may ring
// anywhere in its country, whatever the numbering plan's data says of its prefix, which for mobiles names one city. A
// geographic number may have been ported to a mobile: its area is what dialers go by, and no more than that.
func Zones(t call.Target) ([]string, Basis) {
	if t.Zone != "" {
		return []string{t.Zone}, BasisStated
	}
	digits, telephone := strings.CutPrefix(t.URI, "tel:")
	number, err := phonenumbers.Parse(digits, "")
	if !telephone || err != nil {
		return nil, BasisNone
	}
	of, err := phonenumbers.GetTimezonesForNumber(number)
	if err != nil || slices.Contains(of, phonenumbers.UNKNOWN_TIMEZONE) {
		of = nil
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.FIXED_LINE, phonenumbers.FIXED_LINE_OR_MOBILE:
		if len(of) > 0 {
			return sorted(of), BasisNumber
		}
	}
	if all := append(slices.Clone(of), zonesOf()[phonenumbers.GetRegionCodeForNumber(number)]...); len(all) > 0 {
		return sorted(all), BasisCountry
	}
	return nil, BasisNone
}

func sorted(zones []string) []string {
	zones = slices.Clone(zones)
	slices.Sort(zones)
	return slices.Compact(zones)
}
