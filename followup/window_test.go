package followup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/phone"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return parsed
}

func (w Window) of(t *testing.T, uri string) opening {
	t.Helper()
	require.NoError(t, w.validate())
	o, err := w.forTarget("test", call.Target{URI: uri})
	require.NoError(t, err)
	return o
}

const ringing = 45 * time.Second

func TestEachPresetIsOpenWhenItsRuleSaysAndClosedAMinuteBeforeAndAfter(t *testing.T) {
	const californian, berliner = "tel:+14155550100", "tel:+493012345678"
	for name, c := range map[string]struct{ target, opens, closes, shut string }{
		"us-federal":       {californian, "2026-03-02T08:00:00-08:00", "2026-03-02T21:00:00-08:00", ""},
		"us-reg-f":         {californian, "2026-03-02T08:00:00-08:00", "2026-03-02T21:00:00-08:00", ""},
		"us-florida":       {"tel:+13055550100", "2026-03-02T08:00:00-05:00", "2026-03-02T20:00:00-05:00", ""},
		"us-oklahoma":      {"tel:+14055550100", "2026-03-02T08:00:00-06:00", "2026-03-02T20:00:00-06:00", ""},
		"us-alabama":       {"tel:+12055550100", "2026-03-02T08:00:00-06:00", "2026-03-02T20:00:00-06:00", "2026-07-03T12:00:00-05:00"},
		"us-louisiana":     {"tel:+15045550100", "2026-03-02T08:00:00-06:00", "2026-03-02T20:00:00-06:00", "2026-11-26T12:00:00-06:00"},
		"us-mississippi":   {"tel:+16015550100", "2026-03-02T08:00:00-06:00", "2026-03-02T20:00:00-06:00", "2026-03-01T12:00:00-06:00"},
		"us-maryland":      {"tel:+14105550100", "2026-03-02T08:00:00-05:00", "2026-03-02T20:00:00-05:00", ""},
		"us-massachusetts": {"tel:+16175550100", "2026-03-02T08:00:00-05:00", "2026-03-02T20:00:00-05:00", ""},
		"us-connecticut":   {"tel:+12035550100", "2026-03-02T09:00:00-05:00", "2026-03-02T20:00:00-05:00", ""},
		"us-kentucky":      {"tel:+15025550100", "2026-03-02T10:00:00-05:00", "2026-03-02T21:00:00-05:00", ""},
		"us-michigan":      {"tel:+13135550100", "2026-03-02T09:00:00-05:00", "2026-03-02T21:00:00-05:00", ""},
		"us-minnesota":     {"tel:+16125550100", "2026-03-02T09:00:00-06:00", "2026-03-02T21:00:00-06:00", ""},
		"us-new-mexico":    {"tel:+15055550100", "2026-03-02T09:00:00-07:00", "2026-03-02T21:00:00-07:00", ""},
		"us-nevada":        {"tel:+17025550100", "2026-03-02T09:00:00-08:00", "2026-03-02T20:00:00-08:00", ""},
		"us-rhode-island":  {"tel:+14015550100", "2026-03-02T09:00:00-05:00", "2026-03-02T18:00:00-05:00", ""},
		"canada":           {"tel:+14165550100", "2026-03-02T09:00:00-05:00", "2026-03-02T21:30:00-05:00", "2026-03-01T09:59:00-05:00"},
		"france":           {"tel:+33140123456", "2026-03-02T14:00:00+01:00", "2026-03-02T20:00:00+01:00", "2026-07-14T15:00:00+02:00"},
		"india":            {"tel:+919812345678", "2026-03-02T09:00:00+05:30", "2026-03-02T21:00:00+05:30", ""},
		"australia":        {"tel:+61291234567", "2026-03-07T09:00:00+11:00", "2026-03-07T17:00:00+11:00", "2026-04-25T10:00:00+10:00"},
	} {
		o := Window{Presets: []string{name}}.of(t, c.target)
		opens, closes := moment(t, c.opens), moment(t, c.closes)
		horizon := opens.Add(20 * day)
		for when, wantOpen := range map[time.Time]bool{
			opens: true, opens.Add(-time.Minute): false, closes.Add(-ringing): true, closes.Add(-ringing + time.Second): false, closes: false} {
			open, rule, found := o.next(when, horizon, ringing)
			require.True(t, found)
			require.Equal(t, wantOpen, open.Start.Equal(when), "%s at %s: %s", name, when, open.Start)
			require.Equal(t, wantOpen, rule == "", "%s at %s: %q", name, when, rule)
		}
		if c.shut != "" {
			shut := moment(t, c.shut)
			open, _, _ := o.next(shut, shut.Add(20*day), ringing)
			require.True(t, open.Start.After(shut), "%s on %s", name, c.shut)
		}
	}
	require.Len(t, Presets(), 20, "a new preset needs a row of this table")
	_, err := Window{Presets: []string{"us-federal"}}.forTarget("test", call.Target{URI: "sip:anna@pbx"})
	require.ErrorIs(t, err, errNoZone, "nobody knows what time it is there")
	_ = berliner
}

func TestEveryClockOfANumberThatMayBeAnywhereMustBeOpen(t *testing.T) {
	o := Window{Days: daily(9, 20)}.of(t, "tel:+61412345678") // an Australian mobile: Perth is two to three hours behind Sydney
	open, rule, found := o.next(moment(t, "2026-03-02T09:00:00+11:00"), moment(t, "2026-03-10T00:00:00Z"), ringing)
	require.True(t, found)
	require.Equal(t, "2026-03-02T12:00:00+11:00", open.Start.In(o.local).Format(time.RFC3339), "nine in Perth")
	require.Contains(t, rule, "test: window (")
	// Twenty o'clock on Lord Howe or in Sydney comes first.
	require.False(t, open.End.After(moment(t, "2026-03-02T20:00:00+11:00")))

	// Russia spans eleven hours: nine to twelve is never open in all of it.
	_, _, found = Window{Days: daily(9, 12)}.of(t, "tel:+79161234567").next(moment(t, "2026-03-02T00:00:00Z"), moment(t, "2026-03-30T00:00:00Z"), ringing)
	require.False(t, found)
}

func TestNoPlaceIsOutsideAWindowForAnyWindowZoneClockAndWish(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	numbers := []string{"tel:+14155550100", "tel:+493012345678", "tel:+61412345678", "tel:+919812345678", "tel:+5511912345678", "tel:+18005550100", "tel:+79161234567"}
	presetNames := PresetNames()
	placed := 0
	for range 3000 {
		w := Window{Days: map[string][]Hours{}}
		for i, set := range []string{"mon-thu", "fri", "sat", "sun"} {
			if r.IntN(4) == 0 && i > 0 {
				continue
			}
			from := Minute(r.IntN(18 * 60))
			w.Days[set] = []Hours{{from, from + 1 + Minute(r.IntN(int(24*60-from)))}}
		}
		if r.IntN(3) == 0 {
			w.Presets = append(w.Presets, presetNames[r.IntN(len(presetNames))])
		}
		if r.IntN(4) == 0 {
			w.Timezone = oddZones[r.IntN(len(oddZones))]
		}
		number := numbers[r.IntN(len(numbers))]
		o := w.of(t, number)
		want := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(365*24*60)) * time.Minute)
		horizon := want.Add(14 * day)
		var tried []time.Time
		for range r.IntN(4) {
			tried = append(tried, want.Add(-time.Duration(r.IntN(72))*time.Hour))
		}
		got, _, found := o.place(want, horizon, ringing, r.IntN(3) == 0, tried, fmt.Sprint(r.Int()))
		if !found {
			continue
		}
		placed++
		require.False(t, got.Before(want))
		require.True(t, got.Before(horizon.Add(longest)))
		for _, rings := range []time.Time{got, got.Add(ringing - time.Second)} {
			for _, c := range o.clocks {
				require.True(t, c.schedule.openAt(c.zone, rings), "%s %s: %s rings at %s", number, c.rule, c.zone, rings.In(c.zone))
			}
		}
	}
	require.Greater(t, placed, 1000)
}

func TestARetryThatLandsOutsideGoesToAPartOfTheDayNotYetTriedAndNotToTheOpeningMinute(t *testing.T) {
	o := Window{Days: daily(8, 21)}.of(t, "tel:+14155550100")
	local, err := phone.Zone("America/Los_Angeles")
	require.NoError(t, err)
	night := time.Date(2026, 3, 3, 2, 0, 0, 0, local)
	horizon := night.Add(14 * day)
	spread := map[time.Time]int{}
	for i := range 200 {
		got, rule, found := o.place(night, horizon, ringing, false, []time.Time{time.Date(2026, 3, 2, 10, 0, 0, 0, local)}, fmt.Sprint("contact ", i))
		require.True(t, found)
		require.Equal(t, Afternoon, partOf(got.In(local)), "the morning was tried")
		require.Contains(t, rule, "test: window")
		spread[got]++
	}
	require.Greater(t, len(spread), 150, "they do not all ring at the same second")

	all := []time.Time{time.Date(2026, 3, 2, 10, 0, 0, 0, local), time.Date(2026, 3, 2, 13, 0, 0, 0, local), time.Date(2026, 3, 2, 18, 0, 0, 0, local)}
	got, _, found := o.place(night, horizon, ringing, false, all, "anna")
	require.True(t, found)
	require.Equal(t, Morning, partOf(got.In(local)), "all were tried: the next will do")

	noon := time.Date(2026, 3, 3, 13, 0, 0, 0, local)
	got, _, _ = o.place(noon, horizon, ringing, false, all, "anna")
	require.Equal(t, noon, got, "inside the window nothing is moved")
	got, _, _ = o.place(noon, horizon, ringing, true, all[1:2], "anna")
	require.Equal(t, Evening, partOf(got.In(local)), "next_window asks for another part of the day")
}

func TestAWindowThatCannotBeKeptIsRefusedByName(t *testing.T) {
	for says, w := range map[string]Window{
		"Mars/Olympus":            {Timezone: "Mars/Olympus"},
		`"noday"`:                 {Days: map[string][]Hours{"noday": hours(9, 10)}},
		"mon is in mon and in":    {Days: map[string][]Hours{"mon": hours(9, 10), "mon-fri": hours(9, 10)}},
		"09:00-11:00 and 10:00":   {Days: map[string][]Hours{"mon": {{9 * 60, 11 * 60}, {10 * 60, 12 * 60}}}},
		`no preset "us-atlantis"`: {Presets: []string{"us-atlantis"}},
		"names tue twice":         {Days: map[string][]Hours{"tue,mon-wed": hours(9, 10)}},
	} {
		require.ErrorContains(t, w.validate(), says)
	}
	for _, bad := range []string{"9:00-10:00", "09:00-24:01", "10:00-09:00", "09:00", "09:60-10:00", "", "aa:bb-cc:dd", "09:00-09:00"} {
		require.Error(t, new(Hours).UnmarshalText([]byte(bad)), bad)
	}
	for _, good := range []string{"00:00-24:00", "09:00-12:30"} {
		var h Hours
		require.NoError(t, h.UnmarshalText([]byte(good)))
		require.Equal(t, good, h.String())
	}
}

func TestALimitGivesTheFirstTimeAtWhichAnotherCallIsWithinIt(t *testing.T) {
	now := moment(t, "2026-03-02T12:00:00Z")
	hoursAgo := func(ago ...int) (calls []time.Time) {
		for _, h := range ago {
			calls = append(calls, now.Add(-time.Duration(h)*time.Hour))
		}
		return calls
	}
	three := Limit{Calls: 3, Per: Span{For: Duration(day)}}
	require.Equal(t, now, three.next(now, hoursAgo(30, 20, 10), nil))
	require.Equal(t, now.Add(4*time.Hour+SendWithin), three.next(now, hoursAgo(20, 10, 1), nil), "the oldest of three leaves")
	require.Equal(t, now.Add(14*time.Hour+SendWithin), three.next(now, hoursAgo(20, 10, 2, 1), nil), "two have to leave")
	require.Equal(t, now.Add(SendWithin), three.next(now, hoursAgo(24, 10, 1), nil), "its request may have left so long after its clearance")
	require.Equal(t, now.Add(SendWithin), three.next(now.Add(SendWithin), hoursAgo(24, 10, 1), nil), "a day is over after a day")

	daily := Limit{Calls: 2, Per: Span{Day: true}}
	tokyo, err := phone.Zone("Asia/Tokyo")
	require.NoError(t, err)
	angeles, err := phone.Zone("America/Los_Angeles")
	require.NoError(t, err)
	require.Equal(t, now, daily.next(now, hoursAgo(22, 2), []*time.Location{tokyo}))
	require.True(t, moment(t, "2026-03-03T00:00:00-08:00").Equal(daily.next(now, hoursAgo(3, 2), []*time.Location{tokyo, angeles})), "by every clock")
	require.True(t, moment(t, "2026-03-03T00:00:00+09:00").Equal(daily.next(now, hoursAgo(3, 2), []*time.Location{tokyo})))
	require.Equal(t, now.Add(22*time.Hour+SendWithin), daily.next(now, hoursAgo(3, 2), nil), "where nobody knows what day it is, any 25 hours are one")
}

func TestACallAtMidnightCountsForEachDayOnWhichItsRequestMayLeave(t *testing.T) {
	once := Limit{Calls: 1, Per: Span{Day: true}}
	midnight := moment(t, "2026-03-03T00:00:00Z")
	for _, c := range []struct{ called, now, next time.Duration }{
		{-10 * time.Second, 0, 0},
		{-3 * time.Second, 0, 24 * time.Hour},                               // the last request may have left today
		{-SendWithin, time.Hour, 24 * time.Hour},                            // at midnight
		{-SendWithin - time.Millisecond, time.Hour, time.Hour},              // before it
		{-10 * time.Second, -time.Second, 0},                                // its day is full
		{-20 * time.Hour, -time.Second, 0},                                  // the same
		{-30 * time.Hour, -time.Second, -time.Second},                       // it was the day before
		{-3 * time.Second, -time.Second, 24 * time.Hour},                    // both days are full
		{time.Second, 2 * time.Second, 24 * time.Hour},                      // today
		{-3 * time.Second, 24*time.Hour - time.Second, 24 * time.Hour},      // today's last seconds
		{-30 * time.Second, 24*time.Hour - time.Second, 24*time.Hour - 1e9}, // yesterday's call
	} {
		got := once.next(midnight.Add(c.now), []time.Time{midnight.Add(c.called)}, []*time.Location{time.UTC})
		require.Equal(t, midnight.Add(c.next), got, "called %s, and it is %s", c.called, c.now)
	}
}

func TestNextWindowIsNotTheOpeningThatIsOpenNow(t *testing.T) {
	o := Window{Days: daily(9, 20)}.of(t, "tel:+14155550100")
	now := moment(t, "2026-03-02T10:00:00-08:00")
	tried := []time.Time{now, now.Add(3 * time.Hour), now.Add(8 * time.Hour)}
	for i := range 50 {
		at, _, found := o.place(now, now.Add(14*day), ringing, true, tried, fmt.Sprint(i))
		require.True(t, found)
		require.Equal(t, 3, at.In(o.local).Day(), "every part of the day was tried: the next day will do")
		require.Less(t, at.In(o.local).Hour(), 10)
	}
	_, _, found := o.place(now, now.Add(9*time.Hour), ringing, true, tried, "anna")
	require.False(t, found, "it does not open again in time")
}

func TestSpreadingAloneIsNeverBeyondTheContactsLife(t *testing.T) {
	o := Window{Days: daily(9, 20)}.of(t, "tel:+14155550100")
	opens := moment(t, "2026-03-03T09:00:00-08:00")
	for i := range 200 {
		expires := opens.Add(time.Duration(1+i) * time.Second)
		at, _, found := o.place(opens.Add(-time.Hour), expires, ringing, false, nil, fmt.Sprint(i))
		require.True(t, found)
		require.True(t, at.Before(expires))
	}
}
