package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"redial/console"
	"redial/internal/token"
	"redial/ledger"
)

// runs answers for every run, or for none.
type runs struct{ json.RawMessage }

func (r runs) Status(context.Context, string) json.RawMessage { return r.RawMessage }

func TestAContactIsFoundByItsIDOrItsWorkflowIDAsOneSegment(t *testing.T) {
	d := newDesk(t, func(c *console.Config) { c.Runs = runs{json.RawMessage(`{"state":"calling","attempts":[]}`)} })
	d.busy()
	require.NoError(t, d.ledger.SetLimits(t.Context(), 10, 55, time.Minute))
	d.place(ask("", "a+b(1)@x:y", "+12025550109"))
	for id, want := range map[string]string{
		"ended": "redial/-/ended", "redial/-/ended": "redial/-/ended", "redial/spring/anna": "redial/spring/anna", "redial/-/anna": "redial/-/anna",
		"a+b(1)@x:y": "redial/-/a+b(1)@x:y", "redial/-/a+b(1)@x:y": "redial/-/a+b(1)@x:y",
	} {
		var said map[string]any
		require.NoError(t, json.Unmarshal([]byte(d.ask("/api/v1/contacts/"+url.PathEscape(id)).body), &said))
		require.Equal(t, want, said["workflow_id"], id)
		require.Equal(t, map[string]any{"state": "calling", "attempts": []any{}}, said["run"])
		shown, err := d.ledger.Show(t.Context(), want)
		require.NoError(t, err)
		require.Equal(t, shown, told[ledger.Contact](d, "/api/v1/contacts/"+url.PathEscape(id)), "nothing is lost on the way")
	}
	d.refused(d.ask("/api/v1/contacts/redial/-/ended"), http.StatusNotFound)
	d.refused(d.ask("/api/v1/contacts/nobody"), http.StatusNotFound)
	d.refused(d.ask("/api/v1/contacts/%FF%00"), http.StatusBadRequest)
	require.Contains(t, d.refused(d.ask("/api/v1/contacts/anna"), http.StatusConflict), "redial/-/anna, redial/spring/anna")
}

func TestContactsComeInPagesThatHoldEachOnce(t *testing.T) {
	d := newDesk(t)
	d.busy()
	type page struct {
		Contacts []ledger.ContactLine
		Next     string
	}
	var seen []string
	pages := 0
	for after := ""; pages == 0 || after != ""; pages++ {
		p := told[page](d, "/api/v1/contacts?limit=3&after="+url.QueryEscape(after))
		for _, c := range p.Contacts {
			seen = append(seen, c.WorkflowID)
		}
		after = p.Next
	}
	require.Equal(t, []string{"redial/-/anna", "redial/-/doubt", "redial/-/ended", "redial/spring/anna"}, seen)
	require.Equal(t, 2, pages)
	require.Empty(t, told[page](d, "/api/v1/contacts?limit=4").Next, "a full page may be the last")
	require.Len(t, told[page](d, "/api/v1/contacts?campaign=spring").Contacts, 1)
	require.Len(t, told[page](d, "/api/v1/contacts?campaign=-").Contacts, 3)
	for query, want := range map[string]int{"state=held": 1, "state=calling&open=true": 3, "reason=lines_busy": 1, "outcome=human": 0, "open=false": 4} {
		require.Len(t, told[page](d, "/api/v1/contacts?"+query).Contacts, want, query)
	}
	require.Contains(t, d.ask("/api/v1/contacts?campaign=nothing").body, `"contacts":[]`)
	for _, bad := range []string{"limit=0", "limit=501", "limit=many", "campaign=", "campaign=%00", "after=%FF"} {
		require.NotEmpty(t, d.refused(d.ask("/api/v1/contacts?"+bad), http.StatusBadRequest), bad)
	}
}

func TestAttemptsInDoubtAreListedAsByTheCommand(t *testing.T) {
	d := newDesk(t)
	d.busy()
	list, err := d.ledger.UnknownAttempts(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, list, told[[]ledger.UnknownAttempt](d, "/api/v1/attempts?state=unknown"))
	d.refused(d.ask("/api/v1/attempts"), http.StatusBadRequest)
	d.refused(d.ask("/api/v1/attempts?state=placed"), http.StatusBadRequest)
}

func TestCapacityIsWhatTheLedgerCounts(t *testing.T) {
	d := newDesk(t)
	d.busy()
	c := told[ledger.Capacity](d, "/api/v1/capacity")
	require.Equal(t, ledger.Lines{Limit: 2, InUse: 2}, c.Lines)
	require.Equal(t, ledger.DialRate{Limit: 55, Window: 60, Used: 3}, c.Rate)
	require.Equal(t, 1, c.Queue[2].Length)
}

func TestEveryErrorIsAProblem(t *testing.T) {
	d := newDesk(t)
	d.refused(d.ask("/nowhere"), http.StatusNotFound)
	d.refused(d.ask("/api/v1/capacity/"), http.StatusNotFound)
	d.refused(d.ask("/api/v1/capacity", func(r *http.Request) { r.Method = http.MethodDelete }), http.StatusMethodNotAllowed)
	require.NoError(t, d.own.Close())
	for _, path := range []string{"/api/v1/capacity", "/api/v1/contacts", "/api/v1/contacts/anna", "/api/v1/attempts?state=unknown"} {
		a := d.ask(path)
		require.NotContains(t, d.refused(a, http.StatusServiceUnavailable), "sql", "what the database said is for the log")
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
	require.Equal(t, http.StatusServiceUnavailable, d.ask("/readyz").status)
	require.Equal(t, http.StatusOK, d.ask("/healthz").status)
}

func TestNothingButProbesIsServedWithoutAGoodToken(t *testing.T) {
	d := newDesk(t, guarded(t))
	k := keys(t, secret)
	now := time.Now()
	mint := func(k token.Keys, made time.Time, scopes ...string) string {
		s, err := k.MintAccess("anna", scopes, made, made.Add(time.Hour))
		require.NoError(t, err)
		return s
	}
	notify, err := k.Mint("redial/-/anna/run/1", now.Add(time.Hour))
	require.NoError(t, err)
	for _, path := range []string{"/metrics", "/api/v1/openapi.json", "/api/v1/capacity", "/api/v1/contacts", "/api/v1/contacts/anna", "/api/v1/attempts?state=unknown"} {
		for name, authorization := range map[string]string{
			"none": "", "another scheme": "Basic YTpi", "no token": "Bearer", "rubbish": "Bearer rubbish", "a notify token": "Bearer " + notify,
			"an expired one": "Bearer " + mint(k, now.Add(-2*time.Hour), "read"), "another key's": "Bearer " + mint(keys(t, "another secret of a length"), now, "read"),
		} {
			a := d.ask(path, with("Authorization", authorization))
			d.refused(a, http.StatusUnauthorized)
			require.Contains(t, a.header.Get("WWW-Authenticate"), `Bearer realm="redial"`, name)
		}
		d.refused(d.ask(path, with("Authorization", "Bearer "+mint(k, now, "readers"))), http.StatusForbidden)
		a := d.ask(path, with("Authorization", "bearer "+mint(k, now, "operate", "read")))
		require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, a.status, path)
		require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		require.Equal(t, http.StatusOK, d.ask(probe).status)
	}
	require.Equal(t, http.StatusOK, d.ask("/readyz", func(r *http.Request) { r.Host = "console.example.com" }).status)
}

func TestWithoutTokensOnlyThisMachineIsServedUnderItsOwnName(t *testing.T) {
	d := newDesk(t)
	for host, status := range map[string]int{
		"localhost": http.StatusOK, "LOCALHOST:8080": http.StatusOK, "127.0.0.1:1": http.StatusOK, "127.9.9.9": http.StatusOK, "[::1]:8080": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example.com": http.StatusMisdirectedRequest, "evil.example.com:8080": http.StatusMisdirectedRequest,
		"localhost.evil.example.com": http.StatusMisdirectedRequest, "10.0.0.1": http.StatusMisdirectedRequest, "127.0.0.1.nip.io": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"/api/v1/capacity", "/metrics", "/readyz"} {
			require.Equal(t, status, d.ask(path, func(r *http.Request) { r.Host = host }).status, host+path)
		}
	}
	elsewhere := httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/capacity", nil)
	elsewhere.RemoteAddr = "192.0.2.7:1234"
	recorder := httptest.NewRecorder()
	console.New(console.Config{Ledger: d.own, Logger: zap.NewNop()}).ServeHTTP(recorder, elsewhere)
	require.Equal(t, http.StatusForbidden, recorder.Code)
}

func TestTheLogNamesHoldersAndHoldsNeitherTokensNorIDs(t *testing.T) {
	d := newDesk(t, guarded(t))
	bearer, err := keys(t, secret).MintAccess("anna", []string{token.Read}, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	d.bearer = bearer
	d.ask("/api/v1/contacts/+14155550100")
	entries := d.logs.FilterMessage("request").All()
	require.Len(t, entries, 1)
	require.Equal(t, "anna", entries[0].ContextMap()["who"])
	said := fmt.Sprint(entries[0].ContextMap())
	require.NotContains(t, said, "4155550100")
	require.NotContains(t, said, bearer)
	require.Contains(t, said, "/api/v1/contacts/:id")
}

func TestWhoMustNotBeCalledIsToldInPages(t *testing.T) {
	d := newDesk(t)
	d.busy()
	type page struct {
		Suppressions []ledger.Suppression
		Next         string
	}
	subjects := func(p page) (list []string) {
		for _, s := range p.Suppressions {
			list = append(list, s.Subject)
		}
		return list
	}
	require.Equal(t, []string{"ended", "tel:+12025550101"}, subjects(told[page](d, "/api/v1/suppressions")))
	require.Equal(t, []string{"somebody", "ended"}, subjects(told[page](d, "/api/v1/suppressions?kind=contact&all=true")))
	first := told[page](d, "/api/v1/suppressions?all=true&limit=2")
	require.Equal(t, []string{"somebody", "ended"}, subjects(first))
	last := told[page](d, "/api/v1/suppressions?all=true&limit=2&after="+first.Next)
	require.Equal(t, []string{"tel:+12025550101"}, subjects(last))
	require.Empty(t, last.Next)
	require.Len(t, told[ledger.Contact](d, "/api/v1/contacts/ended").Suppressed, 2)
	for query, says := range map[string]string{"kind=line": "kind: give number or contact", "all=yes": "all: give true or false", "after=x": "after: give what", "after=-1": "after: give what",
		"limit=501": "limit: give a number"} {
		require.Contains(t, d.refused(d.ask("/api/v1/suppressions?"+query), http.StatusBadRequest), says)
	}
}
