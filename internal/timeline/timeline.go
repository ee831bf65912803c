// Package timeline prints what happened to one contact: a line for each event, in columns, by one clock.
package timeline

import (
	"fmt"
	"strings"
	"time"
)

// Timeline collects lines. Make one with New.
type Timeline struct {
	zone  *time.Location
	start time.Time
	out   strings.Builder
	day   string
	year  int
	shift int // offset of the zone at the last line, in seconds
}

// New begins a timeline at a time, from which the offsets of its lines count, by the clock of a zone.
func New(start time.Time, zone *time.Location) *Timeline {
	_, shift := start.In(zone).Zone()
	return &Timeline{zone: zone, start: start, year: start.In(zone).Year(), shift: shift}
}

// String is the lines so far.
func (l *Timeline) String() string { return l.out.String() }

// Title writes a line of its own.
func (l *Timeline) Title(text string) { l.out.WriteString(text + "\n") }

// Add writes what happened at a time, in the n-th attempt; 0: in none. The kind is a word or two, of nine letters at most.
func (l *Timeline) Add(at time.Time, n int, kind, text string) {
	local := at.In(l.zone)
	name, shift := local.Zone()
	if shift != l.shift {
		l.apart(fmt.Sprintf("the clocks have changed by %s: %s", signed(time.Duration(shift-l.shift)*time.Second), name))
		l.shift = shift
	}
	if local.Year() != l.year {
		l.year = local.Year()
		l.apart(fmt.Sprint(l.year))
	}
	day := local.Format(dayAs)
	shown := day
	if day == l.day {
		shown = ""
	}
	l.day = day
	attempt := ""
	if n > 0 {
		attempt = fmt.Sprintf("#%d", n)
	}
	line := fmt.Sprintf("  %-10s  %s  %13s  %3s  %-9s  %s", shown, local.Format("15:04:05"), Elapsed(at.Sub(l.start)), attempt, kind, text)
	l.out.WriteString(strings.TrimRight(line, " ") + "\n")
}

const dayAs = "Mon _2 Jan"

// LeaveOut says that lines are left out.
func (l *Timeline) LeaveOut(n int) {
	l.apart(fmt.Sprintf("%d lines are left out", n))
	l.day = ""
}

// Between writes what is to be said of the time between two lines.
func (l *Timeline) Between(text string) { l.apart(text) }

func (l *Timeline) apart(text string) { fmt.Fprintf(&l.out, "%24s──  %s  ──\n", "", text) }

// Moment is a time as short as it can be said in the line of another.
func (l *Timeline) Moment(at, line time.Time) string {
	local := at.In(l.zone)
	switch beside := line.In(l.zone); {
	case local.Format(time.DateOnly) == beside.Format(time.DateOnly):
		return local.Format("15:04:05")
	case local.Year() != beside.Year():
		return local.Format("Mon 2 Jan 2006 15:04:05")
	}
	return local.Format("Mon 2 Jan 15:04:05")
}

// Elapsed is a duration for a column, such as +1d 04:00:20.
func Elapsed(d time.Duration) string {
	const day = 24 * time.Hour
	clock := fmt.Sprintf("%02d:%02d:%02d", d%day/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second)
	if d >= day {
		return fmt.Sprintf("+%dd %s", d/day, clock)
	}
	return "+" + clock
}

func signed(d time.Duration) string {
	text := strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
	if d > 0 {
		return "+" + text
	}
	return text
}
