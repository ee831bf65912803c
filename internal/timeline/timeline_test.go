package timeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/internal/timeline"
)

func TestLinesAreInColumnsAndSayADayOnceAndANewYearAndAChangeOfTheClock(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	start := time.Date(2026, 12, 30, 22, 59, 0, 0, time.UTC)
	l := timeline.New(start, cet)
	l.Title("a title")
	l.Add(start, 1, "dial", "cleared")
	l.Add(start.Add(30*time.Second), 1, "end", "busy, again at "+l.Moment(start.Add(49*time.Hour), start))
	l.LeaveOut(7)
	l.Add(start.Add(49*time.Hour), 12, "dial", "")
	require.Equal(t, strings.Join([]string{
		"a title",
		"  Wed 30 Dec  23:59:00      +00:00:00   #1  dial       cleared",
		"              23:59:30      +00:00:30   #1  end        busy, again at Sat 2 Jan 2027 00:59:00",
		"                        ──  7 lines are left out  ──",
		"                        ──  2027  ──",
		"  Sat  2 Jan  00:59:00   +2d 01:00:00  #12  dial",
	}, "\n")+"\n", l.String())
	require.Equal(t, "23:59:59", l.Moment(start.Add(59*time.Second), start))
	require.Equal(t, "Fri 1 Jan 2027 00:00:00", l.Moment(start.Add(24*time.Hour+time.Minute), start))
}
