package relay_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// desk is a sink that does what a test says.
type desk struct {
	mu    sync.Mutex
	ids   []string
	told  []ledger.Story
	takes func(ctx context.Context, n int) error // nil: all are taken
}

func (d *desk) Escalate(ctx context.Context, id string, story ledger.Story) error {
	d.mu.Lock()
	d.ids, d.told = append(d.ids, id), append(d.told, story)
	n := len(d.ids)
	d.mu.Unlock()
	if d.takes == nil {
		return nil
	}
	return d.takes(ctx, n)
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids)
}

func TestASinkIsToldTheWholeStoryAgainUnderTheSameIDUntilItHasTakenIt(t *testing.T) {
	o := open(t)
	const name, phone = "Anna Miller", "+14155550142"
	d := &desk{takes: func(_ context.Context, n int) error {
		switch n {
		case 1:
			return errors.New("no ticket for " + name + ",\nwhose number is " + phone)
		case 2:
			panic("no desk for " + name + " at " + phone)
		}
		return nil
	}}
	o.sink = d
	o.run("")
	o.dial("a")
	require.NoError(t, o.Receive(t.Context(), ask("a").Key, []byte("{}"), []call.Event{{Status: call.StatusFailed, SIP: 486, Reason: "486 Busy Here"}}, ""))
	require.NoError(t, o.Note(t.Context(), ask("a").WorkflowID, []followup.Note{{N: 1, At: time.Now().UTC(), Text: "the order is late"}}))
	_, err := o.Conclude(t.Context(), ask("a").WorkflowID, ask("a").Key,
		followup.Policy{Name: "strict", On: map[call.Disposition]followup.Rule{call.Busy: {Do: followup.VerbEscalate}}})
	require.NoError(t, err)
	o.eventually(func() bool { return d.count() == 2 }, "two tries")
	o.eventually(func() bool { return o.escalation("a").LastError == "it panicked: no desk for "+name+" at "+phone }, "why it failed")
	o.eventually(func() bool { return !o.escalation("a").DeliveredAt.IsZero() }, "taken")
	require.Equal(t, 3, o.escalation("a").Tries)
	require.Equal(t, []string{"escalation/" + ask("a").WorkflowID, d.ids[0], d.ids[0]}, d.ids)
	require.Equal(t, []ledger.Story{d.told[0], d.told[0]}, d.told[1:])
	story := d.told[0]
	require.Equal(t, []any{"a", "sip:a@example.com", "busy", "strict: on.busy: escalate"}, []any{story.ContactID, story.To, story.Reason, story.Rule})
	require.Equal(t, call.Busy, story.Attempts[0].Disposition)
	var kinds []string
	for _, decided := range story.Decisions {
		kinds = append(kinds, decided.Kind)
	}
	require.Equal(t, []string{"cleared", "note"}, kinds)
	for _, e := range o.logs.All() {
		said := fmt.Sprint(e.Message, e.ContextMap())
		require.NotContains(t, said, name)
		require.NotContains(t, said, phone[4:])
	}
}

func TestTheInboxIsLeftAloneWithoutASinkAndGivenToOneThatIsBroughtLater(t *testing.T) {
	rc := receive(t, func(int, http.ResponseWriter, *http.Request) {})
	o := open(t)
	o.run(secret)
	for contact, url := range map[string]string{"a": "", "seen-to": "", "webhook": rc.URL} {
		o.dial(contact)
		o.escalate(contact, url)
	}
	_, _, err := o.Acknowledge(t.Context(), "seen-to", "eva", "")
	require.NoError(t, err)
	o.eventually(func() bool { return !o.escalation("webhook").DeliveredAt.IsZero() }, "the webhook")
	o.stop()
	require.Equal(t, ledger.Escalation{}, o.escalation("a"))
	d := &desk{}
	o.sink = d
	o.run(secret)
	o.eventually(func() bool { return !o.escalation("a").DeliveredAt.IsZero() }, "taken")
	o.dial("b")
	o.escalate("b", "")
	o.eventually(func() bool { return !o.escalation("b").DeliveredAt.IsZero() }, "taken")
	o.stop()
	require.Equal(t, 2, d.count())
	require.Equal(t, 1, rc.count())
	require.Zero(t, o.escalation("seen-to").DeliveredAt)
}

func TestASinkThatDoesNotReturnHoldsUpNoCallAndNoWebhook(t *testing.T) {
	rc := receive(t, func(int, http.ResponseWriter, *http.Request) {})
	o := open(t)
	release := make(chan struct{})
	d := &desk{takes: func(context.Context, int) error { <-release; return nil }}
	o.sink = d
	o.run(secret)
	const many = 100
	for i := range many {
		o.dial(fmt.Sprint(i))
		o.escalate(fmt.Sprint(i), "")
	}
	o.eventually(func() bool { return d.count() >= 32 }, "every slot of the sink is taken")
	o.dial("webhook")
	o.escalate("webhook", rc.URL)
	for i := range many {
		o.end(fmt.Sprint(i))
	}
	o.eventually(func() bool { return len(o.flows.taken()) == many }, "and yet the flows are told")
	o.eventually(func() bool { return rc.count() == 1 }, "and so is the receiver of a webhook")
	require.Equal(t, 32, d.count(), "what has no slot is not taken from the ledger")
	close(release)
	o.eventually(func() bool { return d.count() == many }, "the others come to their turn")
}

func TestStoppingWaitsForASinkThatIsInItsTime(t *testing.T) {
	o := open(t)
	under, release := make(chan struct{}), make(chan struct{})
	o.sink = &desk{takes: func(ctx context.Context, _ int) error {
		close(under)
		<-release
		return ctx.Err()
	}}
	o.run("")
	o.dial("a")
	o.escalate("a", "")
	<-under
	time.AfterFunc(50*time.Millisecond, func() { close(release) }) // it may only ever be too short to catch what is wrong
	o.stop()
	require.False(t, o.escalation("a").DeliveredAt.IsZero(), "it is written down, and was not cut short")
}
