package koreai

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fields is a JSON object by the lower-case of its keys: the gateway spells the same key in several ways, now and then
// within one page of its documentation.
type fields map[string]json.RawMessage

var (
	errNoObject = errors.New("it is no JSON object")
	errBroken   = errors.New("it is broken JSON")
)

// readObject reads one JSON object and nothing after it. Where keys collide, in the spelling of their case or as plain
// duplicates, the last value that is not empty counts.
func readObject(raw []byte) (fields, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	switch open, err := decoder.Token(); {
	case err != nil:
		return nil, errBroken
	case open != json.Delim('{'):
		return nil, errNoObject
	}
	object := fields{}
	for decoder.More() {
		token, err := decoder.Token()
		key, isKey := token.(string)
		if err != nil || !isKey {
			return nil, errBroken
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return nil, errBroken
		}
		name := strings.ToLower(key)
		if _, taken := object[name]; !taken || text(value) != "" {
			object[name] = value
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errBroken
	}
	if rest := bytes.TrimSpace(raw[decoder.InputOffset():]); len(rest) > 0 {
		return nil, errors.New("something follows the JSON object")
	}
	return object, nil
}

// text is a scalar as the text it would be without quotes: a string's content, a number's digits. Everything else,
// null included, is empty.
func text(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return strings.TrimSpace(s)
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	return ""
}

// Lengths in bytes up to which values are kept.
const (
	maxID    = 256
	maxValue = 256
)

func (f fields) text(key string) string { return text(f[key]) }

// value is a text that is stored and shown: without control characters, and capped.
func (f fields) value(key string) string { return capped(f.text(key), maxValue) }

// id is an opaque identifier. It is not held to any format: the documentation's own samples are no UUIDs.
func (f fields) id(key string) string { return capped(f.text(key), maxID) }

// capped removes what a database or a terminal may choke on, NUL above all, and cuts between characters.
func capped(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
