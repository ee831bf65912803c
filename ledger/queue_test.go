package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func (b *book) held(r followup.ClearanceRequest) followup.Hold {
	b.tb.Helper()
	c := b.clear(r)
	require.NotNil(b.tb, c.Held, "%+v", c)
	return *c.Held
}

// changed tells whether the relay was called since it was asked last.
func (b *book) changed() bool {
	select {
	case <-b.Changed():
		return true
	default:
		return false
	}
}

func TestRetriesAreWokenBeforeFirstDialsAndEachInTheOrderOfArrival(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.called("retry 1", "retry 2")
		b.limits(1, 0, 0)
		under := ask("under way", 1)
		b.place(under)
		for _, r := range []followup.ClearanceRequest{ask("first 1", 1), ask("first 2", 1), ask("retry 1", 2), ask("first 3", 1), ask("retry 2", 3)} {
			b.Advance(time.Millisecond)
			require.True(t, b.held(r).Queued)
		}
		b.held(ask("first 1", 1)) // asking again loses no place
		for _, want := range []string{"retry 1", "retry 2", "first 1", "first 2", "first 3"} {
			b.end(under)
			require.Equal(t, []string{want}, b.wakes())
			under = ask(want, 1)
			if want[:5] == "retry" {
				under = ask(want, map[string]int{"retry 1": 2, "retry 2": 3}[want])
			}
			b.place(under)
		}
		b.end(under)
		require.Empty(t, b.wakes())
	})
}

func TestAGrantWakesExactlyAsManyAsCanDial(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(3, 0, 0)
		for i := range 3 {
			b.place(ask(fmt.Sprintf("under %d", i), 1))
		}
		for i := range 10 {
			b.Advance(time.Millisecond)
			b.held(ask(fmt.Sprintf("c%d", i), 1))
		}
		b.end(ask("under 0", 1))
		b.end(ask("under 1", 1))
		require.Equal(t, []string{"c0", "c1"}, b.woken())
		b.limits(5, 0, 0) // a raised limit wakes, too
		require.Equal(t, []string{"c2", "c3"}, b.woken())
		for _, c := range []string{"c3", "c0", "c2", "c1"} {
			b.dial(ask(c, 1))
		}
		require.Equal(t, followup.ReasonLinesBusy, b.held(ask("c4", 1)).Reason)
	})
}

func TestWhoHasNewsOfAnotherCallOnItsWayIsWokenAfterItAndHoldsUpNobody(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		group := ask("group", 1)
		group.MidCall = true
		b.place(group)
		b.held(ask("group", 2)) // it calls several at once
		b.Advance(time.Millisecond)
		b.held(ask("other", 1))

		b.end(group)
		_, err := b.Tick(ctx)
		require.NoError(t, err)
		due := b.due(ledger.ToFlows)
		require.Equal(t, []string{"attempt redial/-/group", "wake redial/-/other"}, told(due))
		_, err = b.Tick(ctx)
		require.NoError(t, err)
		require.Empty(t, b.due(ledger.ToFlows), "it is out, and not delivered")
		for _, d := range due {
			require.NoError(t, b.Delivered(ctx, d, false))
		}
		require.Empty(t, b.wakes(), "the line is promised")
		b.limits(2, 0, 0)
		require.Equal(t, []string{"group"}, b.wakes())
	})
}

func told(deliveries []ledger.Delivery) (told []string) {
	for _, d := range deliveries {
		kind := "attempt"
		if d.Wake {
			kind = "wake"
		}
		told = append(told, kind+" "+d.WorkflowID)
	}
	slices.Sort(told)
	return told
}

func TestAWakeThatIsNotUsedPassesOnAndIsNotRepeated(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		for _, c := range []string{"a", "b", "c"} {
			b.Advance(time.Millisecond)
			b.held(ask(c, 1))
		}
		b.end(ask("under", 1))
		for _, want := range []string{"a", "b", "c"} {
			require.Equal(t, []string{want}, b.wakes())
			next, err := b.Tick(ctx)
			require.NoError(t, err)
			require.Equal(t, b.Now().Add(10*time.Second), next)
			b.Advance(10 * time.Second)
		}
		// All have a wake in their history that they will act on when their worker is back. An outage of days adds no more.
		for range 100 {
			b.Advance(time.Minute)
			require.Empty(t, b.wakes())
		}
		// Then they all ask; one line, one dial, and the others wait in their old order.
		b.dial(ask("b", 1))
		b.held(ask("c", 1))
		b.held(ask("a", 1))
		b.answer(ask("b", 1), call.DialAnswer{Class: call.AnswerPlaced})
		b.end(ask("b", 1))
		require.Equal(t, []string{"a"}, b.wakes())
	})
}

func TestAWorkerSlowerThanAWakeLastsStillDials(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		for i := range 5 {
			b.Advance(time.Millisecond)
			b.held(ask(fmt.Sprintf("c%d", i), 1))
		}
		b.end(ask("under", 1))
		type late struct {
			contact string
			at      time.Time
		}
		var asking []late
		dialed := 0
		for range 60 {
			for _, c := range b.wakes() {
				asking = append(asking, late{c, b.Now().Add(12 * time.Second)})
			}
			b.Advance(time.Second)
			for len(asking) > 0 && !asking[0].at.After(b.Now()) {
				r := ask(asking[0].contact, 1)
				asking = asking[1:]
				if b.clear(r).Cleared {
					dialed++
					b.end(r)
				}
			}
		}
		require.GreaterOrEqual(t, dialed, 3)
	})
}

func TestNewcomersDoNotOvertake(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		b.held(ask("waiting", 1))
		b.end(ask("under", 1))
		require.Equal(t, followup.ReasonLinesBusy, b.held(ask("new", 1)).Reason, "the free line is promised")
		require.Equal(t, []string{"waiting"}, b.wakes())
		b.dial(ask("waiting", 1))

		// Also when it was time that made room, and nobody has told those who wait.
		b.answer(ask("waiting", 1), call.DialAnswer{Class: call.AnswerPlaced})
		b.Advance(time.Hour)
		require.Equal(t, followup.ReasonLinesBusy, b.held(ask("newer", 1)).Reason)
		require.Equal(t, []string{"new"}, b.woken())
	})
}

func TestTwoContactsOfOneNumberAreNotWokenTogether(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(3, 0, 0)
		for i := range 3 {
			b.place(ask(fmt.Sprintf("under %d", i), 1))
		}
		for _, c := range []string{"one", "two"} {
			b.Advance(time.Millisecond)
			b.held(ask(c, 1, to(number)))
		}
		b.held(ask("other", 1))
		for i := range 3 {
			b.end(ask(fmt.Sprintf("under %d", i), 1))
		}
		require.ElementsMatch(t, []string{"one", "other"}, b.wakes())
		b.place(ask("one", 1, to(number)))
		require.Empty(t, b.wakes())
		b.end(ask("one", 1, to(number)))
		require.Equal(t, []string{"two"}, b.wakes())
	})
}

func TestAContactOfTheSameNumberThatNeverComesBlocksNobody(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.called("dead")
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		b.held(ask("dead", 2, to(number)))
		b.Advance(time.Millisecond)
		b.held(ask("alive", 1, to(number)))
		b.end(ask("under", 1))
		require.Equal(t, []string{"dead"}, b.wakes())
		b.Advance(11 * time.Second)
		require.Equal(t, []string{"alive"}, b.wakes())
	})
}

func TestWhatAContactThatLeavesWasPromisedPassesOnAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		leave := map[string]func(b *book, r followup.ClearanceRequest){
			"its flow is gone": func(b *book, r followup.ClearanceRequest) {
				require.NoError(b.tb, b.Delivered(ctx, ledger.Delivery{WorkflowID: r.WorkflowID}, true))
			},
			"it is canceled": func(b *book, r followup.ClearanceRequest) {
				_, err := b.Finish(ctx, r.WorkflowID, call.OutcomeCanceled, "asked to")
				require.NoError(b.tb, err)
			},
			"its lifetime is over": func(b *book, r followup.ClearanceRequest) {
				r.Lifetime = time.Microsecond
				require.NotNil(b.tb, b.clear(r).Refused)
			},
			"its number is in a call": func(b *book, r followup.ClearanceRequest) {
				r.Request.To.URI = "sip:under1@example.com"
				require.Equal(b.tb, followup.ReasonNumber, b.held(r).Reason)
			},
		}
		for how, leave := range leave {
			t.Run(how, func(t *testing.T) {
				b := at.open(t)
				b.limits(2, 0, 0)
				b.place(ask("under0", 1))
				b.place(ask("under1", 1))
				b.held(ask("a", 1))
				b.Advance(time.Millisecond)
				b.held(ask("b", 1))
				b.end(ask("under0", 1))
				require.Equal(t, []string{"a"}, b.wakes())
				leave(b, ask("a", 1))
				require.Equal(t, []string{"b"}, b.woken())
			})
		}
	})
}

func TestTheRelayIsCalledWhenSomebodyWaitsForTimeAlone(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(0, 1, time.Second)
		r := ask("a", 1)
		b.dial(r)
		require.False(t, b.changed(), "nobody waits")
		b.held(ask("b", 1))
		require.True(t, b.changed(), "it sleeps, and does not know of the slot")
		b.answer(r, call.DialAnswer{Class: call.AnswerPlaced})
		require.True(t, b.changed(), "the slot ends half a minute sooner than it was told")
		next, err := b.Tick(ctx)
		require.NoError(t, err)
		require.Equal(t, b.Now().Add(time.Second), next)
	})
}

// Promise 6: every wait has a reason, a rule and an end.
func TestEveryHoldIsShownAndEnds(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		h := b.held(ask("a", 1))
		c := b.show("a")
		require.Equal(t, &h, c.Wait)
		require.True(t, h.Until.After(b.Now()))
		last := c.Decisions[len(c.Decisions)-1]
		require.Equal(t, "held", last.Kind)
		require.Equal(t, string(h.Reason), last.Reason)
		require.Equal(t, h.Rule, last.Rule)
		require.Equal(t, h.Until, last.Until)
		require.Equal(t, followup.ReasonCall, b.show("under").Wait.Reason)
	})
}

// Whatever happens, a line that is free while a live contact waits for one is promised to somebody: nothing polls, so that
// a forgotten line would stay free.
func TestNoLineIsLeftUnpromisedWhileSomebodyWaits(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			b := at.open(t)
			defer b.Ledger.Close()
			lines := rapid.IntRange(1, 3).Draw(rt, "lines")
			b.limits(lines, 0, 0)
			under, waiting, woken := map[string]bool{}, map[string]bool{}, map[string]bool{}
			pick := func(from map[string]bool) string {
				if len(from) == 0 {
					rt.Skip("nobody")
				}
				var names []string
				for c := range from {
					names = append(names, c)
				}
				slices.Sort(names)
				return names[rapid.IntRange(0, len(names)-1).Draw(rt, "who")]
			}
			n := 0
			ring := func(contact string) {
				delete(woken, contact)
				if b.clear(ask(contact, 1)).Cleared {
					delete(waiting, contact)
					under[contact] = true
				} else {
					waiting[contact] = true
				}
			}
			rt.Repeat(map[string]func(*rapid.T){
				"new":           func(*rapid.T) { n++; ring(fmt.Sprintf("c%d", n)) },
				"use a wake":    func(*rapid.T) { ring(pick(woken)) },
				"ask unwoken":   func(*rapid.T) { ring(pick(waiting)) },
				"end":           func(*rapid.T) { c := pick(under); b.end(ask(c, 1)); delete(under, c) },
				"wait a moment": func(*rapid.T) { b.Advance(time.Second) },
				"cancel": func(*rapid.T) {
					c := pick(waiting)
					_, err := b.Finish(ctx, "redial/-/"+c, call.OutcomeCanceled, "")
					require.NoError(rt, err)
					delete(waiting, c)
					delete(woken, c)
				},
				"let a wake pass": func(*rapid.T) {
					b.Advance(10 * time.Second)
				},
				"": func(rt *rapid.T) {
					for _, c := range b.wakes() {
						if !waiting[c] {
							continue // it asked before its wake came
						}
						if woken[c] {
							rt.Fatalf("%s was woken again and has not asked since", c)
						}
						woken[c] = true
					}
					if len(under) > lines {
						rt.Fatalf("%d calls on %d lines", len(under), lines)
					}
					if unwoken := len(waiting) - len(woken); unwoken > 0 && len(under)+len(woken) < lines {
						rt.Fatalf("%d lines, %d calls, %d promised, and %d wait unwoken", lines, len(under), len(woken), unwoken)
					}
				},
			})
		})
	})
}
