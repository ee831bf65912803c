package followup

import (
	"encoding"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that is written as a Go duration, with "d" for days of 24 hours: "90s", "4h", "14d",
// "1d12h".
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads a duration. It must not be negative.
func ParseDuration(text string) (Duration, error) {
	rest := strings.TrimSpace(text)
	var total time.Duration
	if days, after, found := strings.Cut(rest, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, badDuration(text)
		}
		total, rest = time.Duration(n)*day, after
		if rest == "" {
			return Duration(total), nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || total+d < total { // the last: more than a duration can hold
		return 0, badDuration(text)
	}
	return Duration(total + d), nil
}

func badDuration(text string) error {
	return &valueError{text, "is no duration: write it like 90s, 20m, 4h or 14d"}
}

// valueError is a value that cannot be read as what it should be.
type valueError struct{ text, problem string }

func (e *valueError) Error() string { return fmt.Sprintf("%q %s", e.text, e.problem) }

// String writes whole days as days and leaves out zero parts: "14d", "27h" is "1d3h", "20m".
func (d Duration) String() string {
	rest := time.Duration(d)
	if rest == 0 {
		return "0s"
	}
	var b strings.Builder
	if days := rest / day; days > 0 {
		fmt.Fprintf(&b, "%dd", days)
		rest -= days * day
	}
	if hours := rest / time.Hour; hours > 0 {
		fmt.Fprintf(&b, "%dh", hours)
		rest -= hours * time.Hour
	}
	if minutes := rest / time.Minute; minutes > 0 {
		fmt.Fprintf(&b, "%dm", minutes)
		rest -= minutes * time.Minute
	}
	if rest > 0 {
		b.WriteString(rest.String())
	}
	return b.String()
}

// MarshalText and UnmarshalText are the written form, in YAML and JSON alike.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// UnmarshalYAML reads the written form; that it is text at all is the parser's to say, with its line.
func (d *Duration) UnmarshalYAML(unmarshal func(any) error) error { return unmarshalText(d, unmarshal) }

// UnmarshalYAML reads the written form.
func (d *Delay) UnmarshalYAML(unmarshal func(any) error) error { return unmarshalText(d, unmarshal) }

func unmarshalText(into encoding.TextUnmarshaler, unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	return into.UnmarshalText([]byte(text))
}

// NextWindow is the delay that ends when the calling window next opens in a part of the day not yet tried.
const NextWindow = "next_window"

// nextWindowWithoutOne stands for next_window in a policy that has no window. Half a day is the next part of the day
// whatever the hour was (before noon, afternoon, evening).
const nextWindowWithoutOne = Duration(12 * time.Hour)

// Delay is one entry of a retry list: a duration, or next_window.
type Delay struct {
	After      Duration
	NextWindow bool
}

func (d Delay) String() string {
	if d.NextWindow {
		return NextWindow
	}
	return d.After.String()
}

// MarshalText and UnmarshalText are the written form, in YAML and JSON alike.
func (d Delay) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Delay) UnmarshalText(text []byte) error {
	if strings.TrimSpace(string(text)) == NextWindow {
		*d = Delay{NextWindow: true}
		return nil
	}
	after, err := ParseDuration(string(text))
	if err != nil {
		return &valueError{string(text), "is no delay: write it like 90s, 20m, 4h or 14d, or " + NextWindow}
	}
	*d = Delay{After: after}
	return nil
}

func (d Delay) wait() time.Duration {
	if d.NextWindow {
		return time.Duration(nextWindowWithoutOne)
	}
	return time.Duration(d.After)
}
