package callflowtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"redial/activities"
	"redial/call"
	"redial/followup"
	"redial/workflows"
)

// Kit is a stage for one call flow: a gateway that goes by a script, a ledger in memory, and a clock that skips what is waited for.
// It is for one goroutine.
type Kit struct {
	t         testing.TB
	flow      workflows.Definition
	ledger    *Ledger
	scripts   map[string]*Script
	anyNumber *Script
	configure []func(*testsuite.TestWorkflowEnvironment)
	zone      *time.Location
	renew     int // dials and waits of a run after which it is to be renewed; 0: never
	faults    *rand.Rand
	faulty    []Fault
	wakeless  bool
	others    int       // contacts that are none of the test's
	plans     []planned // for the next call

	direct func(s *Script, n int) *Step // in place of what is scripted

	lines, rate int
	window      time.Duration

	*world
	run  *Run // the one under way
	runs int
}

// world is what the goroutines of a run share.
type world struct {
	mu     sync.Mutex
	env    *testsuite.TestWorkflowEnvironment // of the run under way; nil: between runs
	at     time.Time                          // while there is no environment
	agenda agenda
	tick   time.Time                // when pump is called at the latest
	held   map[string]followup.Hold // by attempt: what clearance said, by the virtual clock
	broken []string                 // what the test itself has got wrong
}

// New makes a kit for a flow. It begins on Monday, 2 March 2026, 10:00 in UTC, with neither limits, ceilings nor scripts.
func New(t testing.TB, flow workflows.Definition) *Kit {
	t.Helper()
	k := &Kit{t: t, flow: flow, scripts: map[string]*Script{}, zone: time.UTC,
		world: &world{at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), held: map[string]followup.Hold{}}}
	k.ledger = NewLedger(func() time.Time { return k.Now().UTC() })
	k.ledger.observe = k.observe
	return k
}

// At sets the time at which the next call starts, and with its location the zone in which timelines are printed.
func (k *Kit) At(at time.Time) *Kit {
	k.t.Helper()
	if k.env != nil || at.Before(k.at) && k.runs > 0 {
		k.fatal("At: time only goes forward: name the start before the first call, or a later time")
	}
	k.at, k.zone = at, at.Location()
	return k
}

// On begins the script of a number: what becomes of each dial to it. Asked for again, it goes on with the same script.
func (k *Kit) On(number string) *Script {
	k.t.Helper()
	uri, err := parseTarget(number)
	if err != nil {
		k.fatal("On: " + err.Error())
	}
	if k.scripts[uri] == nil {
		k.scripts[uri] = &Script{kit: k, number: number}
	}
	return k.scripts[uri]
}

// OnAny begins the script of all numbers that have none of their own: they share its steps.
func (k *Kit) OnAny() *Script {
	if k.anyNumber == nil {
		k.anyNumber = &Script{kit: k, number: "any"}
	}
	return k.anyNumber
}

// Lines sets how many calls the account carries at the same time; 0, the default, is no limit.
func (k *Kit) Lines(n int) *Kit {
	k.lines = n
	return k.limit()
}

// Rate sets how many dials the account makes in a window of time; 0, the default, is no limit.
func (k *Kit) Rate(n int, per time.Duration) *Kit {
	k.rate, k.window = n, per
	return k.limit()
}

// Ceilings sets the limits that hold beside those of every policy, as a deployment does with REDIAL_CEILINGS. There are none by
// default, though a deployment has some.
func (k *Kit) Ceilings(limits ...followup.Limit) *Kit {
	k.ledger.SetCeilings(limits...)
	return k
}

func (k *Kit) limit() *Kit {
	_ = k.ledger.SetLimits(k.t.Context(), k.lines, k.rate, k.window)
	k.pump()
	return k
}

// Suppress puts a number on the list of those that must not be called.
func (k *Kit) Suppress(number string) *Kit {
	k.t.Helper()
	uri, err := parseTarget(number)
	if err != nil {
		k.fatal("Suppress: " + err.Error())
	}
	_, _ = k.ledger.Suppress(k.t.Context(), Suppression{Subject: uri, Source: "the test", Reason: "the number is on the suppression list"})
	k.pump()
	return k
}

// PutPolicy puts a policy into the ledger, under its name, or a newer version of it: the runs that follow it (workflows.Input.Follows) go by
// it from now on. After lets that happen in a run.
func (k *Kit) PutPolicy(p followup.Policy) *Kit {
	if err := k.ledger.PutPolicy(k.t.Context(), p, 0); err != nil {
		k.fatal("PutPolicy: " + err.Error())
	}
	k.pump()
	return k
}

// Faults lets something go wrong with every fourth dial, at random and the same for the same seed: one of these faults, or of all.
func (k *Kit) Faults(seed uint64, of ...Fault) *Kit {
	if len(of) == 0 {
		of = AllFaults()
	}
	k.faults, k.faulty = rand.New(rand.NewPCG(seed, 0)), of
	return k
}

// LoseWakes lets no wake reach the flow: what is held ends at its time at the latest.
func (k *Kit) LoseWakes() *Kit {
	k.wakeless = true
	return k
}

// Renew continues the flow in a new run at every wait, as the server suggests it to flows whose history has grown long.
func (k *Kit) Renew() *Kit { return k.RenewEvery(1) }

// RenewEvery continues the flow in a new run at its next wait after so many dials and waits.
func (k *Kit) RenewEvery(n int) *Kit {
	k.renew = n
	return k
}

// Environment prepares the environment of every run of the flow: for mocks of the activities that it brings along.
func (k *Kit) Environment(prepare func(*testsuite.TestWorkflowEnvironment)) *Kit {
	k.configure = append(k.configure, prepare)
	return k
}

// Ledger is the ledger of all of the kit's calls.
func (k *Kit) Ledger() *Ledger { return k.ledger }

// Now is the kit's own time.
func (k *Kit) Now() time.Time {
	if k.env != nil {
		return k.env.Now().In(k.zone)
	}
	return k.at
}

// After does something that long after the next call has started, or after now when one is under way; nothing when the flow has
// ended by then.
func (k *Kit) After(d time.Duration, do func()) *Kit {
	return k.plan(d, func() {
		if k.env != nil {
			do()
		}
	})
}

// planned is something that is to happen in the next call.
type planned struct {
	after time.Duration
	do    func()
}

func (k *Kit) plan(after time.Duration, do func()) *Kit {
	if k.env != nil {
		k.schedule(k.Now().Add(after), do)
	} else {
		k.plans = append(k.plans, planned{after, do})
	}
	return k
}

// CancelAfter asks the run to stop, that long after it has started.
func (k *Kit) CancelAfter(d time.Duration) *Kit {
	return k.After(d, func() {
		k.observe(Event{At: k.Now(), WorkflowID: k.run.id, Kind: KindCanceled, Text: "the run is asked to stop"})
		k.env.CancelWorkflow()
	})
}

// Status asks the flow where it stands; for use in After.
func (k *Kit) Status() (s workflows.Status) {
	k.t.Helper()
	if k.env == nil {
		k.fatal("Status: no flow is under way: ask in After")
	}
	value, err := k.env.QueryWorkflow(workflows.QueryStatus)
	if err == nil {
		err = value.Get(&s)
	}
	if err != nil {
		k.fatal("Status: " + err.Error())
	}
	return s
}

// OtherCall is a call of somebody else to a number, that long after the start: it takes a line and the number for as long as it
// lasts.
func (k *Kit) OtherCall(number string, after, lasts time.Duration) *Kit {
	k.t.Helper()
	uri, err := parseTarget(number)
	if err != nil {
		k.fatal("OtherCall: " + err.Error())
	}
	k.others++
	id := fmt.Sprintf("other/%d", k.others)
	key := call.AttemptKey(id, id, 1)
	k.plan(after, func() {
		ctx := k.t.Context()
		cleared, err := k.ledger.Clear(ctx, followup.ClearanceRequest{Key: key, N: 1, WorkflowID: id, FirstRunID: id, ContactID: id, Owner: id,
			HearFor: lasts + time.Minute, Request: call.DialRequest{To: call.Target{URI: uri}}})
		if err != nil || !cleared.Cleared {
			_, _ = k.ledger.Finish(ctx, id, call.OutcomeCanceled, "there is no room for it")
			return
		}
		_, _ = k.ledger.Answer(ctx, key, id, call.DialAnswer{Class: call.AnswerPlaced})
	})
	return k.plan(after+lasts, func() {
		_ = k.ledger.Receive(k.t.Context(), key, call.Event{Status: call.StatusCompleted, Duration: lasts})
		k.pump()
	})
}

func (k *Kit) fatal(line string) {
	k.t.Helper()
	k.t.Fatal("callflowtest: " + line)
}

// blame notes what the test itself has got wrong, where it cannot be ended at once.
func (k *Kit) blame(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken = append(k.broken, fmt.Sprintf(format, args...))
}

// observe adds to the timeline of the run under way.
func (k *Kit) observe(e Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.run; r != nil && e.WorkflowID == r.id {
		r.events = append(r.events, e)
		if e.escalated != nil {
			r.escalations = append(r.escalations, *e.escalated)
		}
	}
}

// desk is the activities of a run, over the kit's ledger and gateway.
func (k *Kit) desk() *activities.Activities {
	return &activities.Activities{Ledger: clocked{k.ledger, k}, Gateway: gateway{k}, NotifyURLs: addresses{}, Caller: "+14155550199"}
}
