//go:build unix

package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/ledger"
)

const consoleSecret = "REDIAL_CONSOLE_SECRET=a secret of this test's console"

// console starts redial console on a port of its own, and returns its URL.
func (p program) console(t *testing.T) (*process, string) {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	q := p.with("REDIAL_CONSOLE_ADDR="+address).start(t, "console")
	q.ready(t, address)
	return q, "http://" + address
}

// asked is what a console answers.
func asked(t *testing.T, url, bearer string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(data)
}

func TestTheConsoleTellsBesideUpWhatTheCommandsTell(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	up := s.up(t)
	s.must(t, "call", "--to", "+14155550100", "--id", "anna", "--metadata", "simulate=human", "--wait")
	q, console := s.console(t)

	status, body := asked(t, console+"/api/v1/contacts/"+url.PathEscape("redial/-/anna"), "")
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, s.must(t, "show", "anna", "--json"), body)
	require.Contains(t, body, `"run":{"state":"done"`, "the run was asked, too")
	require.EqualValues(t, "human", decode[ledger.Contact](t, body).Outcome)

	_, body = asked(t, console+"/api/v1/attempts?state=unknown", "")
	require.JSONEq(t, s.must(t, "attempt", "list", "--json"), body)
	_, body = asked(t, console+"/api/v1/capacity", "")
	require.Equal(t, 10, decode[ledger.Capacity](t, body).Lines.Limit)
	_, body = asked(t, console+"/metrics", "")
	require.Contains(t, body, "\nredial_ledger_up 1\n")

	// up has a console too.
	address := up.says(t, &up.stderr, `"msg":"up".*"console":"([^"]+)"`)
	_, own := asked(t, "http://"+address+"/api/v1/contacts/anna", "")
	require.JSONEq(t, s.must(t, "show", "anna", "--json"), own)

	q.signal(t, syscall.SIGTERM)
	require.Zero(t, q.wait(t).code)
}

func TestTheConsoleTellsWhatTheLedgerKnowsWhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	p := newProgram(t).with("TEMPORAL_ADDRESS=127.0.0.1:" + freePort(t))
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(p.folder, "redial.db"), ledger.Options{Owner: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	_, console := p.console(t)
	status, body := asked(t, console+"/api/v1/contacts", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"contacts":[]}`, body)
}

func TestATokenOfTheCommandOpensTheConsole(t *testing.T) {
	t.Parallel()
	p := newProgram(t).with(consoleSecret)
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(p.folder, "redial.db"), ledger.Options{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, console := p.console(t)
	capacity := console + "/api/v1/capacity"
	status, _ := asked(t, capacity, "")
	require.Equal(t, http.StatusUnauthorized, status)

	made := decode[struct {
		Token   string
		For     string
		Scopes  []string
		Expires time.Time `json:"expires_at"`
	}](t, p.must(t, "token", "--for", "anna", "--ttl", "1h", "--json"))
	require.Equal(t, "anna", made.For)
	require.Equal(t, []string{"read"}, made.Scopes)
	require.WithinDuration(t, time.Now().Add(time.Hour), made.Expires, time.Minute)
	status, _ = asked(t, capacity, made.Token)
	require.Equal(t, http.StatusOK, status)

	other := p.with("REDIAL_CONSOLE_SECRET=another secret than the console's").must(t, "token", "--for", "anna")
	status, _ = asked(t, capacity, other[:len(other)-1])
	require.Equal(t, http.StatusUnauthorized, status)

	short := p.must(t, "token", "--for", "anna", "--ttl", "1s")
	eventually(t, "the token to expire", func() bool {
		status, _ := asked(t, capacity, short[:len(short)-1])
		return status == http.StatusUnauthorized
	})
}

func TestTheConsoleRefusesWhatWouldTellStrangers(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(p.folder, "redial.db"), ledger.Options{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, console := p.console(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, console+"/api/v1/capacity", nil)
	require.NoError(t, err)
	request.Host = "rebound.example.com"
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusMisdirectedRequest, response.StatusCode)
	var problem struct{ Detail string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&problem))
	require.Contains(t, problem.Detail, "REDIAL_CONSOLE_SECRET")
}

func TestAMistakeWithTheConsoleIsToldInOneLine(t *testing.T) {
	t.Parallel()
	p := newProgram(t).with(consoleSecret, "REDIAL_CONSOLE_ADDR=127.0.0.1:0")
	for _, m := range []mistake{
		{"strangers could ask", []string{"REDIAL_CONSOLE_SECRET=", "REDIAL_CONSOLE_ADDR=0.0.0.0:0"}, []string{"console"}, misuse,
			[]string{"REDIAL_CONSOLE_SECRET: it is missing", "REDIAL_CONSOLE_ADDR=0.0.0.0:0", "or listen on 127.0.0.1:8080"}},
		{"all addresses", []string{"REDIAL_CONSOLE_SECRET=", "REDIAL_CONSOLE_ADDR=:0"}, []string{"console"}, misuse, []string{"REDIAL_CONSOLE_SECRET: it is missing"}},
		{"a secret that is too short", []string{"REDIAL_CONSOLE_SECRET=short"}, []string{"console"}, misuse, []string{"REDIAL_CONSOLE_SECRET: ", "at least 16"}},
		{"a secret in no file", []string{"REDIAL_CONSOLE_SECRET=", "REDIAL_CONSOLE_SECRET_FILE=nowhere"}, []string{"console"}, misuse, []string{"REDIAL_CONSOLE_SECRET_FILE: ", "readable file"}},
		{"no ledger", nil, []string{"console"}, misuse, []string{"REDIAL_DATABASE: there is no ledger redial.db"}},
		{"an address that is none", []string{"REDIAL_CONSOLE_ADDR=here"}, []string{"console"}, failed, []string{"REDIAL_CONSOLE_ADDR"}},
		{"a token without a secret", []string{"REDIAL_CONSOLE_SECRET="}, []string{"token", "--for", "anna"}, misuse, []string{"REDIAL_CONSOLE_SECRET: it is empty"}},
		{"a token for nobody", nil, []string{"token"}, misuse, []string{"--for", "is no name"}},
		{"a token for no time", nil, []string{"token", "--for", "anna", "--ttl", "0s"}, misuse, []string{"--ttl 0s", "1s"}},
		{"a token for ever", nil, []string{"token", "--for", "anna", "--ttl", "9000h"}, misuse, []string{"--ttl 9000h"}},
	} {
		t.Run(m.name, func(t *testing.T) { requireToldWhy(t, p, m) })
	}
}
