package phone

import (
	"regexp"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// A telephone number has at most 15 digits with its country code (E.164), and one that is dialed within an area code
// has seven. Below that an id is a short number of somebody's own.
const (
	fewestDigits = 7
	mostDigits   = 15
)

var (
	onlyNumber = regexp.MustCompile(`^\+?[0-9 ().\-/]+$`)
	// marked is a number that says it is one, anywhere in a text.
	marked = regexp.MustCompile(`(?i)(\+|tel:)[ ().\-/+]*[0-9]([ ().\-/]{0,2}[0-9]){6}`)
	// northAmerican is the spelling that is a number in any text: 415-555-0100, (415) 555.0100.
	northAmerican = regexp.MustCompile(`(^|[^0-9A-Za-z])\(?[2-9][0-9]{2}\)?[ .\-]{1,2}[2-9][0-9]{2}[ .\-][0-9]{4}($|[^0-9A-Za-z])`)
	word          = regexp.MustCompile(`[\pL\pN]+`)
	longDigits    = regexp.MustCompile(`^[0-9]{10,17}$`)
)

// LooksLikeNumber tells whether an id given by a user reads as a telephone number, or holds one, so that it must not
// stand in a workflow id, a log line or a search attribute. It says yes rather than no: an id that is hashed for
// nothing is only harder to read.
//
// It finds: an id of nothing but seven to fifteen digits and the punctuation of numbers; a number after a plus or
// "tel:" anywhere; a punctuated North American number anywhere; and a run of digits set off from its surroundings that
// is a valid number with its country code. It does not find numbers under seven digits ("order-1234", "123456"), nor
// unpunctuated national numbers inside a longer id, which nothing tells from an order number.
func LooksLikeNumber(s string) bool {
	s = plain(s)
	if onlyNumber.MatchString(s) {
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, s)
		return len(digits) >= fewestDigits && len(strings.TrimLeft(digits, "0")) <= mostDigits
	}
	if marked.MatchString(s) || northAmerican.MatchString(s) {
		return true
	}
	for _, w := range word.FindAllString(s, -1) {
		if longDigits.MatchString(w) && validWithCountryCode(strings.TrimPrefix(w, "00")) {
			return true
		}
	}
	return false
}

func validWithCountryCode(digits string) bool {
	number, err := phonenumbers.Parse("+"+digits, "")
	return err == nil && phonenumbers.IsValidNumber(number)
}
