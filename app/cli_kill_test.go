//go:build unix

package app_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/notify"
	"redial/internal/token"
	"redial/ledger"
)

// impatience is a policy whose watchdog bites while the dial of a dead worker is waited for (35 s), and whose retries
// follow at once.
const impatience = `
dial: {ring_timeout: 5s, max_call: 15s, grace: 1s}
on: {unknown: {retry: [10ms], then: escalate}, human: done}
`

// trust is a policy whose watchdog does not bite while redial is started again.
const trust = `
dial: {ring_timeout: 5s, max_call: 2m, grace: 1s}
on: {unknown: escalate, human: done}
`

// answering is somebody who answers within the five seconds that these policies let a phone ring.
const answering = "human+ring=1s"

// killing is a test of kill -9: a deployment whose ledger is watched closely.
type killing struct {
	stage
	ledger *ledger.Ledger
}

func newKilling(t *testing.T) killing {
	t.Helper()
	s := newStage(t)
	s.file(t, "impatience.yaml", impatience)
	s.file(t, "trust.yaml", trust)
	return killing{s, s.openLedger(t)}
}

func (k killing) call(t *testing.T, id, to, policy, script string) {
	t.Helper()
	k.must(t, "call", "--id", id, "--to", to, "--policy", policy, "--metadata", "simulate="+script)
}

// attempts are a contact's attempts, as the ledger has them now.
func (k killing) attempts(t *testing.T, id string) []call.Attempt {
	t.Helper()
	c, err := k.ledger.Show(t.Context(), id)
	if err != nil {
		return nil // not dialed yet
	}
	return c.Folded()
}

// reaches waits until a contact's first attempt is in a state.
func (k killing) reaches(t *testing.T, id string, state call.State) {
	t.Helper()
	eventually(t, id+" to be "+string(state), func() bool {
		attempts := k.attempts(t, id)
		return len(attempts) > 0 && attempts[0].State == state
	})
}

// requireOneDialPerAttempt compares the attempts of a result with what the gateway says it placed: one call for each that
// was placed.
func (k killing) requireOneDialPerAttempt(t *testing.T, target string, calls int) {
	t.Helper()
	require.Equal(t, calls, k.placedOnceEach(t, target))
}

// placedOnceEach counts the calls that the gateway placed to a target, each of which must be of an attempt of its own: that is in its
// notify URL, which differs between two dials of one attempt.
func (s stage) placedOnceEach(t *testing.T, target string) int {
	t.Helper()
	keys, err := token.ParseKeys(s.environment["REDIAL_NOTIFY_SECRET"])
	require.NoError(t, err)
	placed := map[string]bool{}
	for _, c := range s.gateway.calls(t, target) {
		_, named, found := strings.Cut(c.NotifyURL, notify.Path)
		require.True(t, found)
		attempt, _, err := keys.Open(named, time.Now())
		require.NoError(t, err)
		require.False(t, placed[attempt], "attempt %s was dialed twice", attempt)
		placed[attempt] = true
	}
	return len(placed)
}

func dispositions(r call.Result) (d []call.Disposition) {
	for _, a := range r.Attempts {
		d = append(d, a.Disposition)
	}
	return d
}

func TestKilledBetweenTheIntentAndTheRequestTheAttemptIsUnknownAndNeverSent(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	wall := newStall(t)
	stalled := k.stage
	stalled.program = k.with("KORE_BASE_URL=https://" + wall.address)
	up := stalled.up(t)
	k.call(t, "anna", anna, "impatience.yaml", answering)
	wall.reached(t)
	k.reaches(t, "anna", call.StateDialing)
	up.kill()

	k.up(t)
	r := k.result(t, "anna")
	require.Equal(t, []call.Disposition{call.Unknown, call.Human}, dispositions(r))
	require.Equal(t, call.Outcome(call.Human), r.Outcome)
	require.Contains(t, r.Attempts[0].Error, "did not record an answer")
	require.Equal(t, 1, wall.connections(), "the attempt was sent again")
	k.requireOneDialPerAttempt(t, anna, 1)
	require.Equal(t, 1, k.gateway.stats(t).Requests)
}

// TestKilledWhileCallsAreUnderWay kills one process while four calls are under way: two that the gateway has placed and
// not answered for, two that it has. The end of one of each kind is reported to nobody, that of the other to the next
// process.
func TestKilledWhileCallsAreUnderWay(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	up := k.up(t)
	const talking = answering + "+never_ends+lost=amd"
	reached := []call.Disposition{call.Human}
	doubted := []call.Disposition{call.Unknown, call.Human}
	contacts := []struct {
		name, id, to, policy, script string
		state                        call.State // when the process is killed
		heard                        bool       // the end of the call, by the next process
		want                         []call.Disposition
		error                        string
	}{
		{"placed, and its end is heard later", "anna", "+14155550101", "trust.yaml", talking, call.StatePlaced, true, reached, ""},
		{"in doubt, and its end is heard later", "bert", "+14155550102", "trust.yaml", talking + "+slow_answer=15s", call.StateDialing, true, reached, ""},
		{"placed, and its end is lost", "cleo", "+14155550103", "impatience.yaml", talking + "," + answering, call.StatePlaced, false,
			doubted, "no notification of the call's end"},
		{"in doubt, and its end is lost", "dora", "+14155550104", "impatience.yaml", talking + "+slow_answer=15s," + answering, call.StateDialing, false,
			doubted, "did not record an answer"},
	}
	for _, c := range contacts {
		k.call(t, c.id, c.to, c.policy, c.script)
	}
	for _, c := range contacts {
		eventually(t, "the gateway to place the call of "+c.id, func() bool { return len(k.gateway.calls(t, c.to)) == 1 })
		k.reaches(t, c.id, c.state)
	}
	up.kill()
	for _, c := range contacts {
		if !c.heard {
			k.gateway.hangUp(t, c.to)
			eventually(t, "the end of the call to be reported, once and in vain", func() bool {
				said := k.gateway.calls(t, c.to)[0].Notifications
				return len(said) > 0 && said[len(said)-1].Event == "completed" && said[len(said)-1].Error != ""
			})
		}
	}

	k.up(t)
	for _, c := range contacts {
		if c.heard {
			k.gateway.hangUp(t, c.to)
		}
	}
	for _, c := range contacts {
		t.Run(c.name, func(t *testing.T) {
			r := k.result(t, c.id)
			require.Equal(t, c.want, dispositions(r))
			require.Equal(t, call.Outcome(call.Human), r.Outcome)
			require.Contains(t, r.Attempts[0].Error, c.error)
			k.requireOneDialPerAttempt(t, c.to, len(c.want))
		})
	}
	require.Zero(t, k.gateway.stats(t).DuplicateDials)
	require.Equal(t, 1, k.gateway.stats(t).MaxPerTarget)
}

// stall is a gateway that takes connections and never says a word: no request can be written to it, for TLS comes first.
type stall struct {
	address string
	mu      sync.Mutex
	open    []net.Conn
}

func newStall(t *testing.T) *stall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &stall{address: l.Addr().String()}
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.open {
			_ = c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *stall) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// reached waits until somebody asks for TLS.
func (s *stall) reached(t *testing.T) {
	t.Helper()
	eventually(t, "a connection", func() bool { return s.connections() == 1 })
	s.mu.Lock()
	defer s.mu.Unlock()
	const handshake = 0x16
	first := make([]byte, 1)
	_, err := io.ReadFull(s.open[0], first)
	require.NoError(t, err)
	require.Equal(t, byte(handshake), first[0])
}
