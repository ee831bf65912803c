package ledger_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

// Promise 1: at most one dial request per attempt.

func TestOfManyWhoAskForTheSameAttemptExactlyOneMayDial(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		var cleared atomic.Int32
		together(64, func(i int) {
			c, err := b.Clear(ctx, ask("a", 1, by(fmt.Sprintf("run/1/%d", i))))
			if err != nil {
				t.Error(err)
			}
			if c.Cleared {
				cleared.Add(1)
			} else if !c.Recorded || c.Attempt.State != call.StateUnknown {
				t.Errorf("one who came second got %+v", c)
			}
		})
		require.EqualValues(t, 1, cleared.Load())
		require.Equal(t, 1, b.dials())
	})
}

func TestAnAttemptWhoseDialerDiedIsUnknownAndNeverSentAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.dial(r)
		for i := range 3 {
			b.Advance(time.Minute)
			c := b.clear(ask("a", 1, by(fmt.Sprintf("run/1/%d", 2+i))))
			require.True(t, c.Recorded)
			require.Equal(t, call.StateUnknown, c.Attempt.State)
			require.Empty(t, c.Attempt.Disposition, "its notifications are still listened for")
		}
		require.Equal(t, 1, b.dials())

		b.end(r)
		require.Equal(t, call.Human, b.attempt(r).Disposition)
		require.Len(t, b.deliveries(), 1, "and its flow is told")
	})
}

func TestALateAnswerOfTheFirstDialerSettlesTheDoubt(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		for class, want := range map[call.AnswerClass]call.State{
			call.AnswerPlaced: call.StatePlaced, call.AnswerUnknown: call.StateUnknown,
			call.AnswerNotPlaced: call.StateNotPlaced, call.AnswerRefused: call.StateNotPlaced,
		} {
			t.Run(string(class), func(t *testing.T) {
				b := at.open(t)
				r := ask("a", 1)
				b.dial(r)
				b.clear(ask("a", 1, by("another")))
				require.Equal(t, want, b.answer(r, call.DialAnswer{Class: class}).State)

				told := b.deliveries()
				if want == call.StateNotPlaced {
					require.Len(t, told, 1, "the flow waits for an end that never comes, and has to be told")
					require.Equal(t, call.NotPlaced, told[0].Attempt.Disposition)
				} else {
					require.Empty(t, told)
				}
			})
		}
	})
}

func TestARequestThatHasLeftIsNotForgottenWithTheLedgerThatWasReplaced(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		before, after := at.open(t), at.open(t) // after is what a backup, or a standby that lagged, knows
		r := ask("a", 1)
		c := before.clear(r)
		require.True(t, c.Cleared)
		_, err := after.Answer(ctx, r.Key, r.Owner, call.DialAnswer{Class: call.AnswerPlaced})
		require.ErrorIs(t, err, followup.ErrLost)
		a, err := after.Restore(ctx, r, c.Attempt, call.DialAnswer{Class: call.AnswerPlaced, SID: "s"})
		require.NoError(t, err)
		require.Equal(t, call.StatePlaced, a.State)
		again := after.clear(ask("a", 1, by("run/1/2")))
		require.True(t, again.Recorded)
		require.Equal(t, call.StatePlaced, again.Attempt.State)
		after.end(r)
		require.Equal(t, call.Human, after.attempt(r).Disposition)

		_, err = after.Clear(ctx, ask("b", 3))
		require.ErrorIs(t, err, followup.ErrLost, "it was called twice, and nobody here knows when")
	})
}

func TestAnAnswerIsTakenFromTheOwnerOnly(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.dial(r)
		_, err := b.Answer(ctx, r.Key, "somebody else", call.DialAnswer{Class: call.AnswerNotPlaced})
		require.ErrorContains(t, err, "in other hands")
		require.Equal(t, call.StateDialing, b.attempt(r).State)
		_, err = b.Answer(ctx, "no/such/1", "x", call.DialAnswer{})
		require.ErrorContains(t, err, "no/such/1")
	})
}

func TestWhatWasNotPlacedIsSentAgainUnderTheSameKeyWhenTheGatewayIsBack(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		for send, wait := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 2 * time.Minute} {
			b.dial(r)
			a := b.answer(r, call.DialAnswer{Class: call.AnswerNotPlaced, Message: "connection refused"})
			require.Equal(t, call.NotPlaced, a.Disposition)

			c := b.clear(r)
			require.NotNil(t, c.Held, "send %d: %+v", send+1, c)
			require.Equal(t, followup.ReasonUnreachable, c.Held.Reason)
			require.Equal(t, wait > 5*time.Second, c.Held.Queued)
			b.Advance(wait - time.Millisecond)
			require.NotNil(t, b.clear(r).Held, "send %d leaves too early", send+1)
			b.Advance(time.Millisecond)
		}
		b.dial(r)
		require.Equal(t, call.StatePlaced, b.answer(r, call.DialAnswer{Class: call.AnswerPlaced}).State)
		require.Equal(t, 5, b.dials())
	})
}

func TestAnOutageHoldsTheWholeAccountAndOneRequestAtATimeFindsOutWhenItIsOver(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		first, second, third := ask("a", 1), ask("b", 1), ask("c", 1)
		b.dial(first)
		b.dial(second)
		b.answer(first, call.DialAnswer{Class: call.AnswerNotPlaced})
		b.answer(second, call.DialAnswer{Class: call.AnswerNotPlaced}) // they fail together: that is one outage, not two
		require.Equal(t, followup.ReasonUnreachable, b.clear(third).Held.Reason)

		b.Advance(5 * time.Second)
		b.dial(first)
		for _, r := range []followup.ClearanceRequest{second, third} {
			held := b.clear(r).Held
			require.NotNil(t, held, "a second request leaves before the first has got through")
			require.Equal(t, followup.ReasonUnreachable, held.Reason)
			require.True(t, held.Queued)
		}
		b.answer(first, call.DialAnswer{Class: call.AnswerPlaced})
		b.dial(second)
		b.dial(third)
		require.Equal(t, 5, b.dials())
	})
}

func TestAProbeWhoseWorkerDiesDoesNotHoldTheAccountForEver(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		first, second := ask("a", 1), ask("b", 1)
		b.dial(first)
		b.answer(first, call.DialAnswer{Class: call.AnswerNotPlaced})
		b.Advance(5 * time.Second)
		b.dial(first) // and nothing is ever heard of it
		require.NotNil(t, b.clear(second).Held)
		b.Advance(time.Minute)
		b.dial(second)
	})
}

func TestNoOtherAnswerIsSentAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		for _, class := range []call.AnswerClass{call.AnswerPlaced, call.AnswerUnknown, call.AnswerRefused} {
			b := at.open(t)
			r := ask("a", 1)
			b.dial(r)
			b.answer(r, call.DialAnswer{Class: class})
			for range 3 {
				b.Advance(time.Hour)
				require.True(t, b.clear(ask("a", 1, by("later"))).Recorded, class)
			}
			require.Equal(t, 1, b.dials(), class)
		}
	})
}

func TestAnAttemptOnWhichWasDecidedIsNotSentAgainAfterAWorkflowReset(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.dial(r)
		b.clear(ask("a", 1, by("another"))) // in doubt, and then not placed after all
		b.answer(r, call.DialAnswer{Class: call.AnswerNotPlaced})
		_, err := b.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{On: map[call.Disposition]followup.Rule{call.NotPlaced: {Do: followup.VerbStop}}})
		require.NoError(t, err)

		b.Advance(time.Hour)
		c := b.clear(ask("a", 1, by("after the reset")))
		require.True(t, c.Recorded)
		require.Equal(t, 1, b.dials())
	})
}

func TestAContactThatHasItsOutcomeIsNotDialed(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1)
		b.dial(r)
		b.answer(r, call.DialAnswer{Class: call.AnswerNotPlaced})
		_, err := b.Finish(ctx, r.WorkflowID, call.OutcomeCanceled, "asked to")
		require.NoError(t, err)
		b.Advance(time.Hour)
		for _, r := range []followup.ClearanceRequest{r, ask("a", 2)} {
			c := b.clear(r)
			require.NotNil(t, c.Refused, "attempt %d: %+v", r.N, c)
			require.Equal(t, call.OutcomeCanceled, c.Refused.Outcome)
		}
		require.Equal(t, 1, b.dials())
	})
}

func TestAContactIDIsDialedByOneRunOnly(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		other := func(r *followup.ClearanceRequest) {
			r.FirstRunID, r.Key = "other", call.AttemptKey(r.WorkflowID, "other", r.N)
		}
		refused := func(when string) {
			c := b.clear(ask("a", 1, other))
			require.NotNil(t, c.Refused, when)
			require.Equal(t, call.OutcomeDuplicateID, c.Refused.Outcome, when)
			require.Contains(t, c.Refused.Reason, "run")
		}
		r := ask("a", 1)
		b.place(r)
		refused("while the first is calling")
		b.end(r)
		_, err := b.Conclude(ctx, r.WorkflowID, r.Key, followup.Policy{})
		require.NoError(t, err)
		refused("after it has its outcome")
		b.reopen()
		b.Advance(365 * 24 * time.Hour)
		refused("for as long as the ledger remembers")
		require.Equal(t, 1, b.dials())
		require.EqualValues(t, call.Human, b.show("a").Outcome, "and the first one's outcome stands")
	})
}

// Promise 4: nobody is dialed against a rule.

func TestATargetThatIsNotAllowedOrIsSuppressedIsRefused(t *testing.T) {
	l, err := ledger.Open(ctx, "sqlite:"+t.TempDir()+"/redial.db", ledger.Options{Allow: func(target string) bool { return target == number }})
	require.NoError(t, err)
	defer l.Close()
	c, err := l.Clear(ctx, ask("a", 1))
	require.NoError(t, err)
	require.Equal(t, &followup.Refusal{Outcome: call.OutcomeSuppressed, Reason: "this deployment may not dial the target", Rule: "REDIAL_ALLOW_TO", Target: true}, c.Refused)

	first := ask("b", 1, to(number))
	c, err = l.Clear(ctx, first)
	require.NoError(t, err)
	require.True(t, c.Cleared)
	require.NoError(t, l.Receive(ctx, first.Key, nil, []call.Event{{Status: call.StatusFailed, SIP: 607}}, ""))
	d, err := l.Conclude(ctx, first.WorkflowID, first.Key, followup.Policy{})
	require.NoError(t, err)
	require.True(t, d.Suppress)
	c, err = l.Clear(ctx, ask("c", 1, to(number)))
	require.NoError(t, err)
	require.NotNil(t, c.Refused)
	require.Equal(t, "suppression of the number, by policy default: on.unwanted: suppress", c.Refused.Rule)
}

func TestAContactPastItsLifetimeIsExpired(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("other", 1))
		living := func(r *followup.ClearanceRequest) { r.Lifetime = time.Minute }
		require.NotNil(t, b.clear(ask("a", 1, living)).Held)
		b.Advance(time.Minute)
		c := b.clear(ask("a", 1, living))
		require.NotNil(t, c.Refused)
		require.Equal(t, call.OutcomeExpired, c.Refused.Outcome)
		require.Equal(t, call.OutcomeExpired, b.show("a").Outcome)
	})
}

func TestANumberIsInOneCallAtATimeKnownOrUnknown(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		var cleared atomic.Int32
		together(32, func(i int) {
			c, err := b.Clear(ctx, ask(fmt.Sprintf("c%d", i), 1, to(number)))
			if err != nil {
				t.Error(err)
			}
			if c.Cleared {
				cleared.Add(1)
			} else if c.Held == nil || c.Held.Reason != followup.ReasonNumber {
				t.Errorf("%+v", c)
			}
		})
		require.EqualValues(t, 1, cleared.Load())

		b = at.open(t)
		r := ask("a", 1, to(number))
		b.dial(r)
		b.answer(r, call.DialAnswer{Class: call.AnswerUnknown})
		c := b.clear(ask("b", 1, to(number)))
		require.Equal(t, followup.ReasonNumber, c.Held.Reason)
		require.Equal(t, b.attempt(r).HearUntil, c.Held.Until, "a call that may be is a call, until it surely is over")
		b.Advance(hearFor + followup.SendWithin)
		b.dial(ask("b", 1, to(number)))
	})
}

func TestACallThatWasRefusedAndIsReportedOnOccupiesItsNumberAgain(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		r := ask("a", 1, to(number))
		b.dial(r)
		b.answer(r, call.DialAnswer{Class: call.AnswerRefused})
		b.receive(r, call.Event{Status: call.StatusAnswered})
		c := b.clear(ask("b", 1, to(number)))
		require.NotNil(t, c.Held, "%+v", c)
		require.Equal(t, followup.ReasonNumber, c.Held.Reason)
		b.end(r)
		b.dial(ask("b", 1, to(number)))
	})
}

func TestALineIsALeaseThatEndsByItself(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		r := ask("a", 1)
		b.place(r)
		c := b.clear(ask("b", 1))
		require.Equal(t, followup.ReasonLinesBusy, c.Held.Reason)
		b.Advance(hearFor + followup.SendWithin - time.Microsecond)
		require.Empty(t, b.wakes())
		next, err := b.Tick(ctx)
		require.NoError(t, err)
		require.Equal(t, b.Now().Add(time.Microsecond), next, "the relay knows when to look again")
		b.Advance(time.Microsecond)
		require.Equal(t, []string{"b"}, b.wakes())
		b.dial(ask("b", 1))
	})
}

func TestGivingUpFreesTheLineAndALateEndStillSettles(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		r := ask("a", 1)
		b.place(r)
		b.clear(ask("b", 1))
		a, err := b.GiveUp(ctx, r.Key, "nothing was heard")
		require.NoError(t, err)
		require.Equal(t, call.Unknown, a.Disposition)
		require.Equal(t, []string{"b"}, b.wakes())
		b.end(r)
		require.Equal(t, call.Human, b.attempt(r).Disposition)
		require.Len(t, b.deliveries(), 1)
	})
}

func TestADialKeepsItsSlotOfTheRateUntilAWindowAfterItsAnswer(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(0, 1, time.Minute)
		r := ask("a", 1)
		b.dial(r)
		b.Advance(20 * time.Second)
		b.answer(r, call.DialAnswer{Class: call.AnswerPlaced})
		b.end(r)
		b.Advance(time.Minute - time.Microsecond)
		c := b.clear(ask("b", 1))
		require.Equal(t, followup.ReasonRate, c.Held.Reason)
		b.Advance(time.Microsecond)
		require.Equal(t, []string{"b"}, b.wakes())
		b.dial(ask("b", 1))

		// Without an answer it counts from its deadline.
		b.Advance(followup.SendWithin + time.Minute)
		require.Equal(t, followup.ReasonRate, b.clear(ask("c", 1)).Held.Reason)
		b.Advance(25 * time.Second)
		require.Equal(t, []string{"c"}, b.wakes())
	})
}

func TestARefusalForItsRateHoldsTheWholeAccountAndItRecovers(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		refuse := func(contact string, after time.Duration) {
			r := ask(contact, 1)
			b.dial(r)
			b.answer(r, call.DialAnswer{Class: call.AnswerThrottled, RetryAfter: after})
		}
		refuse("a", 0)
		c := b.clear(ask("b", 1))
		require.Equal(t, followup.ReasonThrottled, c.Held.Reason)
		require.True(t, c.Held.Queued)
		b.Advance(30*time.Second - time.Microsecond)
		require.Empty(t, b.wakes())
		b.Advance(time.Microsecond)
		require.Equal(t, []string{"b"}, b.wakes())

		refuse("b", 0) // twice in a row: twice as long
		b.Advance(30 * time.Second)
		require.Equal(t, followup.ReasonThrottled, b.clear(ask("c", 1)).Held.Reason)
		b.Advance(30 * time.Second)
		refuse("c", 7*time.Second) // what the gateway states holds
		b.Advance(7 * time.Second)
		b.place(ask("d", 1)) // taken again: what comes next is a first refusal
		refuse("e", 0)
		b.Advance(30 * time.Second)
		b.dial(ask("f", 1))
	})
}

func TestRequestsThatAreRefusedTogetherAreOneRefusal(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for i := range 10 {
			b.dial(ask(fmt.Sprintf("c%d", i), 1))
		}
		for i := range 10 {
			b.answer(ask(fmt.Sprintf("c%d", i), 1), call.DialAnswer{Class: call.AnswerThrottled})
		}
		b.Advance(30 * time.Second)
		b.dial(ask("next", 1))
	})
}

func TestLinesAndRateAreNeverExceededByManyAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		const lines, rate, contacts, callers = 5, 40, 120, 32
		b := at.open(t)
		b.limits(lines, rate, time.Hour)
		var under, most, dialed atomic.Int32
		var next atomic.Int32
		var mu sync.Mutex
		together(callers, func(int) {
			for i := next.Add(1); i <= contacts; i = next.Add(1) {
				r := ask(fmt.Sprintf("c%d", i), 1)
				c, err := b.Clear(ctx, r)
				if err != nil {
					t.Error(err)
					return
				}
				if !c.Cleared {
					continue
				}
				dialed.Add(1)
				mu.Lock()
				most.Store(max(most.Load(), under.Add(1)))
				mu.Unlock()
				if _, err := b.Answer(ctx, r.Key, r.Owner, call.DialAnswer{Class: call.AnswerPlaced}); err != nil {
					t.Error(err)
				}
				under.Add(-1) // before the ledger hears of it, so that this count is never above the true one
				if err := b.Receive(ctx, r.Key, nil, []call.Event{human}, ""); err != nil {
					t.Error(err)
				}
			}
		})
		require.LessOrEqual(t, most.Load(), int32(lines))
		require.LessOrEqual(t, dialed.Load(), int32(rate))
		require.Positive(t, dialed.Load())
	})
}

// sent is what a schedule knows of one request that was cleared to leave.
type sent struct {
	r                  followup.ClearanceRequest
	line, slot         time.Time // until when it counts
	answered, notTaken bool
}

func TestAtNoMomentOfAnyScheduleIsALimitExceeded(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			b := at.open(t)
			defer b.Ledger.Close()
			lines, rate := rapid.IntRange(0, 3).Draw(rt, "lines"), rapid.IntRange(0, 4).Draw(rt, "rate")
			window := rapid.SampledFrom([]time.Duration{time.Second, time.Minute}).Draw(rt, "window")
			b.limits(lines, rate, window)
			n := map[string]int{}
			var requests []*sent
			check := func() {
				used, paced, numbers := 0, 0, map[string]int{}
				for _, s := range requests {
					if s.line.After(b.Now()) {
						used++
						numbers[s.r.Request.To.URI]++
					}
					if s.slot.After(b.Now()) && !s.notTaken {
						paced++
					}
				}
				if lines > 0 && used > lines || rate > 0 && paced > rate {
					rt.Fatalf("%d of %d lines, %d of %d dials in the window", used, lines, paced, rate)
				}
				for uri, calls := range numbers {
					if calls > 1 {
						rt.Fatalf("%d calls to %s at the same time", calls, uri)
					}
				}
			}
			one := func() *sent {
				if len(requests) == 0 {
					rt.Skip("nothing was sent yet")
				}
				return requests[rapid.IntRange(0, len(requests)-1).Draw(rt, "request")]
			}
			over := func(r followup.ClearanceRequest) {
				for _, s := range requests {
					if s.r.Key == r.Key {
						s.line = b.Now()
					}
				}
			}
			rt.Repeat(map[string]func(*rapid.T){
				"ask": func(rt *rapid.T) {
					contact := rapid.StringMatching("[a-h]").Draw(rt, "contact")
					r := ask(contact, max(1, n[contact]), to(rapid.SampledFrom([]string{"tel:+1", "tel:+2", "tel:+3", "tel:+4", "tel:+5"}).Draw(rt, "to")))
					c := b.clear(r)
					if c.Recorded { // on with the next attempt
						r.N++
						r.Key = call.AttemptKey(r.WorkflowID, r.FirstRunID, r.N)
						c = b.clear(r)
					}
					n[contact] = r.N
					if c.Cleared {
						requests = append(requests, &sent{r: r, line: c.Attempt.HearUntil, slot: c.SendBy.Add(25*time.Second + window)})
					}
				},
				"answer": func(rt *rapid.T) {
					s := one()
					if s.answered {
						rt.Skip("answered")
					}
					s.answered = true
					class := rapid.SampledFrom([]call.AnswerClass{call.AnswerPlaced, call.AnswerPlaced, call.AnswerUnknown, call.AnswerNotPlaced, call.AnswerRefused}).Draw(rt, "class")
					a := b.answer(s.r, call.DialAnswer{Class: class})
					if sooner := b.Now().Add(window); sooner.Before(s.slot) {
						s.slot = sooner
					}
					if a.State == call.StateNotPlaced {
						s.line, s.notTaken = b.Now(), true // no call, and no request that the gateway counted
					}
				},
				"end": func(*rapid.T) { r := one().r; b.end(r); over(r) },
				"give up": func(*rapid.T) {
					r := one().r
					_, err := b.GiveUp(ctx, r.Key, "nothing was heard")
					require.NoError(rt, err)
					over(r)
				},
				"relay": func(*rapid.T) { b.wakes() },
				"wait": func(rt *rapid.T) {
					b.Advance(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, 11 * time.Second, time.Minute, 11 * time.Minute}).Draw(rt, "for"))
				},
				"": func(*rapid.T) { check() },
			})
		})
	})
}
