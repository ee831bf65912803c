package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/token"
	"redial/ledger"
	"redial/webhook"
)

const confirmed = `{"result":"confirmed","data":{"slot":7}}`

// talks makes an attempt whose bot is to report, and returns the path at which it does.
func (d *door) talks(contact string) string {
	d.t.Helper()
	d.dial(contact)
	return d.resultPath(contact, time.Hour)
}

func (d *door) resultPath(contact string, expires time.Duration) string {
	d.t.Helper()
	s, err := d.keys.For(token.Result).Mint(ask(contact).Key, time.Now().Add(expires))
	require.NoError(d.t, err)
	return "/result/" + s
}

// say posts a result and returns what the bot's developer reads.
func (d *door) say(path, body string) (status int, answer string) {
	d.t.Helper()
	return d.do(http.MethodPost, path, strings.NewReader(body))
}

// Promise 2, of the bot's own word.

func TestAnAcknowledgedResultIsOnDiskForOthersToSeeAndOwedToItsFlow(t *testing.T) {
	d := open(t)
	status, answer := d.say(d.talks("a"), confirmed)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, answer)
	beside, err := ledger.Open(t.Context(), "sqlite:"+d.path, ledger.Options{})
	require.NoError(t, err)
	defer beside.Close()
	c, err := beside.Show(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, c.Results, 1)
	require.Equal(t, confirmed, c.Results[0].Raw)
	require.Equal(t, call.Confirmed, c.Results[0].Said.Kind)
	require.Empty(t, c.Results[0].Note)
	require.Empty(t, c.Notifications)
	due, err := d.ledger.Due(t.Context(), ledger.ToFlows, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.JSONEq(t, `{"slot":7}`, string(due[0].Result.Data))
	require.Equal(t, ask("a").Key, due[0].Result.AttemptKey)
}

func TestAResultPastItsTokensTimeIsLateAndTaken(t *testing.T) {
	d := open(t)
	d.dial("a")
	status, _ := d.say(d.resultPath("a", -time.Hour), confirmed)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, d.show("a").Results, 1)
	require.Equal(t, 1, d.logs.FilterMessage("a result came after its token's time").Len())
}

func TestOfTwoResultsTheFirstStandsAndTheSameAgainChangesNothing(t *testing.T) {
	d := open(t)
	path := d.talks("a")
	for _, body := range []string{confirmed, confirmed, `{"result":"declined"}`} {
		status, answer := d.say(path, body)
		require.Equal(t, http.StatusOK, status, answer)
	}
	results := d.show("a").Results
	require.Len(t, results, 2)
	require.Empty(t, results[0].Note)
	require.Equal(t, "a second result", results[1].Note)
}

func TestAResultHasAtMost64KiBAndItsData16(t *testing.T) {
	d := open(t)
	path := d.talks("a")
	status, answer := d.say(path, `{"result":"confirmed","data":"`+strings.Repeat("x", 64<<10)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "a result has at most 65536 bytes\n", answer)
	require.Empty(t, d.show("a").Results)
	status, answer = d.say(path, `{"result":"confirmed","data":"`+strings.Repeat("x", 16<<10)+`"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, answer, "data has 16386 bytes")
	require.Len(t, d.show("a").Results, 1)
}

func TestABodyThatIsNoResultIsKeptAndItsDeveloperIsToldWhy(t *testing.T) {
	d := open(t)
	path := d.talks("a")
	bodies := map[string]string{"": "no JSON", `{"result":"yes"}`: `result is "yes": give one of`, `{"result":"callback"}`: "at is missing",
		`{"result":"confirmed","+14155550100":1}`: `the key "+14155550100" is unknown`, "\xff\xfe": "not UTF-8",
		`{"result":"confirmed", "result":"declined"}`: "result is given twice"}
	for body, says := range bodies {
		status, answer := d.say(path, body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, answer, says)
		require.Equal(t, 1, strings.Count(answer, "\n"), "one line")
	}
	results := d.show("a").Results
	require.Len(t, results, len(bodies))
	for _, r := range results {
		require.Contains(t, bodies, r.Raw, "it is kept as it was sent")
		require.Contains(t, r.Note, bodies[r.Raw])
		require.Nil(t, r.Said)
	}
	for _, e := range d.logs.All() {
		require.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), "4155550100")
	}
	status, _ := d.say(path, confirmed)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, call.Confirmed, d.show("a").Results[len(bodies)].Said.Kind, "and it may do better")
}

func TestAResultIsTriedAgainAndRefusedLikeANotification(t *testing.T) {
	m := &moody{fails: 2}
	d := open(t, func(l webhook.Ledger) webhook.Ledger { m.Ledger = l; return m })
	status, _ := d.say(d.talks("a"), confirmed)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 3, m.tries)
	m.fails = -1
	d.StoreFor(100 * time.Millisecond)
	status, answer := d.say(d.talks("b"), confirmed)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "the result could not be stored; send it again\n", answer)
	require.Empty(t, d.show("b").Results)
	m.fails = 0
	d.Drain()
	status, _ = d.say(d.resultPath("b", time.Hour), confirmed)
	require.Equal(t, http.StatusOK, status, "a webhook that drains still takes what comes")
}

func TestTheTokenOfAResultIsInNoLog(t *testing.T) {
	d := open(t)
	path := d.talks("a")
	d.say(path, confirmed)
	d.say(path, "{")
	d.say(path+"x", confirmed)
	entries := d.logs.FilterMessage("request").All()
	require.Len(t, entries, 3)
	require.Equal(t, "/result/…", entries[0].ContextMap()["path"])
	require.Equal(t, ask("a").Key, entries[0].ContextMap()["attempt"])
	for _, e := range d.logs.All() {
		require.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), strings.TrimPrefix(path, "/result/")[:20])
	}
}
