// Package notify knows the path at which the gateway reports on an attempt: the worker makes such URLs, the webhook
// serves them.
package notify

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"redial/internal/token"
)

// Path is what stands before the token.
const Path = "/notify/"

// URLs makes notify URLs below a public base URL.
type URLs struct {
	base string
	keys token.Keys
}

// NewURLs checks the base: absolute, http or https, without query or fragment. The gateway follows no redirect, so the
// base has to be the address that answers.
func NewURLs(base string, keys token.Keys) (URLs, error) {
	u, err := url.Parse(base)
	switch {
	case base == "":
		return URLs{}, errors.New("it is empty: give the public base URL at which the gateway reaches the webhook, such as https://calls.example.com")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return URLs{}, errors.New("it is no absolute http or https URL: write it like https://calls.example.com")
	case u.RawQuery != "" || u.Fragment != "" || strings.Contains(base, "#") || u.User != nil:
		return URLs{}, errors.New("it has a query, a fragment or credentials: leave them out")
	}
	return URLs{strings.TrimRight(base, "/"), keys}, nil
}

// NotifyURL is the URL for one attempt; notifications after expires are late, and still taken.
func (u URLs) NotifyURL(attemptKey string, expires time.Time) (string, error) {
	t, err := u.keys.Mint(attemptKey, expires)
	if err != nil {
		return "", err
	}
	return u.base + Path + t, nil
}
