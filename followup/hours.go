package followup

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours is a part of a day, by the clock on the wall: from the minute From up to the minute To, which is not part of it. It is
// written "09:00-12:30"; "00:00-24:00" is the whole day.
type Hours struct{ From, To Minute }

// Minute is a minute of a day, 0 to 1440.
type Minute int

func (m Minute) String() string { return fmt.Sprintf("%02d:%02d", m/60, m%60) }

func (h Hours) String() string { return h.From.String() + "-" + h.To.String() }

// MarshalText and UnmarshalText are the written form, in YAML and JSON alike.
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func (h *Hours) UnmarshalText(text []byte) error {
	from, to, found := strings.Cut(strings.TrimSpace(string(text)), "-")
	a, okA := parseMinute(from)
	b, okB := parseMinute(to)
	if !found || !okA || !okB || a >= b {
		return &valueError{string(text), "are no hours: write them like 09:00-12:30, at most 00:00-24:00"}
	}
	*h = Hours{a, b}
	return nil
}

// UnmarshalYAML reads the written form.
func (h *Hours) UnmarshalYAML(unmarshal func(any) error) error { return unmarshalText(h, unmarshal) }

func parseMinute(text string) (Minute, bool) {
	var h, m int
	if n, err := fmt.Sscanf(text, "%02d:%02d", &h, &m); n != 2 || err != nil || len(text) != len("00:00") || m < 0 || m > 59 || h < 0 || h*60+m > 24*60 {
		return 0, false
	}
	return Minute(h*60 + m), true
}

// Date is a day of a calendar, such as a holiday. It is written 2026-12-25.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the day that a time falls on, by the clock of its location.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

func (d Date) next() Date { return DateOf(d.noon().AddDate(0, 0, 1)) }

func (d Date) before(other Date) bool { return d.noon().Before(other.noon()) }

func (d Date) weekday() time.Weekday { return d.noon().Weekday() }

func (d Date) noon() time.Time { return time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC) }

// begins is the first moment of the day in a zone: where the clock goes forward at midnight, the day has none.
func (d Date) begins(zone *time.Location) time.Time {
	t := time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
	if _, ends := t.ZoneBounds(); DateOf(t) != d && !ends.IsZero() {
		return ends
	}
	return t
}

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// MarshalText and UnmarshalText are the written form, in YAML and JSON alike.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, strings.TrimSpace(string(text)))
	if err != nil {
		return &valueError{string(text), "is no date: write it like 2026-12-25"}
	}
	*d = DateOf(t)
	return nil
}

// UnmarshalYAML reads the written form.
func (d *Date) UnmarshalYAML(unmarshal func(any) error) error { return unmarshalText(d, unmarshal) }

// Schedule is when a week is open, by the clock on the wall. The zero Schedule is never open.
type Schedule struct {
	Week   [7][]Hours      // of each time.Weekday, in order and without overlap
	Closed func(Date) bool // holidays; nil: none
}

// always is a schedule without a rule.
func always() Schedule {
	var s Schedule
	for d := range s.Week {
		s.Week[d] = []Hours{{0, 24 * 60}}
	}
	return s
}

// Interval is a time from Start up to End, which is not part of it.
type Interval struct{ Start, End time.Time }

// longest is how far an interval is followed: nothing that is asked of one is longer than a call may ring.
const longest = 36 * time.Hour

// next is the first interval of the schedule, in a zone, that ends after t; false when none begins before the horizon. An interval
// that goes on over midnight, or over a change of the clock, is one; it is cut off after longest.
func (s Schedule) next(zone *time.Location, t, horizon time.Time) (Interval, bool) {
	var open Interval
	for at := t; at.Before(horizon) || !open.Start.IsZero(); {
		segment, parts := s.day(zone, at)
		for _, p := range parts {
			switch {
			case !p.End.After(t):
			case open.Start.IsZero():
				open = p
			case p.Start.Equal(open.End):
				open.End = p.End
			default:
				return open, true
			}
		}
		if !open.Start.IsZero() && (open.End.Before(segment.End) || open.End.Sub(later(open.Start, t)) >= longest) {
			return open, true
		}
		at = segment.End
	}
	return Interval{}, false
}

// day is the part of a local day around t over which the zone's offset does not change, and what of it is open.
func (s Schedule) day(zone *time.Location, t time.Time) (segment Interval, open []Interval) {
	local := t.In(zone)
	_, offset := local.Zone()
	// Within a segment the clock on the wall is UTC and a constant.
	wall := t.UTC().Add(time.Duration(offset) * time.Second)
	midnight := wall.Truncate(24 * time.Hour).Add(-time.Duration(offset) * time.Second)
	segment = Interval{midnight, midnight.Add(24 * time.Hour)}
	begins, ends := local.ZoneBounds() // zero: never
	segment.Start = later(segment.Start, begins.UTC())
	if !ends.IsZero() && ends.Before(segment.End) {
		segment.End = ends.UTC()
	}
	if s.Closed != nil && s.Closed(DateOf(wall)) {
		return segment, nil
	}
	for _, h := range s.Week[wall.Weekday()] {
		part := Interval{midnight.Add(time.Duration(h.From) * time.Minute), midnight.Add(time.Duration(h.To) * time.Minute)}
		part.Start = later(part.Start, segment.Start)
		if part.End.After(segment.End) {
			part.End = segment.End
		}
		if part.Start.Before(part.End) {
			open = append(open, part)
		}
	}
	return segment, open
}

// weekdays are the days of a set as a policy writes it: "mon", "mon-fri", "sat,sun", "fri-mon".
func weekdays(text string) ([]time.Weekday, error) {
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	var days []time.Weekday
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.ToLower(strings.TrimSpace(part)), "-")
		if !isRange {
			to = from
		}
		a, b := slices.Index(names, from), slices.Index(names, to)
		if a < 0 || b < 0 {
			return nil, &valueError{text, "is no set of days: write it like mon, mon-fri or sat,sun"}
		}
		for d := a; ; d = (d + 1) % 7 {
			if slices.Contains(days, time.Weekday(d)) {
				return nil, &valueError{text, fmt.Sprintf("names %s twice", names[d])}
			}
			days = append(days, time.Weekday(d))
			if d == b {
				break
			}
		}
	}
	return days, nil
}
