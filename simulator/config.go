package simulator

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// The identity that a zero [Config] takes. They are public, and therefore worth nothing outside a simulator.
const (
	DefaultBotID           = "st-simulator"
	DefaultClientID        = "cs-simulator"
	DefaultClientSecret    = "simulator-secret-0123456789abcdef"
	DefaultSignatureSecret = "signature-simulator-secret"
)

// MaxSpeed is the largest [Config.Speed]: beyond it a minute of ringing is shorter than a timer's own inaccuracy.
const MaxSpeed = 1_000_000

// Dialect is the generation of notifications that the gateway speaks. A client cannot know which one a tenant runs.
type Dialect string

const (
	// Gen1 notifies once per call, at its end: completed or failed.
	Gen1 Dialect = "gen1"
	// Gen2 notifies Answered, Call-In-Progress once per answering-machine event, then completed; or Failed alone.
	Gen2 Dialect = "gen2"
	// Mixed draws one of the two for every call, evenly, from the seed.
	Mixed Dialect = "mixed"
)

// Scope says what the JWT app may do.
type Scope string

const (
	// ScopeGranted is an app with the published scope "SmartAssist Dialout".
	ScopeGranted Scope = "granted"
	// ScopeMissing is an app that is mapped to other scopes.
	ScopeMissing Scope = "missing"
	// ScopeUnpublished is an app whose scope was mapped and not published, which counts for nothing.
	ScopeUnpublished Scope = "unpublished"
)

// Config says how the gateway behaves. The zero value is a gateway with the default identity, on a clock as fast as
// ours, with gen1 notifications, no limits, and a human at every number.
type Config struct {
	// BotID is the bot (stream) that may be dialed with; default [DefaultBotID].
	BotID string
	// ClientID is the JWT app's client id, which a token names in its claim appId; default [DefaultClientID].
	ClientID string
	// ClientSecret is the HS256 key of the JWT app; default [DefaultClientSecret].
	ClientSecret string

	// Speed is how many seconds of the gateway's clock pass in one of ours: 60 makes a simulated minute last a second.
	// It scales ring times, detection timers, talk times, the delays of notifications and of their retries, and the
	// window of RatePerMinute. It does not scale what the HTTP client sees: slow_answer, Retry-After and the POST's own
	// time-out are real seconds. Above 0 and up to [MaxSpeed]; default 1.
	//
	// The times claimed in a call's notifications start at the real time of its request and run at this speed, so that
	// durations agree with them; they are ahead of our clock by up to the length of the call, also when
	// [Simulator.Advance] has moved the clock.
	Speed float64
	// Paused makes the clock stand still until [Simulator.Advance] moves it, so that a test has all the time it needs
	// between two events. Speed means nothing then. Default off: the clock runs, and can be moved ahead all the same.
	Paused bool

	// Dialect is the generation of notifications; default [Gen1]. A script may choose per call.
	Dialect Dialect
	// Location is the time zone in which gen1 writes its times, which name none; default UTC.
	Location *time.Location

	// Seed keys every draw, together with the target and the number of its dial. Zero is a seed like any other.
	Seed uint64
	// Profile draws the calls that nothing else decides; the zero value is a human every time.
	Profile Profile
	// PlainNumbers switches off the meaning of a target's last digits or user part (see [Simulator.Script]). Switch it on for
	// lists of consecutive numbers, where one number in a hundred would have a meaning by accident. Default off.
	PlainNumbers bool

	// Lines is how many calls a trunk carries at once; a call above it is accepted and then fails with 503. Each value of
	// the request's trunk has its own lines. Zero: no limit.
	Lines int
	// RatePerMinute is how many authenticated requests the account may make in any sixty seconds of the gateway's clock
	// (real seconds times Speed); those above are answered with RateStatus and the gateway's text, and place nothing. Refused requests count
	// too. The real gateway's limit is 60. Zero: no limit.
	RatePerMinute int
	// RateStatus is the HTTP status of a request above the rate, 400 to 599; the documentation gives the text alone.
	// Default 429.
	RateStatus int
	// RetryAfter adds the header Retry-After to the refusals of RatePerMinute, in real seconds, rounded up. The real gateway is
	// not known to send it; default off.
	RetryAfter bool

	// RequireJTI refuses tokens without a jti, like a JWT app with "Enforce JTI" switched on.
	RequireJTI bool
	// Scope other than [ScopeGranted], the default, refuses every valid token with 403.
	Scope Scope

	// SuccessStatus is the HTTP status of an accepted dialout, 200 or 201: the documentation states none, and the engine
	// underneath uses 201. Default 200.
	SuccessStatus int
	// ConversationIDIsSID makes the conversationId of notifications equal to the sid of the answer. By default it is an id of
	// its own, which is the harder case: nothing promises that they are equal.
	ConversationIDIsSID bool
	// AnswerConversationID adds conversationId to the dialout answer, as the documentation's prose promises and its
	// samples do not.
	AnswerConversationID bool

	// SignatureSecret keys the header SAVG-Signature of notifications; default [DefaultSignatureSecret].
	SignatureSecret string
	// NotifyHeadersOnAll puts the request's notifyHeaders on every notification. By default they go out with
	// answering-machine notifications only, which is all that is documented.
	NotifyHeadersOnAll bool
	// Retries is how often a notification is posted again when its answer was not 2xx or never came; default 0, as in the
	// engine underneath. The first retry follows a second later on the gateway's clock, each further one after twice the time.
	Retries int

	// Logger receives the simulator's log; it names sids, never telephone numbers or tokens. Default: none.
	Logger *zap.Logger
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	orElse := func(s *string, fallback string) {
		if *s == "" {
			*s = fallback
		}
	}
	orElse(&c.BotID, DefaultBotID)
	orElse(&c.ClientID, DefaultClientID)
	orElse(&c.ClientSecret, DefaultClientSecret)
	orElse(&c.SignatureSecret, DefaultSignatureSecret)
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Dialect == "" {
		c.Dialect = Gen1
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Scope == "" {
		c.Scope = ScopeGranted
	}
	if c.RateStatus == 0 {
		c.RateStatus = 429
	}
	if c.SuccessStatus == 0 {
		c.SuccessStatus = 200
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// validate reports everything that is wrong with a configuration whose defaults are filled in.
func (c Config) validate() error {
	var faults []error
	if !(c.Speed > 0 && c.Speed <= MaxSpeed) {
		faults = append(faults, fmt.Errorf("speed %v: give a number above 0 and up to %d", c.Speed, MaxSpeed))
	}
	switch c.Dialect {
	case Gen1, Gen2, Mixed:
	default:
		faults = append(faults, fmt.Errorf("dialect %q: give gen1, gen2 or mixed", c.Dialect))
	}
	switch c.Scope {
	case ScopeGranted, ScopeMissing, ScopeUnpublished:
	default:
		faults = append(faults, fmt.Errorf("scope %q: give granted, missing or unpublished", c.Scope))
	}
	if c.RateStatus < 400 || c.RateStatus > 599 {
		faults = append(faults, fmt.Errorf("rate status %d: give 400 to 599", c.RateStatus))
	}
	if c.SuccessStatus != 200 && c.SuccessStatus != 201 {
		faults = append(faults, fmt.Errorf("success status %d: give 200 or 201", c.SuccessStatus))
	}
	for _, limit := range []struct {
		name  string
		value int
	}{{"lines", c.Lines}, {"rate per minute", c.RatePerMinute}, {"retries", c.Retries}} {
		if limit.value < 0 {
			faults = append(faults, fmt.Errorf("%s %d: give 0 for none, or a positive number", limit.name, limit.value))
		}
	}
	return errors.Join(faults...)
}
