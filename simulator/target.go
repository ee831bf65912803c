package simulator

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// target is who is dialed.
type target struct {
	// key is equal for all spellings of one target: "tel:" and digits, or a SIP URI with its scheme and host in lower case.
	key    string
	digits string // of a telephone number
	user   string // of a SIP URI, unescaped
}

var (
	// telephone is a number with its country code: E.164 has at most 15 digits and no country code starts with 0. Shorter
	// than five is an extension, which needs a SIP URI.
	telephone = regexp.MustCompile(`^\+?[1-9][0-9]{4,14}$`)
	sipURI    = regexp.MustCompile(`^(?i)(sips?):([^@\s]+)@([^@\s:;?/]+)(:[0-9]{1,5})?([;?][^\s]*)?$`)
	// visual are the separators that RFC 3966 allows in a telephone number for the eye alone.
	visual = strings.NewReplacer("-", "", ".", "", "(", "", ")", "", " ", "")
)

// parseTarget reads a target as the dialout request carries it: "tel:911234567890" or "sip:1234567890@1.23.345.678:1234".
func parseTarget(text string) (target, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "tel":
		number := visual.Replace(rest)
		if !telephone.MatchString(number) {
			return target{}, fmt.Errorf("target %q is no telephone number: give tel: and 5 to 15 digits with the country code", text)
		}
		digits := strings.TrimPrefix(number, "+")
		return target{key: "tel:" + digits, digits: digits}, nil
	case "sip", "sips":
		m := sipURI.FindStringSubmatch(text)
		if m == nil {
			return target{}, fmt.Errorf("target %q is no SIP URI: give sip:user@host or sip:user@host:port", text)
		}
		user, err := url.PathUnescape(m[2])
		if err != nil {
			return target{}, fmt.Errorf("target %q has a broken escape in its user part: %w", text, err)
		}
		key := strings.ToLower(m[1]) + ":" + m[2] + "@" + strings.ToLower(m[3]) + m[4]
		return target{key: key, user: user}, nil
	default:
		return target{}, fmt.Errorf("target %q: give a tel: or sip: URI", text)
	}
}

// lookupKey is the key of a target as a person writes it: a bare telephone number is enough.
func lookupKey(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = "tel:" + text
	}
	t, err := parseTarget(text)
	return t.key, err
}
