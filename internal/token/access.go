package token

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Read is the scope of a bearer token whose holder may look at everything and change nothing.
const Read = "read"

const (
	consoleAudience = "redial-console"
	maxName         = 100  // bytes of a holder's name
	maxBearer       = 1024 // characters of a bearer token
)

// ErrExpired means that a bearer token was made by this deployment, and that its time is over.
var ErrExpired = errors.New("token: expired")

// accessClaims name an audience, which a token in a URL does not have, and no use, which that one must have: neither opens as the
// other, also under the same secret.
type accessClaims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"` // separated by spaces, as in RFC 8693
}

// MintAccess makes a bearer token of the console, which allows the scopes. The name of whom it is for has 1 to 100 bytes of printable
// UTF-8; the expiry is kept to the second.
func (k Keys) MintAccess(name string, scopes []string, now, expires time.Time) (string, error) {
	switch {
	case len(k.keys) == 0:
		return "", errors.New("mint token: there is no key; set the console's secret")
	case name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", fmt.Errorf("mint token: %q is no name: give 1 to %d printable characters", name, maxName)
	case !expires.After(now):
		return "", fmt.Errorf("mint token: it would have expired at %s; give a later time", expires.Format(time.RFC3339))
	}
	signed, err := k.sign(accessClaims{Scope: strings.Join(scopes, " "), RegisteredClaims: jwt.RegisteredClaims{
		Subject: name, Audience: jwt.ClaimStrings{consoleAudience}, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires)}})
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return signed, nil
}

// OpenAccess returns whom a bearer token was made for, and the scopes that it allows. A token of this deployment whose time is over is ErrExpired; everything that these
// keys did not sign for the console is ErrForged.
func (k Keys) OpenAccess(token string, now time.Time) (name string, scopes []string, err error) {
	if len(token) > maxBearer {
		return "", nil, ErrForged
	}
	var c accessClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithStrictDecoding(), jwt.WithAudience(consoleAudience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
	// The claims are looked at only when the signature holds, and all that is wrong with them is told at once.
	_, err = parser.ParseWithClaims(token, &c, k.candidates)
	switch expired := errors.Is(err, jwt.ErrTokenExpired); {
	case err != nil && (!expired || errors.Is(err, jwt.ErrTokenInvalidAudience) || errors.Is(err, jwt.ErrTokenRequiredClaimMissing)), c.Subject == "":
		return "", nil, ErrForged
	case expired:
		return "", nil, ErrExpired
	}
	return c.Subject, strings.Fields(c.Scope), nil
}
