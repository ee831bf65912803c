// Package call is the vocabulary of one outbound call: its target, the request that dials it, the answer to that
// request, the events that the gateway reports, and the fold of those events into an attempt. It is pure: standard
// library only, no clock, no input or output. Every other room speaks these words.
package call
