package app

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"redial/call"
	"redial/followup"
	"redial/starter"
	"redial/workflows"
)

var record = flag.Bool("record", false, "record runs of the standard flow under workflows/testdata")

// TestRecordHistories records a run of every branch of the standard flow on a real server, for the replay tests of
// package workflows. Recordings of earlier versions stay: they are what must keep replaying.
func TestRecordHistories(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	w := newWorld(t, worldOptions{maxCalls: "1"})
	patient := quick()
	patient.On[call.Unreachable] = followup.Rule{Retry: []followup.Delay{{After: seconds(3600)}}}
	suspended := impatient()
	suspended.On[call.Unknown] = followup.Rule{Retry: []followup.Delay{{After: seconds(3600)}}}

	w.save("reached-at-the-first-attempt", w.start("+12025550101", "human+ring=2s", quick()))
	w.save("busy-and-then-reached", w.start("+12025550102", "busy,human", quick()))
	w.save("ended-before-the-dial-answer", w.start("+12025550103", "busy+early,human", quick()))
	w.save("retries-used-up-and-escalated", w.start("+12025550104", "machine", quick()))
	w.save("never-heard-of-and-then-reached", w.start("+12025550105", "human+lost+ring=1s,human+ring=1s", impatient()))
	w.save("refused-by-the-gateway", w.start("+12025550106", "http=400", quick()))

	holding, held := w.start("+12025550107", "human+ring=2s+talk=120s", quick()), w.start("+12025550108", "human+ring=2s", quick())
	w.save("reached-after-a-hold", held)
	w.result(holding)

	late := w.start("+12025550109", "human+never_ends+lost+ring=1s", suspended)
	url := w.notifyURL("+12025550109")
	w.awaitRetry(late)
	require.Equal(t, http.StatusOK, w.post(url, seedSamples[0].body))
	w.save("the-late-end-of-an-unknown-attempt", late)

	waiting := w.start("+12025550110", "unreachable", patient)
	w.awaitRetry(waiting)
	require.NoError(t, w.client.CancelWorkflow(t.Context(), waiting.WorkflowID, waiting.RunID))
	w.save("canceled-while-waiting", waiting)
}

// TestRecordHistoriesOfRules records what calling rules add to the standard flow.
func TestRecordHistoriesOfRules(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	w := newWorld(t, worldOptions{})
	limited := quick()
	limited.Limits = []followup.Limit{{Calls: 1, Per: followup.Span{For: seconds(10)}}}
	w.result(w.start("+12025550111", "human+ring=1s", limited))
	w.save("held-by-a-limit", w.start("+12025550111", "human+ring=1s", limited))

	several := quick()
	several.On[call.InvalidNumber] = followup.Rule{Do: followup.VerbNextNumber}
	first, second := w.script("+12025550112", "invalid_number+ring=1s"), w.script("+12025550113", "human+ring=1s")
	c, err := w.starter.Call(t.Context(), workflows.NameOutboundCall, workflows.Input{To: first, Further: []call.Target{second}, Policy: several})
	require.NoError(t, err)
	w.save("the-next-number", c)
}

// TestRecordHistoriesOfSteering records what people, and policies that change, do to a run.
func TestRecordHistoriesOfSteering(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	w := newWorld(t, worldOptions{})
	sleeps := func(c starter.Call) starter.Call {
		w.awaitState(c, workflows.StateWaiting)
		return c
	}
	soon, stop := quick(), quick()
	soon.On[call.Busy] = followup.Rule{Retry: []followup.Delay{{After: seconds(3)}}}
	stop.On[call.Busy] = followup.Rule{Do: followup.VerbStop}

	follows := sleeps(w.follower("+12025550121"))
	require.Equal(t, 1, w.put(soon, 0))
	w.save("replanned-because-its-policy-has-changed", follows)
	given := sleeps(w.start("+12025550122", "busy+ring=1s", slowly()))
	w.steer(given, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(stop)})
	w.save("ended-by-the-policy-that-it-was-given", given)
	held := w.start("+12025550123", "busy+ring=1s,human+ring=1s", limited())
	w.awaitState(held, workflows.StateHeld)
	w.steer(held, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(soon)})
	w.save("given-another-policy-while-held", held)
	paused := sleeps(w.start("+12025550124", "busy+ring=1s,human+ring=1s", slowly()))
	w.steer(paused, workflows.UpdatePause, workflows.Steering{Reason: "a complaint"})
	w.steer(paused, workflows.UpdateResume, workflows.Steering{})
	w.steer(paused, workflows.UpdateReschedule, workflows.Steering{At: time.Now().Add(time.Hour)})
	w.steer(paused, workflows.UpdateCallNow, workflows.Steering{})
	w.save("paused-resumed-rescheduled-and-called-now", paused)
	out := sleeps(w.start("+12025550125", "busy+ring=1s", slowly()))
	w.steer(out, workflows.UpdateOptOut, workflows.Steering{Reason: "said so"})
	w.save("opted-out-while-asleep", out)
}

// TestRecordHistoriesOfSteeringInACall records what people ask of a run while a call is under way.
func TestRecordHistoriesOfSteeringInACall(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	w := newWorld(t, worldOptions{})
	in, p := situations["in a call"], talkative()
	p.On[call.Busy] = slowly().On[call.Busy]
	const number = "+12025550114"
	c := w.start(number, "human+never_ends+lost,human+ring=1s", p)
	w.notifyURL(number)
	for _, update := range []string{workflows.UpdatePause, workflows.UpdateResume, workflows.UpdatePause} {
		w.steer(c, update, workflows.Steering{Reason: "a complaint"})
	}
	w.landed(in, number)
	w.awaitWait(c, followup.ReasonPaused)
	for _, update := range []string{workflows.UpdateResume, workflows.UpdateCallNow} {
		w.steer(c, update, workflows.Steering{})
	}
	w.save("paused-in-a-call", c)
}

// TestRecordHistoriesOfEndings records a run that is canceled in mid-call, and one that is resumed under another policy.
func TestRecordHistoriesOfEndings(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	w := newWorld(t, worldOptions{})
	in := situations["in a call"]
	const number = "+12025550115"
	c := w.start(number, "human+never_ends+lost,human+ring=1s", talkative())
	w.notifyURL(number)
	w.steer(c, workflows.UpdateCancel, workflows.Steering{Reason: "returned"})
	w.landed(in, number)
	w.save("canceled-in-a-call", c)

	soon := quick()
	soon.On[call.Busy] = followup.Rule{Retry: []followup.Delay{{After: seconds(3)}}}
	c = w.start("+12025550116", "busy+ring=1s,human+ring=1s", slowly())
	w.awaitState(c, workflows.StateWaiting)
	w.steer(c, workflows.UpdatePause, workflows.Steering{})
	w.steer(c, workflows.UpdateChangePolicy, workflows.Steering{Policy: document(soon)})
	w.steer(c, workflows.UpdateResume, workflows.Steering{})
	w.save("resumed-under-another-policy", c)
}

// save waits for a run's end and writes its history.
func (w *world) save(name string, c starter.Call) {
	w.t.Helper()
	w.result(c)
	var h historypb.History
	for i := w.client.GetWorkflowHistory(w.t.Context(), c.WorkflowID, c.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); i.HasNext(); {
		e, err := i.Next()
		require.NoError(w.t, err)
		h.Events = append(h.Events, e)
	}
	data, err := protojson.MarshalOptions{Indent: " "}.Marshal(&h)
	require.NoError(w.t, err)
	folder := filepath.Join("..", "workflows", "testdata")
	require.NoError(w.t, os.MkdirAll(folder, 0o755))
	require.NoError(w.t, os.WriteFile(filepath.Join(folder, name+".json"), data, 0o644))
}
