package app

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/phone"
	"redial/starter"
	"redial/workflows"
)

// follower starts a contact that follows a policy of the ledger and waits for an hour after its first call.
func (w *world) follower(number string) starter.Call {
	w.t.Helper()
	require.NoError(w.t, w.simulator.Script(number, "busy+ring=1s,human+ring=1s"))
	to, err := phone.Parse(number, "")
	require.NoError(w.t, err)
	p := slowly()
	p.Name = "reminder"
	c, err := w.starter.Call(w.t.Context(), workflows.NameOutboundCall, workflows.Input{To: to, Policy: p, Follows: p.Name})
	require.NoError(w.t, err)
	return c
}

func (w *world) put(p followup.Policy, every time.Duration) int {
	w.t.Helper()
	p.Name = "reminder"
	put, err := w.ledger.PutPolicy(w.t.Context(), p, "eva", "complaints", every)
	require.NoError(w.t, err)
	return put.Woken
}

func TestThoseWhoSleepUnderAPolicyThatChangesArePlannedAnewOneAfterTheOther(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		const contacts, every = 12, 250 * time.Millisecond
		var calls []starter.Call
		for n := range contacts {
			calls = append(calls, w.follower(fmt.Sprintf("+120255502%02d", n)))
		}
		own := w.start("+12025550299", "busy+ring=1s", slowly())
		for _, c := range append(calls, own) {
			w.awaitState(c, workflows.StateWaiting)
		}
		sooner := slowly()
		sooner.On[call.Busy] = followup.Rule{Retry: []followup.Delay{{After: seconds(1)}}}
		began := time.Now()
		require.Equal(t, contacts, w.put(sooner, every))
		var dialed []time.Time
		for _, c := range calls {
			r := w.result(c)
			require.Equal(t, call.Outcome(call.Human), r.Outcome)
			require.Len(t, r.Attempts, 2)
			dialed = append(dialed, r.Attempts[1].DialedAt)
		}
		slices.SortFunc(dialed, time.Time.Compare)
		require.GreaterOrEqual(t, dialed[contacts-1].Sub(began), (contacts-1)*every, "they are woken one after the other: %v", dialed)
		require.Equal(t, 1, w.waitingFor([]starter.Call{own}, followup.ReasonRetry), "who follows nothing goes by its own policy")
		require.Equal(t, 1, w.placed("+12025550299"))
	})
}

func TestAPolicyThatTightensHoldsForThoseWhoAreNotWokenYet(t *testing.T) {
	inEach(t, func(t *testing.T, at topology) {
		w := at.newWorld(t, worldOptions{})
		first, second := w.follower("+12025550281"), w.follower("+12025550282")
		for _, c := range []starter.Call{first, second} {
			w.awaitState(c, workflows.StateWaiting)
		}
		tight := slowly()
		tight.Limits = limited().Limits
		require.Equal(t, 2, w.put(tight, 10*time.Hour))
		for _, c := range []starter.Call{first, second} { // one of them was not told
			w.steer(c, workflows.UpdateCallNow, workflows.Steering{})
			w.awaitWait(c, followup.ReasonLimit)
		}
		require.Equal(t, 1, w.placed("+12025550281"))
		require.Equal(t, 1, w.placed("+12025550282"))
	})
}
