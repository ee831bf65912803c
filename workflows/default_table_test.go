package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/callflowtest"
	"redial/followup"
	"redial/phone"
	"redial/workflows"
)

// defaults is the default table, written out once more: after each delay the next dial, then the outcome.
var defaults = map[call.Disposition]struct {
	delays  []time.Duration
	outcome call.Outcome
}{
	call.Human:         {nil, "human"},
	call.Answered:      {nil, "answered"},
	call.Machine:       {[]time.Duration{4 * time.Hour, 27 * time.Hour, 31 * time.Hour}, call.OutcomeEscalated},
	call.Silent:        {[]time.Duration{1 * time.Hour, 27 * time.Hour, 31 * time.Hour}, call.OutcomeEscalated},
	call.Undecided:     {[]time.Duration{4 * time.Hour, 27 * time.Hour}, call.OutcomeEscalated},
	call.AMDFailed:     {[]time.Duration{1 * time.Hour}, call.OutcomeEscalated},
	call.Busy:          {[]time.Duration{20 * time.Minute, 40 * time.Minute, 4 * time.Hour}, call.OutcomeEscalated},
	call.NoAnswer:      {[]time.Duration{3 * time.Hour, 27 * time.Hour, 31 * time.Hour}, call.OutcomeEscalated},
	call.Unreachable:   {[]time.Duration{2 * time.Hour, 27 * time.Hour, 31 * time.Hour}, call.OutcomeEscalated},
	call.Declined:      {[]time.Duration{27 * time.Hour}, call.OutcomeEscalated},
	call.Unwanted:      {nil, call.OutcomeSuppressed},
	call.Blocked:       {nil, call.OutcomeEscalated},
	call.InvalidNumber: {nil, "invalid_number"},
	call.TrunkError:    {[]time.Duration{15 * time.Minute, time.Hour, 4 * time.Hour}, call.OutcomeEscalated},
	call.NetworkError:  {[]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 2 * time.Hour}, call.OutcomeEscalated},
	call.Failed:        {[]time.Duration{4 * time.Hour}, call.OutcomeEscalated},
	call.NotPlaced:     {nil, call.OutcomeEscalated}, // refused for good: the same request would be refused again
	call.Unknown:       {[]time.Duration{12 * time.Hour}, call.OutcomeEscalated},
}

func steady(in *workflows.Input) { in.Policy = followup.Policy{Jitter: new(int)}.WithDefaults() }

func TestEachRowOfTheDefaultTableDialByDial(t *testing.T) {
	for _, d := range call.Dispositions() {
		t.Run(string(d), func(t *testing.T) {
			row, found := defaults[d]
			require.True(t, found, "a new disposition needs a row")
			kit := callflowtest.New(t, workflows.Standard)
			kit.On("+14155550100").Ends(d)
			run := kit.Call("+14155550100", nil, steady).Ended().Outcome(row.outcome).OneInFlightPerNumber()
			dials := run.Dials()
			require.Len(t, run.Result().Attempts, len(row.delays)+1, run.Timeline())
			ends := run.Result().Attempts
			for i, delay := range row.delays {
				over := ends[i].SettledAt
				if d == call.Unknown {
					over = dials[i].At.Add(followup.Policy{}.WithDefaults().Dial.HearFor())
				}
				require.WithinDuration(t, over.Add(delay), dials[i+1].At, 30*time.Second, "dial %d\n%s", i+2, run.Timeline())
			}
			require.Equal(t, row.outcome == call.OutcomeEscalated, len(run.Escalations()) == 1, run.Timeline())
		})
	}
}

// The same two weeks under the rules of Florida, with the ceilings of a deployment, over both changes of the clock: dialed only within
// the window, never more often than the ceilings allow, and always with an end.
func TestTwoWeeksOfEachRowKeepEveryRuleOverBothChangesOfTheClock(t *testing.T) {
	miami, err := phone.Zone("America/New_York")
	require.NoError(t, err)
	day := followup.Limit{Calls: 2, Per: followup.Span{Day: true}}
	three := followup.Limit{Calls: 3, Per: followup.Span{For: followup.Duration(24 * time.Hour)}}
	for _, start := range []time.Time{time.Date(2026, 3, 6, 19, 30, 0, 0, miami), time.Date(2026, 10, 30, 7, 0, 0, 0, miami)} {
		for _, d := range call.Dispositions() {
			t.Run(fmt.Sprint(d, " from ", start.Format(time.DateOnly)), func(t *testing.T) {
				kit := callflowtest.New(t, workflows.Standard).At(start).Ceilings(day, three)
				kit.On("+13055550100").Ends(d)
				run := kit.Call("+13055550100", nil, func(in *workflows.Input) {
					in.Policy = followup.Policy{Window: followup.Window{Presets: []string{"us-florida"}}}.WithDefaults()
				})
				run.Ended().NeverDialedOutside("08:00-20:00", miami).OneInFlightPerNumber()
				if d == call.TrunkError || d == call.NetworkError {
					return // no phone has rung: they do not count
				}
				run.AtMost(3, 24*time.Hour)
				days := map[string]int{}
				for _, dial := range run.Dials() {
					days[dial.At.In(miami).Format(time.DateOnly)]++
				}
				for date, n := range days {
					require.LessOrEqual(t, n, 2, "%s\n%s", date, run.Timeline())
				}
			})
		}
	}
}
