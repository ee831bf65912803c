package call

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxResultData is the most that a bot may say beside its result, in bytes of JSON.
const MaxResultData = 16 << 10

const (
	callbackPast   = 5 * time.Minute      // a callback may be this far past: clocks differ, and a conversation goes on after the promise
	callbackFuture = 366 * 24 * time.Hour // and this far ahead; what is further is a mistake
)

// ParseBotResult reads what a bot hands in about an attempt: one JSON object with result, at and data. The error is one line for
// the bot's developer that names the field and the remedy; it may quote what was sent, and is not for logs. The attempt's key is
// left to the caller. ParseBotResult never panics; bounding the length of raw is the caller's part.
func ParseBotResult(raw []byte, received time.Time) (BotResult, error) {
	fields, err := resultFields(raw)
	if err != nil {
		return BotResult{}, err
	}
	r := BotResult{ReceivedAt: received}
	if r.Kind, err = resultKind(fields["result"]); err != nil {
		return BotResult{}, err
	}
	if r.At, err = callbackAt(fields["at"], r.Kind, received); err != nil {
		return BotResult{}, err
	}
	if r.Data, err = resultData(fields["data"]); err != nil {
		return BotResult{}, err
	}
	return r, nil
}

// resultFields takes the object apart. A field that is null is absent; the spelling of a name is exact, and each is given once.
func resultFields(raw []byte) (map[string]json.RawMessage, error) {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	if !utf8.Valid(raw) {
		return nil, errors.New("the body is not UTF-8: send JSON in UTF-8")
	}
	var whole json.RawMessage
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(raw, &whole); {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf(`the body is no JSON from byte %d on: send an object like {"result":"confirmed"}`, syntax.Offset)
	case err != nil || raw[0] != '{':
		return nil, errors.New(`the body is no JSON object: send one like {"result":"confirmed"}`)
	}
	return members(raw)
}

// members are the fields of a valid JSON object.
func members(object []byte) (map[string]json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	seen := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil { // the brace
		return nil, err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		name := fmt.Sprint(token)
		switch {
		case !slices.Contains([]string{"result", "at", "data"}, name):
			return nil, fmt.Errorf("the key %.40q is unknown: send result, at and data, and put all else into data", name)
		case seen[name]:
			return nil, fmt.Errorf("%s is given twice: give it once", name)
		}
		seen[name] = true
		if string(value) != "null" {
			fields[name] = value
		}
	}
	return fields, nil
}

func resultKind(value json.RawMessage) (ResultKind, error) {
	var kind string
	if value == nil {
		return "", fmt.Errorf("result is missing: give one of %s", resultWords())
	}
	if json.Unmarshal(value, &kind) != nil {
		return "", fmt.Errorf("result is no text: give one of %s", resultWords())
	}
	if !slices.Contains(ResultKinds(), ResultKind(kind)) {
		return "", fmt.Errorf("result is %.40q: give one of %s", kind, resultWords())
	}
	return ResultKind(kind), nil
}

func resultWords() string {
	words := make([]string, len(ResultKinds()))
	for i, k := range ResultKinds() {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}

func callbackAt(value json.RawMessage, kind ResultKind, received time.Time) (time.Time, error) {
	const example = "2026-03-02T15:00:00+01:00"
	switch {
	case value == nil && kind == Callback:
		return time.Time{}, fmt.Errorf("at is missing: a callback needs a time with its zone, such as %s", example)
	case value == nil:
		return time.Time{}, nil
	case kind != Callback:
		return time.Time{}, fmt.Errorf("at goes with the result callback, and not with %s: leave it out", kind)
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return time.Time{}, fmt.Errorf("at is no text: give a time with its zone, such as %s", example)
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("at is %.40q: give a time of RFC 3339, with its zone, such as %s", text, example)
	case at.Before(received.Add(-callbackPast)):
		return time.Time{}, fmt.Errorf("at is %s, which is past: give a time to come", at.Format(time.RFC3339))
	case at.After(received.Add(callbackFuture)):
		return time.Time{}, fmt.Errorf("at is %s, more than a year ahead: give an earlier time", at.Format(time.RFC3339))
	}
	return at.UTC(), nil
}

func resultData(value json.RawMessage) (json.RawMessage, error) {
	if value == nil {
		return nil, nil
	}
	if len(value) > MaxResultData {
		return nil, fmt.Errorf("data has %d bytes: %d are the most", len(value), MaxResultData)
	}
	var compact bytes.Buffer
	err := json.Compact(&compact, value)
	return compact.Bytes(), err
}
