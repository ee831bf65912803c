package simulator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
)

// Simulator is one gateway account. Its methods may be called from any goroutine.
type Simulator struct {
	config   Config
	clock    *clock
	verifier *verifier
	courier  *courier
	engine   *gin.Engine
	log      *zap.Logger

	life    context.Context // until Close; every timer of a call hangs on it
	endLife context.CancelFunc
	posts   context.Context // of the notifications under way, which Close waits for
	endPost context.CancelFunc
	work    sync.WaitGroup // calls, and the notifications they have begun

	mu      sync.Mutex
	closed  bool
	profile weighed
	scripts map[string]script
	outage  *outage
	era     *era
}

// era is everything that was seen between two resets.
type era struct {
	life context.Context
	end  context.CancelFunc

	calls     []*liveCall
	bySID     map[string]*liveCall
	dials     map[string]int // by target: how many dials a script has answered
	live      int
	byTarget  map[string]int
	byTrunk   map[string]int
	overlaps  map[string]bool
	notifyURL map[string]bool
	requests  window
	stats     Stats
}

// New makes a gateway. It serves once its [Simulator.Handler] does, and holds goroutines until [Simulator.Close].
//
// The error lists everything that is wrong with the configuration, a line each.
func New(config Config) (*Simulator, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("simulator configuration: %w", err)
	}
	profile, err := config.Profile.ready()
	if err != nil {
		return nil, fmt.Errorf("simulator configuration: %w", err)
	}
	clock := newClock(config)
	s := &Simulator{
		config:   config,
		profile:  profile,
		clock:    clock,
		verifier: newVerifier(config),
		courier:  newCourier(config, clock),
		log:      config.Logger,
		scripts:  map[string]script{},
	}
	s.life, s.endLife = context.WithCancel(context.Background())
	s.posts, s.endPost = context.WithCancel(context.Background())
	s.era = s.newEra()
	s.engine = s.routes()
	return s, nil
}

func (s *Simulator) newEra() *era {
	e := &era{
		bySID: map[string]*liveCall{}, dials: map[string]int{},
		byTarget: map[string]int{}, byTrunk: map[string]int{}, overlaps: map[string]bool{}, notifyURL: map[string]bool{},
		requests: window{span: s.clock.real(time.Minute), limit: s.config.RatePerMinute},
		stats:    Stats{Refused: map[string]int{}},
	}
	e.life, e.end = context.WithCancel(s.life)
	return e
}

// Handler serves the dialout API, the inspection endpoints under /simulator, and /healthz.
func (s *Simulator) Handler() http.Handler { return s.engine }

// ErrClosed is the error of what a simulator cannot do after [Simulator.Close].
var ErrClosed = errors.New("the simulator is closed")

// Advance moves the gateway's clock ahead, by up to a week: everything that is due within that time happens now, in order,
// and each with all that it brings about. A notification is out and answered before the next event begins, a call that the
// receiver places meanwhile is lived through as far as the time goes, and when Advance returns nothing is under way. An
// advance by nothing waits for that alone.
//
// It waits for receivers, each up to the ten seconds that the gateway gives them, until ctx ends; the clock then stays
// where it got to. A receiver must not call it from within a notification, which would wait for itself. What the HTTP
// client sees does not move: the expiry of tokens, slow_answer, Retry-After.
func (s *Simulator) Advance(ctx context.Context, by time.Duration) error {
	if by < 0 || by > longest {
		return fmt.Errorf("simulator: advance by %s: give a duration from 0s to %s", by, longest)
	}
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	err := s.clock.advance(open, by)
	switch {
	case s.life.Err() != nil:
		return fmt.Errorf("simulator: advance by %s: %w", by, ErrClosed)
	case err != nil:
		return fmt.Errorf("simulator: advance by %s: something is still under way: %w", by, err)
	}
	return nil
}

// Close hangs up every call without a word, drops notifications whose time has not come, and waits for those under
// way until they are answered or ctx ends, when they are cut off and the error of ctx is returned. From then on dialout requests
// are refused with 503. A second Close does nothing more than wait.
func (s *Simulator) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.endLife()

	idle := make(chan struct{})
	go func() {
		s.work.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("simulator close: notifications were still under way: %w", ctx.Err())
		s.endPost()
		<-idle
	}
	s.endPost()
	s.clock.alarm.Stop()
	s.courier.client.CloseIdleConnections()
	return err
}

// Script tells what becomes of the dials of a target, from its next dial on; an empty script takes an earlier one back.
// The target is a tel: or sip: URI, or a bare telephone number; all spellings of a number are one target.
//
// A script is steps joined by commas, one for each dial of the target in turn, counted since the last [Simulator.Reset];
// the last step repeats. A step is an outcome and options joined by plus signs; values follow an equals sign:
//
//	busy,machine,human+talk=40s+ring=3s
//	human+lost
//	http=500+placed
//
// Outcomes: human, machine, tone, stopped_speaking, silent, undecided, amd_error, answered; busy, no_answer, unreachable,
// declined, unwanted, blocked, invalid_number, trunk_error, network_error, failed. Without one, the outcome is human, or that of sip=NNN.
//
// Options of the call: sip=NNN (300 to 999), no_code, ring=D, pdd=D (post-dial delay, before it rings), talk=D, long[=D],
// never_ends, words=N, beep[=D], amd=EVENT|mode|none, ended_by=caller|bot|gateway, gen1, gen2.
//
// Options of the answer: http=NNN (300 to 599), placed, retry_after=D, reset_before, lost_answer, rubbish, no_ids, slow_answer=D, early.
//
// Options of the notifications: lost[=terminal|answered|amd|all], late[=D], late_events[=D], late_verdict[=D], reorder, duplicate, contradict,
// malformed[=instead|first], wrong_token[=instead|first], missing[=FIELD], array, string_duration, odd_case, day_first.
//
// Options of the bot, for calls that are answered: result=confirmed|declined|callback|opted_out|unfinished, callback_in=D, late_result[=D],
// duplicate_result, contradict_result.
//
// The README of the package explains each. D is a Go duration on the gateway's clock, up to a week; slow_answer, retry_after and
// callback_in are real time. A script that comes from here wins over the string metadata.simulate of the request, which wins over what the target itself asks
// for (sip:busy@…, or last digits such as 0486), which wins over the [Profile].
//
// The error is one line that names the step and the remedy, and leaves the earlier script in place.
func (s *Simulator) Script(target, text string) error {
	key, err := lookupKey(target)
	if err != nil {
		return fmt.Errorf("simulator script: %w", err)
	}
	if text == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.scripts, key)
		return nil
	}
	parsed, err := parseScript(text)
	if err != nil {
		return fmt.Errorf("simulator script for %s: %w", target, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[key] = parsed
	return nil
}

// Reset forgets all calls, statistics and dial counts, and hangs up live calls without a word. Scripts, the profile, an outage and
// the clock stay as they are, and so do the jtis seen: a token is good once.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era.end()
	s.era = s.newEra()
}

// choose finds what the next dial of a target comes to, and counts the dial.
func (s *Simulator) choose(d dialRequest) (chosen step, n int, thrown dice, err error) {
	var asked script
	if text, found := conventional(d.to); found && !s.config.PlainNumbers {
		if asked, err = parseScript(text); err != nil {
			return step{}, 0, dice{}, fmt.Errorf("target %s: %w", d.target, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era.dials[d.to.key]++
	n = s.era.dials[d.to.key]
	random := source(s.config.Seed, d.to.key, n)
	thrown = throw(random)
	switch scripted := s.scripts[d.to.key]; {
	case scripted != nil:
		chosen = scripted.at(n)
	case d.simulate != nil:
		chosen = d.simulate.at(n)
	case asked != nil:
		chosen = asked.at(n)
	default:
		chosen = s.profile.draw(random)
	}
	return chosen, n, thrown, nil
}
