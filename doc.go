// Package redial is the root of a product that places outbound calls through a voice gateway as durable
// workflows; it has no code of its own.
//
// Its rooms, from the top of the house to the ground; imports only point down. cmd/redial is the binary, and app
// the command tree that a user's own binary embeds. callflowtest tests flows, console serves operators, worker
// hosts the workflows, webhook takes the gateway's notifications, relay delivers what the ledger owes, starter
// starts and steers runs. workflows has Flow, the author's handle, and OutboundCall, the standard flow;
// activities has what they do to the world, over interfaces of its own. ledger keeps what was dialed, heard and
// decided; koreai speaks to the gateway, and simulator is a gateway that knows nothing of the product. followup
// decides what happens next, phone knows numbers and time zones, and call is the vocabulary that all of them
// share. architecture_test.go holds who may import whom.
package redial
