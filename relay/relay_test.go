package relay_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redial/call"
	"redial/followup"
	"redial/ledger"
	"redial/relay"
	"redial/workflows"
)

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of the right length...."))

const soon = 15 * time.Second // by when a condition holds, or the test has failed

type signal struct {
	workflowID, name string
	arg              any
	at               time.Time
}

// flows is a Temporal that a test can take away.
type flows struct {
	mu      sync.Mutex
	signals []signal // taken
	tries   []signal
	fail    func(n int, s signal) error // nil: all are taken
}

func (f *flows) SignalWorkflow(_ context.Context, workflowID, runID, name string, arg any) error {
	f.mu.Lock()
	s := signal{workflowID, name, arg, time.Now()}
	f.tries = append(f.tries, s)
	n, fail := len(f.tries), f.fail
	f.mu.Unlock()
	if runID != "" {
		return fmt.Errorf("a signal names run %s: after a continue-as-new it would miss", runID)
	}
	if fail != nil {
		if err := fail(n, s); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signals = append(f.signals, s)
	return nil
}

func (f *flows) taken() []signal {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]signal(nil), f.signals...)
}

func (f *flows) tried() []signal {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]signal(nil), f.tries...)
}

// office is a relay with a real ledger.
type office struct {
	*ledger.Ledger
	flows *flows
	sink  relay.Sink
	logs  *observer.ObservedLogs
	stop  func() // stops the relay and waits for it
	tb    testing.TB
}

func open(t *testing.T) *office {
	t.Helper()
	t.Parallel() // most of these wait for a pause to pass
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "redial.db"), ledger.Options{Owner: true})
	require.NoError(t, err)
	o := &office{Ledger: l, flows: &flows{}, stop: func() {}, tb: t}
	t.Cleanup(func() { o.stop(); _ = l.Close() })
	return o
}

func (o *office) run(secret string) {
	o.tb.Helper()
	core, logs := observer.New(zap.DebugLevel)
	o.logs = logs
	r, err := relay.New(relay.Config{Ledger: o.Ledger, Flows: o.flows, Logger: zap.New(core), Secret: secret, Sink: o.sink})
	require.NoError(o.tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			o.tb.Errorf("Run: %v", err)
		}
	})
}

func ask(contact string) followup.ClearanceRequest {
	id := workflows.WorkflowID("", contact)
	return followup.ClearanceRequest{Key: call.AttemptKey(id, "run", 1), N: 1, WorkflowID: id, FirstRunID: "run", ContactID: contact,
		Request: call.DialRequest{To: call.Target{URI: "sip:" + contact + "@example.com"}}, HearFor: time.Minute, Owner: "o"}
}

// hold asks for a line that is not free.
func (o *office) hold(contact string) {
	o.tb.Helper()
	c, err := o.Clear(context.Background(), ask(contact))
	require.NoError(o.tb, err)
	require.NotNil(o.tb, c.Held)
}

func (o *office) dial(contact string) {
	o.tb.Helper()
	c, err := o.Clear(context.Background(), ask(contact))
	require.NoError(o.tb, err)
	require.True(o.tb, c.Cleared)
}

func (o *office) end(contact string) {
	o.tb.Helper()
	event := call.Event{Status: call.StatusCompleted, AMD: call.AMDHuman}
	require.NoError(o.tb, o.Receive(context.Background(), ask(contact).Key, []byte("{}"), []call.Event{event}, ""))
}

func (o *office) escalate(contact, url string) {
	o.tb.Helper()
	require.NoError(o.tb, o.Escalate(context.Background(), followup.Escalated{WorkflowID: ask(contact).WorkflowID, ContactID: contact}, url))
}

func (o *office) escalation(contact string) ledger.Escalation {
	o.tb.Helper()
	c, err := o.Show(context.Background(), contact)
	require.NoError(o.tb, err)
	require.NotNil(o.tb, c.Escalation)
	return *c.Escalation
}

func (o *office) eventually(condition func() bool, what string) {
	o.tb.Helper()
	require.Eventually(o.tb, condition, soon, 5*time.Millisecond, what)
}

func TestTheEndOfACallIsSignalledWithTheFoldedAttempt(t *testing.T) {
	o := open(t)
	o.run("")
	o.dial("a")
	o.end("a")
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "a signal")
	s := o.flows.taken()[0]
	require.Equal(t, ask("a").WorkflowID, s.workflowID)
	require.Equal(t, workflows.SignalAttempt, s.name)
	require.Equal(t, call.Human, s.arg.(*call.Attempt).Disposition)
}

func TestTheBotsResultIsSignalledBesideTheEndOfItsCall(t *testing.T) {
	o := open(t)
	o.run("")
	o.dial("a")
	said := call.BotResult{Kind: call.Callback, At: time.Now().Add(time.Hour).UTC().Truncate(time.Second), Data: json.RawMessage(`{"slot":1}`)}
	require.NoError(t, o.ReceiveResult(t.Context(), ask("a").Key, []byte("{}"), said, ""))
	o.end("a")
	o.eventually(func() bool { return len(o.flows.taken()) == 2 }, "two signals")
	byName := map[string]signal{}
	for _, s := range o.flows.taken() {
		require.Equal(t, ask("a").WorkflowID, s.workflowID)
		byName[s.name] = s
	}
	require.Equal(t, call.Human, byName[workflows.SignalAttempt].arg.(*call.Attempt).Disposition)
	told := *byName[workflows.SignalResult].arg.(*call.BotResult)
	require.Equal(t, ask("a").Key, told.AttemptKey)
	require.WithinDuration(t, time.Now(), told.ReceivedAt, soon)
	said.AttemptKey, said.ReceivedAt = told.AttemptKey, told.ReceivedAt
	require.Equal(t, said, told)
}

func TestAResultIsToldWhenTemporalIsBackAndToNobodyWhoIsGone(t *testing.T) {
	o := open(t)
	o.flows.fail = func(n int, _ signal) error {
		switch n {
		case 1:
			return serviceerror.NewUnavailable("away")
		case 2:
			return serviceerror.NewNotFound("workflow execution already completed")
		}
		return nil
	}
	o.run("")
	o.dial("a")
	require.NoError(t, o.ReceiveResult(t.Context(), ask("a").Key, []byte("{}"), call.BotResult{Kind: call.Confirmed}, ""))
	o.eventually(func() bool { return len(o.flows.tried()) == 2 }, "it is tried again")
	o.stop()
	due, err := o.Due(t.Context(), ledger.ToFlows, 10)
	require.NoError(t, err)
	require.Empty(t, due)
}

func TestWhoWaitsIsWokenWhenALineIsFree(t *testing.T) {
	o := open(t)
	require.NoError(t, o.SetLimits(t.Context(), 1, 0, 0))
	o.run("")
	o.dial("a")
	o.hold("b")
	o.end("a")
	o.eventually(func() bool { return len(o.flows.taken()) == 2 }, "the end and the wake")
	names := map[string]string{}
	for _, s := range o.flows.taken() {
		names[s.workflowID] = s.name
	}
	require.Equal(t, map[string]string{ask("a").WorkflowID: workflows.SignalAttempt, ask("b").WorkflowID: workflows.SignalWake}, names)
	o.dial("b")
}

func TestWhoWaitsForTheRateIsWokenWhenItsTimeComes(t *testing.T) {
	o := open(t)
	require.NoError(t, o.SetLimits(t.Context(), 0, 1, 300*time.Millisecond))
	o.run("")
	o.dial("a")
	o.hold("b")
	_, err := o.Answer(t.Context(), ask("a").Key, "o", call.DialAnswer{Class: call.AnswerPlaced})
	require.NoError(t, err)
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "nothing happens meanwhile, but for time")
	require.Equal(t, workflows.SignalWake, o.flows.taken()[0].name)
}

// Promise 2: Temporal may be away.
func TestASignalIsTriedAgainWithGrowingPausesUntilTemporalIsBack(t *testing.T) {
	o := open(t)
	o.flows.fail = func(n int, _ signal) error {
		if n <= 3 {
			return serviceerror.NewUnavailable("away")
		}
		return nil
	}
	o.run("")
	o.dial("a")
	o.end("a")
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "it is delivered when Temporal is back")
	tries := o.flows.tried()
	require.Len(t, tries, 4)
	for i, least := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
		require.GreaterOrEqual(t, tries[i+1].at.Sub(tries[i].at), least-5*time.Millisecond, "pause %d", i+1)
	}
}

func TestAFlowThatIsGoneIsNotToldAgainAndHoldsNobodyUp(t *testing.T) {
	o := open(t)
	require.NoError(t, o.SetLimits(t.Context(), 1, 0, 0))
	o.flows.fail = func(_ int, s signal) error {
		if s.workflowID != ask("b").WorkflowID {
			return serviceerror.NewNotFound("workflow execution already completed")
		}
		return nil
	}
	o.run("")
	o.dial("under")
	o.hold("dead")
	o.hold("b")
	o.end("under")
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "the wake of the dead passes on")
	o.stop()
	require.Len(t, o.flows.tried(), 3, "the end, the wake of the dead, the wake of the living")
	for _, lane := range []ledger.Lane{ledger.ToFlows, ledger.ToSystems} {
		due, err := o.Due(t.Context(), lane, 10)
		require.NoError(t, err)
		require.Empty(t, due)
	}
}

func TestWhatIsOwedFromBeforeIsDeliveredAtTheStart(t *testing.T) {
	o := open(t)
	for i := range 200 { // more than there are slots
		o.dial(fmt.Sprint(i))
		o.end(fmt.Sprint(i))
	}
	o.run("")
	o.eventually(func() bool { return len(o.flows.taken()) == 200 }, "all")
}

// receiver is somebody's system.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request
	bodies [][]byte
}

func receive(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	rc := &receiver{}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rc.mu.Lock()
		rc.got, rc.bodies = append(rc.got, r), append(rc.bodies, body)
		n := len(rc.got)
		rc.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) count() int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return len(rc.got)
}

func TestAnEscalationIsSignedTheStandardWebhooksWay(t *testing.T) {
	rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	o := open(t)
	o.run(secret)
	o.dial("a")
	o.escalate("a", rc.URL+"/hook")
	o.eventually(func() bool { return !o.escalation("a").DeliveredAt.IsZero() }, "delivered")
	verifier, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	require.NoError(t, verifier.Verify(rc.bodies[0], rc.got[0].Header))
	require.Error(t, verifier.Verify(append(rc.bodies[0], ' '), rc.got[0].Header))
	require.Equal(t, "application/json", rc.got[0].Header.Get("Content-Type"))
	var e followup.Escalated
	require.NoError(t, json.Unmarshal(rc.bodies[0], &e))
	require.Equal(t, "a", e.ContactID)
}

func TestAnythingButA2xxIsTriedAgainUnderTheSameID(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	rc := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	o := open(t)
	o.run(secret)
	o.dial("a")
	o.escalate("a", rc.URL)
	o.eventually(func() bool { return !o.escalation("a").DeliveredAt.IsZero() }, "delivered")
	require.Equal(t, 3, rc.count())
	require.Zero(t, elsewhere.Load(), "a redirect is not followed: the story would go where nobody wanted it")
	for i, r := range rc.got {
		require.Equal(t, rc.got[0].Header.Get("Webhook-Id"), r.Header.Get("Webhook-Id"))
		require.NotEmpty(t, r.Header.Get("Webhook-Id"))
		require.Equal(t, rc.bodies[0], rc.bodies[i])
	}
}

func TestWithoutASecretAWebhookStaysOwedAndSaysWhy(t *testing.T) {
	rc := receive(t, func(int, http.ResponseWriter, *http.Request) {})
	o := open(t)
	o.run("")
	o.dial("a")
	o.escalate("a", rc.URL)
	o.eventually(func() bool { return strings.Contains(o.escalation("a").LastError, "REDIAL_ESCALATION_SECRET") }, "why")
	require.Zero(t, o.escalation("a").DeliveredAt)
	require.Zero(t, rc.count())
	o.stop()
	o.run(secret) // it is set, and the process started again
	o.eventually(func() bool { return !o.escalation("a").DeliveredAt.IsZero() }, "delivered")
}

func TestASecretThatIsNoneIsRefused(t *testing.T) {
	_, err := relay.New(relay.Config{Secret: "whsec_%%%"})
	require.ErrorContains(t, err, "whsec_")
	require.NotContains(t, err.Error(), "%%%")
}

func TestTheURLOfAReceiverIsInNoLogAndNoError(t *testing.T) {
	o := open(t)
	o.run(secret)
	o.dial("a")
	o.escalate("a", "http://127.0.0.1:1/T0KEN")
	o.eventually(func() bool { return o.escalation("a").LastError != "" }, "a failure")
	require.NotContains(t, o.escalation("a").LastError, "T0KEN")
	o.stop()
	for _, e := range o.logs.All() {
		require.NotContains(t, fmt.Sprint(e.Message, e.ContextMap()), "T0KEN")
	}
}

func TestReceiversThatDoNotAnswerHoldUpNoCall(t *testing.T) {
	release := make(chan struct{})
	rc := receive(t, func(int, http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	o := open(t)
	o.run(secret)
	const many = 150
	for i := range many {
		o.dial(fmt.Sprint(i))
		o.escalate(fmt.Sprint(i), rc.URL)
	}
	o.eventually(func() bool { return rc.count() >= 32 }, "every slot of webhooks is taken")
	begin := time.Now()
	for i := range many {
		o.end(fmt.Sprint(i))
	}
	o.eventually(func() bool { return len(o.flows.taken()) == many }, "and yet the flows are told")
	require.Less(t, time.Since(begin), soon)
	require.LessOrEqual(t, rc.count(), 32, "what has no slot is not taken from the ledger")
}

func TestStoppingLetsDeliveriesUnderWayFinishAndStartsNoMore(t *testing.T) {
	o := open(t)
	under, release := make(chan struct{}, 1), make(chan struct{})
	o.flows.fail = func(n int, _ signal) error {
		if n == 1 {
			under <- struct{}{}
			<-release
		}
		return nil
	}
	o.run("")
	o.dial("a")
	o.end("a")
	<-under
	stopped := make(chan struct{})
	go func() { o.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("Run returned while a delivery was under way")
	case <-time.After(50 * time.Millisecond): // it may only ever be too short to catch what is wrong
	}
	close(release)
	<-stopped
	require.Len(t, o.flows.taken(), 1)
	due, err := o.Due(t.Context(), ledger.ToFlows, 10)
	require.NoError(t, err)
	require.Empty(t, due, "it was written down")
	o.dial("b")
	o.end("b")
	require.Len(t, o.flows.tried(), 1, "what comes after stays owed")
}

// blind is a ledger that fails now and then.
type blind struct {
	relay.Ledger
	fails atomic.Int32
}

func (b *blind) Exchange(ctx context.Context, delivered []ledger.Delivery, room map[ledger.Lane]int) ([]ledger.Delivery, ledger.Agenda, error) {
	if b.fails.Add(-1) >= 0 {
		return nil, ledger.Agenda{}, fmt.Errorf("the disk is slow")
	}
	return b.Ledger.Exchange(ctx, delivered, room)
}

func TestALedgerThatFailsIsAskedAgain(t *testing.T) {
	o := open(t)
	o.dial("a")
	o.end("a")
	b := &blind{Ledger: o.Ledger}
	b.fails.Store(2)
	r, err := relay.New(relay.Config{Ledger: b, Flows: o.flows, Logger: zap.NewNop()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "delivered")
	cancel()
	require.NoError(t, <-done)
}

// forgetful is a ledger that cannot be told of deliveries for a while.
type forgetful struct {
	relay.Ledger
	fails atomic.Int32
}

func (f *forgetful) Exchange(ctx context.Context, delivered []ledger.Delivery, room map[ledger.Lane]int) ([]ledger.Delivery, ledger.Agenda, error) {
	if len(delivered) > 0 && f.fails.Add(-1) >= 0 {
		return nil, ledger.Agenda{}, fmt.Errorf("the disk is full")
	}
	return f.Ledger.Exchange(ctx, delivered, room)
}

func TestASignalThatCouldNotBeWrittenDownIsWrittenDownLaterAndNotMadeAgain(t *testing.T) {
	o := open(t)
	f := &forgetful{Ledger: o.Ledger}
	f.fails.Store(2)
	r, err := relay.New(relay.Config{Ledger: f, Flows: o.flows, Logger: zap.NewNop()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	o.dial("a")
	o.end("a")
	o.eventually(func() bool { return f.fails.Load() < 0 }, "written down")
	cancel()
	require.NoError(t, <-done)
	require.Len(t, o.flows.tried(), 1)
	_, agenda, err := o.Exchange(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Zero(t, agenda.Next, "nothing is owed")
}

func TestTwoDeliveriesOfTheSameDoNotLoseWhatIsNewer(t *testing.T) {
	o := open(t)
	midCall := ask("a")
	midCall.MidCall = true
	c, err := o.Clear(t.Context(), midCall)
	require.NoError(t, err)
	require.True(t, c.Cleared)
	answered, release := make(chan struct{}), make(chan struct{})
	o.flows.fail = func(n int, s signal) error {
		if n == 1 {
			close(answered)
			<-release // the first signal is slow
		}
		return nil
	}
	o.run("")
	require.NoError(t, o.Receive(t.Context(), midCall.Key, nil, []call.Event{{Status: call.StatusAnswered}}, ""))
	<-answered
	o.end("a")
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "the end is told beside it")
	close(release)
	o.stop()
	taken := o.flows.taken()
	require.Len(t, taken, 2)
	require.Equal(t, call.Human, taken[0].arg.(*call.Attempt).Disposition)
	require.Greater(t, taken[0].arg.(*call.Attempt).Seq, taken[1].arg.(*call.Attempt).Seq, "and the flow can tell which is newer")
}

func TestADeliveryThatFailsSlowlyIsTriedAgainAfterItsPauseAndNotAfterItsLease(t *testing.T) {
	o := open(t)
	o.flows.fail = func(n int, _ signal) error {
		if n > 1 {
			return nil
		}
		time.Sleep(300 * time.Millisecond) // long enough for the relay to have gone to sleep
		return serviceerror.NewUnavailable("away")
	}
	o.run("")
	o.dial("a")
	o.end("a")
	o.eventually(func() bool { return len(o.flows.taken()) == 1 }, "delivered")
	tries := o.flows.tried()
	require.Less(t, tries[1].at.Sub(tries[0].at), 10*time.Second)
}
