package activities_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redial/activities"
	"redial/call"
	"redial/followup"
	"redial/internal/logging"
	"redial/ledger"
)

// gateway is a gateway that answers as a test says, and knows what it was asked.
type gateway struct {
	mu     sync.Mutex
	answer func(n int) call.DialAnswer
	dials  []dial
}

type dial struct {
	r      call.DialRequest
	url    string
	sendBy time.Time
}

func (g *gateway) Dial(_ context.Context, r call.DialRequest, url string, sendBy time.Time) call.DialAnswer {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dials = append(g.dials, dial{r, url, sendBy})
	return g.answer(len(g.dials))
}

// urls makes the URLs of attempts, or fails.
type urls struct {
	err     error
	expires map[string]time.Time // by URL; nil notes none
}

func (u urls) NotifyURL(key string, expires time.Time) (string, error) {
	return u.make("https://example.com/notify/"+key, expires)
}

func (u urls) ResultURL(key string, expires time.Time) (string, error) {
	return u.make("https://example.com/result/"+key, expires)
}

func (u urls) make(url string, expires time.Time) (string, error) {
	if expires.IsZero() {
		return "", errors.New("no expiry")
	}
	if u.expires != nil {
		u.expires[url] = expires
	}
	return url, u.err
}

// desk is the activities with a real ledger, in an environment that runs one at a time.
type desk struct {
	*activities.Activities
	t       *testing.T
	env     *testsuite.TestActivityEnvironment
	ledger  *ledger.Ledger
	path    string // of the ledger's file
	logs    *observer.ObservedLogs
	gateway *gateway
}

func open(t *testing.T) *desk {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "redial.db")
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Owner: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	core, logs := observer.New(zap.DebugLevel)
	d := &desk{t: t, ledger: l, path: path, logs: logs, gateway: &gateway{}}
	d.answers(call.DialAnswer{Class: call.AnswerPlaced, SID: "sid", CallID: "call"})
	d.Activities = &activities.Activities{Ledger: l, Gateway: d.gateway, NotifyURLs: urls{}, Caller: "our number", Trunk: "our trunk"}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(logging.ForTemporal(zap.New(core)))
	d.env = suite.NewTestActivityEnvironment()
	d.register()
	return d
}

func (d *desk) register() {
	for name, fn := range map[string]any{activities.NameDialout: d.Dialout, activities.NameConclude: d.Conclude, activities.NameGiveUp: d.GiveUp,
		activities.NameFinish: d.Finish, activities.NameEscalate: d.Escalate} {
		d.env.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

func (d *desk) answers(a ...call.DialAnswer) {
	d.gateway.answer = func(n int) call.DialAnswer { return a[min(n, len(a))-1] }
}

// workflowID is what the test environment calls the workflow of every activity.
const workflowID = "default-test-workflow-id"

var input = activities.DialoutInput{N: 1, FirstRunID: "run", ContactID: "a", To: call.Target{URI: "tel:+14155550100"}}

func (d *desk) dialout(in activities.DialoutInput) (result activities.DialoutResult, err error) {
	d.t.Helper()
	value, err := d.env.ExecuteActivity(activities.NameDialout, in)
	if err != nil {
		return result, err
	}
	require.NoError(d.t, value.Get(&result))
	given := 0
	for _, is := range []bool{result.Attempt != nil, result.Held != nil, result.Refused != nil} {
		if is {
			given++
		}
	}
	require.Equal(d.t, 1, given, "exactly one field is set: %+v", result)
	return result, nil
}

func TestEachAnswerOfTheGatewayBecomesAnAttemptThatIsNotSentAgain(t *testing.T) {
	for class, want := range map[call.AnswerClass]call.State{
		call.AnswerPlaced: call.StatePlaced, call.AnswerUnknown: call.StateUnknown, call.AnswerRefused: call.StateNotPlaced,
	} {
		t.Run(string(class), func(t *testing.T) {
			d := open(t)
			d.answers(call.DialAnswer{Class: class, Message: "because"})
			for range 3 { // the server repeats it: the answer is what is recorded
				result, err := d.dialout(input)
				require.NoError(t, err)
				require.NotNil(t, result.Attempt)
				require.Equal(t, want, result.Attempt.State)
				require.Equal(t, class == call.AnswerRefused, result.Attempt.Permanent)
			}
			require.Len(t, d.gateway.dials, 1)
		})
	}
}

func TestTheDialCarriesWhatThePolicyAndTheDeploymentSay(t *testing.T) {
	d := open(t)
	before := time.Now()
	result, err := d.dialout(input)
	require.NoError(t, err)
	require.Equal(t, "sid", result.Attempt.SID)
	require.Equal(t, call.AttemptKey(workflowID, "run", 1), result.Attempt.Key)
	asked := d.gateway.dials[0]
	require.Equal(t, "https://example.com/notify/"+result.Attempt.Key, asked.url)
	require.Equal(t, "our number", asked.r.Caller)
	require.Equal(t, "our trunk", asked.r.Trunk)
	require.Equal(t, call.DetectionDetect, asked.r.MachineDetection)
	require.Equal(t, 45*time.Second, asked.r.RingTimeout)
	require.WithinRange(t, asked.sendBy, before.Add(followup.SendWithin), time.Now().Add(followup.SendWithin))

	own := input
	own.N, own.Caller, own.Trunk, own.To.URI = 2, "its number", "its trunk", "tel:+14155550101"
	_, err = d.dialout(own)
	require.NoError(t, err)
	require.Equal(t, "its number", d.gateway.dials[1].r.Caller)
	require.Equal(t, "its trunk", d.gateway.dials[1].r.Trunk)
}

func TestAShortWaitIsRetriedByTheServerAtItsTime(t *testing.T) {
	d := open(t)
	d.answers(call.DialAnswer{Class: call.AnswerNotPlaced, Message: "connection refused"})
	_, err := d.dialout(input)
	var held *temporal.ApplicationError
	require.ErrorAs(t, err, &held)
	require.Equal(t, "Held", held.Type())
	require.False(t, held.NonRetryable())
	require.InDelta(t, 5*time.Second, held.NextRetryDelay(), float64(time.Second))
	require.Equal(t, temporal.ApplicationErrorCategoryBenign, held.Category())

	_, err = d.dialout(input) // too early
	require.ErrorAs(t, err, &held)
	require.GreaterOrEqual(t, held.NextRetryDelay(), time.Second, "the server's grain")
	require.Len(t, d.gateway.dials, 1)
}

func TestALongWaitIsTheFlows(t *testing.T) {
	d := open(t)
	require.NoError(t, d.ledger.SetLimits(t.Context(), 1, 0, 0))
	_, err := d.dialout(input)
	require.NoError(t, err)
	other := input
	other.N, other.To.URI = 2, "tel:+14155550101"
	result, err := d.dialout(other)
	require.NoError(t, err)
	require.NotNil(t, result.Held)
	require.Equal(t, followup.ReasonLinesBusy, result.Held.Reason)
	require.True(t, result.Held.Queued)
	require.Len(t, d.gateway.dials, 1)
}

func TestAThrottledDialWaitsInTheQueueHoweverShort(t *testing.T) {
	d := open(t)
	d.answers(call.DialAnswer{Class: call.AnswerThrottled, RetryAfter: time.Second})
	result, err := d.dialout(input)
	require.NoError(t, err)
	require.NotNil(t, result.Held)
	require.Equal(t, followup.ReasonThrottled, result.Held.Reason)
	require.True(t, result.Held.Queued, "all who wait for the account are woken in their order")
	require.Len(t, d.gateway.dials, 1)
}

func TestARefusalIsAResult(t *testing.T) {
	d := open(t)
	_, err := d.dialout(input)
	require.NoError(t, err)
	other := input
	other.FirstRunID = "another run"
	result, err := d.dialout(other)
	require.NoError(t, err)
	require.Equal(t, call.OutcomeDuplicateID, result.Refused.Outcome)
	require.Len(t, d.gateway.dials, 1)
}

func TestACallWithoutANotifyURLIsNeverDialed(t *testing.T) {
	d := open(t)
	d.NotifyURLs = urls{err: errors.New("the key is missing")}
	result, err := d.dialout(input)
	require.NoError(t, err)
	require.Equal(t, call.NotPlaced, result.Attempt.Disposition)
	require.True(t, result.Attempt.Permanent)
	require.Contains(t, result.Attempt.Error, "the key is missing")
	require.Empty(t, d.gateway.dials)
}

func TestTheBotIsToldWhereToHandInItsResult(t *testing.T) {
	d := open(t)
	made := urls{expires: map[string]time.Time{}}
	d.NotifyURLs = made
	in := input
	in.Metadata = map[string]any{"jobPosition": "Software Engineer"}
	result, err := d.dialout(in)
	require.NoError(t, err)
	key := result.Attempt.Key
	asked := d.gateway.dials[0]
	require.Equal(t, map[string]any{"jobPosition": "Software Engineer", "redial_result_url": "https://example.com/result/" + key}, asked.r.Metadata)
	require.Equal(t, 24*time.Hour, made.expires["https://example.com/result/"+key].Sub(made.expires[asked.url]), "a bot may report later than the gateway")
	d.requireNowhereWritten("/result/")

	own := input
	own.N, own.To.URI, own.Metadata = 2, "tel:+14155550101", map[string]any{activities.MetadataResultURL: "mine"}
	_, err = d.dialout(own)
	require.NoError(t, err)
	require.Equal(t, own.Metadata, d.gateway.dials[1].r.Metadata, "who hands in results elsewhere is left alone")
}

// requireNowhereWritten holds that a text is neither in a log nor in the ledger's file.
func (d *desk) requireNowhereWritten(text string) {
	d.t.Helper()
	require.NotEmpty(d.t, d.logs.All())
	for _, e := range d.logs.All() {
		require.NotContains(d.t, fmt.Sprint(e.Message, e.ContextMap()), text)
	}
	files, err := filepath.Glob(d.path + "*")
	require.NoError(d.t, err)
	require.NotEmpty(d.t, files)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(d.t, err)
		require.False(d.t, bytes.Contains(data, []byte(text)), f)
	}
}

// forgetful is a ledger that fails to record answers.
type forgetful struct {
	activities.Ledger
	fails int
	tries int
}

func (f *forgetful) Answer(ctx context.Context, key, owner string, d call.DialAnswer) (call.Attempt, error) {
	f.tries++
	if f.tries <= f.fails {
		return call.Attempt{}, errors.New("database is locked")
	}
	return f.Ledger.Answer(ctx, key, owner, d)
}

func TestAnAnswerThatCannotBeRecordedIsRecordedAgain(t *testing.T) {
	d := open(t)
	f := &forgetful{Ledger: d.ledger, fails: 2}
	d.Activities.Ledger = f
	result, err := d.dialout(input)
	require.NoError(t, err)
	require.Equal(t, call.StatePlaced, result.Attempt.State)
	require.Equal(t, 3, f.tries)
	require.Len(t, d.gateway.dials, 1, "and the call is not made again for it")
}

func TestAnAnswerThatWasLostLeavesTheAttemptUnknownAndUnrepeated(t *testing.T) {
	d := open(t)
	d.Activities.Ledger = &forgetful{Ledger: d.ledger, fails: 1000}
	_, err := d.dialout(input)
	require.ErrorContains(t, err, "database is locked")
	require.Len(t, d.gateway.dials, 1)

	// The server repeats it: another execution, which is another owner.
	d.Activities.Ledger = d.ledger
	repeat := &asOwner{Ledger: d.ledger, owner: "run/1/2"}
	d.Activities.Ledger = repeat
	result, err := d.dialout(input)
	require.NoError(t, err)
	require.Equal(t, call.StateUnknown, result.Attempt.State)
	require.Len(t, d.gateway.dials, 1)
}

// asOwner notes the owners that ask, and puts another in their place.
type asOwner struct {
	activities.Ledger
	owner string
	asked []string
}

func (a *asOwner) Clear(ctx context.Context, r followup.ClearanceRequest) (followup.Clearance, error) {
	a.asked = append(a.asked, r.Owner)
	if a.owner != "" {
		r.Owner = a.owner
	}
	return a.Ledger.Clear(ctx, r)
}

func TestEachExecutionIsAnOwnerOfItsOwn(t *testing.T) {
	d := open(t)
	watch := &asOwner{Ledger: d.ledger}
	d.Activities.Ledger = watch
	for n := 1; n <= 2; n++ {
		in := input
		in.N = n
		_, err := d.dialout(in)
		if n == 1 {
			require.NoError(t, err)
		}
	}
	require.Len(t, watch.asked, 2)
	require.NotEqual(t, watch.asked[0], watch.asked[1])
}

func TestALedgerThatIsAwayIsAnErrorAndNothingIsDialed(t *testing.T) {
	d := open(t)
	require.NoError(t, d.ledger.Close())
	_, err := d.dialout(input)
	require.ErrorContains(t, err, "the ledger is closed")
	require.Empty(t, d.gateway.dials)
}

func TestTheRestOfAContactsLife(t *testing.T) {
	d := open(t)
	result, err := d.dialout(input)
	require.NoError(t, err)
	key := result.Attempt.Key

	value, err := d.env.ExecuteActivity(activities.NameGiveUp, key)
	require.NoError(t, err)
	var attempt call.Attempt
	require.NoError(t, value.Get(&attempt))
	require.Equal(t, call.Unknown, attempt.Disposition)

	escalate := followup.Policy{Escalate: followup.Escalation{Webhook: "https://example.com"},
		On: map[call.Disposition]followup.Rule{call.Unknown: {Do: followup.VerbEscalate}}}
	for _, p := range []followup.Policy{escalate, {}} { // repeated under another policy: what was decided stands
		value, err = d.env.ExecuteActivity(activities.NameConclude, activities.ConcludeInput{WorkflowID: workflowID, Key: key, Policy: p})
		require.NoError(t, err)
		var decision followup.Decision
		require.NoError(t, value.Get(&decision))
		require.Equal(t, followup.ActionEscalate, decision.Action)
	}

	told := activities.EscalateInput{Contact: followup.Escalated{WorkflowID: workflowID, ContactID: "a"}, Webhook: "https://example.com"}
	for range 2 {
		_, err = d.env.ExecuteActivity(activities.NameEscalate, told)
		require.NoError(t, err)
	}
	due, err := d.ledger.Due(t.Context(), ledger.ToSystems, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)

	value, err = d.env.ExecuteActivity(activities.NameFinish, activities.FinishInput{WorkflowID: workflowID, Outcome: call.OutcomeCanceled})
	require.NoError(t, err)
	var outcome call.Outcome
	require.NoError(t, value.Get(&outcome))
	require.Equal(t, call.OutcomeEscalated, outcome, "the first outcome stands")
}
