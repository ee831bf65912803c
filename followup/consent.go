package followup

import (
	"errors"
	"strings"
	"time"
)

// Consent is a recipient's consent to be called.
type Consent struct {
	Scope   string    `json:"scope"`            // to what
	Source  string    `json:"source"`           // where it is on record
	At      time.Time `json:"at"`               // when it was given
	Expires time.Time `json:"expires,omitzero"` // zero: until it is taken back
}

// Validate names what is missing.
func (c Consent) Validate() error {
	switch {
	case c.Scope == "":
		return errors.New("scope: it is missing: say to what was consented")
	case c.Source == "":
		return errors.New("source: it is missing: say where the consent is on record")
	case c.At.IsZero():
		return errors.New("at: it is missing: say when the consent was given, like 2026-03-02T10:00:00Z")
	case !c.Expires.IsZero() && !c.Expires.After(c.At):
		return errors.New("expires: it is not after the consent was given")
	}
	return nil
}

// MaxConsentSize is the largest consent that is read, in bytes.
const MaxConsentSize = 16 << 10

// writtenConsent is a consent as it is written.
type writtenConsent struct {
	Scope   string  `yaml:"scope"`
	Source  string  `yaml:"source"`
	At      instant `yaml:"at"`
	Expires instant `yaml:"expires"`
}

// instant is a time that is written with its date, its hour and its zone. The parser's own times do not say what is wrong with one.
type instant time.Time

func (i *instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return &valueError{string(text), "is no time: write it like 2026-03-02T10:00:00+01:00, or with a Z for UTC"}
	}
	*i = instant(t)
	return nil
}

// UnmarshalYAML reads the written form.
func (i *instant) UnmarshalYAML(unmarshal func(any) error) error { return unmarshalText(i, unmarshal) }

// ParseConsent reads a consent in YAML or JSON. Errors are like those of Parse.
func ParseConsent(data []byte) (Consent, error) {
	var w writtenConsent
	if err := read(data, "consent", MaxConsentSize, &w); err != nil {
		return Consent{}, err
	}
	c := Consent{Scope: w.Scope, Source: w.Source, At: time.Time(w.At), Expires: time.Time(w.Expires)}
	err := c.Validate()
	if err == nil && c.Expires.IsZero() && written(data, "expires") {
		err = errors.New("expires: it is empty: say when the consent ends, or leave it out")
	}
	return c, located(data, err)
}
