package followup

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"redial/call"
	"redial/phone"
)

// Recipient is the timezone of a window that goes by the clock of whoever is called.
const Recipient = "recipient"

// Window is when a contact may be called: within its hours, on no holiday, and where each of its presets is open, too. The zero
// Window has no hours: any time will do.
type Window struct {
	// Timezone is whose clock the hours go by: recipient (default), or an IANA zone. Presets always go by the recipient's.
	Timezone string `json:"timezone,omitempty" yaml:"timezone"`
	// Days are the hours of each set of days, such as "mon-fri" or "sat,sun". Days that are not named are closed. Without any,
	// presets alone decide.
	Days     map[string][]Hours `json:"days,omitempty" yaml:"days"`
	Holidays []Date             `json:"holidays,omitempty" yaml:"holidays"` // closed, by the same clock
	Presets  []string           `json:"presets,omitempty" yaml:"presets"`   // names of Presets
}

// IsZero tells whether the window has no rule at all.
func (w Window) IsZero() bool { return len(w.Days) == 0 && len(w.Presets) == 0 && len(w.Holidays) == 0 }

// NeedsZone tells whether the window goes by the recipient's clock.
func (w Window) NeedsZone() bool {
	if (len(w.Days) > 0 || len(w.Holidays) > 0) && (w.Timezone == "" || w.Timezone == Recipient) {
		return true
	}
	for _, name := range w.Presets {
		if p, known := FindPreset(name); known && len(p.Days) > 0 {
			return true
		}
	}
	return false
}

func (w Window) validate() error {
	if w.Timezone != "" && w.Timezone != Recipient {
		if _, err := phone.Zone(w.Timezone); err != nil {
			return fmt.Errorf("timezone: %w, or %s", err, Recipient)
		}
	}
	if w.IsZero() && w.Timezone != "" {
		return errors.New("timezone: it is the only key: name days, holidays or presets, or leave the window out")
	}
	if _, err := w.schedule(); err != nil {
		return err
	}
	for _, name := range w.Presets {
		if _, known := FindPreset(name); !known {
			return fmt.Errorf("presets: there is no preset %q: name some of %s", name, strings.Join(PresetNames(), ", "))
		}
	}
	return nil
}

// schedule is the window's own hours.
func (w Window) schedule() (Schedule, error) {
	if len(w.Days) == 0 {
		return always().closedOn(w.Holidays), nil
	}
	var s Schedule
	named := map[time.Weekday]string{}
	for _, set := range slices.Sorted(maps.Keys(w.Days)) {
		days, err := weekdays(set)
		if err != nil {
			return s, fmt.Errorf("days: %w", err)
		}
		hours := slices.Clone(w.Days[set])
		slices.SortFunc(hours, func(a, b Hours) int { return cmp.Compare(a.From, b.From) })
		for i := 1; i < len(hours); i++ {
			if hours[i].From < hours[i-1].To {
				return s, fmt.Errorf("days.%s: %s and %s overlap", set, hours[i-1], hours[i])
			}
		}
		for _, d := range days {
			if other, twice := named[d]; twice {
				return s, fmt.Errorf("days: %s is in %s and in %s: name each day once", strings.ToLower(d.String()[:3]), other, set)
			}
			named[d] = set
			s.Week[d] = hours
		}
	}
	return s.closedOn(w.Holidays), nil
}

func (s Schedule) closedOn(days []Date) Schedule {
	if len(days) > 0 {
		s.Closed = func(d Date) bool { return slices.Contains(days, d) }
	}
	return s
}

// clock is one schedule by the clock of one zone, with the name of its rule.
type clock struct {
	rule     string
	schedule Schedule
	zone     *time.Location
}

// Hours of a window for one target: every clock must be open.
type opening struct {
	clocks []clock
	zones  []*time.Location // where the recipient may be; none, where nobody knows
	local  *time.Location   // by whose clock parts of the day are told; UTC, where nobody knows
	named  string           // the zone that the window names, where its own hours go by that
	theirs bool             // clocks of the recipient are asked
}

// errNoZone says that nobody can tell what time it is where a target is.
var errNoZone = errors.New("no time zone is known for the number, and the window goes by the recipient's clock")

// closedToError says why a window has no hours for a target, and which rule asks for them.
type closedToError struct {
	rule string
	error
}

func (e *closedToError) Unwrap() error { return e.error }

// forTarget is the window as it is for one target. Its error is a *closedToError.
func (w Window) forTarget(policy string, t call.Target) (o opening, err error) {
	own := policy + ": window"
	closed := func(rule string, err error) (opening, error) { return opening{}, &closedToError{rule, err} }
	names, _ := phone.Zones(t)
	var zones []*time.Location
	for _, name := range names {
		zone, err := phone.Zone(name)
		if err != nil {
			return closed(own, err)
		}
		zones = append(zones, zone)
	}
	schedule, err := w.schedule()
	if err != nil {
		return closed(own, err)
	}
	if len(w.Days) > 0 || len(w.Holidays) > 0 {
		by := zones
		if w.Timezone != "" && w.Timezone != Recipient {
			zone, err := phone.Zone(w.Timezone)
			if err != nil {
				return closed(own, err)
			}
			by, o.named = []*time.Location{zone}, w.Timezone
		}
		if len(by) == 0 {
			return closed(own, errNoZone)
		}
		o.theirs = o.named == ""
		o.add(own, schedule, by)
	}
	for _, name := range w.Presets {
		p, known := FindPreset(name)
		if !known {
			return closed(own, fmt.Errorf("there is no preset %q", name))
		}
		if len(p.Days) == 0 {
			continue
		}
		if len(zones) == 0 {
			return closed(p.Rule(), errNoZone)
		}
		o.theirs = true
		o.add(p.Rule(), p.schedule(), zones)
	}
	o.zones, o.local = zones, time.UTC
	switch {
	case len(o.clocks) > 0:
		o.local = o.clocks[0].zone
	case len(zones) > 0:
		o.local = zones[0]
	}
	return o, nil
}

func (o *opening) add(rule string, s Schedule, zones []*time.Location) {
	for _, z := range zones {
		o.clocks = append(o.clocks, clock{rule, s, z})
	}
}

// next is the first time from t on at which every clock is open, and stays open for as long as a call may ring; false when there is
// none before the horizon. Rule is what is closed at t; empty: nothing is.
func (o opening) next(t, horizon time.Time, ring time.Duration) (open Interval, rule string, found bool) {
	for at := t; at.Before(horizon); {
		open = Interval{at, at.Add(longest)}
		for _, c := range o.clocks {
			i, found := c.schedule.next(c.zone, at, horizon)
			if !found {
				return open, cmp.Or(rule, c.closed(at, horizon)), false
			}
			if i.Start.After(at) || i.End.Sub(at) < ring {
				if rule == "" {
					rule = c.closed(at, i.Start)
				}
			}
			open.Start = later(open.Start, i.Start)
			if i.End.Before(open.End) {
				open.End = i.End
			}
		}
		switch {
		case open.Start.Equal(at) && open.End.Sub(at) >= ring:
			return open, rule, true
		case open.Start.After(at):
			at = open.Start // another clock may have closed by then
		default:
			at = open.End // it closes before the phone may have stopped ringing
		}
	}
	return open, rule, false
}

// closed names the rule by which it is closed from one time up to another, with the first holidays of that time on which it would have
// been open.
func (c clock) closed(from, to time.Time) string {
	const most = 3
	text := fmt.Sprintf("%s (%s)", c.rule, c.zone)
	var closed []string
	for d, end := DateOf(from.In(c.zone)), DateOf(to.In(c.zone)); c.schedule.Closed != nil && len(closed) < most && d.before(end); d = d.next() {
		if c.schedule.Closed(d) && len(c.schedule.Week[d.weekday()]) > 0 {
			closed = append(closed, d.String())
		}
	}
	if len(closed) > 0 {
		text += ", closed on " + strings.Join(closed, ", ")
	}
	return text
}

// DayPart is a part of the day: people who were not there in one are called in another.
type DayPart int

const (
	Morning   DayPart = iota // before noon
	Afternoon                // noon to five
	Evening                  // after five
)

func partOf(t time.Time) DayPart {
	switch h := t.Hour(); {
	case h < 12:
		return Morning
	case h < 17:
		return Afternoon
	}
	return Evening
}

// ends is when the part of the day that a time is in ends.
func (p DayPart) ends(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, [...]int{12, 17, 24}[p], 0, 0, 0, t.Location())
}

// spreadOver is how far into a part of the day its calls are spread: an opening minute must not ring everybody.
const spreadOver = time.Hour

// lookAhead is how far a part of the day that was not tried yet is looked for; after that any will do.
const lookAhead = 3 * day

// place is when a call that is wanted at a time is made: then, if that is open and the wish is not for another part of the day; or
// else in the next part of the day not yet tried, spread by the key. Where all were tried, the next opening will do, but for another
// part of the day not one that is open now. False: never before the horizon.
func (o opening) place(want, horizon time.Time, ring time.Duration, another bool, tried []time.Time, key string) (at time.Time, rule string, found bool) {
	open, rule, found := o.next(want, horizon, ring)
	if !found {
		return time.Time{}, rule, false
	}
	if open.Start.Equal(want) && !another {
		return want, "", true
	}
	var parts []DayPart
	for _, t := range tried {
		parts = append(parts, partOf(t.In(o.local)))
	}
	fallback := open
	for at := open.Start; at.Before(want.Add(lookAhead)); {
		open, _, found := o.next(at, horizon, ring)
		if !found {
			break
		}
		part := partOf(open.Start.In(o.local))
		ends := part.ends(open.Start.In(o.local))
		if ends.Before(open.End) {
			open.End = ends
		}
		if !slices.Contains(parts, part) && open.End.Sub(open.Start) >= ring {
			return spread(open, horizon, ring, key), rule, true
		}
		at = later(open.End, open.Start.Add(time.Minute))
	}
	if fallback.Start.Equal(want) {
		tomorrow := DateOf(want.In(o.local)).next().begins(o.local)
		if fallback, rule, found = o.next(tomorrow, horizon, ring); !found {
			return time.Time{}, rule, false
		}
	}
	return spread(fallback, horizon, ring, key), rule, true
}

// spread is a time in an interval that begins before the horizon, and before that, for one key always the same.
func spread(i Interval, horizon time.Time, ring time.Duration, key string) time.Time {
	room := min(i.End.Sub(i.Start)-ring, spreadOver, horizon.Sub(i.Start))
	if room < time.Second {
		return i.Start
	}
	return i.Start.Add(time.Duration(hashed(key)%uint64(room/time.Second)) * time.Second)
}

func hashed(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()
}
