package koreai

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"redial/call"
)

// claimedTimes keeps the times a notification states. They are read only where they mean what their key says: a call
// that failed has no connect time although one is sent, and on a progress event it is the time of that event.
func claimedTimes(f fields, status call.Status, zone *time.Location) call.ClaimedTimes {
	claimed := call.ClaimedTimes{RawConnect: f.value("callconnecttime"), RawDisconnect: f.value("calldisconnecttime")}
	if status == call.StatusAnswered || status == call.StatusCompleted {
		claimed.Connect = parseTime(claimed.RawConnect, zone)
	}
	if status.Terminal() {
		claimed.Disconnect = parseTime(claimed.RawDisconnect, zone)
	}
	return claimed
}

// slashed is how JavaScript prints a time for the United States, with the variations of its versions: a space after the
// comma, a narrow no-break space before AM, a clock of 24 hours.
var slashed = regexp.MustCompile(`^(\d{1,2})/(\d{1,2})/(\d{4}),?\s*(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?i:([ap])\.?m\.?)?$`)

// parseTime reads a claimed time, or returns the zero time; it is never a reason to refuse an event. A date with
// slashes is month first, unless its first number cannot be a month. Times outside this century are mistakes.
func parseTime(s string, zone *time.Location) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t = parseSlashed(s, zone)
	}
	if t = t.UTC(); t.Year() < 2000 || t.Year() > 2099 {
		return time.Time{}
	}
	return t
}

func parseSlashed(s string, zone *time.Location) time.Time {
	s = strings.NewReplacer("\u202f", " ", "\u00a0", " ").Replace(s)
	m := slashed.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}
	}
	n := make([]int, 6)
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1])
	}
	month, day, year, hour, minute, second := n[0], n[1], n[2], n[3], n[4], n[5]
	if month > 12 {
		month, day = day, month
	}
	if half := strings.ToLower(m[7]); half != "" {
		if hour < 1 || hour > 12 {
			return time.Time{}
		}
		hour %= 12
		if half == "p" {
			hour += 12
		}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, zone)
	if t.Month() != time.Month(month) || t.Day() != day || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}
	}
	return t
}
