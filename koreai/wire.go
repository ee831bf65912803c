package koreai

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"redial/call"
)

// wireRequest is the body of a dialout request, in the spellings that the documentation's samples use. Where tables
// and samples differ (botId, notifyUrl, machinedetection), the samples are known to have been run.
type wireRequest struct {
	Bot                string            `json:"bot"`
	Target             string            `json:"target"`
	Caller             string            `json:"caller"`
	Trunk              string            `json:"trunk,omitempty"`
	NotifyURL          string            `json:"notifyurl"`
	NotifyHeaders      map[string]string `json:"notifyHeaders,omitempty"`
	TimeoutInMs        int64             `json:"timeoutInMs,omitempty"`
	MachineDetection   call.Detection    `json:"machineDetection"`
	ThresholdWordCount int               `json:"thresholdWordCount,omitempty"`
	Timers             wireTimers        `json:"timers,omitzero"`
	// AMDEvents is sent only to opt out: the empty array is the only value that is documented.
	AMDEvents            *[]string      `json:"amdEventsSubscription,omitempty"`
	CallControlParameter map[string]any `json:"callControlParameter,omitempty"`
	Metadata             map[string]any `json:"metadata,omitempty"`
}

type wireTimers struct {
	NoSpeech           int64 `json:"noSpeechTimeoutMs,omitempty"`
	Decision           int64 `json:"decisionTimeoutMs,omitempty"`
	Tone               int64 `json:"toneTimeoutMs,omitempty"`
	GreetingCompletion int64 `json:"greetingCompletionTimeoutMs,omitempty"`
}

// encode writes the body of a dialout request. An error means that the request can never be sent as it is.
func encode(bot string, req call.DialRequest, notifyURL string) ([]byte, error) {
	target, err := wireTarget(req.To)
	if err != nil {
		return nil, err
	}
	if err := checkNotifyURL(notifyURL); err != nil {
		return nil, err
	}
	if strings.TrimSpace(req.Caller) == "" {
		return nil, errors.New("no caller was given; name a number that is attached to an experience flow")
	}
	detection, err := wireDetection(req.MachineDetection)
	if err != nil {
		return nil, err
	}
	if err := checkHeaders(req.NotifyHeaders); err != nil {
		return nil, err
	}
	w := wireRequest{
		Bot: bot, Target: target, Caller: req.Caller, Trunk: req.Trunk, NotifyURL: notifyURL, NotifyHeaders: req.NotifyHeaders,
		MachineDetection: detection, ThresholdWordCount: req.ThresholdWords,
		CallControlParameter: req.CallControl, Metadata: req.Metadata,
	}
	if req.NoAMDEvents {
		w.AMDEvents = &[]string{}
	}
	for _, d := range []struct {
		name string
		from time.Duration
		to   *int64
	}{
		{"ring timeout", req.RingTimeout, &w.TimeoutInMs},
		{"no-speech timer", req.Timers.NoSpeech, &w.Timers.NoSpeech},
		{"decision timer", req.Timers.Decision, &w.Timers.Decision},
		{"tone timer", req.Timers.Tone, &w.Timers.Tone},
		{"greeting-completion timer", req.Timers.GreetingCompletion, &w.Timers.GreetingCompletion},
	} {
		if d.from < 0 || d.from > 0 && d.from < time.Millisecond {
			return nil, fmt.Errorf("the %s is %s; use at least a millisecond, or leave it out", d.name, d.from)
		}
		*d.to = d.from.Milliseconds()
	}
	if req.ThresholdWords < 0 {
		return nil, fmt.Errorf("the threshold is %d words; use at least one, or leave it out", req.ThresholdWords)
	}
	body, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("metadata or call control cannot be written as JSON: %w", err)
	}
	return body, nil
}

var telTarget = regexp.MustCompile(`^tel:\+([1-9][0-9]{3,14})$`)

// wireTarget spells a target as the gateway does: "tel:" and the digits without the plus, or the SIP address as it is.
func wireTarget(t call.Target) (string, error) {
	if m := telTarget.FindStringSubmatch(t.URI); m != nil {
		return "tel:" + m[1], nil
	}
	sip := strings.HasPrefix(t.URI, "sip:") || strings.HasPrefix(t.URI, "sips:")
	if !sip || !strings.Contains(t.URI, "@") || strings.ContainsFunc(t.URI, func(r rune) bool { return isControl(r) || unicode.IsSpace(r) }) {
		return "", errors.New("the target is not in its canonical form; make it with phone.Parse")
	}
	return t.URI, nil
}

// checkNotifyURL refuses a call that nothing would be heard of. A "#" is refused because the engine beneath the gateway
// takes what follows for settings of its own.
func checkNotifyURL(text string) error {
	if text == "" {
		return errors.New("no notify URL was given, and a call that nothing is heard of is not made; set the public base URL")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Contains(text, "#") {
		return errors.New("the notify URL is no absolute http or https URL without fragment; set the public base URL")
	}
	return nil
}

// wireDetection always states a mode, since the gateway's default is not documented: a request that asks for none gets
// none. "no" is how the campaign API of the same platform spells it.
func wireDetection(d call.Detection) (call.Detection, error) {
	switch d {
	case call.DetectionDetect, call.DetectionDisconnect, call.DetectionDisabled:
		return d, nil
	case "", "no":
		return call.DetectionDisabled, nil
	}
	return "", fmt.Errorf("machine detection %q is unknown; use detect, disconnect or disabled", string(d))
}

// headerName is a token of RFC 9110, 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func checkHeaders(headers map[string]string) error {
	for name, value := range headers {
		if !headerName.MatchString(name) {
			return fmt.Errorf("the notify header %q is no header name; use letters, digits and hyphens", name)
		}
		if strings.ContainsFunc(value, isControl) {
			return fmt.Errorf("the notify header %s has a control character in its value; remove it", name)
		}
	}
	return nil
}

func isControl(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
