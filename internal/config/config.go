// Package config reads the environment: the gateway's account, this deployment's addresses and keys, and its limits. A
// missing or malformed value is an error of one line that names the variable and the remedy.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"redial/call"
	"redial/internal/notify"
	"redial/internal/token"
	"redial/phone"
)

// Config is the environment of one process. Which values are required depends on the role.
type Config struct {
	KoreBaseURL      string `env:"KORE_BASE_URL"`
	KoreBotID        string `env:"KORE_BOT_ID"`
	KoreClientID     string `env:"KORE_CLIENT_ID"`
	KoreClientSecret string `env:"KORE_CLIENT_SECRET"`
	KoreCaller       string `env:"KORE_CALLER"`
	KoreTrunk        string `env:"KORE_TRUNK"`
	KoreAPI          string `env:"KORE_API" envDefault:"v1"`
	KoreTimezone     Zone   `env:"KORE_TIMEZONE" envDefault:"UTC"`
	KoreSignature    string `env:"KORE_SIGNATURE_SECRET"`

	NotifyURL        string   `env:"REDIAL_NOTIFY_URL"`
	NotifySecret     string   `env:"REDIAL_NOTIFY_SECRET"`
	EscalationSecret string   `env:"REDIAL_ESCALATION_SECRET"`
	IDSecret         string   `env:"REDIAL_ID_SECRET"`
	WebhookAddr      string   `env:"REDIAL_WEBHOOK_ADDR" envDefault:":8081"`
	ConsoleAddr      string   `env:"REDIAL_CONSOLE_ADDR" envDefault:"127.0.0.1:8080"`
	ConsoleSecret    string   `env:"REDIAL_CONSOLE_SECRET"`
	Database         string   `env:"REDIAL_DATABASE" envDefault:"sqlite:redial.db"`
	DialRate         Rate     `env:"REDIAL_DIAL_RATE" envDefault:"55/1m"`
	MaxCalls         Positive `env:"REDIAL_MAX_CALLS" envDefault:"10"`
	Ceilings         Ceilings `env:"REDIAL_CEILINGS" envDefault:"2/day,3/24h,7/7d"`
	AllowTo          Targets  `env:"REDIAL_ALLOW_TO"`
	LogLevel         string   `env:"REDIAL_LOG_LEVEL" envDefault:"info"`

	WebhookTLSCert string  `env:"REDIAL_WEBHOOK_TLS_CERT"` // files; both or neither
	WebhookTLSKey  string  `env:"REDIAL_WEBHOOK_TLS_KEY"`
	TrustedProxies Proxies `env:"REDIAL_TRUSTED_PROXIES"`

	HealthAddr string     `env:"REDIAL_HEALTH_ADDR" envDefault:"127.0.0.1:8082"`
	DrainDelay Delay      `env:"REDIAL_DRAIN_DELAY" envDefault:"5s"`
	Deployment Deployment `env:"REDIAL_DEPLOYMENT"`
	BuildID    string     `env:"REDIAL_BUILD_ID"`
	Versioning Versioning `env:"REDIAL_VERSIONING" envDefault:"auto-upgrade"`

	databaseGiven, ceilingsGiven bool // REDIAL_DATABASE, REDIAL_CEILINGS is set
}

// secrets may also be given as the name of a file, in a variable with _FILE behind its name.
var secrets = []string{"KORE_CLIENT_SECRET", "KORE_SIGNATURE_SECRET", "REDIAL_NOTIFY_SECRET", "REDIAL_ESCALATION_SECRET", "REDIAL_ID_SECRET",
	"REDIAL_CONSOLE_SECRET", "REDIAL_DATABASE"}

// Error is what is wrong with one variable, in one line.
type Error struct{ Variable, Problem string }

func (e *Error) Error() string { return e.Variable + ": " + e.Problem }

// FromEnvironment reads the process's environment.
func FromEnvironment() (Config, error) { return From(env.ToMap(os.Environ())) }

// From reads an environment given as a map.
func From(environment map[string]string) (Config, error) {
	var c Config
	for _, name := range secrets {
		if err := readSecret(environment, name); err != nil {
			return c, err
		}
	}
	c.databaseGiven, c.ceilingsGiven = environment["REDIAL_DATABASE"] != "", environment["REDIAL_CEILINGS"] != ""
	err := env.ParseWithOptions(&c, env.Options{Environment: environment})
	var all env.AggregateError
	if errors.As(err, &all) && len(all.Errors) > 0 {
		err = all.Errors[0]
	}
	var bad env.ParseError
	if errors.As(err, &bad) {
		name := bad.Name
		if field, ok := reflect.TypeFor[Config]().FieldByName(bad.Name); ok {
			name = field.Tag.Get("env")
		}
		return c, &Error{name, bad.Err.Error()}
	}
	return c, err
}

// readSecret takes a secret from its file. An empty one is a mistake: the default that it would leave is a private ledger, or a console
// that asks for no token.
func readSecret(environment map[string]string, name string) error {
	variable := name + "_FILE"
	file := environment[variable]
	if file == "" {
		return nil
	}
	if environment[name] != "" {
		return &Error{variable, name + " is set too; set one of them"}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return &Error{variable, fmt.Sprintf("the secret cannot be read: %v; name a readable file", err)}
	}
	if environment[name] = strings.TrimSpace(string(data)); environment[name] == "" {
		return &Error{variable, file + " is empty; write the secret into it"}
	}
	return nil
}

// SharedDatabase refuses the default ledger, a file in the working folder, for a role that runs apart: the other roles would know
// nothing of what is written there.
func (c Config) SharedDatabase() error {
	if c.databaseGiven {
		return nil
	}
	return &Error{"REDIAL_DATABASE", "it is missing; roles that run apart share one ledger: write postgres://user:password@host/database (or run redial up)"}
}

// CeilingsGiven tells whether somebody has set the ceilings, to none or to others.
func (c Config) CeilingsGiven() bool { return c.ceilingsGiven }

// NotifyKeys are the keys of the tokens in notify URLs.
func (c Config) NotifyKeys() (token.Keys, error) {
	k, err := token.ParseKeys(c.NotifySecret)
	if err != nil {
		return k, &Error{"REDIAL_NOTIFY_SECRET", err.Error()}
	}
	return k, nil
}

// ConsoleKeys are the keys of the console's bearer tokens.
func (c Config) ConsoleKeys() (token.Keys, error) {
	k, err := token.ParseKeys(c.ConsoleSecret)
	if err != nil {
		return k, &Error{"REDIAL_CONSOLE_SECRET", err.Error()}
	}
	return k, nil
}

// NotifyURLs makes the URLs at which the gateway reports.
func (c Config) NotifyURLs() (notify.URLs, error) {
	keys, err := c.NotifyKeys()
	if err != nil {
		return notify.URLs{}, err
	}
	u, err := notify.NewURLs(c.NotifyURL, keys)
	if err != nil {
		return u, &Error{"REDIAL_NOTIFY_URL", err.Error()}
	}
	return u, nil
}

// IDKey is the key under which contact ids that read as phone numbers are hashed: REDIAL_ID_SECRET, else
// REDIAL_NOTIFY_SECRET. Who rotates the latter sets the former first, to the old value.
func (c Config) IDKey() []byte {
	if c.IDSecret != "" {
		return []byte(c.IDSecret)
	}
	return []byte(c.NotifySecret)
}

// Zone is a time zone, by its IANA name.
type Zone struct{ *time.Location }

func (z *Zone) UnmarshalText(text []byte) (err error) {
	z.Location, err = phone.Zone(string(text))
	return err
}

// Positive is a whole number of at least one.
type Positive int

func (p *Positive) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no whole number of at least 1", text)
	}
	*p = Positive(n)
	return nil
}

// Rate is so many dials in a window: "55/1m".
type Rate struct {
	N   int
	Per time.Duration
}

func (r Rate) String() string { return fmt.Sprintf("%d in %s", r.N, r.Per) }

func (r *Rate) UnmarshalText(text []byte) error {
	count, per, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(count, 10, 31)
	window, err2 := time.ParseDuration(per)
	if err != nil || err2 != nil || n == 0 || window <= 0 {
		return fmt.Errorf("%q is no rate: write dials per window, such as 55/1m", text)
	}
	*r = Rate{int(n), window}
	return nil
}

// Ceilings are limits on the calls to a number that hold for every policy.
type Ceilings []Ceiling

// Ceiling is how many calls a number may get in a time: a stretch of it, or the recipient's calendar day.
type Ceiling struct {
	Calls int
	Per   time.Duration
	Day   bool
}

func (c *Ceilings) UnmarshalText(text []byte) error {
	*c = nil
	if strings.TrimSpace(string(text)) == "none" {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		calls, per, _ := strings.Cut(strings.TrimSpace(part), "/")
		n, err := strconv.ParseUint(calls, 10, 10)
		ceiling := Ceiling{Calls: int(n), Day: per == "day"}
		if !ceiling.Day {
			days, isDays := strings.CutSuffix(per, "d")
			if isDays {
				per = days + "h"
			}
			var err2 error
			ceiling.Per, err2 = time.ParseDuration(per)
			if isDays {
				ceiling.Per *= 24
			}
			err = errors.Join(err, err2)
		}
		if err != nil || n == 0 || !ceiling.Day && (ceiling.Per < time.Second || ceiling.Per > 400*24*time.Hour) {
			return fmt.Errorf("%q is no list of ceilings: write calls to a number in a time, such as 2/day,3/24h,7/7d, or none", text)
		}
		*c = append(*c, ceiling)
	}
	return nil
}

// Delay is a time of at least nothing.
type Delay time.Duration

func (d *Delay) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is no delay: write it like 5s, or 0s for none", text)
	}
	*d = Delay(parsed)
	return nil
}

// Deployment is the name of a Temporal worker deployment. The server keeps some characters for itself.
type Deployment string

func (d *Deployment) UnmarshalText(text []byte) error {
	if strings.ContainsAny(string(text), ".: \t\n") || strings.HasPrefix(string(text), "__") {
		return fmt.Errorf("%q is no name of a worker deployment: write a word without dots, colons and spaces, such as redial", text)
	}
	*d = Deployment(text)
	return nil
}

// Versioning says what becomes of flows under way when another build takes over.
type Versioning string

const (
	AutoUpgrade Versioning = "auto-upgrade" // they move to the current build at their next step
	Pinned      Versioning = "pinned"       // they end on the build that began them
	// UpgradeAtWait: they stay on their build through an attempt and go on with the current one when they next wait.
	UpgradeAtWait Versioning = "upgrade-at-wait"
)

func (v *Versioning) UnmarshalText(text []byte) error {
	if *v = Versioning(text); *v != AutoUpgrade && *v != Pinned && *v != UpgradeAtWait {
		return fmt.Errorf("%q is no way of versioning: write auto-upgrade, pinned or upgrade-at-wait", text)
	}
	return nil
}

// Targets are what may be dialed: whole targets, or prefixes of numbers. Empty, everything may.
type Targets struct{ prefixes []string }

func (t *Targets) UnmarshalText(text []byte) error {
	for _, entry := range strings.Split(string(text), ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		uri, err := prefix(entry)
		if err != nil {
			return err
		}
		t.prefixes = append(t.prefixes, uri)
	}
	if len(t.prefixes) == 0 {
		return fmt.Errorf("%q names no target: write one, or unset the variable to allow all", text)
	}
	return nil
}

// prefix is the beginning of the canonical URIs that an entry allows.
func prefix(entry string) (string, error) {
	if target, err := phone.Parse(entry, ""); err == nil {
		return target.URI, nil
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(entry, "tel:"), "+")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return "", fmt.Errorf("%q is neither a target nor a prefix of numbers: write +14155550100, +1415 or sip:user@host", entry)
	}
	return "tel:+" + digits, nil
}

// Allows tells whether the target may be dialed.
func (t Targets) Allows(uri string) bool {
	for _, p := range t.prefixes {
		if uri == p || strings.HasPrefix(p, "tel:") && strings.HasPrefix(uri, p) {
			return true
		}
	}
	return len(t.prefixes) == 0
}

// Any tells whether everything may be dialed.
func (t Targets) Any() bool { return len(t.prefixes) == 0 }

// String lists what may be dialed; numbers are masked.
func (t Targets) String() string {
	masked := make([]string, len(t.prefixes))
	for i, p := range t.prefixes {
		masked[i] = call.Mask(p)
	}
	return strings.Join(masked, ", ")
}

// Check refuses a target that this deployment may not dial.
func (t Targets) Check(target call.Target) error {
	if !t.Allows(target.URI) {
		return &Error{"REDIAL_ALLOW_TO", fmt.Sprintf("%s is not among the targets that may be dialed; add it, or call another", target)}
	}
	return nil
}
