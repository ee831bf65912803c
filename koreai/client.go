package koreai

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"redial/call"
)

// Client places calls through one account of the gateway. It is safe for concurrent use, keeps no connection, no state
// and no pace: whoever calls Dial has cleared the call first.
type Client struct {
	cfg      Config
	endpoint *url.URL
}

// New checks the configuration; an error is a *FieldError for the first field that is wrong. It does not connect.
func New(cfg Config) (*Client, error) {
	endpoint, err := cfg.check()
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, endpoint: endpoint}, nil
}

// Endpoint is the URL that Dial posts to.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// String names the endpoint and hides the secret.
func (c *Client) String() string { return "gateway at " + c.Endpoint() }

// GoString names the endpoint and hides the secret.
func (c *Client) GoString() string { return c.String() }

// Dial sends one dialout request whose first byte leaves before sendBy, or never. Everything that can happen is an
// answer; what each class rests on:
//
//   - placed: a 2xx, with or without ids.
//   - not placed: not one byte of the request was handed to the network (the name did not resolve, the connection or
//     its TLS failed, sendBy passed or ctx ended before), or the gateway redirected; no redirect is followed.
//   - throttled: 429, 480 (no capacity), 503 with Retry-After, or a 4xx that speaks of the rate limit. RetryAfter is what
//     the gateway stated, between a second and an hour; 0 when it stated nothing.
//   - refused: any other 4xx, and a request that cannot be sent as it is, for instance without a notify URL. A 401 is
//     tried once more with a fresh JWT; where sendBy leaves no time for that, it is not placed.
//   - unknown: a byte of the request was handed over and no answer that tells was read: a timeout, a reset, a 500, 502,
//     504, a 503 without Retry-After, something that is not HTTP. A phone may be ringing.
//
// The answer is waited for as long as Config.ResponseTimeout, counted from the first byte, or until ctx ends. Message
// holds the gateway's own words or the error: one line of at most 200 characters without secrets, URLs of notifications
// or the number dialed.
func (c *Client) Dial(ctx context.Context, req call.DialRequest, notifyURL string, sendBy time.Time) call.DialAnswer {
	clean := newScrubber(c.cfg.ClientSecret, req, notifyURL)
	body, err := encode(c.cfg.BotID, req, notifyURL)
	if err != nil {
		return call.DialAnswer{Class: call.AnswerRefused, Message: clean.line("not sent: " + err.Error())}
	}
	answer := c.once(ctx, body, sendBy, clean)
	if answer.Class != call.AnswerRefused || answer.HTTPStatus != http.StatusUnauthorized {
		return answer
	}
	if ctx.Err() != nil || !time.Now().Before(sendBy) {
		answer.Class = call.AnswerNotPlaced
		return answer
	}
	return c.once(ctx, body, sendBy, clean)
}

// once sends the request a single time, under a JWT of its own.
func (c *Client) once(ctx context.Context, body []byte, sendBy time.Time, clean scrubber) call.DialAnswer {
	now := time.Now()
	token, err := c.sign(now)
	if err != nil {
		return call.DialAnswer{Class: call.AnswerRefused, Message: clean.line("not sent: signing the JWT failed: " + err.Error())}
	}
	clean = clean.hide(token)
	wire, err := c.compose(body, token)
	if err != nil {
		return call.DialAnswer{Class: call.AnswerRefused, Message: clean.line("not sent: " + err.Error())}
	}
	reply, err := c.exchange(ctx, wire, sendBy)
	if err != nil {
		return c.failure(err, clean)
	}
	return classify(reply, time.Now(), clean)
}

// compose writes the whole request out, so that it can be handed over in one write and its first byte is one event. The
// connection is asked to close: it serves this request only, so that none is ever sent on a connection that the gateway
// may just have given up.
func (c *Client) compose(body []byte, token string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodPost, c.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("composing the request: %w", err)
	}
	req.Close = true
	req.Header.Set("User-Agent", "redial")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header["auth"] = []string{token}
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		return nil, fmt.Errorf("composing the request: %w", err)
	}
	return wire.Bytes(), nil
}

// sign makes the JWT of one request. Its id is fresh each time, because an account may refuse JWTs without one and
// refuses any it has seen before.
func (c *Client) sign(now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub":   c.cfg.Subject,
		"appId": c.cfg.ClientID,
		"iat":   now.Add(-clockSkew).Unix(),
		"exp":   now.Add(tokenLifetime).Unix(),
		"jti":   uuid.NewString(),
	}).SignedString([]byte(c.cfg.ClientSecret))
}
