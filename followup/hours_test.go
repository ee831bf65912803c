package followup

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/phone"
)

// openAt tells by the clock on the wall alone whether a schedule is open.
func (s Schedule) openAt(zone *time.Location, t time.Time) bool {
	local := t.In(zone)
	if s.Closed != nil && s.Closed(DateOf(local)) {
		return false
	}
	minute := Minute(local.Hour()*60 + local.Minute())
	for _, h := range s.Week[local.Weekday()] {
		if h.From <= minute && minute < h.To {
			return true
		}
	}
	return false
}

func randomSchedule(r *rand.Rand) Schedule {
	var s Schedule
	for d := range s.Week {
		for at := Minute(r.IntN(10) * 15); at < 24*60 && r.IntN(4) > 0; {
			to := min(at+Minute(1+r.IntN(60))*15, 24*60)
			s.Week[d] = append(s.Week[d], Hours{at, to})
			at = to + Minute(1+r.IntN(20))*15
		}
	}
	if closed := 1 + r.IntN(28); r.IntN(2) == 0 {
		s.Closed = func(d Date) bool { return d.Day == closed }
	}
	return s
}

// Zones with every kind of change: at midnight, of half an hour, far from UTC, none; Apia left out a day in 2011.
var oddZones = []string{"Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia",
	"America/Havana", "Atlantic/Azores", "Africa/Casablanca"}

func TestTheNextIntervalIsWhatTheClockOnTheWallSaysMinuteByMinuteOverEveryChangeOfTheClock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, name := range oddZones {
		zone, err := phone.Zone(name)
		require.NoError(t, err)
		changes := []time.Time{time.Date(2026, 5, 13, 0, 0, 0, 0, time.UTC)}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, zone); len(changes) < 4; {
			_, end := at.ZoneBounds()
			if end.IsZero() || end.Year() > 2027 {
				break
			}
			changes = append(changes, end)
			at = end
		}
		for _, change := range changes {
			for range 8 {
				s := randomSchedule(r)
				from := change.Add(-time.Duration(r.IntN(72*60)) * time.Minute).Truncate(time.Minute)
				horizon := from.Add(5 * 24 * time.Hour)
				var want Interval
				for at := from; at.Before(horizon.Add(longest)); at = at.Add(time.Minute) {
					switch open := s.openAt(zone, at); {
					case open && want.Start.IsZero() && at.Before(horizon):
						want.Start = at
					case !open && !want.Start.IsZero():
						want.End = at
					}
					if !want.End.IsZero() {
						break
					}
				}
				got, found := s.next(zone, from, horizon)
				require.Equal(t, !want.Start.IsZero(), found, "%s from %s: %v", name, from.In(zone), s.Week)
				if !found {
					continue
				}
				start := later(got.Start, from)
				require.True(t, start.Equal(want.Start), "%s from %s: opens %s, want %s: %v", name, from.In(zone), got.Start.In(zone), want.Start.In(zone), s.Week)
				if !want.End.IsZero() && want.End.Sub(want.Start) < longest {
					require.True(t, got.End.Equal(want.End), "%s from %s: closes %s, want %s: %v", name, from.In(zone), got.End.In(zone), want.End.In(zone), s.Week)
				}
			}
		}
	}
}

func TestAScheduleThatIsNeverOpenHasNoInterval(t *testing.T) {
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	_, found := Schedule{}.next(time.UTC, from, from.Add(30*24*time.Hour))
	require.False(t, found)
	closed := always()
	closed.Closed = func(Date) bool { return true }
	_, found = closed.next(time.UTC, from, from.Add(30*24*time.Hour))
	require.False(t, found)
	open, found := always().next(time.UTC, from, from.Add(time.Hour))
	require.True(t, found)
	require.GreaterOrEqual(t, open.End.Sub(from), 24*time.Hour)
}
