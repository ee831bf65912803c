package koreai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"redial/call"
)

// DecodeOptions are what a notification does not say itself.
type DecodeOptions struct {
	// Zone is where times without a zone are read, as gateways of the first generation send them. Default: UTC.
	Zone *time.Location
	// ReceivedAt is when the notification arrived, by our clock. It becomes every event's ReceivedAt.
	ReceivedAt time.Time
}

// DecodeError says in one line why a notification, or a part of one, could not be understood. Its raw bytes are to be
// kept in quarantine. It quotes nothing of the notification.
type DecodeError struct {
	Part    int // which element of an array, from 1; 0: the whole
	Problem string
}

func (e *DecodeError) Error() string {
	if e.Part > 0 {
		return fmt.Sprintf("notification, element %d: %s", e.Part, e.Problem)
	}
	return "notification: " + e.Problem
}

// maxDuration bounds every duration that a notification states; what is longer is a mistake.
const maxDuration = 7 * 24 * time.Hour

// Decode reads a notification: one JSON object, or an array of them. It understands both generations of the gateway, in
// any mixture: keys in any case, numbers as text, both formats of time, and fields it does not know, which it leaves to
// whoever keeps the raw bytes. Every field is optional, but an event states a status or a value of machine detection.
//
// The error is a *DecodeError for the first thing that could not be understood. In an array the other elements are
// returned beside it, so that one bad element does not cost a call its end. Decode never panics; bounding the length of
// raw, to 64 KiB in the webhook, is the caller's part.
func Decode(raw []byte, opt DecodeOptions) ([]call.Event, error) {
	if opt.Zone == nil {
		opt.Zone = time.UTC
	}
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	switch {
	case len(raw) == 0:
		return nil, &DecodeError{Problem: "it is empty"}
	case raw[0] != '[':
		event, problem := decodeOne(raw, opt)
		if problem != "" {
			return nil, &DecodeError{Problem: problem}
		}
		return []call.Event{event}, nil
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return nil, &DecodeError{Problem: errBroken.Error()}
	}
	if len(elements) == 0 {
		return nil, &DecodeError{Problem: "it is an empty array"}
	}
	var events []call.Event
	var firstBad error
	for i, element := range elements {
		event, problem := decodeOne(element, opt)
		switch {
		case problem == "":
			events = append(events, event)
		case firstBad == nil:
			firstBad = &DecodeError{Part: i + 1, Problem: problem}
		}
	}
	return events, firstBad
}

// decodeOne reads one event, or says why it cannot.
func decodeOne(raw []byte, opt DecodeOptions) (event call.Event, problem string) {
	f, err := readObject(raw)
	if err != nil {
		return call.Event{}, err.Error()
	}
	e := call.Event{
		RawStatus:      f.value("status"),
		AMD:            call.ParseAMD(f.value("machinedetection")),
		Reason:         f.value("reason"),
		ReasonCode:     f.value("reasoncode"),
		ConversationID: f.id("conversationid"),
		SID:            f.id("sid"),
		CallID:         f.id("callid"),
		SessionID:      f.id("sessionid"),
		Ring:           milliseconds(f.text("ringdurationinms")),
		Connect:        milliseconds(f.text("connectdurationinms")),
		ReceivedAt:     opt.ReceivedAt,
	}
	switch {
	case e.RawStatus != "":
		e.Status = parseStatus(e.RawStatus)
	case strings.HasPrefix(string(e.AMD), "amd_"):
		e.Status = call.StatusProgress
	default:
		return call.Event{}, "it states neither a status nor an event of machine detection"
	}
	e.SIP = sipCode(e)
	e.EndedBy = endedBy(e)
	e.Claimed = claimedTimes(f, e.Status, opt.Zone)
	if e.Status == call.StatusCompleted {
		e.Duration = duration(f, e.Claimed)
	}
	return e, ""
}

// duration is how long a completed call lasted: as stated, under the key of either generation, else between the times
// the notification claims.
func duration(f fields, claimed call.ClaimedTimes) time.Duration {
	for _, key := range []string{"callduration", "duration"} {
		if seconds, ok := number(f.text(key)); ok {
			return whole(seconds)
		}
	}
	if claimed.Connect.IsZero() || claimed.Disconnect.IsZero() {
		return 0
	}
	return whole(claimed.Disconnect.Sub(claimed.Connect).Seconds())
}

// whole is a number of seconds as a duration of whole ones, the way the gateway itself rounds: down.
func whole(seconds float64) time.Duration {
	seconds = math.Floor(min(max(seconds, 0), maxDuration.Seconds()))
	return time.Duration(seconds) * time.Second
}

func milliseconds(s string) time.Duration {
	n, ok := number(s)
	if !ok {
		return 0
	}
	n = math.Floor(min(max(n, 0), float64(maxDuration.Milliseconds())))
	return time.Duration(n) * time.Millisecond
}

// decimal is a number as JSON writes it; ParseFloat alone would also take "Inf", "0x1p3" and "1_0".
var decimal = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$`)

func number(s string) (float64, bool) {
	if !decimal.MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}
