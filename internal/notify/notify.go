// Package notify knows the paths at which the gateway, and its bot, report on an attempt: the worker makes such URLs, the
// webhook serves them.
package notify

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"redial/internal/token"
)

// What stands before the token.
const (
	Path       = "/notify/" // for the gateway
	ResultPath = "/result/" // for its bot
)

// URLs makes the URLs of attempts below a public base URL.
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
	return u.url(Path, u.keys, attemptKey, expires)
}

// ResultURL is the URL at which the bot of one attempt hands in its result; results after expires are late, and still taken.
func (u URLs) ResultURL(attemptKey string, expires time.Time) (string, error) {
	return u.url(ResultPath, u.keys.For(token.Result), attemptKey, expires)
}

func (u URLs) url(path string, keys token.Keys, attemptKey string, expires time.Time) (string, error) {
	t, err := keys.Mint(attemptKey, expires)
	if err != nil {
		return "", err
	}
	return u.base + path + t, nil
}
