package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCallsAboveTheLinesOfATrunkFailWith503(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Lines: 2})
	dial := func(n int, trunk string) {
		d.place("human+never_ends", fields{"target": fmt.Sprintf("tel:155577710%02d", n), "trunk": trunk})
	}
	for n := range 3 {
		dial(n, "A")
	}
	dial(3, "B")
	eventually(t, func() bool { return d.sim.Stats().Live == 3 }, "three live calls")
	calls := d.sim.Calls()
	require.Len(t, calls, 4, "the call without a line was accepted")
	assert.Equal(t, NetworkError, calls[2].Outcome)
	assert.Equal(t, 503, calls[2].SIP)
	eventually(t, func() bool { return len(d.mail.all()) == 1 }, "its notification")
	assert.Equal(t, "503 Service Unavailable", d.mail.all()[0].fields["reason"])
	assert.Equal(t, 1, d.sim.Stats().NoLine)

	require.NoError(t, d.sim.End(calls[0].SID, ByBot))
	eventually(t, func() bool { return d.sim.Stats().Live == 2 }, "a free line")
	dial(4, "A")
	assert.Equal(t, 1, d.sim.Stats().NoLine, "a line that was freed is free")
}

func TestRequestsAboveTheRateAreRefusedWithTheGatewaysText(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Speed: 1, RatePerMinute: 3, RetryAfter: true})
	for range 3 {
		status, _ := d.dial(nil)
		assert.Equal(t, 200, status)
	}
	response, text, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(nil))
	require.NoError(t, err)
	assert.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	assert.Contains(t, text, "exceeded the per-minute rate limit")
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	require.NoError(t, err)
	assert.Greater(t, seconds, 0)
	assert.LessOrEqual(t, seconds, 60)
	_, _, err = d.post(dialoutPath, "a stranger's", d.with(nil))
	require.NoError(t, err)
	stats := d.sim.Stats()
	assert.Equal(t, map[string]int{"rate_limit": 1, "unauthorized": 1}, stats.Refused)
	assert.Equal(t, 3, stats.Launched)
	assert.Equal(t, 5, stats.Requests)
	assert.Equal(t, 4, stats.MaxPerMinute, "strangers are not of this account")
}

func TestTheStatusOfARequestAboveTheRateCanBeChosen(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Speed: 1, RatePerMinute: 1, RateStatus: 403})
	d.dial(nil)
	response, text, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(nil))
	require.NoError(t, err)
	assert.Equal(t, 403, response.StatusCode)
	assert.Contains(t, text, rateLimitText)
	assert.Contains(t, text, `"code":403`)
	assert.Empty(t, response.Header.Get("Retry-After"), "the real one is not known to send it")
}

func TestTheWindowNeverAdmitsMoreThanTheLimitAndSaysWhenItWill(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := window{span: time.Minute, limit: rapid.IntRange(1, 10).Draw(t, "limit")}
		now := time.Unix(0, 0)
		var asked []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			// Round pauses put requests exactly on the edge of the window.
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Millisecond, 10 * time.Second, 20 * time.Second, 59999 * time.Millisecond}).Draw(t, "pause"))
			asked = append(asked, now)
			inWindow := 0
			for _, at := range asked {
				if now.Sub(at) < time.Minute {
					inWindow++
				}
			}
			wait, within := w.admit(now)
			if within != (inWindow <= w.limit) {
				t.Fatalf("%d requests in the window of %d: within %v", inWindow, w.limit, within)
			}
			if !within && (wait <= 0 || wait > time.Minute) {
				t.Fatalf("wait %s", wait)
			}
			if w.most < inWindow {
				t.Fatalf("%d in the window, record says %d", inWindow, w.most)
			}
		}
	})
}

func TestAMinuteOfTheGatewayIsSixtySecondsOverItsSpeed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Speed: 60_000, RatePerMinute: 1})
	eventually(t, func() bool {
		status, _ := d.dial(nil)
		return status == 200 && d.sim.Stats().Launched >= 3
	}, "a window of a millisecond to open again")
}

func TestConcurrencyIsRecordedAsItWas(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	var sids []string
	for n := range 7 {
		sids = append(sids, d.place("human+never_ends", fields{"target": fmt.Sprintf("tel:155577710%02d", n)}))
	}
	for _, sid := range sids {
		require.NoError(t, d.sim.End(sid, ""))
	}
	d.settledWith(7)
	d.place("busy", nil)
	d.settledWith(8)
	stats := d.sim.Stats()
	assert.Equal(t, 7, stats.MaxConcurrent)
	assert.Zero(t, stats.Live)
	assert.Equal(t, 1, stats.MaxPerTarget)
	assert.Equal(t, 7, stats.DuplicateDials, "seven dials reused the notify URL of the first")
}

func TestHundredsOfCallsAtOnceAreLivedThroughAndToldOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Speed: 1000, Dialect: Mixed, Profile: Everyday(), Seed: 1, PlainNumbers: true})
	const many = 400
	auth := make([]string, many)
	for i := range auth {
		auth[i] = token(t, DefaultClientSecret, nil)
	}
	next := make(chan int)
	failures := make(chan error, many)
	for range 16 {
		go func() {
			for i := range next {
				body := d.with(fields{"target": fmt.Sprintf("tel:1555%07d", i), "notifyurl": fmt.Sprintf("%s/%d", d.mail.url, i)})
				response, text, err := d.post(dialoutPath, auth[i], body)
				if err == nil && response.StatusCode != 200 {
					err = fmt.Errorf("%d %s", response.StatusCode, text)
				}
				failures <- err
			}
		}()
	}
	for i := range many {
		next <- i
	}
	close(next)
	for range many {
		require.NoError(t, <-failures)
	}
	calls := d.settledWith(many)
	terminals := map[string]int{}
	for _, i := range d.mail.all() {
		if i.fields["status"] != "Answered" && i.fields["status"] != "Call-In-Progress" {
			terminals[i.path]++
		}
	}
	assert.Len(t, terminals, many)
	for path, n := range terminals {
		assert.Equal(t, 1, n, path)
	}
	for _, c := range calls {
		assert.NotEmpty(t, c.Outcome)
	}
	stats := d.sim.Stats()
	assert.Equal(t, many, stats.Launched)
	assert.Equal(t, stats.Notifications.Posted, stats.Notifications.Accepted)
	assert.Equal(t, len(d.mail.all()), stats.Notifications.Posted)
	assert.Zero(t, stats.DuplicateDials)
}
