package koreai

import (
	"net/url"
	"path"
	"regexp"
	"strings"

	"redial/call"
)

// maxMessage is the length of a DialAnswer's message, in characters.
const maxMessage = 200

// jwtText is anything that could be a JWT, whoever made it.
var jwtText = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`)

// scrubber makes text of any origin fit for an operator and a log: a gateway's error may well repeat the request that it
// complains about.
type scrubber struct {
	hidden []string
	number string // digits of the number dialed; empty for a SIP target
	target call.Target
}

func newScrubber(secret string, req call.DialRequest, notifyURL string) scrubber {
	s := scrubber{target: req.To}
	s = s.hide(secret).hide(notifyURL)
	if u, err := url.Parse(notifyURL); err == nil {
		if token := path.Base(u.EscapedPath()); len(token) > 8 {
			s = s.hide(token)
		}
	}
	if digits, ok := strings.CutPrefix(req.To.URI, "tel:+"); ok {
		s.number = digits
	}
	return s
}

func (s scrubber) hide(text string) scrubber {
	if text != "" {
		s.hidden = append(s.hidden[:len(s.hidden):len(s.hidden)], text)
	}
	return s
}

// line returns the text in one line of at most maxMessage characters, without control characters and secrets, and with
// the target masked.
func (s scrubber) line(text string) string { return s.fit(text, maxMessage) }

// fit is line with another bound. Nothing is cut before it is scrubbed: half a secret would no longer be recognised.
func (s scrubber) fit(text string, limit int) string {
	text = strings.ToValidUTF8(text, "")
	for _, secret := range s.hidden {
		text = strings.ReplaceAll(text, secret, "…")
	}
	text = jwtText.ReplaceAllString(text, "…")
	if s.target.URI != "" {
		text = strings.ReplaceAll(text, s.target.URI, s.target.String())
	}
	if s.number != "" {
		text = strings.ReplaceAll(text, "+"+s.number, call.Mask(s.number))
		text = strings.ReplaceAll(text, s.number, call.Mask(s.number))
	}
	text = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit-1]) + "…"
	}
	return text
}
