package koreai

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// API is the generation of the dialout endpoint. Both take the same request and answer alike; V2 hands the settings of
// machine detection over when the call is created and so starts to detect earlier (Voice Gateway 11.20, December 2025).
type API string

const (
	V1 API = "v1"
	V2 API = "v2"
)

// DefaultResponseTimeout is how long the gateway's answer is waited for, unless configured.
const DefaultResponseTimeout = 20 * time.Second

// Config is what a Client needs to know of one account of the gateway. BaseURL, BotID, ClientID and ClientSecret are
// required.
type Config struct {
	// BaseURL is the platform's address, such as "https://platform.kore.ai": http or https, without query or
	// credentials. A path is kept, slashes at its end are not.
	BaseURL string
	// BotID is the bot or stream id, such as "st-…". It goes into the path and, as "bot", into the body.
	BotID string
	// ClientID and ClientSecret are those of a JWT app with the published scope "SmartAssist Dialout".
	ClientID     string
	ClientSecret string
	// Subject is the JWT's "sub"; any text will do. Default: ClientID.
	Subject string
	// API selects the endpoint, in any case. Default: V1, which every tenant has.
	API API
	// ResponseTimeout bounds the wait for the answer, counted from the first byte of the request; at most five minutes.
	// Default: DefaultResponseTimeout. Its end leaves the attempt in doubt, so that it must lie below the timeout of
	// whatever calls Dial.
	ResponseTimeout time.Duration
	// RootCAs are the certificate authorities trusted for https. Default: the host's.
	RootCAs *x509.CertPool
	// Proxy picks the proxy for an https gateway; nil as its answer means none. Default: http.ProxyFromEnvironment. Only
	// http:// proxies are spoken to, by CONNECT, so that the request itself never passes in the clear; an http gateway
	// (the simulator) is always reached directly.
	Proxy func(*http.Request) (*url.URL, error)
}

// String hides the secret.
func (c Config) String() string { return fmt.Sprintf("gateway %s, bot %s", c.BaseURL, c.BotID) }

// GoString hides the secret.
func (c Config) GoString() string { return c.String() }

// FieldError says what is wrong with one field of a Config, and how to mend it, in one line. It never shows a secret.
type FieldError struct {
	Field   string // name of the field in Config
	Problem string
}

func (e *FieldError) Error() string { return "koreai: " + e.Field + " " + e.Problem }

// tokenLifetime and clockSkew bound the JWT of a request. The gateway refuses one that lives longer than an hour where it
// carries a jti; its clock may run behind ours.
const (
	tokenLifetime = 5 * time.Minute
	clockSkew     = 30 * time.Second
)

// paths of the dialout endpoint. The documentation's table has V2 in upper case, one of its samples in lower case.
var paths = map[API]string{
	V1: "/api/1.1/public/bot/%s/smartassist/dialout",
	V2: "/api/1.1/public/bot/%s/V2/smartassist/dialout",
}

// check fills in defaults and returns the endpoint. The first field that is wrong is returned as a *FieldError.
func (c *Config) check() (*url.URL, error) {
	base, err := checkBaseURL(c.BaseURL)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, value, remedy string }{
		{"BotID", c.BotID, "give the bot or stream id of the bot's general settings page, such as st-…"},
		{"ClientID", c.ClientID, "give the client id of the JWT app, such as cs-…"},
		{"ClientSecret", c.ClientSecret, "give the client secret of the JWT app"},
	} {
		if f.value == "" {
			return nil, &FieldError{f.name, "is missing; " + f.remedy}
		}
		if strings.TrimSpace(f.value) != f.value || strings.ContainsFunc(f.value, isControl) {
			return nil, &FieldError{f.name, "contains white space at an end or a control character; " + f.remedy}
		}
	}
	if c.BotID == "." || c.BotID == ".." || strings.ContainsAny(c.BotID, "{}") {
		return nil, &FieldError{"BotID", fmt.Sprintf("%q is no id; give the bot or stream id of the bot's general settings page", c.BotID)}
	}
	if c.API == "" {
		c.API = V1
	}
	path, known := paths[API(strings.ToLower(string(c.API)))]
	if !known {
		return nil, &FieldError{"API", fmt.Sprintf("%q is unknown; use %s or %s", string(c.API), V1, V2)}
	}
	if c.ResponseTimeout == 0 {
		c.ResponseTimeout = DefaultResponseTimeout
	}
	if c.ResponseTimeout < 0 || c.ResponseTimeout > 5*time.Minute {
		return nil, &FieldError{"ResponseTimeout", fmt.Sprintf("%s is out of range; use more than 0 and at most 5m", c.ResponseTimeout)}
	}
	if c.Subject == "" {
		c.Subject = c.ClientID
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	return base.JoinPath(fmt.Sprintf(path, url.PathEscape(c.BotID))), nil
}

func checkBaseURL(text string) (*url.URL, error) {
	problem := func(format string, args ...any) error {
		return &FieldError{"BaseURL", fmt.Sprintf(format, args...) + "; write it as https://platform.kore.ai"}
	}
	if text == "" {
		return nil, problem("is missing")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, problem("is no URL")
	case u.User != nil:
		return nil, problem("must not hold credentials")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, problem("%q must start with https:// or http://", text)
	case u.Hostname() == "":
		return nil, problem("%q names no host", text)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, problem("%q must have neither query nor fragment", text)
	}
	return u, nil
}
