// Package token makes and opens the tokens that stand in the URLs this deployment hands out: a notify token names the
// attempt that the gateway reports on, a result token the attempt whose bot reports. They are JWTs (HS256) under keys of
// the deployment's own, so that a webhook can check one without asking anybody.
package token

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Purpose is what a token may be used for. Each purpose refuses the tokens of every other.
type Purpose string

const (
	Notify Purpose = "notify" // in the notify URL, for the gateway
	Result Purpose = "result" // in a call's metadata, for the bot
)

const (
	maxKey    = 256 // bytes of an attempt's key
	maxToken  = 512 // characters of a token: it is one segment of a URL's path
	minSecret = 16  // bytes of a secret
)

var (
	// ErrForged means that a token was not made by this deployment for this purpose: another key, another algorithm,
	// another purpose, or no token at all. The caller answers as if it knew nothing.
	ErrForged = errors.New("token: not made by this deployment for this purpose")

	keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,16}$`)
)

// Keys are a deployment's token keys, for one purpose. The zero Keys hold none: they open nothing and mint nothing.
type Keys struct {
	keys    []key // the first signs
	purpose Purpose
}

type key struct {
	id     string // empty for a secret without a key id
	secret []byte
}

// ParseKeys reads the keys of notify tokens from the syntax of REDIAL_NOTIFY_SECRET: one secret, or
// "kid:secret,kid:secret". The first signs, all open. To rotate, put a new key before the old one, and take the old one
// away when no call that it signed for can be reported on any more. A token of a single secret names no key id and is
// tried with every key, so that a deployment may go from one secret to named ones.
//
// A secret has at least 16 bytes, no comma, and no colon unless a key id stands before it; a key id is one to 16
// letters, digits, - or _. Errors are one line and never show a secret.
func ParseKeys(text string) (Keys, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Keys{}, errors.New("it is empty; give a random secret of at least 16 characters")
	}
	k := Keys{purpose: Notify}
	seen := map[string]bool{}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		id, secret, named := strings.Cut(strings.TrimSpace(part), ":")
		which := fmt.Sprintf("key %d", i+1)
		switch {
		case !named && len(parts) > 1:
			return Keys{}, fmt.Errorf("%s of %d has no key id; write kid:secret,kid:secret", which, len(parts))
		case !named:
			id, secret = "", id
		case !keyID.MatchString(id):
			return Keys{}, fmt.Errorf("%s has no usable key id before its colon; use 1 to 16 letters, digits, - or _", which)
		case seen[id]:
			return Keys{}, fmt.Errorf("%s repeats the key id %s; give each key its own", which, id)
		}
		if len(secret) < minSecret {
			return Keys{}, fmt.Errorf("%s has a secret of %d characters; use at least %d random ones", which, len(secret), minSecret)
		}
		seen[id] = true
		k.keys = append(k.keys, key{id: id, secret: []byte(secret)})
	}
	return k, nil
}

// For returns the same keys for tokens of another purpose.
func (k Keys) For(p Purpose) Keys { return Keys{keys: k.keys, purpose: p} }

// String hides the keys.
func (k Keys) String() string { return fmt.Sprintf("%d keys for %s tokens", len(k.keys), k.purpose) }

// GoString hides the keys.
func (k Keys) GoString() string { return k.String() }

// claims are kept to what is needed, and under their shortest names: the token is part of a URL.
type claims struct {
	Subject string  `json:"sub"`
	Expires int64   `json:"exp"`
	Use     Purpose `json:"use"`
}

func (c claims) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.Expires, 0)), nil
}
func (c claims) GetIssuedAt() (*jwt.NumericDate, error)  { return nil, nil }
func (c claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }
func (c claims) GetIssuer() (string, error)              { return "", nil }
func (c claims) GetSubject() (string, error)             { return c.Subject, nil }
func (c claims) GetAudience() (jwt.ClaimStrings, error)  { return nil, nil }

// Mint makes the token that names an attempt: at most 512 characters of base64url and dots, the same for the same
// attempt, expiry and keys. The key has 1 to 256 bytes of valid UTF-8; the expiry is kept to the second.
func (k Keys) Mint(attemptKey string, expires time.Time) (string, error) {
	switch {
	case len(k.keys) == 0:
		return "", errors.New("mint token: there is no key; set the notify secret")
	case attemptKey == "" || len(attemptKey) > maxKey || !utf8.ValidString(attemptKey):
		return "", fmt.Errorf("mint token: the attempt key has %d bytes; it must be 1 to %d bytes of UTF-8: use a shorter contact id",
			len(attemptKey), maxKey)
	case expires.Unix() <= 0:
		return "", errors.New("mint token: no expiry was given; say until when notifications are expected")
	}
	signed, err := k.sign(claims{Subject: attemptKey, Expires: expires.Unix(), Use: k.purpose})
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	if len(signed) > maxToken {
		return "", fmt.Errorf("mint token: it would have %d characters, and %d is the most; use a contact id without quotes, brackets and backslashes",
			len(signed), maxToken)
	}
	return signed, nil
}

// sign signs with the first key.
func (k Keys) sign(c jwt.Claims) (string, error) {
	signer := k.keys[0]
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	delete(t.Header, "typ")
	if signer.id != "" {
		t.Header["kid"] = signer.id
	}
	return t.SignedString(signer.secret)
}

// Open returns the attempt that a token names. A token past its expiry is late and still good: what it brings is kept.
// Everything that these keys did not sign for this purpose is ErrForged.
func (k Keys) Open(token string, now time.Time) (attemptKey string, late bool, err error) {
	if len(token) > maxToken {
		return "", false, ErrForged
	}
	var c claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	if _, err := parser.ParseWithClaims(token, &c, k.candidates); err != nil {
		return "", false, ErrForged
	}
	if c.Use != k.purpose || c.Subject == "" || c.Expires <= 0 {
		return "", false, ErrForged
	}
	return c.Subject, now.Unix() > c.Expires, nil
}

// candidates picks the keys that may have signed a token: the one it names, or any when it names none.
func (k Keys) candidates(t *jwt.Token) (any, error) {
	name, named := t.Header["kid"]
	var set jwt.VerificationKeySet
	for _, key := range k.keys {
		if !named || key.id != "" && name == key.id {
			set.Keys = append(set.Keys, key.secret)
		}
	}
	if len(set.Keys) == 0 {
		return nil, ErrForged
	}
	return set, nil
}
