package phone

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"redial/call"
)

// maxTarget bounds what Parse looks at, in bytes. No telephone number and no sensible SIP address is longer.
const maxTarget = 255

// plusRemedy is how to mend nearly every number that cannot be called.
const plusRemedy = "write it with a plus and its country code, such as +14155550100"

// Parse reads a target as a person or a file spells it and returns it in its canonical form, without a zone.
//
//   - "+1 (415) 555-0100": a number with its country code, with the usual punctuation.
//   - "tel:+14155550100" and "tel:14155550100": a tel URI always holds the country code, with or without the plus, as
//     the gateway's own documentation writes it. Parameters of the URI (;ext=, ;phone-context=) are refused.
//   - "(415) 555-0100", "0049 30 123456": national spellings and dialing prefixes, only with a default region (ISO
//     3166, such as "US") and only as that region dials. Without one they are refused: a guessed country rings a stranger.
//   - "sip:user@host:port", "sips:…": scheme and host in lower case, the user part as given; URI parameters are
//     dropped, because they say how to reach an address and not whose it is; headers ("?…") and passwords are refused.
//
// A number must be possible and valid by the numbering plans of libphonenumber, which accept the fictional
// +1 415 555 01xx and refuse +1 555 555 01xx. Numbers with an extension are refused: the gateway cannot dial one.
// Parse never panics, and parsing a canonical URI returns it unchanged. Errors are one line, name the value and say
// what to do.
func Parse(text, defaultRegion string) (call.Target, error) {
	trimmed := strings.TrimSpace(text)
	var uri string
	var err error
	scheme, rest, _ := strings.Cut(trimmed, ":")
	switch {
	case trimmed == "":
		err = errors.New("it is empty; " + plusRemedy)
	case len(trimmed) > maxTarget:
		err = fmt.Errorf("it is longer than %d bytes; check the column or the argument it came from", maxTarget)
	case !utf8.ValidString(trimmed):
		err = errors.New("it is not valid UTF-8; save the file it came from as UTF-8")
	case strings.ContainsFunc(trimmed, unicode.IsControl):
		err = errors.New("it contains a control character; remove it")
	case strings.EqualFold(scheme, "sip"), strings.EqualFold(scheme, "sips"):
		uri, err = canonicalSIP(strings.ToLower(scheme), rest)
	case strings.EqualFold(scheme, "tel"):
		uri, err = canonicalTel(rest)
	default:
		uri, err = canonicalNumber(trimmed, defaultRegion)
	}
	if err != nil {
		return call.Target{}, fmt.Errorf("target %s cannot be called: %w", quote(text), err)
	}
	return call.Target{URI: uri}, nil
}

// Region returns the ISO 3166 region of a telephone target, such as "US". It is empty for SIP targets, for numbers
// that belong to no one region (international freephone), and for numbers that Parse would refuse.
func Region(t call.Target) string {
	digits, ok := strings.CutPrefix(t.URI, "tel:")
	if !ok {
		return ""
	}
	number, err := phonenumbers.Parse(digits, "")
	if err != nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(number)
	if len(region) != 2 {
		return ""
	}
	return region
}

// KnownRegion tells whether Parse takes a default region.
func KnownRegion(region string) bool {
	return phonenumbers.GetCountryCodeForRegion(strings.ToUpper(strings.TrimSpace(region))) != 0
}

// canonicalTel reads what follows "tel:". A number without the plus is read with its country code, whatever the
// default region is: so the gateway reads it.
func canonicalTel(rest string) (string, error) {
	if number, parameters, found := strings.Cut(rest, ";"); found {
		if strings.HasPrefix(strings.ToLower(parameters), "ext=") {
			return "", errExtension
		}
		return "", fmt.Errorf("the parameter %s of a tel URI may change whom it names; write only tel: and the number, such as tel:%s",
			quote(";"+parameters), strings.TrimSpace(number))
	}
	rest = strings.TrimSpace(rest)
	if !strings.HasPrefix(rest, "+") {
		rest = "+" + rest
	}
	return canonicalNumber(rest, "")
}

var (
	errExtension = errors.New("extensions cannot be dialed through the gateway; remove the extension")

	punctuated = regexp.MustCompile(`^\+?[0-9 ().\-/]+$`)
	extension  = regexp.MustCompile(`(?i)(ext\.?|extension|x|#|,|;)\s*[.:=]?\s*[0-9]+#?$`)
)

func canonicalNumber(text, defaultRegion string) (string, error) {
	text = plain(text)
	if !punctuated.MatchString(text) {
		if extension.MatchString(text) {
			return "", errExtension
		}
		return "", errors.New("it is neither a telephone number nor a tel:, sip: or sips: URI; " + plusRemedy)
	}
	region := strings.ToUpper(strings.TrimSpace(defaultRegion))
	if !strings.HasPrefix(text, "+") {
		switch {
		case region == "":
			return "", errors.New("it has no country code; " + plusRemedy)
		case !KnownRegion(region):
			return "", fmt.Errorf("the default region %s is unknown; use an ISO 3166 code such as US, or %s", quote(defaultRegion), plusRemedy)
		}
	} else {
		region = ""
	}
	number, err := phonenumbers.Parse(text, region)
	if err != nil {
		return "", fmt.Errorf("%w; %s", err, plusRemedy)
	}
	if number.GetExtension() != "" {
		return "", errExtension
	}
	if reason := phonenumbers.IsPossibleNumberWithReason(number); reason != phonenumbers.IS_POSSIBLE {
		return "", fmt.Errorf("%s; %s", impossible(reason), plusRemedy)
	}
	if !phonenumbers.IsValidNumber(number) {
		return "", errors.New("no line in its country's numbering plan can have this number; check its digits, and " + plusRemedy)
	}
	return "tel:" + phonenumbers.Format(number, phonenumbers.E164), nil
}

func impossible(reason phonenumbers.ValidationResult) string {
	switch reason {
	case phonenumbers.INVALID_COUNTRY_CODE:
		return "no country has its country code"
	case phonenumbers.TOO_SHORT:
		return "it is too short for its country"
	case phonenumbers.TOO_LONG:
		return "it is too long for its country"
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return "it lacks the area code"
	}
	return "its length is wrong for its country"
}

// plain undoes what copying a number out of a page or an address book does to it: typographic hyphens and spaces, and
// the invisible marks of text direction.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.Is(unicode.Pd, r), r == '\u2212':
			return '-'
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// quote shows a value in an error message: escaped, so that it stays one line, and cut to what is needed to find it.
func quote(value string) string {
	const shown = 64
	if runes := []rune(value); len(runes) > shown {
		value = string(runes[:shown]) + "…"
	}
	return fmt.Sprintf("%q", value)
}
