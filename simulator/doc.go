// Package simulator is a Kore.ai Voice Gateway that rings no phone.
//
// It speaks the outbound-calling ("dialout") API of the gateway over HTTP: it checks the JWT, validates the request,
// answers with a sid and a callId, lives the call through (trying, ringing, answered, answering-machine detection,
// hang-up) on a clock that may run thousands of times as fast as ours, and posts the notifications that the real
// gateway would post. It also misbehaves on demand, in every way that the real one has been seen or must be feared to:
// notifications that are lost, early, late, twice, out of order, contradictory or unreadable, and answers to the
// dialout request that leave the caller in doubt whether a phone rings.
//
// What becomes of a call is told by a script (see [Simulator.Script] for the grammar), by the number dialed, or by a
// [Profile] of probabilities. Every choice is a function of the seed, the target and how often that target was dialed
// before, never of the order in which targets are dialed: the same seed gives the same calls.
//
// The clock can be moved by hand ([Simulator.Advance]), the API as a whole can be out for a while ([Simulator.Outage]), and anything can be
// said of a call ([Simulator.Notify]).
//
// What really happened is kept apart from what was reported: [Simulator.Calls] and [Simulator.Stats] are the truth
// against which a dialer can be held.
//
// # Sources
//
// Field names, spellings and formats of the first generation ("gen1", terminal notifications only) are those of the
// "Outbound Calling API" pages of 2023; those of the second ("gen2", Answered and Call-In-Progress as well) are those of
// the 2025 revision of the same pages. The behaviour that those pages leave open (the order of answering-machine events, the
// call-back that is never retried, the shape of callId, the signature) is that of jambonz, the open-source engine under the gateway.
//
// The package imports nothing of the product it tests, so that the two cannot be wrong together.
//
// The package serves through gin, whose mode is a global of the process: it is left as it is found.
package simulator
