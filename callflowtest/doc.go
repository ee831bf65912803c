// Package callflowtest tests call flows without a phone: weeks of a contact in milliseconds, against a gateway that goes by a
// script.
//
//	kit := callflowtest.New(t, flow)
//	kit.On("+14155550100").Busy().Then().Machine(callflowtest.Beep).Then().Human(40 * time.Second)
//	run := kit.Call("+14155550100", input)
//	run.Outcome("human").AtMost(3, 24*time.Hour).Ended()
//
// A [Kit] runs the flow as a worker would, on the SDK's test environment, whose clock skips what is waited for: with the product's own
// activities, the policy and clearance as they are, and a [Ledger] in memory. A [Script] says what becomes of each dial to a number,
// faults included: news of a call that comes early, late, twice, out of order or never, an answer that is lost, a worker that dies.
// What a [Run] came to is held against promises: in the words of the field, or as a [Promise] of one's own. When one is broken, the
// contact's [Run.Timeline] is printed, in the zone of [Kit.At].
//
// A kit begins without what a deployment has by default: lines, a rate and ceilings are set with [Kit.Lines], [Kit.Rate] and
// [Kit.Ceilings]. The policy is the default one, whose retries vary by some per cent, each time by the same: a test of exact gaps
// sets its jitter to 0.
//
// [Explore] looks for a script that breaks a promise, and prints the shortest. [Replay] lets flows go through the histories of real
// runs: whether a changed flow can go on with what the old one began.
package callflowtest
