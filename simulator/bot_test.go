package simulator

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// talks places a call whose bot is told where to hand in its result.
func (d *desk) talks(script string) (sid string) {
	d.t.Helper()
	return d.place(script, fields{"metadata": fields{"simulate": script, MetadataResultURL: d.resultURL()}})
}

func (d *desk) resultURL() string {
	return strings.Replace(d.mail.url, "/notify/some-attempt-token", "/result/some-bot-token", 1)
}

// handed are the results that arrived.
func (m *mailbox) handed() (results []item) {
	for _, i := range m.all() {
		if i.path == "/result/some-bot-token" {
			results = append(results, i)
		}
	}
	return results
}

func TestTheBotHandsInEachResultBeforeTheEndOfTheCall(t *testing.T) {
	t.Parallel()
	for _, word := range resultWords {
		d := newDesk(t, Config{})
		d.talks("human+result=" + word)
		call := d.settledWith(1)[0]
		require.Len(t, call.Results, 1)
		result := call.Results[0]
		assert.Equal(t, word, result.Event)
		assert.Equal(t, http.StatusOK, result.Status)
		assert.False(t, result.AnsweredAt.After(call.EndedAt), "the conversation waits for the answer")
		got := d.mail.all()
		require.Len(t, got, 2)
		assert.Equal(t, word, got[0].fields["result"], "before the call's end is told")
		assert.Equal(t, "/result/some-bot-token", got[0].path)
		assert.Equal(t, "application/json", got[0].headers.Get("Content-Type"))
		assert.Empty(t, got[0].headers.Get("SAVG-Signature"), "the bot is not the gateway")
		assert.Equal(t, NotificationStats{Posted: 1, Accepted: 1}, d.sim.Stats().Results)
		assert.Equal(t, 1, d.sim.Stats().Notifications.Posted)
		at, stated := got[0].fields["at"].(string)
		assert.Equal(t, word == resultCallback, stated)
		if stated {
			when, err := time.Parse(time.RFC3339, at)
			require.NoError(t, err)
			assert.WithinDuration(t, time.Now().Add(2*time.Hour), when, time.Minute)
		}
	}
}

func TestACallbackIsInTheTimeAskedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.talks("human+result=callback+callback_in=72h")
	d.settledWith(1)
	when, err := time.Parse(time.RFC3339, d.mail.handed()[0].fields["at"].(string))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(72*time.Hour), when, time.Minute, "in real time")
}

func TestTheBotHandsInItsResultASecondBeforeTheEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true})
	d.talks("human+pdd=1s+ring=3s+talk=40s+result=confirmed")
	require.NoError(t, d.sim.Advance(t.Context(), 42*time.Second))
	assert.Empty(t, d.mail.all())
	require.NoError(t, d.sim.Advance(t.Context(), time.Second))
	assert.Len(t, d.mail.handed(), 1)
	assert.True(t, d.sim.Calls()[0].Live())
	require.NoError(t, d.sim.Advance(t.Context(), time.Second))
	assert.Len(t, d.mail.all(), 2)
}

func TestABotThatIsHungUpOnHandsInItsResultAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Paused: true})
	sid := d.talks("human+pdd=1s+ring=3s+never_ends+result=unfinished")
	require.NoError(t, d.sim.Advance(t.Context(), time.Hour))
	assert.Empty(t, d.mail.handed())
	require.NoError(t, d.sim.End(sid, ByCaller))
	require.NoError(t, d.sim.Advance(t.Context(), 0))
	assert.Len(t, d.mail.handed(), 1)
	assert.Len(t, d.mail.all(), 2)
}

func TestResultsComeLateTwiceAndContradictThemselves(t *testing.T) {
	t.Parallel()
	for script, check := range map[string]func(t *testing.T, call Call, results []item){
		"human+result=confirmed+late_result": func(t *testing.T, call Call, results []item) {
			require.Len(t, results, 1)
			assert.GreaterOrEqual(t, call.Results[0].SentAt.Sub(call.EndedAt), 2*time.Second/fast)
		},
		"human+result=confirmed+duplicate_result": func(t *testing.T, call Call, results []item) {
			require.Len(t, results, 2)
			assert.Equal(t, results[0].raw, results[1].raw, "byte for byte")
			assert.Len(t, call.Notifications, 1)
		},
		"human+result=confirmed+duplicate": func(t *testing.T, call Call, results []item) {
			assert.Len(t, results, 1, "which is about notifications")
			assert.Len(t, call.Notifications, 2)
		},
		"human+result=declined+contradict_result": func(t *testing.T, call Call, results []item) {
			require.Len(t, results, 2)
			assert.Equal(t, "declined", results[0].fields["result"], "the truth comes first")
			assert.Equal(t, "confirmed", results[1].fields["result"])
			assert.Equal(t, faultContradiction, call.Results[1].Fault)
		},
		"human+result=opted_out+contradict_result+late_result=1m": func(t *testing.T, call Call, results []item) {
			require.Len(t, results, 2)
			assert.Equal(t, "declined", results[1].fields["result"])
		},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, Config{})
			d.talks(script)
			call := d.settledWith(1)[0]
			check(t, call, d.mail.handed())
		})
	}
}

func TestACallThatNobodyTakesHasNoResult(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.place("human+result=confirmed+ring=1m", fields{"timeoutInMs": 1000})
	call := d.settledWith(1)[0]
	assert.Equal(t, NoAnswer, call.Outcome)
	assert.Empty(t, call.Results)
}

func TestABotThatCannotHandInItsResultLeavesThatOnRecord(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Retries: 2})
	d.place("human+result=confirmed", nil) // its metadata has no URL
	call := d.settledWith(1)[0]
	require.Len(t, call.Results, 1)
	assert.Contains(t, call.Results[0].Error, MetadataResultURL)
	assert.Zero(t, call.Results[0].Attempts)
	assert.Equal(t, NotificationStats{Dropped: 1}, d.sim.Stats().Results)

	d.sim.Reset()
	d.place("human", fields{"metadata": fields{"simulate": "human+result=confirmed", MetadataResultURL: "http://127.0.0.1:1/result/token"}})
	result := d.settledWith(1)[0].Results[0]
	assert.Zero(t, result.Status)
	assert.Contains(t, result.Error, "result: ")
	assert.Equal(t, 1, result.Attempts, "a bot does not try again")
	assert.Equal(t, 1, d.sim.Stats().Results.Failed)
	assert.Len(t, d.mail.all(), 2, "the calls themselves are told of")
}

func TestALateResultThatIsOvertakenByTheEndOfAllIsDropped(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Speed: 1000})
	d.talks("human+ring=0s+talk=1s+result=confirmed+late_result=168h")
	d.settled()
	require.NoError(t, d.sim.Close(t.Context()))
	assert.True(t, d.sim.Calls()[0].Results[0].Dropped())
	assert.Empty(t, d.mail.handed())
}
