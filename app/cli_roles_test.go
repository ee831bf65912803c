//go:build unix

package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"redial/call"
	"redial/internal/notify"
	"redial/internal/token"
)

// apart is a deployment whose roles are processes of their own, with a proxy before the webhooks.
type apart struct {
	stage
	proxy *proxy
}

// newApart sets up a deployment on a ledger. On a SQLite file only one role at a time can be there.
func newApart(t *testing.T, database string, settings ...string) apart {
	t.Helper()
	s := newStage(t, append(settings, "REDIAL_DATABASE="+database)...)
	return apart{s, newProxy(t, "127.0.0.1:"+s.webhook)}
}

// replica is one process of a role.
type replica struct {
	*process
	address string // where it answers probes
}

// worker starts a worker and waits until it is ready.
func (a apart) worker(t *testing.T, settings ...string) replica {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	q := a.with(settings...).with("REDIAL_HEALTH_ADDR="+address).start(t, "worker")
	q.ready(t, address)
	return replica{q, address}
}

// webhook starts a webhook, which knows nothing of the gateway's account, and waits until it is ready and behind the proxy.
func (a apart) webhook(t *testing.T, settings ...string) replica {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	q := a.with("KORE_BASE_URL=", "KORE_BOT_ID=", "KORE_CLIENT_ID=", "KORE_CLIENT_SECRET=", "KORE_CALLER=", "REDIAL_NOTIFY_URL=").
		with(settings...).with("REDIAL_WEBHOOK_ADDR="+address).start(t, "webhook")
	q.ready(t, address)
	a.proxy.add(address)
	return replica{q, address}
}

// proxy gives each request to the next webhook that takes it, and waits a little for one that does.
type proxy struct {
	mu       sync.Mutex
	webhooks []string
	turn     int
	open     atomic.Int32 // requests under way
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	p := &proxy{}
	server := &http.Server{Handler: p}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func (p *proxy) add(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.webhooks = append(p.webhooks, address)
}

func (p *proxy) remove(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.webhooks = slices.DeleteFunc(p.webhooks, func(known string) bool { return known == address })
}

// rotation is all webhooks, beginning with the next one.
func (p *proxy) rotation() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	n := p.turn % max(1, len(p.webhooks))
	return append(append([]string{}, p.webhooks[n:]...), p.webhooks[:n]...)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.open.Add(1)
	defer p.open.Add(-1)
	body, _ := io.ReadAll(r.Body)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, address := range p.rotation() {
			response, err := http.Post("http://"+address+r.URL.Path, r.Header.Get("Content-Type"), bytes.NewReader(body))
			if err == nil {
				_ = response.Body.Close()
				w.WriteHeader(response.StatusCode)
				return
			}
		}
	}
	w.WriteHeader(http.StatusBadGateway)
}

// notifyPath is a path at which the gateway could report on an attempt of this deployment.
func (s stage) notifyPath(t *testing.T, attempt string) string {
	t.Helper()
	keys, err := token.ParseKeys(s.environment["REDIAL_NOTIFY_SECRET"])
	require.NoError(t, err)
	minted, err := keys.Mint(attempt, time.Now().Add(time.Hour))
	require.NoError(t, err)
	return notify.Path + minted
}

// signalled tells whether a contact's run has had a signal.
func (s stage) signalled(t *testing.T, id string) bool {
	t.Helper()
	events := s.temporal.GetWorkflowHistory(t.Context(), "redial/-/"+id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		if e.EventType == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			return true
		}
	}
	return false
}

const busy = `{"status":"failed","reason":"486 Busy Here","reasonCode":"Busy Here"}`

func TestEachRoleAsksForTheSettingsItUsesAndForNoOther(t *testing.T) {
	t.Parallel()
	s := newStage(t, "REDIAL_LOG_LEVEL=error", "REDIAL_DATABASE=sqlite:redial.db")
	offline := s.with("TEMPORAL_ADDRESS=127.0.0.1:"+freePort(t), "REDIAL_HEALTH_ADDR=127.0.0.1:0", "REDIAL_WEBHOOK_ADDR=127.0.0.1:0")
	for _, variable := range []string{"KORE_BASE_URL", "KORE_BOT_ID", "KORE_CLIENT_ID", "KORE_CLIENT_SECRET", "KORE_CALLER", "REDIAL_NOTIFY_URL", "REDIAL_NOTIFY_SECRET"} {
		requireToldWhy(t, offline, mistake{"", []string{variable + "="}, []string{"worker"}, misuse, []string{variable + ": it is "}})
	}
	for _, role := range []string{"worker", "webhook"} { // each would have a ledger of its own
		requireToldWhy(t, offline, mistake{"", []string{"REDIAL_DATABASE="}, []string{role}, misuse, []string{"REDIAL_DATABASE: it is missing", "redial up"}})
	}
	requireToldWhy(t, offline, mistake{"", []string{"REDIAL_NOTIFY_SECRET="}, []string{"webhook"}, misuse, []string{"REDIAL_NOTIFY_SECRET: it is "}})
	requireToldWhy(t, offline, mistake{"", []string{"REDIAL_ESCALATION_SECRET=rubbish"}, []string{"webhook"}, misuse, []string{"REDIAL_ESCALATION_SECRET", "write whsec_"}})
	for _, m := range []struct{ setting, says string }{
		{"REDIAL_DEPLOYMENT=redial.v1", "without dots"}, {"REDIAL_VERSIONING=canary", "auto-upgrade, pinned or upgrade-at-wait"}, {"REDIAL_DRAIN_DELAY=soon", "write it like 5s"},
	} {
		variable, _, _ := strings.Cut(m.setting, "=")
		requireToldWhy(t, offline, mistake{"", []string{m.setting}, []string{"worker"}, misuse, []string{variable + ": ", m.says}})
	}
	// The test binary is stamped with no revision.
	requireToldWhy(t, offline, mistake{"", []string{"REDIAL_DEPLOYMENT=redial"}, []string{"worker"}, misuse, []string{"REDIAL_BUILD_ID: it is missing", "revision"}})
	requireToldWhy(t, offline, mistake{"", []string{"REDIAL_ESCALATION_SECRET=rubbish"}, []string{"worker"}, failed, []string{"temporal at ", "cannot be reached"}})

	apart{s, newProxy(t, "127.0.0.1:"+s.webhook)}.webhook(t)
}

func TestARoleOnAnSQLiteFileThatAnotherProcessOwnsIsToldTheWayOut(t *testing.T) {
	t.Parallel()
	s := newStage(t, "REDIAL_DATABASE=sqlite:redial.db")
	s.up(t)
	second := s.with("REDIAL_WEBHOOK_ADDR=127.0.0.1:0", "REDIAL_HEALTH_ADDR=127.0.0.1:0")
	for _, role := range []string{"worker", "webhook"} {
		e := second.run(t, role)
		require.Equal(t, failed, e.code)
		said := tellsNoLog(e).stderr
		require.Equal(t, 1, strings.Count(said, "\n"), said)
		for _, words := range []string{"redial.db", "another redial process owns it", "redial up", "share a PostgreSQL database", "REDIAL_DATABASE"} {
			require.Contains(t, said, words)
		}
	}
}

func TestAWorkerToldToStopFinishesItsDialsAndAnotherGoesOn(t *testing.T) {
	t.Parallel()
	a := newApart(t, "sqlite:redial.db")
	w := a.worker(t)
	a.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human+ring=1s+never_ends+slow_answer=4s")
	eventually(t, "the gateway to place the call", func() bool { return len(a.gateway.calls(t, anna)) == 1 })
	w.signal(t, syscall.SIGTERM)
	eventually(t, "the worker to say that it is stopping", func() bool { return readiness(w.address) == http.StatusServiceUnavailable })
	a.must(t, "call", "--to", "+14155550101", "--id", "bert", "--metadata", "simulate=busy") // of which this worker takes no notice
	require.Zero(t, w.wait(t).code)
	require.Empty(t, a.gateway.calls(t, "+14155550101"), "a new dial was taken")
	c, err := a.openLedger(t).Show(t.Context(), "anna")
	require.NoError(t, err)
	require.Equal(t, call.StatePlaced, c.Attempts[0].State, "the gateway was not heard out")

	a.worker(t)
	eventually(t, "another worker to go on", func() bool { return len(a.gateway.calls(t, "+14155550101")) == 1 })
	require.Len(t, a.gateway.calls(t, anna), 1)
	require.Zero(t, a.gateway.stats(t).DuplicateDials)
}

// TestASecondSignalEndsARoleAtOnce: what that costs is said, and is what it is called afterwards: in doubt, and not dialed again.
func TestASecondSignalEndsARoleAtOnceAndSaysWhatThatMayHaveCost(t *testing.T) {
	t.Parallel()
	for s, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		a := newApart(t, "sqlite:redial.db")
		w := a.worker(t)
		a.must(t, "call", "--to", anna, "--id", "anna", "--metadata", "simulate=human+ring=1s+never_ends+slow_answer=19s")
		eventually(t, "the gateway to place the call", func() bool { return len(a.gateway.calls(t, anna)) == 1 })
		w.signal(t, s)
		w.says(t, &w.stderr, "a second signal ends at once")
		eventually(t, "a second signal to end it", func() bool {
			_ = syscall.Kill(w.pid(), s)
			select {
			case <-w.Ended:
				return true
			default:
				return false
			}
		})
		e := w.wait(t)
		require.Equal(t, code, e.code)
		require.Contains(t, e.stderr, "redial: a second signal")
		require.Contains(t, e.stderr, "in doubt")
		c, err := a.openLedger(t).Show(t.Context(), "anna")
		require.NoError(t, err)
		require.Equal(t, call.StateDialing, c.Attempts[0].State, "it waited for the answer")
	}
}

func TestAWebhookToldToStopSaysSoAndAnswersWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	a := newApart(t, "sqlite:redial.db")
	w := a.webhook(t, "REDIAL_DRAIN_DELAY=2s")
	slow, err := net.Dial("tcp", w.address)
	require.NoError(t, err)
	defer slow.Close()
	path := a.notifyPath(t, "redial/-/anna/run/1")
	_, err = fmt.Fprintf(slow, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(busy), busy[:10])
	require.NoError(t, err)

	w.signal(t, syscall.SIGTERM)
	eventually(t, "the webhook to say that it is stopping", func() bool { return readiness(w.address) == http.StatusServiceUnavailable })
	response, err := http.Post("http://"+w.address+path, "application/json", strings.NewReader(busy))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "a proxy has not noticed yet")
	eventually(t, "the webhook to take no more", func() bool { return readiness(w.address) == 0 })
	_, err = io.WriteString(slow, busy[10:])
	require.NoError(t, err)
	response, err = http.ReadResponse(bufio.NewReader(slow), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "a request under way was cut off")
	require.Zero(t, w.wait(t).code)
	require.Contains(t, w.stderr.String(), `"stopping: `)
}

func TestAWebhookTakesReportsWhileTemporalIsAwayAndTheFlowIsToldWhenItIsBack(t *testing.T) {
	t.Parallel()
	a := newApart(t, "sqlite:redial.db")
	w := a.worker(t)
	a.must(t, "call", "--to", anna, "--id", "anna", "--policy", a.file(t, "once.yaml", "on: {busy: stop, human: done}"),
		"--metadata", "simulate=human+ring=1s+never_ends+lost")
	eventually(t, "the call to be placed", func() bool {
		calls := a.gateway.calls(t, anna)
		return len(calls) == 1 && calls[0].Answer != ""
	})
	w.signal(t, syscall.SIGTERM)
	require.Zero(t, w.wait(t).code)

	away := a.webhook(t, "TEMPORAL_ADDRESS=127.0.0.1:"+freePort(t))
	response, err := http.Post(a.gateway.calls(t, anna)[0].NotifyURL, "application/json", strings.NewReader(busy))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	away.says(t, &away.stderr, "temporal cannot be reached: reports are taken")
	away.says(t, &away.stderr, "a delivery failed")
	away.kill()

	back := a.webhook(t, "REDIAL_DRAIN_DELAY=0s")
	eventually(t, "the flow to be told", func() bool { return a.signalled(t, "anna") })
	back.signal(t, syscall.SIGTERM)
	require.Zero(t, back.wait(t).code)
	a.worker(t)
	require.Equal(t, []call.Disposition{call.Busy}, dispositions(a.result(t, "anna")))
}

func TestTheVersionIsToldToPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	said := p.must(t, "version")
	require.Regexp(t, `^redial \S+, build \S+, go1\.\S+.*\n$`, said)
	require.Equal(t, said, p.must(t, "--version"))
	printed := decode[map[string]string](t, p.must(t, "version", "--json"))
	require.Contains(t, printed, "build")
	require.Contains(t, said, printed["version"])
	require.Contains(t, said, printed["go"])
}
