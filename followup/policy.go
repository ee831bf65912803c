package followup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"redial/call"
)

// Policy says how a contact is dialed and what follows each disposition. It is written in YAML or JSON with the same
// keys, and travels in that form in a workflow's input. The zero Policy is the default one.
type Policy struct {
	// Name is shown wherever a rule of the policy is named.
	Name string `json:"name,omitempty" yaml:"name"`
	// Attempts is how many business attempts a contact gets; technical retries do not count. Default 6, at most 100.
	Attempts int `json:"attempts,omitempty" yaml:"attempts"`
	// Lifetime is how long after its start a contact may still be dialed. Default 14d, at most 365d.
	Lifetime Duration `json:"lifetime,omitempty" yaml:"lifetime"`
	// Jitter is by how many per cent a delay is longer or shorter, by chance: 0 to 50. Default 15 when a call is started; a run that was
	// started without one has none.
	Jitter *int `json:"jitter,omitempty" yaml:"jitter"`
	Dial   Dial `json:"dial,omitzero" yaml:"dial"`
	// Window is when the phone may ring. Without one any time will do.
	Window Window `json:"window,omitzero" yaml:"window"`
	// Limits are how many calls there may be in a time, at most 20; those of the window's presets hold beside them.
	Limits []Limit `json:"limits,omitempty" yaml:"limits"`
	// AboveCeilings lets Limits hold instead of the deployment's ceilings, which hold beside them otherwise. It is part of each dial's
	// evidence.
	AboveCeilings bool `json:"above_ceilings,omitempty" yaml:"above_ceilings"`
	// Quiet are times without calls after something has happened, at most 20; those of the window's presets hold beside them.
	Quiet []Quiet `json:"quiet,omitempty" yaml:"quiet"`
	// On is the rule for each disposition; one without a rule has that of DefaultRules.
	On       map[call.Disposition]Rule `json:"on,omitempty" yaml:"on"`
	Escalate Escalation                `json:"escalate,omitzero" yaml:"escalate"`
}

// Dial is how each call is placed.
type Dial struct {
	MachineDetection call.Detection `json:"machine_detection,omitempty" yaml:"machine_detection"` // default detect
	RingTimeout      Duration       `json:"ring_timeout,omitempty" yaml:"ring_timeout"`           // default 45s, 5s to 2m
	// MaxCall is the longest that an answered call is believed to last. Default 30m, at most 24h.
	MaxCall Duration `json:"max_call,omitempty" yaml:"max_call"`
	// Grace is what is waited for a notification beyond RingTimeout and MaxCall before an attempt is unknown. Default 45s,
	// at most 24h.
	Grace Duration `json:"grace,omitempty" yaml:"grace"`
	// ThresholdWords is how many words make a greeting a machine's. Default 9, as in the engine below the gateway: the
	// seed's sample of 4 takes many a person for a machine.
	ThresholdWords int               `json:"threshold_words,omitempty" yaml:"threshold_words"`
	Timers         Timers            `json:"timers,omitzero" yaml:"timers"`
	NotifyHeaders  map[string]string `json:"notify_headers,omitempty" yaml:"notify_headers"`
	AMDEvents      string            `json:"amd_events,omitempty" yaml:"amd_events"` // all (default) or none
	CallControl    map[string]any    `json:"call_control,omitempty" yaml:"call_control"`
}

// Timers are the timers of machine detection; defaults are the gateway's own: 5s, 15s, 20s, 2s.
type Timers struct {
	NoSpeech           Duration `json:"no_speech,omitempty" yaml:"no_speech"`
	Decision           Duration `json:"decision,omitempty" yaml:"decision"`
	Tone               Duration `json:"tone,omitempty" yaml:"tone"`
	GreetingCompletion Duration `json:"greeting_completion,omitempty" yaml:"greeting_completion"`
}

// Escalation is where a contact goes that a person has to look at.
type Escalation struct {
	Webhook string `json:"webhook,omitempty" yaml:"webhook"` // http or https URL; empty: the ledger's inbox only
}

// Verb is what a rule does.
type Verb string

const (
	VerbDone       Verb = "done"        // reached what was wanted: the disposition is the outcome
	VerbStop       Verb = "stop"        // give up: the disposition is the outcome
	VerbEscalate   Verb = "escalate"    // hand the contact to people
	VerbSuppress   Verb = "suppress"    // never call this number again
	VerbNextNumber Verb = "next_number" // go on with the contact's next number
)

func verbs() []Verb { return []Verb{VerbDone, VerbStop, VerbEscalate, VerbSuppress, VerbNextNumber} }

// Rule is what follows one disposition: a verb, or retries with what follows them, or what the bot says.
type Rule struct {
	Do    Verb    `json:"-"`
	Retry []Delay `json:"retry,omitempty"`
	Then  Verb    `json:"then,omitempty"` // when the retries are used up; empty: the outcome is exhausted
	// WaitResult is how long the bot's own result is waited for; the rules of Results then decide. At most 24h.
	WaitResult Duration `json:"wait_result,omitempty"`
	// Results are the rules of what the bot says, and of NoResult; one without a rule has that of DefaultResults. A callback has
	// none: it is kept.
	Results map[call.ResultKind]Rule `json:"-"`
}

// NoResult is the key of the rule for a bot that has said nothing in time.
const NoResult call.ResultKind = "none"

// DefaultResults is what follows a result that a rule says nothing about.
func DefaultResults() map[call.ResultKind]Rule {
	return map[call.ResultKind]Rule{
		call.Confirmed:  {Do: VerbDone},
		call.Refused:    {Do: VerbStop},
		call.OptedOut:   {Do: VerbSuppress},
		call.Unfinished: retry(VerbEscalate, 4*time.Hour),
		NoResult:        {Do: VerbDone},
	}
}

// Result is the rule of a result, or of NoResult; false where the bot is not asked. A callback has no rule.
func (r Rule) Result(kind call.ResultKind) (Rule, bool) {
	if r.WaitResult == 0 {
		return Rule{}, false
	}
	if rule, written := r.Results[kind]; written {
		return rule, true
	}
	rule, exists := DefaultResults()[kind]
	return rule, exists
}

// ruleFields is the written form of a rule with more than a verb.
type ruleFields struct {
	Retry      []Delay  `json:"retry,omitempty" yaml:"retry"`
	Then       Verb     `json:"then,omitempty" yaml:"then"`
	WaitResult Duration `json:"wait_result,omitempty" yaml:"wait_result"`
	Confirmed  *Rule    `json:"confirmed,omitempty" yaml:"confirmed"`
	Declined   *Rule    `json:"declined,omitempty" yaml:"declined"`
	OptedOut   *Rule    `json:"opted_out,omitempty" yaml:"opted_out"`
	Unfinished *Rule    `json:"unfinished,omitempty" yaml:"unfinished"`
	None       *Rule    `json:"none,omitempty" yaml:"none"`
}

func (f *ruleFields) results() map[call.ResultKind]**Rule {
	return map[call.ResultKind]**Rule{call.Confirmed: &f.Confirmed, call.Refused: &f.Declined, call.OptedOut: &f.OptedOut,
		call.Unfinished: &f.Unfinished, NoResult: &f.None}
}

// String is the rule as a policy would spell it.
func (r Rule) String() string {
	switch {
	case r.WaitResult > 0:
		return "wait_result " + r.WaitResult.String()
	case r.Do != "":
		return string(r.Do)
	}
	delays := make([]string, len(r.Retry))
	for i, d := range r.Retry {
		delays[i] = d.String()
	}
	text := "retry " + strings.Join(delays, ", ")
	if r.Then != "" {
		text += ", then " + string(r.Then)
	}
	return text
}

// MarshalJSON writes a verb as a string and anything else as an object, as a policy file does.
func (r Rule) MarshalJSON() ([]byte, error) {
	if r.Do != "" {
		return json.Marshal(r.Do)
	}
	f := ruleFields{Retry: r.Retry, Then: r.Then, WaitResult: r.WaitResult}
	for kind, field := range f.results() {
		if rule, written := r.Results[kind]; written {
			*field = &rule
		}
	}
	return json.Marshal(f)
}

func (r *Rule) UnmarshalJSON(data []byte) error {
	return r.read(bytes.HasPrefix(bytes.TrimSpace(data), []byte(`"`)), func(v any) error { return json.Unmarshal(data, v) })
}

// UnmarshalYAML reads what MarshalJSON writes, from YAML.
func (r *Rule) UnmarshalYAML(unmarshal func(any) error) error {
	var probe any
	if err := unmarshal(&probe); err != nil {
		return err
	}
	_, scalar := probe.(string)
	return r.read(scalar, unmarshal)
}

func (r *Rule) read(scalar bool, unmarshal func(any) error) error {
	*r = Rule{}
	if scalar {
		return unmarshal((*string)(&r.Do))
	}
	var f ruleFields
	if err := unmarshal(&f); err != nil {
		return err
	}
	r.Retry, r.Then, r.WaitResult = f.Retry, f.Then, f.WaitResult
	for kind, field := range f.results() {
		if *field != nil {
			if r.Results == nil {
				r.Results = map[call.ResultKind]Rule{}
			}
			r.Results[kind] = **field
		}
	}
	return nil
}

// ResultWait is how long the bot's result of an attempt is waited for; 0: it is not.
func (p Policy) ResultWait(a call.Attempt) time.Duration {
	return time.Duration(p.On[a.Disposition].WaitResult)
}

// AsksForResults tells whether a rule goes by what the bot says.
func (p Policy) AsksForResults() bool {
	for _, rule := range p.On {
		if rule.WaitResult > 0 {
			return true
		}
	}
	return false
}

// Defaults of a policy; their sources are in the documentation of DefaultRules and of the fields.
const (
	DefaultAttempts       = 6
	DefaultLifetime       = Duration(14 * day)
	DefaultJitter         = 15
	DefaultRingTimeout    = Duration(45 * time.Second)
	DefaultMaxCall        = Duration(30 * time.Minute)
	DefaultGrace          = Duration(45 * time.Second)
	DefaultThresholdWords = 9
)

// WithDefaults fills in what the policy leaves open, rules of dispositions included.
func (p Policy) WithDefaults() Policy {
	set(&p.Name, "default")
	set(&p.Attempts, DefaultAttempts)
	set(&p.Lifetime, DefaultLifetime)
	if p.Jitter == nil {
		p.Jitter = new(int)
		*p.Jitter = DefaultJitter
	}
	d := &p.Dial
	set(&d.MachineDetection, call.DetectionDetect)
	set(&d.RingTimeout, DefaultRingTimeout)
	set(&d.MaxCall, DefaultMaxCall)
	set(&d.Grace, DefaultGrace)
	set(&d.ThresholdWords, DefaultThresholdWords)
	set(&d.AMDEvents, "all")
	set(&d.Timers.NoSpeech, Duration(5*time.Second))
	set(&d.Timers.Decision, Duration(15*time.Second))
	set(&d.Timers.Tone, Duration(20*time.Second))
	set(&d.Timers.GreetingCompletion, Duration(2*time.Second))
	rules := DefaultRules()
	for disposition, rule := range p.On {
		rules[disposition] = rule
	}
	p.On = rules
	return p
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Request is the dial request of a call that is placed this way.
func (d Dial) Request(to call.Target, caller, trunk string, metadata map[string]any) call.DialRequest {
	return call.DialRequest{
		To: to, Caller: caller, Trunk: trunk, Metadata: metadata,
		MachineDetection: d.MachineDetection,
		ThresholdWords:   d.ThresholdWords,
		Timers: call.Timers{
			NoSpeech:           time.Duration(d.Timers.NoSpeech),
			Decision:           time.Duration(d.Timers.Decision),
			Tone:               time.Duration(d.Timers.Tone),
			GreetingCompletion: time.Duration(d.Timers.GreetingCompletion),
		},
		RingTimeout:   time.Duration(d.RingTimeout),
		NotifyHeaders: d.NotifyHeaders,
		NoAMDEvents:   d.AMDEvents == "none",
		CallControl:   d.CallControl,
	}
}

// ring is how long after its clearance a phone may ring.
func (d Dial) ring() time.Duration {
	return time.Duration(cmp.Or(d.RingTimeout, DefaultRingTimeout)) + SendWithin
}

// HearFor is how long after its dial a call may be under way, heard of or not.
func (d Dial) HearFor() time.Duration { return time.Duration(d.RingTimeout + d.MaxCall + d.Grace) }

// Scaled is the policy with every wait between attempts divided by factor, for demonstrations and tests that have no
// days to spare. What the gateway is told stays as it is.
func (p Policy) Scaled(factor float64) Policy {
	p = p.WithDefaults()
	shrink := func(d Duration) Duration { return Duration(math.Round(float64(d) / factor)) }
	p.Lifetime = shrink(p.Lifetime)
	for disposition, rule := range p.On {
		rule.Retry = slices.Clone(rule.Retry)
		for i, delay := range rule.Retry {
			rule.Retry[i] = Delay{After: shrink(Duration(delay.wait()))}
		}
		p.On[disposition] = rule
	}
	return p
}

// maxName is the longest name of a policy, in bytes: it is part of a run's summary, which Temporal bounds.
const maxName = 100

// Validate names the first thing that is wrong, by its key. Parse validates what it reads; a policy that is built in Go is
// validated when a call is started with it.
func (p Policy) Validate() error {
	if len(p.Name) > maxName {
		return fmt.Errorf("name: %d bytes are too long: write at most %d", len(p.Name), maxName)
	}
	if p.Attempts < 0 || p.Attempts > 100 {
		return fmt.Errorf("attempts: %d is out of range: write 1 to 100", p.Attempts)
	}
	if p.Lifetime > Duration(365*day) {
		return fmt.Errorf("lifetime: %s is too long: write at most 365d", p.Lifetime)
	}
	if p.Jitter != nil && (*p.Jitter < 0 || *p.Jitter > 50) {
		return fmt.Errorf("jitter: %d is out of range: write 0 to 50, in per cent", *p.Jitter)
	}
	if err := p.Dial.validate(); err != nil {
		return fmt.Errorf("dial.%w", err)
	}
	if err := p.Rules().validate(); err != nil {
		return err
	}
	for _, disposition := range call.Dispositions() {
		rule, written := p.On[disposition]
		if !written {
			continue
		}
		// A rule that says nothing would not be the default one, but none: its contacts would be dropped in silence.
		if err := rule.validate(); err != nil {
			return fmt.Errorf("on.%s: %w", disposition, err)
		}
	}
	for disposition := range p.On {
		if !disposition.Valid() {
			return fmt.Errorf("on.%s: no such disposition: write one of %s", disposition, join(call.Dispositions()))
		}
	}
	if p.Escalate.Webhook != "" {
		u, err := url.Parse(p.Escalate.Webhook)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("escalate.webhook: %q is no absolute http or https URL", p.Escalate.Webhook)
		}
	}
	return nil
}

func (d Dial) validate() error {
	switch d.MachineDetection {
	case "", call.DetectionDetect, call.DetectionDisconnect, call.DetectionDisabled:
	default:
		return fmt.Errorf("machine_detection: %q is unknown: write detect, disconnect or disabled", d.MachineDetection)
	}
	if d.AMDEvents != "" && d.AMDEvents != "all" && d.AMDEvents != "none" {
		return fmt.Errorf("amd_events: %q is unknown: write all or none", d.AMDEvents)
	}
	if d.RingTimeout != 0 && (d.RingTimeout < Duration(5*time.Second) || d.RingTimeout > Duration(2*time.Minute)) {
		return fmt.Errorf("ring_timeout: %s is out of range: write 5s to 2m", d.RingTimeout)
	}
	if d.MaxCall > Duration(day) {
		return fmt.Errorf("max_call: %s is too long: write at most 24h", d.MaxCall)
	}
	if d.Grace > Duration(day) {
		return fmt.Errorf("grace: %s is too long: write at most 24h", d.Grace)
	}
	if d.ThresholdWords < 0 || d.ThresholdWords > 100 {
		return fmt.Errorf("threshold_words: %d is out of range: write 1 to 100", d.ThresholdWords)
	}
	return nil
}

func (r Rule) validate() error {
	if r.WaitResult != 0 || len(r.Results) > 0 {
		return r.validateResults()
	}
	switch {
	case r.Do != "" && !slices.Contains(verbs(), r.Do):
		return fmt.Errorf("%q is no verb: write one of %s, or {retry: [...], then: verb}", r.Do, join(verbs()))
	case r.Do == "" && len(r.Retry) == 0:
		return fmt.Errorf("the list of retries is empty: name at least one delay, or write a verb")
	case len(r.Retry) > 50:
		return fmt.Errorf("%d retries are too many: write at most 50", len(r.Retry))
	case r.Then != "" && !slices.Contains(verbs(), r.Then):
		return fmt.Errorf("then: %q is no verb: write one of %s", r.Then, join(verbs()))
	}
	return nil
}

// maxWaitResult is the longest that a bot's result is waited for.
const maxWaitResult = Duration(day)

func (r Rule) validateResults() error {
	switch {
	case r.WaitResult <= 0 || r.WaitResult > maxWaitResult:
		return fmt.Errorf("wait_result: %s is out of range: say for how long, up to 24h", r.WaitResult)
	case r.Do != "" || len(r.Retry) > 0 || r.Then != "":
		return fmt.Errorf("retry: it does not go with wait_result: name it under a result, such as unfinished or none")
	}
	for _, kind := range append(call.ResultKinds(), NoResult) {
		rule, written := r.Results[kind]
		switch {
		case !written:
			continue
		case rule.WaitResult != 0 || len(rule.Results) > 0:
			return fmt.Errorf("%s: a result is not followed by another: write a verb or retries", kind)
		}
		if err := rule.validate(); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func join[T ~string](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

// Warnings names what is allowed and yet unlikely to be meant.
func (p Policy) Warnings() []string {
	t := p.WithDefaults().Dial.Timers
	var warnings []string
	if t.Tone <= t.Decision || t.Tone <= t.NoSpeech {
		warnings = append(warnings, fmt.Sprintf("dial.timers: tone (%s) ends before decision (%s) or no_speech (%s): "+
			"detection may then stop without a verdict, and the call counts as answered", t.Tone, t.Decision, t.NoSpeech))
	} else if t.NoSpeech > t.Decision {
		warnings = append(warnings, fmt.Sprintf("dial.timers: decision (%s) ends before no_speech (%s): "+
			"silence will be reported as undecided", t.Decision, t.NoSpeech))
	}
	return warnings
}
