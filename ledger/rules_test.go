package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
	"redial/ledger"
)

func ruled(r followup.Rules) func(*followup.ClearanceRequest) {
	return func(c *followup.ClearanceRequest) { c.Rules = r; c.Rules.Policy = "test" }
}

func about(subject string) func(*followup.ClearanceRequest) {
	return func(r *followup.ClearanceRequest) { r.Subject = subject }
}

func atMost(calls int, per time.Duration, by followup.By) func(*followup.ClearanceRequest) {
	return ruled(followup.Rules{Limits: []followup.Limit{{Calls: calls, Per: followup.Span{For: followup.Duration(per)}, By: by}}})
}

func TestALimitCountsEveryCallThatMayHaveRungByNumberByContactOrBySubject(t *testing.T) {
	const other = "tel:+12025550102"
	onEach(t, func(t *testing.T, at database) {
		for by, same := range map[followup.By]func(n int) followup.ClearanceRequest{
			followup.ByNumber: func(n int) followup.ClearanceRequest {
				return ask(fmt.Sprint("c", n), 1, to(number), atMost(3, 24*time.Hour, followup.ByNumber))
			},
			followup.ByContact: func(n int) followup.ClearanceRequest {
				return ask("anna", n, to(fmt.Sprintf("sip:%d@example.com", n)), atMost(3, 24*time.Hour, followup.ByContact))
			},
			followup.BySubject: func(n int) followup.ClearanceRequest {
				return ask(fmt.Sprint("c", n), 1, about("debt 7"), atMost(3, 24*time.Hour, followup.BySubject))
			},
		} {
			b := at.open(t)
			// One is in doubt and counts; one was provably no call, one hit a broken network: they do not.
			inDoubt := same(1)
			b.dial(inDoubt)
			b.answer(inDoubt, call.DialAnswer{Class: call.AnswerUnknown, Message: "no answer"})
			_, err := b.GiveUp(ctx, inDoubt.Key, "nothing was heard")
			require.NoError(t, err)
			b.Advance(time.Hour)
			refused := same(2)
			b.dial(refused)
			b.answer(refused, call.DialAnswer{Class: call.AnswerRefused, Message: "no"})
			broken := same(3)
			b.place(broken)
			b.receive(broken, call.Event{Status: call.StatusFailed, SIP: 503})
			for n := 4; n <= 5; n++ {
				b.Advance(time.Hour)
				b.place(same(n))
				b.end(same(n))
			}
			b.Advance(time.Hour)
			fourth := same(6)
			held := b.held(fourth)
			require.Equal(t, followup.ReasonLimit, held.Reason, by)
			require.True(t, held.Queued)
			require.WithinDuration(t, start.Add(24*time.Hour+followup.SendWithin), held.NotBefore, time.Second, "when the first no longer counts")
			require.Contains(t, held.Rule, "at most 3 calls in any 24 hours to a "+string(by))
			require.True(t, b.clear(ask("somebody else", 1, to(other), atMost(3, 24*time.Hour, by))).Cleared)

			b.Advance(20*time.Hour - time.Minute)
			require.Empty(t, b.wakes(), "a minute before it still counts")
			b.Advance(2 * time.Minute)
			_, err = b.Tick(ctx)
			require.NoError(t, err)
			require.Equal(t, []string{fourth.ContactID}, b.woken())
			b.dial(fourth)
			evidence := b.show(fourth.ContactID).Decisions
			require.Contains(t, string(evidence[len(evidence)-1].Evidence),
				fmt.Sprintf(`"limits":[{"rule":"test: limits: at most 3 calls in any 24 hours to a %s","calls":2,"of":3}]`, by))
		}
	})
}

func TestALimitOfAContactsOwnAttemptThatIsAskedForAgainDoesNotCountIt(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		once := ask("anna", 1, to(number), atMost(1, time.Hour, followup.ByNumber))
		b.dial(once)
		b.answer(once, call.DialAnswer{Class: call.AnswerNotPlaced, Message: "refused"})
		b.Advance(10 * time.Second)
		require.True(t, b.clear(once).Cleared)
	})
}

func TestAQuietTimeBeginsWithAConversationOrARefusalAndEndsInTime(t *testing.T) {
	week := followup.Duration(7 * 24 * time.Hour)
	onEach(t, func(t *testing.T, at database) {
		for _, c := range []struct {
			after followup.Event
			says  func(*book, followup.ClearanceRequest)
		}{
			{followup.EventConversation, func(b *book, r followup.ClearanceRequest) { b.end(r) }},
			{followup.EventRefusal, func(b *book, r followup.ClearanceRequest) {
				b.receive(r, busy)
				require.NoError(b.tb, b.ReceiveResult(ctx, r.Key, []byte("no"), call.BotResult{Kind: call.Refused}, ""))
			}},
			{followup.EventRefusal, func(b *book, r followup.ClearanceRequest) {
				b.receive(r, call.Event{Status: call.StatusFailed, SIP: 607})
			}},
		} {
			b := at.open(t)
			quiet := ruled(followup.Rules{Quiet: []followup.Quiet{{After: c.after, For: week, By: followup.BySubject}}})
			first := ask("anna", 1, about("debt 7"), quiet)
			b.place(first)
			b.Advance(time.Hour)
			c.says(b, first)
			b.Advance(time.Minute)
			held := b.held(ask("bert", 1, about("debt 7"), quiet))
			require.Equal(t, followup.ReasonQuiet, held.Reason)
			require.WithinDuration(t, start.Add(time.Hour+time.Duration(week)), held.NotBefore, time.Second)
			require.True(t, b.clear(ask("carl", 1, about("debt 8"), quiet)).Cleared)
			b.Advance(time.Duration(week))
			b.dial(ask("bert", 1, about("debt 7"), quiet))
		}
	})
}

func TestAContactIsCountedOverAllOfItsCampaignsAndIsNoSubjectOfItsName(t *testing.T) {
	in := func(campaign string) func(*followup.ClearanceRequest) {
		return func(r *followup.ClearanceRequest) {
			r.Campaign, r.WorkflowID = campaign, "redial/"+campaign+"/"+r.ContactID
			r.Key = call.AttemptKey(r.WorkflowID, r.FirstRunID, r.N)
		}
	}
	onEach(t, func(t *testing.T, at database) {
		for _, by := range []followup.By{followup.ByContact, followup.BySubject} {
			b := at.open(t)
			once := atMost(1, time.Hour, by)
			b.place(ask("anna", 1, in("spring"), once))
			b.receive(ask("anna", 1, in("spring")), human)
			require.Equal(t, followup.ReasonLimit, b.held(ask("anna", 1, in("summer"), once)).Reason, by)
			b.dial(ask("bert", 1, in("summer"), once))
			b.dial(ask("carl", 1, about("anna"), once))
			b.dial(ask("redial/spring/anna", 1, once))
		}
	})
}

func TestAConversationIsWhoeverWasSpokenToByDetectionOrByTheBotsWord(t *testing.T) {
	quiet := ruled(followup.Rules{Quiet: []followup.Quiet{{After: followup.EventConversation, For: followup.Duration(24 * time.Hour), By: followup.BySubject}}})
	onEach(t, func(t *testing.T, at database) {
		for what, c := range map[string]struct {
			says  bool
			ends  []call.Event
			quiet bool
		}{
			"a person":                           {false, []call.Event{human}, true},
			"answered, without a verdict":        {false, []call.Event{{Status: call.StatusCompleted, AMD: call.AMDStopped}}, true},
			"a machine":                          {false, []call.Event{heard, ended}, false},
			"a machine that talked to the bot":   {true, []call.Event{heard, ended}, true},
			"nobody":                             {false, []call.Event{busy}, false},
			"a bot, and the end was never heard": {true, nil, true},
		} {
			b := at.open(t)
			first := ask("anna", 1, about("debt"), quiet)
			b.place(first)
			b.Advance(time.Minute)
			over := b.Now()
			if c.says {
				b.say(first.Key, "1", confirmed)
				require.True(t, b.clear(ask("a live call is left alone", 1, about("debt"), quiet)).Cleared, what)
				b.receive(ask("a live call is left alone", 1), busy)
			}
			if c.ends != nil {
				b.Advance(time.Minute)
				over = b.Now()
				b.receive(first, c.ends...)
			}
			b.Advance(time.Hour)
			if c.ends == nil {
				_, err := b.GiveUp(ctx, first.Key, "nothing was heard")
				require.NoError(t, err)
			}
			second := b.clear(ask("bert", 1, about("debt"), quiet))
			require.Equal(t, !c.quiet, second.Cleared, "%s: %+v", what, second)
			if c.quiet {
				require.WithinDuration(t, over.Add(24*time.Hour), second.Held.NotBefore, time.Second, what)
			}
		}
	})
}

func TestOfManyCallsTheNewestDecide(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		for i := range 6 {
			b.place(ask(fmt.Sprint("c", i), 1, to(number)))
			b.end(ask(fmt.Sprint("c", i), 1, to(number)))
			b.Advance(time.Hour)
		}
		held := b.held(ask("anna", 1, to(number), atMost(2, 24*time.Hour, followup.ByNumber)))
		require.WithinDuration(t, start.Add(28*time.Hour+followup.SendWithin), held.NotBefore, time.Second, "when the fifth of six no longer counts")
		b.dial(ask("bert", 1, to(number), atMost(7, 24*time.Hour, followup.ByNumber)))
	})
}

func TestWhoWaitsBehindAnotherContactOfTheNumberIsToldWhyAndDoesNotPoll(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		b.held(ask("first", 1, to(number)))
		b.Advance(time.Millisecond)
		behind := b.held(ask("second", 1, to(number)))
		require.Equal(t, followup.ReasonNumber, behind.Reason)
		require.Contains(t, behind.Rule, "waits for this number first")
		require.False(t, behind.Until.Before(b.Now().Add(time.Minute)))
		b.end(ask("under", 1))
		require.Equal(t, []string{"first"}, b.wakes())
		kept := b.held(ask("second", 1, to(number)))
		require.Contains(t, kept.Rule, "called in for this number first")
		require.True(t, kept.Queued)
		require.True(t, kept.Until.After(b.Now().Add(10*time.Second)), "until that promise is over")
		b.place(ask("first", 1, to(number)))
		require.Equal(t, "one call at a time to a number", b.held(ask("second", 1, to(number))).Rule)
		b.end(ask("first", 1, to(number)))
		require.Equal(t, []string{"second"}, b.wakes())
		b.dial(ask("second", 1, to(number)))
	})
}

func TestANumberThatIsRefusedKeepsNoPlaceInTheQueue(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		others := func(r *followup.ClearanceRequest) { r.Others = true }
		b.limits(1, 0, 0)
		b.place(ask("under", 1))
		b.held(ask("anna", 1, to(number), others))
		b.Advance(time.Millisecond)
		b.held(ask("bert", 1))
		b.end(ask("under", 1))
		require.Equal(t, []string{"anna"}, b.wakes())
		b.suppress(kept(number, "asked by letter"))
		_, open := b.refused(ask("anna", 1, to(number), others))
		require.True(t, open)
		require.Contains(t, b.woken(), "bert", "what it was promised passes on")
	})
}

func TestAWindowThatOpensWakesThoseWhoWaitInOrderAndNoMoreThanTheLinesCarry(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.limits(2, 0, 0)
		noon := ruled(followup.Rules{Window: followup.Window{Timezone: "UTC", Days: map[string][]followup.Hours{"mon-sun": {{From: 12 * 60, To: 13 * 60}}}}})
		for i := range 5 {
			b.Advance(time.Second)
			held := b.held(ask(fmt.Sprint("c", i), 1, noon))
			require.Equal(t, followup.ReasonWindow, held.Reason)
			require.Equal(t, 12, held.NotBefore.Hour())
			require.True(t, held.Until.After(held.NotBefore))
		}
		require.Equal(t, 0, len(b.wakes()))
		b.Advance(2*time.Hour + 58*time.Minute) // all of them are spread over the hour
		var order []string
		for range 5 {
			_, err := b.Tick(ctx)
			require.NoError(t, err)
			woken := b.woken()
			require.LessOrEqual(t, len(woken), 2)
			for _, c := range woken {
				b.place(ask(c, 1, noon))
				b.end(ask(c, 1, noon))
			}
			order = append(order, woken...)
		}
		require.Equal(t, []string{"c0", "c1", "c2", "c3", "c4"}, order)
	})
}

func TestAPromisedCallGoesAheadOfAllWhoWait(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		b.called("retry", "promised")
		b.limits(1, 0, 0)
		under := ask("under way", 1)
		b.place(under)
		for _, r := range []followup.ClearanceRequest{ask("first", 1), ask("retry", 2),
			ask("promised", 2, func(r *followup.ClearanceRequest) { r.Promised = true })} {
			b.Advance(time.Millisecond)
			b.held(r)
		}
		b.end(under)
		require.Equal(t, []string{"promised"}, b.wakes())
	})
}

func TestTheDeploymentsCeilingsHoldForEveryPolicyThatDoesNotClaimToBeAboveThem(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		require.NoError(t, b.Ledger.Close())
		var err error
		b.Ledger, err = ledger.Open(ctx, b.address, ledger.Options{Owner: true, Now: b.Now, Ceilings: []followup.Limit{{Calls: 1, Per: followup.Span{Day: true}}}})
		require.NoError(t, err)
		b.place(ask("anna", 1, to(number)))
		b.end(ask("anna", 1, to(number)))
		held := b.held(ask("bert", 1, to(number)))
		require.Contains(t, held.Rule, "REDIAL_CEILINGS")
		require.WithinDuration(t, start.Add(24*time.Hour), held.NotBefore, time.Second, "tomorrow at the same time")
		above := ask("carl", 1, to(number), ruled(followup.Rules{AboveCeilings: true, Limits: []followup.Limit{{Calls: 9, Per: followup.Span{Day: true}}}}))
		b.dial(above)
		decisions := b.show("carl").Decisions
		require.Contains(t, string(decisions[len(decisions)-1].Evidence), `"above_ceilings":true`)
	})
}

func TestTwoContactsThatRaceForANumbersLastCallAreNeverBothDialed(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		limit := atMost(3, 24*time.Hour, followup.ByNumber)
		for i := range 2 {
			b.place(ask(fmt.Sprint("before ", i), 1, to(number), limit))
			b.end(ask(fmt.Sprint("before ", i), 1, to(number), limit))
		}
		cleared := make(chan bool, 8)
		for i := range cap(cleared) {
			go func() {
				c, err := b.Clear(ctx, ask(fmt.Sprint("racer ", i), 1, to(number), limit))
				cleared <- err == nil && c.Cleared
			}()
		}
		won := 0
		for range cap(cleared) {
			if <-cleared {
				won++
			}
		}
		require.Equal(t, 1, won)
	})
}

func TestATargetWithoutAKnownZoneIsRefusedWhereAWindowGoesByItsClock(t *testing.T) {
	onEach(t, func(t *testing.T, at database) {
		b := at.open(t)
		c := b.clear(ask("anna", 1, ruled(followup.Rules{Window: followup.Window{Presets: []string{"us-florida"}}})))
		require.NotNil(t, c.Refused)
		require.Contains(t, c.Refused.Reason, "no time zone is known")
		stated := ask("bert", 1, ruled(followup.Rules{Window: followup.Window{Presets: []string{"us-florida"}}}))
		stated.Request.To.Zone = "Europe/Berlin"
		b.dial(stated)
	})
}
