package followup

import (
	"fmt"
	"strings"

	"redial/call"
	"redial/phone"
)

// Unzoned are open contacts that follow a policy, and whose numbers no time zone is known for.
type Unzoned struct {
	Contacts int
	Some     []string // ids of the first of them

	known map[string]bool // by calling code
}

// mostNamed is how many contacts a refusal names.
const mostNamed = 3

// Look counts the contact if no zone is known for the target. There may be many: of a number its calling code tells, and what the numbering
// plans say of each single one would take too long.
func (u *Unzoned) Look(contactID string, to call.Target) {
	if to.Zone != "" || u.zoneOf(to) {
		return
	}
	if u.Contacts++; len(u.Some) < mostNamed {
		u.Some = append(u.Some, contactID)
	}
}

// zoneOf tells whether the target itself tells of a zone.
func (u *Unzoned) zoneOf(to call.Target) bool {
	const code = len("tel:+123") // the longest calling codes; none is the beginning of another
	if !to.IsTelephone() || len(to.URI) < code {
		return false
	}
	known, asked := u.known[to.URI[:code]]
	if !asked {
		if u.known == nil {
			u.known = map[string]bool{}
		}
		zones, _ := phone.Zones(to)
		known = len(zones) > 0
		u.known[to.URI[:code]] = known
	}
	return known
}

// Refuse is why a policy cannot become that of these contacts; nil: it can.
func (u *Unzoned) Refuse(p Policy) error {
	if u.Contacts == 0 || !p.Window.NeedsZone() {
		return nil
	}
	return &UnzonedError{Unzoned: *u, theirs: Window{Presets: p.Window.Presets}.NeedsZone()}
}

// UnzonedError says that under a policy open contacts that follow it could not be called any more.
type UnzonedError struct {
	Unzoned
	theirs bool // presets go by the recipient's clock, whatever zone the policy names
}

func (e *UnzonedError) Error() string {
	who := "the open contact " + e.Some[0] + ", which follows it"
	if e.Contacts > 1 {
		who = fmt.Sprintf("%d open contacts that follow it (%s)", e.Contacts, strings.Join(e.Some, ", "))
		if e.Contacts > len(e.Some) {
			who = strings.TrimSuffix(who, ")") + ", …)"
		}
	}
	remedy := "name a zone in its window, as in timezone: Europe/Paris, or first give each of them another policy, with redial change-policy"
	if e.theirs {
		remedy = "first give each of them another policy, with redial change-policy"
	}
	return fmt.Sprintf("no time zone is known for %s, and its window goes by the recipient's clock: %s", who, remedy)
}
