package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"redial/call"
	"redial/followup"
	"redial/internal/config"
	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/postgres/postgrestest"
	"redial/ledger"
	"redial/phone"
	"redial/relay"
	"redial/simulator"
	"redial/starter"
	"redial/workflows"
)

// world is the whole product on a real Temporal server, with the simulator as the judge of what was placed.
type world struct {
	*local
	t         *testing.T
	simulator *simulator.Simulator
	starter   starter.Starter
}

// worldOptions are what differs between worlds.
type worldOptions struct {
	maxCalls  string
	dialRate  string
	simulator simulator.Config
	temporal  []string           // further arguments of the dev server
	gateway   func(http.Handler) // serves the simulator; nil: the product does
	account   map[string]string  // of the gateway, where the product does not serve it
	flows     []workflows.Definition
	sink      relay.Sink
}

// topology is how the product's roles run.
type topology string

const (
	oneProcess topology = "one process on SQLite"
	rolesApart topology = "roles apart on PostgreSQL"
)

// inEach holds a promise however the roles run.
func inEach(t *testing.T, test func(*testing.T, topology)) {
	t.Helper()
	for _, at := range []topology{oneProcess, rolesApart} {
		t.Run(string(at), func(t *testing.T) { test(t, at) })
	}
}

func newWorld(t *testing.T, o worldOptions) *world {
	t.Helper()
	return oneProcess.newWorld(t, o)
}

func (at topology) newWorld(t *testing.T, o worldOptions) *world {
	t.Helper()
	t.Parallel()
	if o.maxCalls == "" {
		o.maxCalls = "50"
	}
	if o.dialRate == "" {
		o.dialRate = "10000/1m"
	}
	if o.simulator.Speed == 0 {
		o.simulator.Speed = 50
	}
	s, err := simulator.New(o.simulator)
	require.NoError(t, err)
	folder := t.TempDir()
	environment := map[string]string{
		"REDIAL_DATABASE": "sqlite:" + folder + "/redial.db", "REDIAL_MAX_CALLS": o.maxCalls, "REDIAL_DIAL_RATE": o.dialRate, "REDIAL_CEILINGS": "none"}
	maps.Copy(environment, o.account)
	cfg, err := config.From(environment)
	require.NoError(t, err)
	local := localOptions{config: cfg, simulator: s, simulatorAddr: "127.0.0.1:0", webhookAddr: "127.0.0.1:0",
		log:      zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)),
		temporal: devserver.Options{Binary: devservertest.Binary(t), DatabaseFile: folder + "/temporal.db", LogFile: folder + "/temporal.log", ExtraArgs: o.temporal}}
	if at == rolesApart {
		local.config.Database = postgrestest.Template(t, "ledger", migrateLedger)
		local.product = newRolesApart(t)
	}
	if o.gateway != nil {
		o.gateway(s.Handler())
		local.simulator = nil
		local.webhookAddr = strings.TrimPrefix(cfg.NotifyURL, "http://")
		t.Cleanup(func() { _ = s.Close(context.Background()) })
	}
	ctx, err := withFlows(withSink(t.Context(), o.sink), o.flows)
	require.NoError(t, err)
	l, err := startLocal(ctx, local)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return &world{local: l, t: t, simulator: s, starter: starter.Starter{Client: l.client}}
}

func migrateLedger(address string) error {
	l, err := ledger.Open(context.Background(), address, ledger.Options{Migrate: true})
	if err != nil {
		return err
	}
	return l.Close()
}

// newRolesApart is the product with a worker and a webhook that share nothing but the database.
func newRolesApart(t *testing.T) func(context.Context, config.Config, connection, *zap.Logger) (*product, error) {
	return func(ctx context.Context, c config.Config, temporal connection, log *zap.Logger) (*product, error) {
		p, err := newProduct(ctx, c, temporal, log)
		if err != nil {
			return nil, err
		}
		keys, err := c.NotifyKeys()
		if err != nil {
			return nil, err
		}
		hears, err := ownLedger(ctx, c)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { require.NoError(t, hears.Close()) })
		p.hearing, err = newHearing(ctx, c, keys, newHome(temporal, c, hears), log)
		return p, err
	}
}

// impatient is quick with a watchdog of seconds; calls under it ring for a second at most.
func impatient() followup.Policy {
	p := quick()
	p.Dial.RingTimeout = seconds(5)
	return p
}

// quick is a policy whose waits are milliseconds.
func quick() followup.Policy {
	p := followup.Policy{Name: "quick", On: map[call.Disposition]followup.Rule{}}
	p.Dial.RingTimeout, p.Dial.MaxCall, p.Dial.Grace = seconds(60), seconds(1), seconds(1)
	for d, rule := range followup.DefaultRules() {
		for i := range rule.Retry {
			rule.Retry[i] = followup.Delay{After: followup.Duration(100 * time.Millisecond)}
		}
		p.On[d] = rule
	}
	return p.WithDefaults()
}

func seconds(n int) followup.Duration { return followup.Duration(time.Duration(n) * time.Second) }

// start starts a call to number, for which the simulator plays script.
func (w *world) start(number, script string, p followup.Policy) starter.Call {
	w.t.Helper()
	if script != "" {
		require.NoError(w.t, w.simulator.Script(number, script))
	}
	to, err := phone.Parse(number, "")
	require.NoError(w.t, err)
	c, err := w.starter.Call(w.t.Context(), workflows.NameOutboundCall, workflows.Input{To: to, Policy: p})
	require.NoError(w.t, err)
	return c
}

func (w *world) result(c starter.Call) call.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	r, err := w.starter.Result(ctx, c)
	require.NoError(w.t, err)
	return r
}

// awaitRetry waits until a contact waits for its next attempt.
func (w *world) awaitRetry(c starter.Call) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		shown, err := w.ledger.Show(w.t.Context(), c.WorkflowID)
		return err == nil && shown.Wait != nil && shown.Wait.Reason == followup.ReasonRetry
	}, 30*time.Second, 20*time.Millisecond)
}

// placed is how many calls the gateway really placed to a number.
func (w *world) placed(number string) int {
	n := 0
	digits := strings.TrimPrefix(number, "+")
	for _, c := range w.simulator.Calls() {
		if strings.HasSuffix(c.Target, digits) {
			n++
		}
	}
	return n
}

// history is a run's history.
func (w *world) history(c starter.Call) []*historypb.HistoryEvent {
	w.t.Helper()
	var events []*historypb.HistoryEvent
	for i := w.client.GetWorkflowHistory(w.t.Context(), c.WorkflowID, c.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); i.HasNext(); {
		e, err := i.Next()
		require.NoError(w.t, err)
		events = append(events, e)
	}
	return events
}

func kinds(events []*historypb.HistoryEvent) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.EventType.String())
	}
	return names
}

func TestAOneAttemptCallHasNineteenEventsAndSoHasEachFurtherOne(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		one := w.start("+12025550101", "human+ring=20s", quick())
		require.Equal(t, call.Outcome(call.Human), w.result(one).Outcome)
		events := w.history(one)
		requireEvents(t, events, 19, 1)

		two := w.start("+12025550102", "busy+ring=20s,human+ring=20s", quick())
		require.Equal(t, call.Outcome(call.Human), w.result(two).Outcome)
		further := w.history(two)
		requireEvents(t, further, 2*19, 2)
	})
}

func TestAnEscalationAddsSixEvents(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		done := w.start("+12025550101", "human+ring=20s", quick())
		escalated := w.start("+12025550102", "blocked+ring=20s", quick())
		w.result(done)
		r := w.result(escalated)
		require.Equal(t, call.OutcomeEscalated, r.Outcome)
		require.True(t, r.Escalated)
		requireEvents(t, w.history(done), 19, 1)
		requireEvents(t, w.history(escalated), 19+6, 1)
	})
}

func TestWithMoreContactsThanLinesEveryLineIsBusyNoneIsOverTheLimitAndNobodyPolls(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		const lines, contacts = 3, 15
		w := at.newWorld(t, worldOptions{maxCalls: fmt.Sprint(lines)})
		endless := quick()
		endless.Dial.MaxCall = seconds(600)
		watcher := w.watch()
		var calls []starter.Call
		for i := range contacts {
			calls = append(calls, w.start(fmt.Sprintf("+120255501%02d", i), "human+never_ends+ring=1s+amd=amd_human_detected", endless))
		}
		require.Eventually(t, func() bool { return w.waitingFor(calls, followup.ReasonLinesBusy) == contacts-lines }, time.Minute, 10*time.Millisecond)
		require.Equal(t, lines, w.simulator.Stats().Live)
		ended := map[string]bool{}
		require.Eventually(t, func() bool { // hang up whoever is talking
			for _, c := range w.simulator.Calls() {
				if c.Live() && !c.AnsweredAt.IsZero() && !ended[c.SID] && w.simulator.End(c.SID, simulator.ByCaller) == nil {
					ended[c.SID] = true
				}
			}
			return len(ended) == contacts
		}, time.Minute, 5*time.Millisecond)
		for _, c := range calls {
			r := w.result(c)
			require.Contains(t, []call.Outcome{call.Outcome(call.Human), call.Outcome(call.Answered)}, r.Outcome) // hung up before it was decided
			require.Len(t, r.Attempts, 1)
			// A contact that is held is held once, and asks again when it is woken: thirteen events, not a loop of them.
			require.LessOrEqual(t, len(w.history(c)), 19+13, strings.Join(kinds(w.history(c)), "\n"))
		}
		watcher.judge(calls)
		require.Equal(t, lines, w.simulator.Stats().MaxConcurrent)
		require.Equal(t, contacts, w.simulator.Stats().Launched)
	})
}

// waitingFor counts the contacts that wait for a reason.
func (w *world) waitingFor(calls []starter.Call, reason followup.Reason) int {
	n := 0
	for _, c := range calls {
		if shown, err := w.ledger.Show(w.t.Context(), c.WorkflowID); err == nil && shown.Wait != nil && shown.Wait.Reason == reason {
			n++
		}
	}
	return n
}

func TestOneNumberIsNeverInTwoCalls(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		var calls []starter.Call
		for range 4 {
			calls = append(calls, w.start("+12025550101", "human+ring=2s+talk=20s", quick()))
		}
		for _, c := range calls {
			require.Equal(t, call.Outcome(call.Human), w.result(c).Outcome)
		}
		require.Equal(t, 4, w.placed("+12025550101"))
		require.Equal(t, 1, w.simulator.Stats().MaxPerTarget)
	})
}

// seedSamples are the notifications of the gateway's documentation, and their rows of the dispositions' table.
var seedSamples = []struct {
	name, body string
	want       call.Disposition
}{
	{"human", `{"conversationId":"29e2d933-527e-429c-95b9-ba4f7c7bxxxx","reasonCode":"caller-disconnected","status":"completed","reason":"200 OK","duration":14,"machinedetection":"amd_human_detected","callconnecttime":"5/8/2023,11:32:49AM","callDisconnectTime":"5/8/2023,11:33:03AM"}`, call.Human},
	{"machine", `{"conversationId":"29e2d933-527e-429c-95b9-ba4f7c7bxxxx","reasonCode":"SAVG-disconnected","status":"completed","reason":"200 OK","duration":14,"machinedetection":"amd_machine_detected","callconnecttime":"5/8/2023,11:32:49AM","callDisconnectTime":"5/8/2023,11:33:03AM"}`, call.Machine},
	{"disabled", `{"conversationId":"4e010fea-cd93-47a0-a548-36d5f621xxxx","reasonCode":"caller-disconnected","status":"completed","reason":"200 OK","duration":10,"machinedetection":"disabled","callconnecttime":"5/8/2023,11:29:55AM","callDisconnectTime":"5/8/2023,11:30:05AM"}`, call.Answered},
	{"unavailable", `{"conversationId":"305ae3c4-b527-4bfd-ad75-9b6abdaaxxxx","status":"failed","reason":"503 Service Unavailable","machinedetection":"disconnect","callconnecttime":"5/8/2023,11:31:30AM","reasonCode":"Service Unavailable","callDisconnectTime":"5/8/2023,11:31:30AM"}`, call.NetworkError},
	{"busy", `{"conversationId":"80af8588-31c7-4877-a798-a3603c30xxxx","status":"failed","reason":"486 Busy Here","machinedetection":"disconnect","callconnecttime":"5/8/2023,11:36:33AM","reasonCode":"Busy Here","callDisconnectTime":"5/8/2023,11:36:33AM"}`, call.Busy},
	{"temporarily unavailable", `{"conversationId":"40a95de6-949a-4403-b735-233daxxxx","status":"failed","reason":"480 Temporarily Unavailable","machinedetection":"disconnect","callconnecttime":"5/8/2023,11:37:46AM","reasonCode":"Temporarily Unavailable","callDisconnectTime":"5/8/2023,11:37:46AM"}`, call.Unreachable},
}

// once is a policy under which every disposition is the outcome.
func once() followup.Policy {
	p := quick()
	for d := range p.On {
		p.On[d] = followup.Rule{Do: followup.VerbStop}
	}
	return p
}

// notifyURL is where the gateway was told to report on the only call to a number.
func (w *world) notifyURL(number string) string {
	w.t.Helper()
	var url string
	require.Eventually(w.t, func() bool {
		for _, c := range w.simulator.Calls() {
			if strings.HasSuffix(c.Target, strings.TrimPrefix(number, "+")) && c.Answer != "" {
				url = c.NotifyURL
			}
		}
		return url != ""
	}, 10*time.Second, 10*time.Millisecond)
	return url
}

func (w *world) post(url, body string) int {
	w.t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(w.t, err)
	response.Body.Close()
	return response.StatusCode
}

func TestEachSeedSampleDeliveredOverHTTPLeadsToItsRowOfTheTable(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		long := once()
		long.Dial.MaxCall = seconds(600)
		for i, sample := range seedSamples {
			number := fmt.Sprintf("+1202555011%d", i)
			c := w.start(number, "human+never_ends+lost", long)
			require.Equal(t, http.StatusOK, w.post(w.notifyURL(number), sample.body))
			r := w.result(c)
			require.Equal(t, call.Outcome(sample.want), r.Outcome, sample.name)
			require.Equal(t, sample.want, r.Attempts[0].Disposition, sample.name)
			require.Equal(t, 1, w.placed(number))
		}
	})
}

func TestOddDeliveriesChangeNothing(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		for i, c := range []struct {
			name, script string
			want         call.Disposition
		}{
			{"a notification before the dial's answer", "busy+early", call.Busy},
			{"a duplicate", "human+duplicate", call.Human},
			{"a reordered pair", "human+gen2+reorder", call.Human},
			{"a verdict behind the end", "machine+gen2+late_verdict=30s", call.Machine},
			{"a contradiction", "human+contradict", call.Human},
			{"the dial's answer lost", "human+lost_answer", call.Human},
			{"an array", "busy+array", call.Busy},
			{"duration as text and odd keys", "human+string_duration+odd_case", call.Human},
			{"rubbish first", "human+malformed=first", call.Human},
			{"a wrong token first", "human+wrong_token=first", call.Human},
		} {
			number := fmt.Sprintf("+120255501%02d", i)
			running := w.start(number, c.script, once())
			t.Run(c.name, func(t *testing.T) {
				r := w.result(running)
				require.Equal(t, call.Outcome(c.want), r.Outcome)
				require.Len(t, r.Attempts, 1)
				require.Equal(t, 1, w.placed(number))
			})
		}
	})
}

func TestANotificationAfterTheEndIsKeptAndChangesNothing(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		c := w.start("+12025550101", "busy", once())
		require.Equal(t, call.Outcome(call.Busy), w.result(c).Outcome)
		require.Equal(t, http.StatusOK, w.post(w.notifyURL("+12025550101"), seedSamples[0].body))
		shown, err := w.ledger.Show(t.Context(), c.WorkflowID)
		require.NoError(t, err)
		require.Equal(t, call.Outcome(call.Busy), shown.Outcome)
		require.Equal(t, call.Busy, shown.Attempts[0].Disposition)
		require.Len(t, shown.Notifications, 2)
		require.Contains(t, shown.Notifications[1].Note, "a second end says completed")
	})
}

func TestALostEndMakesTheAttemptUnknownAndTheContactStillEnds(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		r := w.result(w.start("+12025550101", "human+lost+ring=1s,human+ring=1s", impatient()))
		require.Equal(t, call.Outcome(call.Human), r.Outcome)
		require.Equal(t, call.Unknown, r.Attempts[0].Disposition)
		require.Equal(t, 2, w.placed("+12025550101"))
	})
}

func TestTheLateEndOfAnUnknownAttemptIsStillBelieved(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		p := impatient()
		p.On[call.Unknown] = followup.Rule{Retry: []followup.Delay{{After: followup.Duration(time.Hour)}}}
		c := w.start("+12025550101", "human+never_ends+lost+ring=1s", p)
		url := w.notifyURL("+12025550101")
		w.awaitRetry(c)
		require.Equal(t, http.StatusOK, w.post(url, seedSamples[0].body))
		r := w.result(c)
		require.Equal(t, call.Outcome(call.Human), r.Outcome)
		require.Equal(t, 1, w.placed("+12025550101"))
	})
}

func TestTheResultIsTheContracts(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		r := w.result(w.start("+12025550101", "machine,human+talk=40s+ended_by=bot", quick()))
		data, err := json.Marshal(r)
		require.NoError(t, err)
		var generic struct {
			Outcome  string
			Attempts []map[string]any
		}
		require.NoError(t, json.Unmarshal(data, &generic))
		require.Equal(t, "human", generic.Outcome)
		last := generic.Attempts[1]
		for _, key := range []string{"n", "key", "disposition", "status", "amd", "sip", "reason", "reason_code", "ended_by", "sid", "call_id",
			"conversation_id", "dialed_at", "answered_at", "ended_at", "duration_s"} {
			require.Contains(t, last, key)
		}
		require.Equal(t, "bot", last["ended_by"])
		require.Equal(t, 40.0, last["duration_s"])
	})
}

func TestAResetToBeforeTheDialTakesTheRecordedOutcomeAndDialsNothing(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		c := w.start("+12025550101", "busy,human", quick())
		before := w.result(c)
		require.Equal(t, call.Outcome(call.Human), before.Outcome)
		again := w.reset(c)
		after := w.result(again)
		require.Equal(t, before.Outcome, after.Outcome)
		require.Equal(t, before.Attempts, after.Attempts)
		require.NotEqual(t, before.RunID, after.RunID)
		require.Equal(t, 2, w.placed("+12025550101"))
	})
}

// reset resets a run to its first workflow task, before anything was dialed.
func (w *world) reset(c starter.Call) starter.Call {
	w.t.Helper()
	var first int64
	for _, e := range w.history(c) {
		if e.EventType == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			first = e.EventId
			break
		}
	}
	r, err := w.client.ResetWorkflowExecution(w.t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: c.WorkflowID, RunId: c.RunID},
		Reason: "test", RequestId: rand.Text(), WorkflowTaskFinishEventId: first})
	require.NoError(w.t, err)
	c.RunID = r.RunId
	return c
}

func TestAContactIDIsRefusedWhileTemporalKnowsItsRunAndAfterItHasForgotten(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		// A run is deleted when the queues of its shard have moved past it, which they note every half minute by default.
		w := at.newWorld(t, worldOptions{temporal: []string{
			"--dynamic-config-value", `history.transferProcessorUpdateAckInterval="100ms"`,
			"--dynamic-config-value", `history.visibilityProcessorUpdateAckInterval="100ms"`,
			"--dynamic-config-value", `history.timerProcessorUpdateAckInterval="100ms"`}})
		to, err := phone.Parse("+12025550101", "")
		require.NoError(t, err)
		in := workflows.Input{ContactID: "anna-7", To: to, Policy: once()}
		first, err := w.starter.Call(t.Context(), workflows.NameOutboundCall, in)
		require.NoError(t, err)
		require.Equal(t, call.Outcome(call.Human), w.result(first).Outcome)

		_, err = w.starter.Call(t.Context(), workflows.NameOutboundCall, in)
		require.ErrorIs(t, err, starter.ErrDuplicateID)

		_, err = w.client.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: first.WorkflowID}})
		require.NoError(t, err)
		var second starter.Call
		require.Eventually(t, func() bool {
			second, err = w.starter.Call(t.Context(), workflows.NameOutboundCall, in)
			return err == nil
		}, 60*time.Second, 50*time.Millisecond, "Temporal does not forget the run")
		r := w.result(second)
		require.Equal(t, call.OutcomeDuplicateID, r.Outcome)
		require.Empty(t, r.Attempts)
		require.Equal(t, 1, w.placed("+12025550101"))
	})
}

func TestNotificationsThatArriveWhileTemporalIsDownAreDeliveredWhenItIsBack(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		const contacts = 8
		w := at.newWorld(t, worldOptions{})
		long := once()
		long.Dial.MaxCall = seconds(600)
		var calls []starter.Call
		var urls []string
		for i := range contacts {
			number := fmt.Sprintf("+1202555011%d", i)
			calls = append(calls, w.start(number, "human+never_ends+lost", long))
			urls = append(urls, w.notifyURL(number))
		}
		for _, c := range calls { // the dial's answer is in the history, or its loss would be what is tested
			require.Eventually(t, func() bool { return slices.Contains(kinds(w.history(c)), "ActivityTaskCompleted") }, 10*time.Second, 10*time.Millisecond)
		}
		w.temporal.Kill()
		for _, url := range urls {
			require.Equal(t, http.StatusOK, w.post(url, seedSamples[0].body))
		}
		require.NoError(t, w.temporal.Restart(t.Context()))
		for _, c := range calls {
			require.Equal(t, call.Outcome(call.Human), w.result(c).Outcome)
		}
		require.Equal(t, contacts, w.simulator.Stats().Launched)
	})
}

func TestACanceledRunEndsWithoutAFurtherCallAndWhatIsInTheAirIsHeardFirst(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		p := quick()
		p.On[call.Busy] = followup.Rule{Retry: []followup.Delay{{After: seconds(3600)}}}
		waiting := w.start("+12025550101", "busy", p)
		w.awaitRetry(waiting)
		talking := w.start("+12025550102", "human+never_ends+lost", func() followup.Policy { p := quick(); p.Dial.MaxCall = seconds(600); return p }())
		url := w.notifyURL("+12025550102")
		for _, c := range []starter.Call{waiting, talking} {
			require.NoError(t, w.client.CancelWorkflow(t.Context(), c.WorkflowID, c.RunID))
		}
		r := w.result(waiting)
		require.Equal(t, call.OutcomeCanceled, r.Outcome)
		require.Equal(t, 1, w.placed("+12025550101"))
		require.Equal(t, http.StatusOK, w.post(url, seedSamples[4].body))
		r = w.result(talking)
		require.Equal(t, call.OutcomeCanceled, r.Outcome)
		require.Equal(t, call.Busy, r.Attempts[0].Disposition)
		require.Equal(t, 1, w.placed("+12025550102"))
		shown, err := w.ledger.Show(t.Context(), talking.WorkflowID)
		require.NoError(t, err)
		require.Equal(t, call.OutcomeCanceled, shown.Outcome)
	})
}

func TestARunThatTemporalRepeatsRefusesToCall(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		run, err := w.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "redial/-/cron", TaskQueue: workflows.TaskQueue, CronSchedule: "@every 1s"},
			workflows.NameOutboundCall, workflows.Input{ContactID: "cron", To: call.Target{URI: "tel:+12025550101"}, Policy: once()})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			events := w.history(starter.Call{WorkflowID: run.GetID(), RunID: run.GetRunID()})
			failed := events[len(events)-1].GetWorkflowExecutionFailedEventAttributes()
			return failed != nil && failed.GetFailure().GetApplicationFailureInfo().GetType() == "RepeatedRun"
		}, 20*time.Second, 50*time.Millisecond)
		require.NoError(t, w.client.TerminateWorkflow(t.Context(), run.GetID(), "", "test"))
		require.Zero(t, w.simulator.Stats().Requests)
	})
}

func TestAnAttemptInDoubtThatAnOperatorSettlesDecidesWhatFollows(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		p := impatient()
		p.On[call.Unknown] = followup.Rule{Retry: []followup.Delay{{After: followup.Duration(time.Hour)}}}
		c := w.start("+12025550101", "human+never_ends+lost+ring=1s", p)
		w.awaitRetry(c)
		doubted, err := w.ledger.UnknownAttempts(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, doubted, 1)
		require.Equal(t, "tel:+12025550101", doubted[0].Request.To.URI)
		_, err = w.ledger.Resolve(t.Context(), doubted[0].Key, call.Human, "test", "she called back")
		require.NoError(t, err)
		require.Equal(t, call.Outcome(call.Human), w.result(c).Outcome)
		_, err = w.ledger.Resolve(t.Context(), doubted[0].Key, call.Busy, "test", "again")
		require.ErrorContains(t, err, "not in doubt")
		require.Equal(t, 1, w.placed("+12025550101"))
	})
}

func TestWithASignatureSecretOnlySignedNotificationsAreBelieved(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{account: map[string]string{"KORE_SIGNATURE_SECRET": simulator.DefaultSignatureSecret}})
		require.Equal(t, call.Outcome(call.Human), w.result(w.start("+12025550101", "human", once())).Outcome)

		p := impatient()
		p.On[call.Unknown] = followup.Rule{Retry: []followup.Delay{{After: followup.Duration(time.Hour)}}}
		unsigned := w.start("+12025550102", "human+lost+ring=1s", p)
		require.Equal(t, http.StatusOK, w.post(w.notifyURL("+12025550102"), seedSamples[0].body))
		w.awaitRetry(unsigned)
		shown, err := w.ledger.Show(t.Context(), unsigned.WorkflowID)
		require.NoError(t, err)
		require.Equal(t, call.Unknown, shown.Attempts[0].Disposition)
		require.Len(t, shown.Notifications, 1, "what is not believed is kept")
		require.Contains(t, shown.Notifications[0].Note, "signature")
	})
}

func TestAGatewayThatThrottlesSlowsTheWholeAccountAndIsNotHammered(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		// Two requests a second are taken, and a dozen leave together.
		const contacts = 12
		w := at.newWorld(t, worldOptions{maxCalls: "12", simulator: simulator.Config{PlainNumbers: true, Speed: 60, RatePerMinute: 2, RetryAfter: true}})
		watcher := w.watch()
		var calls []starter.Call
		for i := range contacts {
			calls = append(calls, w.start(fmt.Sprintf("+1202%07d", 2000000+i), "human+ring=1s+talk=5s", quick()))
		}
		for _, c := range calls {
			r := w.result(c)
			require.Equal(t, call.Outcome(call.Human), r.Outcome)
			require.Len(t, r.Attempts, 1, "a refusal for the rate costs no attempt")
		}
		watcher.judge(calls)
		stats := w.simulator.Stats()
		require.Equal(t, contacts, stats.Launched)
		require.NotZero(t, stats.Refused["rate_limit"], "nothing was throttled")
		require.Less(t, stats.Refused["rate_limit"], 3*contacts, "the gateway is hammered")
	})
}

func TestEachOutcomeInBothGenerationsIsReadAsWhatItWas(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{simulator: simulator.Config{PlainNumbers: true}})
		outcomes := map[string]call.Disposition{
			"human": call.Human, "machine": call.Machine, "tone": call.Machine, "stopped_speaking": call.Machine, "silent": call.Silent,
			"undecided": call.Undecided, "amd_error": call.AMDFailed, "answered": call.Answered,
			"busy": call.Busy, "sip=600": call.Busy, "no_answer": call.NoAnswer, "sip=408": call.NoAnswer, "unreachable": call.Unreachable,
			"declined": call.Declined, "unwanted": call.Unwanted, "blocked": call.Blocked, "invalid_number": call.InvalidNumber, "sip=410": call.InvalidNumber,
			"sip=484": call.InvalidNumber, "sip=485": call.InvalidNumber, "sip=604": call.InvalidNumber, "trunk_error": call.TrunkError, "sip=401": call.TrunkError,
			"sip=407": call.TrunkError, "sip=488": call.TrunkError, "sip=606": call.TrunkError, "network_error": call.NetworkError, "sip=500": call.NetworkError,
			"sip=502": call.NetworkError, "sip=504": call.NetworkError, "failed": call.Failed, "sip=699": call.Failed,
		}
		running := map[string]starter.Call{}
		n := 0
		for outcome := range outcomes {
			for _, generation := range []string{"gen1", "gen2"} {
				n++
				script := outcome + "+" + generation
				running[script] = w.start(fmt.Sprintf("+1202%07d", 2000000+n), script, once())
			}
		}
		for script, c := range running {
			outcome := script[:strings.LastIndex(script, "+")]
			r := w.result(c)
			require.Equal(t, call.Outcome(outcomes[outcome]), r.Outcome, script)
			require.Equal(t, outcomes[outcome], r.Attempts[0].Disposition, script)
		}
		require.Equal(t, n, w.simulator.Stats().Launched)
	})
}
