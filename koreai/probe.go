package koreai

import (
	"context"
	"encoding/json"
	"time"

	"redial/call"
)

// probeFor bounds a probe's way to the gateway; the answer then has Config.ResponseTimeout.
const probeFor = 10 * time.Second

// Probe asks whether the gateway takes this account, without a call: it sends a dialout request that names no target,
// no caller and no notify URL, and so can ring no phone. A gateway that knows the account refuses it as incomplete (400
// or 422); one that does not refuses the JWT (401, 403) or the path (404). It counts against the account's rate.
func (c *Client) Probe(ctx context.Context) call.DialAnswer {
	clean := newScrubber(c.cfg.ClientSecret, call.DialRequest{}, "")
	body, err := json.Marshal(map[string]string{"bot": c.cfg.BotID})
	if err != nil {
		return call.DialAnswer{Class: call.AnswerRefused, Message: clean.line(err.Error())}
	}
	return c.once(ctx, body, time.Now().Add(probeFor), clean)
}
