package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Detection is the mode of answering-machine detection that a request asks for.
type Detection string

const (
	// Disconnect detects, and hangs up on a machine.
	Disconnect Detection = "disconnect"
	// Detect detects, and keeps the call.
	Detect Detection = "detect"
	// Disabled does not detect. A request without a mode is taken for this; the documentation gives no default.
	Disabled Detection = "disabled"
)

// The defaults of a dialout request.
const (
	// defaultTimeout is how long a call rings: undocumented, the engine's own.
	defaultTimeout = 60 * time.Second
	// defaultThreshold is the number of words that make a machine: undocumented, the engine's own.
	defaultThreshold = 9
)

// Requested is what a dialout request asked for, with defaults filled in. In JSON its times are milliseconds.
type Requested struct {
	Timeout       time.Duration // from placing the call to giving up on an answer; default 60 s
	Detection     Detection
	Threshold     int // words in a greeting that make it a machine; default 9
	Timers        Timers
	NoAMDEvents   bool // amdEventsSubscription was an empty list
	NotifyHeaders map[string]string
	CallControl   json.RawMessage
}

// requestedJSON is [Requested] as records show it: the unit in the name, as in the API itself.
type requestedJSON struct {
	Timeout            int64             `json:"timeout_ms"`
	Detection          Detection         `json:"machine_detection"`
	Threshold          int               `json:"threshold_word_count"`
	NoSpeech           int64             `json:"no_speech_timeout_ms"`
	Decision           int64             `json:"decision_timeout_ms"`
	Tone               int64             `json:"tone_timeout_ms"`
	GreetingCompletion int64             `json:"greeting_completion_timeout_ms"`
	NoAMDEvents        bool              `json:"no_amd_events"`
	NotifyHeaders      map[string]string `json:"notify_headers,omitempty"`
	CallControl        json.RawMessage   `json:"call_control_parameter,omitempty"`
}

// MarshalJSON writes times in whole milliseconds.
func (r Requested) MarshalJSON() ([]byte, error) {
	return json.Marshal(requestedJSON{
		Timeout: r.Timeout.Milliseconds(), Detection: r.Detection, Threshold: r.Threshold,
		NoSpeech: r.Timers.NoSpeech.Milliseconds(), Decision: r.Timers.Decision.Milliseconds(),
		Tone: r.Timers.Tone.Milliseconds(), GreetingCompletion: r.Timers.GreetingCompletion.Milliseconds(),
		NoAMDEvents: r.NoAMDEvents, NotifyHeaders: r.NotifyHeaders, CallControl: r.CallControl,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Requested) UnmarshalJSON(raw []byte) error {
	var j requestedJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return err
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	*r = Requested{
		Timeout: ms(j.Timeout), Detection: j.Detection, Threshold: j.Threshold,
		Timers: Timers{
			NoSpeech: ms(j.NoSpeech), Decision: ms(j.Decision), Tone: ms(j.Tone), GreetingCompletion: ms(j.GreetingCompletion),
		},
		NoAMDEvents: j.NoAMDEvents, NotifyHeaders: j.NotifyHeaders, CallControl: j.CallControl,
	}
	return nil
}

// dialRequest is the body of a dialout request, understood.
type dialRequest struct {
	bot       string // "" when the body names none
	target    string
	to        target
	caller    string
	trunk     string
	notifyURL string
	metadata  json.RawMessage
	resultURL string // metadata.redial_result_url
	simulate  script // metadata.simulate
	asked     Requested
}

// callerUser is the user part of a caller id: a telephone number or a SIP user.
var callerUser = regexp.MustCompile(`^\+?[A-Za-z0-9._~*#-]{1,64}$`)

// headerName is a field name of HTTP (RFC 9110, section 5.6.2).
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// body is a JSON object whose keys are matched in any case, because the documentation itself spells them in several.
type body map[string]json.RawMessage

func readBody(raw []byte) (body, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, errors.New("the body is no JSON object: parameters go into the body, also those that the documentation calls query parameters")
	}
	b := make(body, len(object))
	for key, value := range object {
		if !bytes.Equal(value, []byte("null")) {
			b[strings.ToLower(key)] = value
		}
	}
	return b, nil
}

// read decodes a field, if it is there.
func (b body) read(key string, into any, want string) error {
	raw, there := b[strings.ToLower(key)]
	if !there {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s must be %s", key, want)
	}
	return nil
}

// millis reads a number of milliseconds.
func (b body) millis(key string, into *time.Duration) error {
	ms := -1.0
	if err := b.read(key, &ms, "a number of milliseconds"); err != nil {
		return err
	}
	if _, there := b[strings.ToLower(key)]; !there {
		return nil
	}
	if ms < 1 || ms > float64(longest.Milliseconds()) {
		return fmt.Errorf("%s is %v: give milliseconds, from 1 to a week", key, ms)
	}
	*into = time.Duration(ms * float64(time.Millisecond))
	return nil
}

// parseDial reads and checks the body of a dialout request. What it does not know it ignores.
func parseDial(raw []byte) (dialRequest, error) {
	b, err := readBody(raw)
	if err != nil {
		return dialRequest{}, err
	}
	d := dialRequest{asked: Requested{
		Timeout: defaultTimeout, Detection: Disabled, Threshold: defaultThreshold, Timers: defaultTimers,
	}}
	for _, part := range []func(body, *dialRequest) error{
		readParties, readNotify, readDetection, readMetadata,
	} {
		if err := part(b, &d); err != nil {
			return dialRequest{}, err
		}
	}
	return d, nil
}

func readParties(b body, d *dialRequest) error {
	var bot, botID string
	err := errors.Join(
		b.read("bot", &bot, "a string"),
		b.read("botId", &botID, "a string"),
		b.read("target", &d.target, "a string"),
		b.read("caller", &d.caller, "a string"),
		b.read("trunk", &d.trunk, "a string"),
		b.millis("timeoutInMs", &d.asked.Timeout),
	)
	if err != nil {
		return err
	}
	switch {
	case bot != "" && botID != "" && bot != botID:
		return fmt.Errorf("bot %q and botId %q differ: give one", bot, botID)
	case d.target == "":
		return errors.New("target is missing: give a tel: or sip: URI in the body")
	case d.caller == "":
		return errors.New("caller is missing: give the number of an experience flow in the body")
	case !callerUser.MatchString(d.caller):
		return fmt.Errorf("caller %q is no user part: give a number such as +15551230000", d.caller)
	}
	d.bot = cmp.Or(bot, botID)
	d.to, err = parseTarget(d.target)
	return err
}

func readNotify(b body, d *dialRequest) error {
	var headers map[string]any
	err := errors.Join(
		b.read("notifyUrl", &d.notifyURL, "a string"),
		b.read("notifyHeaders", &headers, "an object"),
	)
	if err != nil {
		return err
	}
	if d.notifyURL != "" {
		u, err := url.Parse(d.notifyURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return errors.New("notifyurl must be an absolute http or https URL")
		}
	}
	for name, value := range headers {
		text := fmt.Sprint(value)
		if !headerName.MatchString(name) || strings.ContainsAny(text, "\r\n") {
			return fmt.Errorf("notifyHeaders has %q, which is no HTTP header", name)
		}
		if d.asked.NotifyHeaders == nil {
			d.asked.NotifyHeaders = map[string]string{}
		}
		d.asked.NotifyHeaders[http.CanonicalHeaderKey(name)] = text
	}
	return nil
}

func readDetection(b body, d *dialRequest) error {
	var (
		mode       string
		threshold  = float64(d.asked.Threshold)
		subscribed []any
		timers     = body{}
		rawTimers  json.RawMessage
	)
	err := errors.Join(
		b.read("machineDetection", &mode, "a string"),
		b.read("thresholdWordCount", &threshold, "a number"),
		b.read("amdEventsSubscription", &subscribed, "a list"),
		b.read("timers", &rawTimers, "an object"),
	)
	if err != nil {
		return err
	}
	if mode != "" {
		d.asked.Detection = Detection(strings.ToLower(mode))
	}
	switch d.asked.Detection {
	case Disconnect, Detect, Disabled:
	default:
		return fmt.Errorf("machineDetection is %q: give disconnect, detect or disabled", mode)
	}
	if threshold < 1 || threshold > 10_000 || threshold != math.Trunc(threshold) {
		return fmt.Errorf("thresholdWordCount is %v: give a whole number from 1", threshold)
	}
	d.asked.Threshold = int(threshold)
	// Only the empty list has a documented meaning; any other leaves all events on.
	d.asked.NoAMDEvents = subscribed != nil && len(subscribed) == 0
	if rawTimers == nil {
		return nil
	}
	if timers, err = readBody(rawTimers); err != nil {
		return errors.New("timers must be an object")
	}
	return errors.Join(
		timers.millis("noSpeechTimeoutMs", &d.asked.Timers.NoSpeech),
		timers.millis("decisionTimeoutMs", &d.asked.Timers.Decision),
		timers.millis("toneTimeoutMs", &d.asked.Timers.Tone),
		timers.millis("greetingCompletionTimeoutMs", &d.asked.Timers.GreetingCompletion),
	)
}

func readMetadata(b body, d *dialRequest) error {
	var metadata, control map[string]json.RawMessage
	err := errors.Join(
		b.read("metadata", &metadata, "an object"),
		b.read("callControlParameter", &control, "an object"),
	)
	if err != nil {
		return err
	}
	d.metadata, d.asked.CallControl = b["metadata"], b["callcontrolparameter"]
	d.resultURL = resultURL(metadata)
	simulate, there := metadata["simulate"]
	if !there {
		return nil
	}
	var text string
	if err = json.Unmarshal(simulate, &text); err != nil {
		return fmt.Errorf("metadata.simulate must be a string with a script, as in %q", "busy,human")
	}
	if d.simulate, err = parseScript(text); err != nil {
		return fmt.Errorf("metadata.simulate: %w", err)
	}
	return nil
}
