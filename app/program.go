package app

import (
	"context"
	"os"

	"redial/relay"
	"redial/workflows"
)

// Program is a binary of one's own: redial, with all of its commands, and what it brings along. The zero value is redial itself.
type Program struct {
	// Flows are hosted and called by name beside OutboundCall: every command of redial knows them.
	Flows []workflows.Definition
	// Escalations is told of contacts that are left to people and whose policy names no webhook. It is told by the roles that run a relay:
	// up, dev and webhook; where roles run apart, webhook has to be this binary, and worker need not. What waits in the ledger's inbox when it is
	// first brought, and was acknowledged by nobody, it is told of, too. nil: escalations without a webhook wait in the inbox.
	Escalations relay.Sink
}

// Main runs the command line of the process and exits.
func (p Program) Main() {
	os.Exit(p.Run(untilSignal(), os.Args[1:], os.Stdout, os.Stderr))
}

type sinkKey struct{}

// withSink hands the sink of this binary to the roles that run a relay; nil: it has none.
func withSink(ctx context.Context, s relay.Sink) context.Context {
	return context.WithValue(ctx, sinkKey{}, s)
}

// sinkOf is the sink of this binary; nil: it has none.
func sinkOf(ctx context.Context) relay.Sink {
	s, _ := ctx.Value(sinkKey{}).(relay.Sink)
	return s
}

// withoutWebhook is where escalations go whose policies name no webhook, for the log.
func withoutWebhook(ctx context.Context) string {
	if sinkOf(ctx) != nil {
		return "to this binary's sink"
	}
	return "to the inbox"
}
