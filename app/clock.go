package app

import (
	"fmt"
	"strings"
	"time"

	"redial/call"
	"redial/phone"
)

// clock tells times to people, in one zone.
type clock struct {
	zone      *time.Location
	recipient *time.Location // whoever is called; nil: nobody knows where that is, or there are several zones
}

// zoneOfRecipient names the recipient's zone, whichever it is.
const zoneOfRecipient = "recipient"

// clockIn is a clock of the named zone, for a recipient who may be in these zones.
func clockIn(name string, recipient []string) (c clock, err error) {
	if len(recipient) == 1 {
		c.recipient, _ = phone.Zone(recipient[0])
	}
	if name != zoneOfRecipient {
		if c.zone, err = phone.Zone(name); err != nil {
			return c, usagef("--zone: %w", err)
		}
		return c, nil
	}
	switch {
	case len(recipient) == 0:
		return c, usagef("--zone recipient: nobody knows the zone of this contact; name one, like Europe/Paris")
	case c.recipient == nil:
		return c, usagef("--zone recipient: the contact may be in any of %s; name one", some(recipient))
	}
	c.zone = c.recipient
	return c, nil
}

// some are the first of many names.
func some(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// full is a time in full.
func (c clock) full(t time.Time) string { return t.In(c.zone).Format("Mon 2 Jan 2006 15:04:05 MST") }

// due is a time to come in full, with how far off it is, and what a recipient's clock shows then.
func (c clock) due(t, now time.Time) string {
	off := t.Sub(now)
	if off <= 0 {
		return c.full(t)
	}
	there := ""
	if c.recipient != nil && t.In(c.recipient).Format(time.DateTime) != t.In(c.zone).Format(time.DateTime) {
		there = ", " + t.In(c.recipient).Format("Mon 15:04") + " for the recipient"
	}
	return fmt.Sprintf("%s (in %s%s)", c.full(t), inShort(off), there)
}

// name says which zone it is, and what time it is for the recipient.
func (c clock) name(now time.Time) string {
	if c.recipient == nil || c.recipient.String() == c.zone.String() {
		return fmt.Sprintf("%s, where it is %s", c.zone, now.In(c.zone).Format("Mon 15:04"))
	}
	return fmt.Sprintf("%s, where it is %s; for the recipient, in %s, it is %s", c.zone, now.In(c.zone).Format("Mon 15:04"), c.recipient, now.In(c.recipient).Format("Mon 15:04"))
}

// inShort is a length of time by its two greatest units.
func inShort(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", max(1, d/time.Second))
}

// zones are those in which the recipient may be: the one that was stated for the number that the contact is at, or what that number tells.
func (s shown) zones() []string {
	zones, _ := phone.Zones(call.Target{URI: s.Target, Zone: s.Zone})
	return zones
}
