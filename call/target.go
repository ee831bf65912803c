package call

import "strings"

// Target is who is called. The zero Target is nobody; package phone makes valid ones from text.
type Target struct {
	// URI is the canonical form: "tel:+14155550100" (E.164 with the plus) or a normalised "sip:user@host[:port]".
	// It is also the key under which calls to the same line are counted, so two spellings of a number never count twice.
	URI string `json:"uri"`
	// Zone is the IANA time zone stated for this target; empty when none was stated.
	Zone string `json:"zone,omitempty"`
}

// IsTelephone tells whether the target is a telephone number rather than a SIP address.
func (t Target) IsTelephone() bool { return strings.HasPrefix(t.URI, "tel:") }

// String returns the target with all but its last two characters of a number hidden, fit for logs and error messages.
func (t Target) String() string { return Mask(t.URI) }

// Mask hides a telephone number or SIP address but for its scheme and its last two characters.
func Mask(uri string) string {
	scheme, rest, found := strings.Cut(uri, ":")
	if !found {
		scheme, rest = "", uri
	} else {
		scheme += ":"
	}
	const shown = 2
	if len(rest) <= shown {
		return scheme + "…"
	}
	return scheme + "…" + rest[len(rest)-shown:]
}
