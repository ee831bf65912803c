package console_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"redial/console"
)

// document is the document that the console serves. Clients may be told more than it says; here it has to say all, so that a field that
// it lacks is found.
func (d *desk) document() *openapi3.T {
	d.t.Helper()
	var raw map[string]any
	require.NoError(d.t, json.Unmarshal([]byte(d.ask("/api/v1/openapi.json").body), &raw))
	require.Equal(d.t, "3.1.0", raw["openapi"])
	whole(raw["components"].(map[string]any)["schemas"])
	strict, err := json.Marshal(raw)
	require.NoError(d.t, err)
	doc, err := openapi3.NewLoader().LoadFromData(strict)
	require.NoError(d.t, err)
	require.NoError(d.t, doc.Validate(d.t.Context()))
	return doc
}

// whole makes every object have the properties that are told and no other.
func whole(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, told := s["additionalProperties"]; s["properties"] != nil && s["type"] == "object" && !told {
			s["additionalProperties"] = false
		}
		for _, part := range s {
			whole(part)
		}
	case []any:
		for _, part := range s {
			whole(part)
		}
	}
}

func TestTheDocumentTellsOfEveryRouteAndOfNoOther(t *testing.T) {
	d := newDesk(t)
	var served, told []string
	for _, r := range console.Routes(console.New(console.Config{Ledger: d.own, Logger: zap.NewNop()})) {
		served = append(served, r.Method+" "+strings.ReplaceAll(r.Path, ":id", "{id}"))
	}
	for path, item := range d.document().Paths.Map() {
		for method := range item.Operations() {
			told = append(told, method+" "+path)
		}
	}
	require.NotEmpty(t, served)
	require.ElementsMatch(t, served, told)
}

func TestRealAnswersAreAsTheDocumentSays(t *testing.T) {
	d := newDesk(t, func(c *console.Config) {
		c.Runs = runs{json.RawMessage(`{"state":"calling","attempts":[{"n":1,"key":"k","state":"placed","seq":2,"duration_s":0}]}`)}
	})
	d.busy()
	router := d.router()
	for path, status := range map[string]int{
		"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/metrics": http.StatusOK, "/api/v1/openapi.json": http.StatusOK,
		"/api/v1/contacts": http.StatusOK, "/api/v1/contacts?campaign=-&limit=1": http.StatusOK, "/api/v1/contacts?limit=0": http.StatusBadRequest,
		"/api/v1/contacts?state=held&reason=lines_busy&open=true": http.StatusOK, "/api/v1/contacts?outcome=human": http.StatusOK, "/api/v1/contacts?state=asleep": http.StatusBadRequest,
		"/api/v1/contacts/ended": http.StatusOK, "/api/v1/contacts/doubt": http.StatusOK, "/api/v1/contacts/redial%2Fspring%2Fanna": http.StatusOK,
		"/api/v1/contacts/redial%2F-%2Fanna": http.StatusOK, "/api/v1/contacts/anna": http.StatusConflict, "/api/v1/contacts/nobody": http.StatusNotFound,
		"/api/v1/attempts?state=unknown": http.StatusOK, "/api/v1/attempts?state=placed": http.StatusBadRequest, "/api/v1/capacity": http.StatusOK,
		"/api/v1/suppressions": http.StatusOK, "/api/v1/suppressions?kind=contact&all=true&limit=1": http.StatusOK, "/api/v1/suppressions?kind=line": http.StatusBadRequest,
	} {
		d.conforms(router, path, status)
	}
	require.NoError(t, d.own.Close())
	require.Eventually(t, func() bool { return d.ask("/readyz").status == http.StatusServiceUnavailable }, 10*time.Second, 10*time.Millisecond)
	for _, path := range []string{"/readyz", "/api/v1/contacts", "/api/v1/contacts/ended", "/api/v1/attempts?state=unknown", "/api/v1/capacity", "/api/v1/suppressions"} {
		d.conforms(router, path, http.StatusServiceUnavailable)
	}
}

func TestRefusalsForWantOfATokenAreAsTheDocumentSays(t *testing.T) {
	router := newDesk(t).router()
	d := newDesk(t, guarded(t))
	for _, path := range []string{"/metrics", "/api/v1/openapi.json", "/api/v1/contacts", "/api/v1/contacts/anna", "/api/v1/attempts?state=unknown", "/api/v1/capacity", "/api/v1/suppressions"} {
		d.conforms(router, path, http.StatusUnauthorized)
	}
}

func TestTheCheckOfAnswersFindsWhatTheDocumentDoesNotSay(t *testing.T) {
	d := newDesk(t)
	router := d.router()
	a := d.ask("/api/v1/capacity")
	require.NoError(t, check(router, a))
	a.body = strings.Replace(a.body, "{", `{"more":1,`, 1)
	require.ErrorContains(t, check(router, a), "more")
	a.body = strings.Replace(a.body, `"more":1,`, "", 1)
	a.body = strings.Replace(a.body, `"failing"`, `"failed"`, 1)
	require.ErrorContains(t, check(router, a), "fail")
}

func (d *desk) router() routers.Router {
	d.t.Helper()
	router, err := gorillamux.NewRouter(d.document())
	require.NoError(d.t, err)
	return router
}

func (d *desk) conforms(router routers.Router, path string, status int) {
	d.t.Helper()
	a := d.ask(path)
	require.Equal(d.t, status, a.status, "%s %s", path, a.body)
	require.NoError(d.t, check(router, a), "%s %s", path, a.body)
}

// check holds an answer against the document.
func check(router routers.Router, a answer) error {
	route, parameters, err := router.FindRoute(a.asked)
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{Status: a.status, Header: a.header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: a.asked, PathParams: parameters, Route: route}}
	input.SetBodyBytes([]byte(a.body))
	return openapi3filter.ValidateResponse(a.asked.Context(), input)
}
