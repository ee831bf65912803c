package token

import (
	"regexp"
	"strings"
)

// masked stands in a log where a token stood.
const masked = "…"

var (
	// behindDoor is everything after the name of a path that takes tokens, well formed or not.
	behindDoor = regexp.MustCompile(`(?is)(/(?:notify|result)/).+`)
	// jwtLike is a JWT wherever it stands: the header of each starts with {" in base64url.
	jwtLike = regexp.MustCompile(`eyJ[^/]*`)
)

// Mask hides the token in a request's path, for access logs: whatever follows /notify/ or /result/, and anything that
// starts like a JWT. A query is hidden as a whole.
func Mask(path string) string {
	path, _, query := strings.Cut(path, "?")
	path = behindDoor.ReplaceAllString(path, "${1}"+masked)
	path = jwtLike.ReplaceAllString(path, masked)
	if query {
		path += "?" + masked
	}
	return path
}
