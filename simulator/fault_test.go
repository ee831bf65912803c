package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// order lists what arrived: the status, or "unreadable".
func order(items []item) []string {
	var list []string
	for _, i := range items {
		if i.fields == nil {
			list = append(list, "unreadable")
		} else {
			list = append(list, fmt.Sprint(i.fields["status"]))
		}
	}
	return list
}

func TestEveryFaultOfANotificationIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	for script, check := range map[string]func(t *testing.T, call Call, items []item){
		"human+lost": func(t *testing.T, call Call, items []item) {
			assert.Empty(t, items)
			assert.True(t, call.Notifications[0].Dropped())
			assert.Equal(t, Human, call.Outcome, "the truth is known all the same")
		},
		"human+lost=all+gen2": func(t *testing.T, call Call, items []item) {
			assert.Empty(t, items)
			assert.Len(t, call.Notifications, 4)
		},
		"human+duplicate": func(t *testing.T, call Call, items []item) {
			require.Equal(t, []string{"completed", "completed"}, order(items))
			assert.Equal(t, items[0].raw, items[1].raw, "byte for byte")
		},
		"human+contradict": func(t *testing.T, call Call, items []item) {
			require.Equal(t, []string{"completed", "completed"}, order(items))
			assert.Equal(t, amdHuman, items[0].fields["machinedetection"], "the truth comes first")
			assert.Equal(t, amdMachine, items[1].fields["machinedetection"])
			assert.Equal(t, "SAVG-disconnected", items[1].fields["reasonCode"])
			assert.Equal(t, items[0].fields["callDisconnectTime"], items[1].fields["callDisconnectTime"])
		},
		"machine+contradict": func(t *testing.T, call Call, items []item) {
			assert.Equal(t, amdHuman, items[1].fields["machinedetection"])
		},
		"busy+contradict": func(t *testing.T, call Call, items []item) {
			assert.Equal(t, []string{"failed", "completed"}, order(items))
		},
		"human+malformed": func(t *testing.T, call Call, items []item) {
			require.Equal(t, []string{"unreadable"}, order(items))
			assert.False(t, json.Valid([]byte(items[0].raw)))
		},
		"human+malformed=first": func(t *testing.T, call Call, items []item) {
			assert.Equal(t, []string{"unreadable", "completed"}, order(items))
		},
		"human+wrong_token": func(t *testing.T, call Call, items []item) {
			require.Len(t, items, 1)
			assert.NotEqual(t, "/notify/some-attempt-token", items[0].path)
			assert.Len(t, items[0].path, len("/notify/some-attempt-token"))
		},
		"human+wrong_token=first": func(t *testing.T, call Call, items []item) {
			require.Len(t, items, 2)
			assert.NotEqual(t, items[0].path, items[1].path)
			assert.Equal(t, "/notify/some-attempt-token", items[1].path)
		},
		"human+array": func(t *testing.T, call Call, items []item) {
			var list []map[string]any
			require.NoError(t, json.Unmarshal([]byte(items[0].raw), &list))
			require.Len(t, list, 1)
			assert.Equal(t, "completed", list[0]["status"])
		},
		"human+talk=14s+string_duration": func(t *testing.T, call Call, items []item) {
			assert.Equal(t, "14", items[0].fields["duration"])
		},
		"human+talk=14s+string_duration+gen2+lost=amd": func(t *testing.T, call Call, items []item) {
			at := slices.IndexFunc(items, func(i item) bool { return i.fields["status"] == "completed" })
			assert.Equal(t, "14", items[at].fields["callDuration"])
		},
		"human+odd_case": func(t *testing.T, call Call, items []item) {
			assert.NotContains(t, items[0].fields, "callconnecttime")
			assert.Contains(t, items[0].fields, "CALLCONNECTTIME")
			assert.Equal(t, "COMPLETED", items[0].fields["STATUS"])
		},
		"human+missing=machineDetection": func(t *testing.T, call Call, items []item) {
			assert.NotContains(t, items[0].fields, "machinedetection", "in either generation's spelling")
			assert.Contains(t, items[0].fields, "conversationId")
		},
		"busy+missing=reason": func(t *testing.T, call Call, items []item) {
			assert.NotContains(t, items[0].fields, "reason")
			assert.Equal(t, "Busy Here", items[0].fields["reasonCode"])
		},
		"human+missing": func(t *testing.T, call Call, items []item) {
			assert.Equal(t, map[string]any{"status": "completed", "machinedetection": amdHuman}, items[0].fields)
		},
		"human+late": func(t *testing.T, call Call, items []item) {
			require.Len(t, items, 1)
			assert.GreaterOrEqual(t, call.Notifications[0].SentAt.Sub(call.EndedAt), 2*time.Second/fast)
		},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			d.place(script, nil)
			call := d.settledWith(1)[0]
			check(t, call, d.mail.all())
		})
	}
}

func TestDayFirstWritesTheDayBeforeTheMonth(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 5, 8, 23, 32, 49, 0, time.UTC)
	body, err := news{kind: kindTerminal, end: ending{sip: 486}}.write(facts{connected: at, ended: at}, Gen1, time.UTC, notifyFaults{dayFirst: true})
	require.NoError(t, err)
	assert.Contains(t, string(body), `"8/5/2023,11:32:49PM"`)
}

func TestTheTimeZoneOfGen1IsTheConfiguredOne(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 5, 8, 23, 32, 49, 0, time.UTC)
	body, err := news{kind: kindTerminal, end: ending{sip: 486}}.write(facts{connected: at, ended: at}, Gen1, time.FixedZone("IST", 5*3600+1800), notifyFaults{})
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(string(body), `"5/9/2023,5:02:49AM"`), "both times of the call")
}

func TestAnEarlyTerminalIsDeliveredBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"busy+early", "human+early", "human+early+contradict"} {
		d := newDesk(t, Config{})
		var answered atomic.Bool
		early := make(chan bool, 2)
		d.mail.say(func(http.ResponseWriter, *http.Request) { early <- !answered.Load() })
		sid := d.place(script, nil)
		answered.Store(true)
		assert.NotEmpty(t, sid)
		assert.True(t, <-early, "the terminal came first")
	}
}

func TestEveryDoubtfulAnswerIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script string
		status int // 0: the connection breaks
		placed bool
		inBody string
	}{
		{"human+lost_answer", 0, true, ""},
		{"reset_before", 0, false, ""},
		{"human+rubbish", 200, true, "<html>"},
		{"human+no_ids", 200, true, "{}"},
		{"human+slow_answer=1ms", 200, true, "callId"},
		{"http=500+placed", 500, true, "Internal Server Error"},
		{"http=500", 500, false, `{"msg":`},
		{"http=502", 502, false, "<html>"},
		{"http=503", 503, false, "<html>"},
		{"http=504", 504, false, "<html>"},
		{"http=400", 400, false, `"code":400`},
		{"http=401", 401, false, `"code":401`},
		{"http=403", 403, false, `"code":403`},
		{"http=404", 404, false, `"code":404`},
		{"http=422", 422, false, `"code":422`},
		{"http=429", 429, false, rateLimitText},
		{"http=480", 480, false, "no available feature servers"},
		{"http=307", 307, false, ""},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			response, text, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(fields{"metadata": fields{"simulate": c.script}}))
			if c.status == 0 {
				require.Error(t, err, "no answer may come")
			} else {
				require.NoError(t, err)
				assert.Equal(t, c.status, response.StatusCode)
				assert.Contains(t, text, c.inBody)
			}
			stats := d.sim.Stats()
			if !c.placed {
				assert.Empty(t, d.sim.Calls())
				assert.Zero(t, stats.Launched)
				assert.Len(t, stats.Refused, 1)
				return
			}
			assert.Empty(t, stats.Refused)
			d.settledWith(1)
			assert.Equal(t, 1, d.sim.Stats().Launched)
			assert.Equal(t, []string{"completed"}, order(d.mail.all()), "a call that was placed is lived through")
		})
	}
}

func TestRetryAfterIsSentWhenAskedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	response, _, err := d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(fields{"metadata": fields{"simulate": "http=503+retry_after=2500ms"}}))
	require.NoError(t, err)
	assert.Equal(t, "3", response.Header.Get("Retry-After"))
}

func TestASlowAnswerDoesNotHoldUpTheCall(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = d.post(dialoutPath, token(t, DefaultClientSecret, nil), d.with(fields{"metadata": fields{"simulate": "busy+slow_answer=1h"}}))
	}()
	calls := d.settled()
	assert.Equal(t, Busy, calls[0].Outcome)
	assert.Empty(t, calls[0].Answer, "the dialer still waits")
	require.NoError(t, d.sim.Close(t.Context()))
	<-done
}

func TestTheSameRequestTwiceIsTwoCalls(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	require.NoError(t, d.sim.Script("+15557770001", "human+never_ends"))
	d.dial(nil)
	d.dial(nil)
	stats := d.sim.Stats()
	assert.Equal(t, 2, stats.Launched)
	assert.Equal(t, 1, stats.DuplicateDials, "the same notify URL twice")
	assert.Equal(t, 2, stats.MaxPerTarget)
	assert.Equal(t, []string{"tel:15557770001"}, stats.Overlapping)
}

func TestARedialAfterTheEndIsNoOverlap(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	redialed := make(chan struct{})
	var once atomic.Bool
	d.mail.say(func(http.ResponseWriter, *http.Request) {
		if once.CompareAndSwap(false, true) {
			// Redials as soon as it can: from within the notification.
			d.dial(fields{"notifyurl": nil})
			close(redialed)
		}
	})
	d.place("busy", nil)
	<-redialed
	d.settled()
	assert.Equal(t, 1, d.sim.Stats().MaxPerTarget)
	assert.Empty(t, d.sim.Stats().Overlapping)
}

func TestNotificationsCarryTheHeadersOfTheGateway(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{SignatureSecret: "webhook secret"})
	d.place("busy", nil)
	d.settled()
	got := d.mail.all()[0]
	assert.Equal(t, "node", got.headers.Get("User-Agent"))
	assert.Equal(t, "application/json", got.headers.Get("Content-Type"))
	assert.Equal(t, "cors", got.headers.Get("Sec-Fetch-Mode"))
	assert.True(t, strings.HasPrefix(got.headers.Get("Authorization"), "Basic "))
	stamp, signature, found := strings.Cut(strings.TrimPrefix(got.headers.Get("SAVG-Signature"), "t="), ",v1=")
	require.True(t, found)
	mac := hmac.New(sha256.New, []byte("webhook secret"))
	mac.Write([]byte(stamp + "." + got.raw))
	assert.Equal(t, hex.EncodeToString(mac.Sum(nil)), signature)
}

func TestARefusedNotificationIsNotRepeatedUnlessConfigured(t *testing.T) {
	t.Parallel()
	for retries, posts := range map[int]int{0: 1, 3: 4} {
		d := newDesk(t, Config{Retries: retries})
		d.mail.say(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		d.place("busy", nil)
		eventually(t, func() bool { return d.sim.Stats().Notifications.Rejected == posts }, "%d posts", posts)
		require.NoError(t, d.sim.Close(t.Context()))
		notification := d.sim.Calls()[0].Notifications[0]
		assert.Equal(t, 500, notification.Status)
		assert.Equal(t, posts, notification.Attempts)
		assert.Len(t, d.mail.all(), posts)
	}
}

func TestRetriesBackOffOnTheGatewaysClock(t *testing.T) {
	t.Parallel()
	const speed = 100
	d := newDesk(t, Config{Speed: speed, Retries: 3})
	arrivals := make(chan time.Time, 4)
	d.mail.say(func(w http.ResponseWriter, _ *http.Request) {
		arrivals <- time.Now()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	d.place("busy", nil)
	before := <-arrivals
	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		at := <-arrivals
		assert.GreaterOrEqual(t, at.Sub(before), pause/speed)
		before = at
	}
}

func TestACallTakesItsTimeOnTheGatewaysClock(t *testing.T) {
	t.Parallel()
	const speed = 1000
	d := newDesk(t, Config{Speed: speed})
	d.place("human+pdd=1s+ring=3s+talk=40s", nil)
	call := d.settled()[0]
	assert.GreaterOrEqual(t, call.AnsweredAt.Sub(call.ReceivedAt), 4*time.Second/speed)
	assert.GreaterOrEqual(t, call.EndedAt.Sub(call.ReceivedAt), 44*time.Second/speed)
	assert.EqualValues(t, 40, d.mail.all()[0].fields["duration"], "claimed durations are exact, however late a timer fires")

	d.place("human+long=10m", fields{"target": "tel:15557770002"})
	d.settledWith(2)
}

func TestAnAnswerThatTakesTooLongIsNoneAndNothingIsRepeated(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 10*time.Second, newCourier(Config{}, nil).client.Timeout)
	d := newDesk(t, Config{})
	d.sim.courier.client.Timeout = time.Second // enough for the request to arrive on a machine that is busy
	d.mail.say(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	d.place("busy", nil)
	call := d.settledWith(1)[0]
	assert.Zero(t, call.Notifications[0].Status)
	assert.Contains(t, call.Notifications[0].Error, "Timeout")
	assert.Len(t, d.mail.all(), 1)
	assert.Equal(t, 1, d.sim.Stats().Notifications.Failed)
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.mail.say(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, d.mail.url, http.StatusTemporaryRedirect)
	})
	d.place("busy", nil)
	call := d.settled()[0]
	assert.Equal(t, 307, call.Notifications[0].Status)
	assert.Len(t, d.mail.all(), 1)
}

func TestASlowReceiverHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	release := make(chan struct{})
	d.mail.say(func(_ http.ResponseWriter, r *http.Request) { <-release })
	for i := range 20 {
		d.place("busy", fields{"target": fmt.Sprintf("tel:155577710%02d", i)})
	}
	eventually(t, func() bool { return len(d.mail.all()) == 20 }, "twenty notifications side by side")
	for _, c := range d.sim.Calls() {
		assert.False(t, c.Live())
		assert.True(t, c.Notifications[0].AnsweredAt.IsZero())
	}
	close(release)
	d.settled()
	assert.Equal(t, 20, d.sim.Stats().Notifications.Accepted)
}

func TestAReceiverThatIsAwayIsRecordedAsAFailure(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.place("busy", fields{"notifyurl": "http://127.0.0.1:1/notify/token"})
	notification := d.settled()[0].Notifications[0]
	assert.Zero(t, notification.Status)
	assert.NotEmpty(t, notification.Error)
	assert.Equal(t, 1, d.sim.Stats().Notifications.Failed)
}

func TestAMisaddressedTokenIsAnotherTokenAtTheSameReceiver(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"http://h/notify/token", "https://h:8/n/eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", "http://h/notify/x", "http://h/notify/t?q=1", "http://h", "http://h/", "http://h/a/...",
	} {
		wrong := misaddressed(url)
		assert.NotEqual(t, url, wrong)
		_, err := http.NewRequest(http.MethodPost, wrong, nil)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(wrong, url[:8]), wrong)
		assert.Equal(t, strings.Contains(url, "?q=1"), strings.HasSuffix(wrong, "?q=1"), wrong)
	}
}
