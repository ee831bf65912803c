//go:build unix

package app_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
)

const (
	failed = 1
	misuse = 2
)

// mistake is one thing done wrong where everything else is right.
type mistake struct {
	name     string
	settings []string // on top of the right ones
	args     []string
	code     int
	says     []string // the thing and the remedy
}

// requireToldWhy makes the mistake and requires its one line.
func requireToldWhy(t *testing.T, p program, m mistake) {
	t.Helper()
	e := p.with(m.settings...).run(t, m.args...)
	line, rest, whole := strings.Cut(e.stderr, "\n")
	require.True(t, whole && rest == "" && strings.HasPrefix(line, "redial: "), "one line is wanted, and it said: %s", e.stderr)
	for _, words := range m.says {
		require.Contains(t, line, words)
	}
	for _, jargon := range []string{"Go struct", "rpc error", "desc =", "goroutine", "%!"} {
		require.NotContains(t, line, jargon)
	}
	require.Equal(t, m.code, e.code, line)
	if m.args[0] != "setup" { // which says what it has done so far
		require.Empty(t, e.stdout)
	}
}

// TestAMistakeIsToldInOneLineAndNothingIsDialed makes each mistake beside a worker that would dial whatever was started.
func TestAMistakeIsToldInOneLineAndNothingIsDialed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	// What is wrong with a second up must not be that it is the second.
	second := s.with("REDIAL_DATABASE=sqlite:second.db", "REDIAL_WEBHOOK_ADDR=127.0.0.1:0")
	offline := second.with("TEMPORAL_ADDRESS=127.0.0.1:" + freePort(t)) // settings are looked at before a server is
	for _, group := range []struct {
		of       string
		by       program
		mistakes []mistake
	}{
		{"a variable that up needs is missing", offline, missingVariables()},
		{"a variable is malformed", offline, malformedVariables()},
		{"a ledger that cannot be one", second, wrongLedgers(t, s.folder)},
		{"a server or a port that is not there", s.program, wrongServers(t, s)},
		{"a policy that cannot be kept", s.program, wrongPolicies(t, s.program)},
		{"a call that cannot be made", s.program, wrongCalls(t, s.program)},
		{"a contact that is not there", s.program, wrongShows()},
		{"a command that is none", s.program, wrongCommands()},
	} {
		for _, m := range group.mistakes {
			t.Run(group.of+"/"+m.name, func(t *testing.T) { requireToldWhy(t, group.by, m) })
		}
	}
	require.Zero(t, s.gateway.stats(t).Requests)
}

func missingVariables() (mistakes []mistake) {
	for _, variable := range []string{"KORE_BASE_URL", "KORE_BOT_ID", "KORE_CLIENT_ID", "KORE_CLIENT_SECRET", "KORE_CALLER",
		"REDIAL_NOTIFY_URL", "REDIAL_NOTIFY_SECRET"} {
		mistakes = append(mistakes, mistake{variable, []string{variable + "="}, []string{"up"}, misuse, []string{variable + ": it is "}})
	}
	return mistakes
}

func malformedVariables() (mistakes []mistake) {
	for _, m := range []struct{ name, setting, says string }{
		{"a base URL", "KORE_BASE_URL=platform.kore.ai", "write it as https://platform.kore.ai"},
		{"an API", "KORE_API=v3", "use v1 or v2"},
		{"a zone", "KORE_TIMEZONE=Mars/Olympus", "write it like Europe/Paris"},
		{"a notify URL", "REDIAL_NOTIFY_URL=calls.example.com", "write it like https://calls.example.com"},
		{"a secret that is too short", "REDIAL_NOTIFY_SECRET=short", "use at least 16"},
		{"a secret in a file that is not there", "KORE_CLIENT_SECRET_FILE=nowhere", "name a readable file"},
		{"a rate", "REDIAL_DIAL_RATE=55 a minute", "write dials per window, such as 55/1m"},
		{"a rate of nothing", "REDIAL_DIAL_RATE=0/1m", "write dials per window, such as 55/1m"},
		{"a number of calls", "REDIAL_MAX_CALLS=many", "no whole number of at least 1"},
		{"a level", "REDIAL_LOG_LEVEL=loud", "write debug, info, warn or error"},
		{"allowed targets", "REDIAL_ALLOW_TO=+1415,friends", "write +14155550100, +1415 or sip:user@host"},
	} {
		variable, _, _ := strings.Cut(m.setting, "=")
		settings := []string{m.setting}
		if secret, file := strings.CutSuffix(variable, "_FILE"); file {
			settings = append(settings, secret+"=")
		}
		mistakes = append(mistakes, mistake{m.name, settings, []string{"up"}, misuse, []string{variable + ": ", m.says}})
	}
	return mistakes
}

func wrongLedgers(t *testing.T, folder string) (mistakes []mistake) {
	require.NoError(t, os.WriteFile(filepath.Join(folder, "notes.txt"), []byte(strings.Repeat("no database\n", 1000)), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "folder"), 0o700))
	for _, m := range []struct{ name, address, says string }{
		{"an unknown scheme", "mysql:redial.db", "write sqlite:FILE"},
		{"no scheme", "redial.db", "write sqlite:FILE"},
		{"a PostgreSQL URL that is none", "postgres://user:password@127.0.0.1:port/redial", "it is no PostgreSQL URL"},
		{"a folder that is not there", "sqlite:nowhere/redial.db", "check that the folder exists and is writable"},
		{"a folder that nobody can write to", "sqlite:/proc/redial.db", "check that the folder exists and is writable"},
		{"a folder instead of a file", "sqlite:folder", "it is a folder"},
		{"a file that is no database", "sqlite:notes.txt", "not a database"},
	} {
		for _, command := range []string{"up", "setup"} {
			mistakes = append(mistakes, mistake{command + " on " + m.name, []string{"REDIAL_DATABASE=" + m.address}, []string{command}, misuse,
				[]string{"REDIAL_DATABASE", m.says}})
		}
	}
	return mistakes
}

func wrongServers(t *testing.T, s stage) []mistake {
	unprepared, _ := newNamespace(t)
	const nowhere = "127.0.0.1:1" // no free port: a test beside this one may take that
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	unreachable := []string{"temporal at " + nowhere + " cannot be reached", "connection refused", "redial dev", "TEMPORAL_ADDRESS"}
	second := []string{"REDIAL_DATABASE=sqlite:second.db"}
	return []mistake{
		{"up without Temporal", []string{"TEMPORAL_ADDRESS=" + nowhere}, []string{"up"}, failed, unreachable},
		{"call without Temporal", []string{"TEMPORAL_ADDRESS=" + nowhere}, []string{"call", "--to", "+14155550100"}, failed, unreachable},
		{"setup without Temporal", []string{"TEMPORAL_ADDRESS=" + nowhere}, []string{"setup"}, failed, unreachable},
		{"up before setup", append(second, "TEMPORAL_NAMESPACE="+unprepared), []string{"up"}, failed, []string{unprepared, "run redial setup"}},
		{"call before setup", []string{"TEMPORAL_NAMESPACE=" + unprepared}, []string{"call", "--to", "+14155550100"}, failed, []string{unprepared, "run redial setup"}},
		{"up in no namespace", append(second, "TEMPORAL_NAMESPACE=nowhere"), []string{"up"}, failed, []string{"nowhere", "TEMPORAL_NAMESPACE"}},
		{"call in no namespace", []string{"TEMPORAL_NAMESPACE=nowhere"}, []string{"call", "--to", "+14155550100"}, failed, []string{"nowhere", "TEMPORAL_NAMESPACE"}},
		{"setup of no namespace", []string{"TEMPORAL_NAMESPACE=nowhere"}, []string{"setup"}, failed, []string{"nowhere", "TEMPORAL_NAMESPACE"}},
		{"up on a ledger that is in use", []string{"REDIAL_WEBHOOK_ADDR=127.0.0.1:0"}, []string{"up"}, failed,
			[]string{"redial.db", "another redial process owns it", "PostgreSQL", "REDIAL_DATABASE"}},
		{"up on a port that is in use", append(second, "REDIAL_WEBHOOK_ADDR="+taken.Addr().String()), []string{"up"}, failed,
			[]string{taken.Addr().String(), "address already in use", "REDIAL_WEBHOOK_ADDR"}},
		{"up without PostgreSQL", []string{"REDIAL_DATABASE=postgres://user:password@" + nowhere + "/redial"}, []string{"up"}, failed,
			[]string{"user:xxxxx@" + nowhere, "its server is away", "connection refused", "REDIAL_DATABASE"}},
		{"setup without PostgreSQL", []string{"REDIAL_DATABASE=postgres://user:password@" + nowhere + "/redial"}, []string{"setup"}, failed,
			[]string{"user:xxxxx@" + nowhere, "its server is away", "connection refused", "REDIAL_DATABASE"}},
		{"a move to no PostgreSQL", nil, []string{"setup", "--from", "sqlite:other.db"}, failed, []string{"only a SQLite file", "postgres://"}},
		{"simulator on a port that is in use", nil, []string{"simulator", "--addr", taken.Addr().String()}, failed,
			[]string{taken.Addr().String(), "address already in use", "--addr"}},
	}
}

func wrongPolicies(t *testing.T, p program) (mistakes []mistake) {
	for _, m := range []struct{ name, policy, says string }{
		{"an unknown key", "name: reminder\nattempts: 3\nretries: 5\n", `line 3: unknown field "retries"`},
		{"an unknown key in JSON", "{\"name\": \"reminder\",\n \"retries\": 5}", `line 2: unknown field "retries"`},
		{"an unknown disposition", "on: {bussy: done}", "on.bussy"},
		{"an unknown verb", "on: {busy: {retry: [20m], then: redial}}", "on.busy"},
		{"a bad duration", "dial: {ring_timeout: soon}", `"soon" is no duration: write it like 90s`},
		{"a bad delay", "on: {busy: {retry: [20 minutes]}}", `line 1: on.busy.retry[0]: "20 minutes" is no delay: write it like 90s`},
		{"a ring time-out out of range", "dial: {ring_timeout: 1s}", "dial.ring_timeout: 1s is out of range: write 5s to 2m"},
		{"no content", "", "the policy is empty"},
		{"two policies", "name: a\n---\nname: b\n", "write one policy to a file"},
		{"broken YAML", "on: {busy: [", "line 1"},
		{"a window without hours", "window: {timezone: recipient}", "line 1: window.timezone: it is the only key"},
		{"a window that is empty", "name: x\nwindow: {}", "line 2: window: it is empty"},
		{"a jitter that is not whole", "name: x\njitter: 1.5", "line 2: jitter: 1.5 is not a whole number"},
		{"nothing above the ceilings", "above_ceilings: true", "above_ceilings: it needs a limit by number"},
		{"hours that are none", "window: {days: {mon-fri: [9-17]}}", "write them like 09:00-12:30"},
		{"days that are none", "window: {days: {workdays: ['09:00-17:00']}}", `"workdays" is no set of days`},
		{"a zone that is none", "window: {timezone: Paris, days: {mon: ['09:00-17:00']}}", "window.timezone"},
		{"a preset that is none", "window: {presets: [us-atlantis]}", "us-federal"},
		{"a limit over nothing", "limits: [{calls: 3}]", "limits[0].per"},
		{"a limit of nothing", "limits: [{calls: 0, per: 24h}]", "limits[0].calls: 0 is out of range"},
		{"a quiet time after nothing", "quiet: [{after: lunch, for: 7d}]", "quiet[0].after"},
		{"a webhook that is no URL", "escalate: {webhook: people}", "escalate.webhook"},
	} {
		file := p.file(t, strings.ReplaceAll(m.name, " ", "-")+".yaml", m.policy)
		mistakes = append(mistakes, mistake{m.name, nil, []string{"call", "--to", "+14155550100", "--policy", file}, misuse, []string{"--policy", file, m.says}})
	}
	consent := func(name, text string) string { return p.file(t, "consent-"+name+".yaml", text) }
	federal := p.file(t, "federal.yaml", "window: {presets: [us-federal]}")
	hours := p.file(t, "hours.yaml", "window: {days: {mon-sun: ['09:00-17:00']}}")
	with := func(file string) []string {
		return []string{"call", "--to", "+14155550100", "--policy", federal, "--consent", file}
	}
	return append(mistakes,
		mistake{"no consent where a preset demands one", nil, []string{"call", "--to", "+14155550100", "--policy", federal}, misuse, []string{"consent: it is missing", "us-federal"}},
		mistake{"a consent that is not there", nil, with("none.yaml"), misuse, []string{"--consent", "none.yaml"}},
		mistake{"a consent to nothing", nil, with(consent("nothing", "source: form 7\nat: 2026-03-02T10:00:00Z")), misuse, []string{"--consent", "scope: it is missing"}},
		mistake{"a consent without a time", nil, with(consent("timeless", "{scope: reminders, source: form 7}")), misuse, []string{"--consent", "at: it is missing"}},
		mistake{"a consent with a key too many", nil, with(consent("key", "{scope: a, source: b, at: 2026-03-02T10:00:00Z, until: never}")), misuse, []string{"--consent", "until"}},
		mistake{"a consent that ends at no time", nil, with(consent("endless", "scope: a\nsource: b\nat: 2026-03-02T10:00:00Z\nexpires: 31.12.2026")), misuse,
			[]string{"--consent", "line 4: expires", `"31.12.2026" is no time: write it like 2026-03-02T10:00:00+01:00`}},
		mistake{"a consent that was given some time", nil, with(consent("some-time", "{scope: a, source: b, at: tomorrow}")), misuse, []string{"--consent", "line 1: at", `"tomorrow" is no time`}},
		mistake{"a consent that ends nowhere", nil, with(consent("nowhere", "{scope: a, source: b, at: 2026-03-02T10:00:00Z, expires: }")), misuse, []string{"--consent", "line 1: expires: it is empty"}},
		mistake{"two consents", nil, with(consent("two", "{scope: a, source: b, at: 2026-03-02T10:00:00Z}\n---\nexpires: 2026-03-03T10:00:00Z")), misuse, []string{"--consent", "write one consent to a file"}},
		mistake{"a number twice", nil, []string{"call", "--to", "+14155550100", "--to", "tel:+1-415-555-0100"}, misuse, []string{"to", "is named twice"}},
		mistake{"a consent that ends before it begins", nil, with(consent("ends", "{scope: a, source: b, at: 2026-03-02T10:00:00Z, expires: 2026-03-01T10:00:00Z}")), misuse,
			[]string{"--consent", "expires"}},
		mistake{"a SIP address whose zone nobody knows", nil, []string{"call", "--to", "sip:anna@pbx.example.com", "--policy", hours}, misuse, []string{"zone", "state one"}},
		mistake{"a zone that is none", nil, []string{"call", "--to", "+14155550100", "--zone", "California"}, misuse, []string{"zone", "California"}},
		mistake{"no file", nil, []string{"call", "--to", "+14155550100", "--policy", "none.yaml"}, misuse, []string{"--policy", "none.yaml", "name a file that can be read"}},
		mistake{"a folder", nil, []string{"call", "--to", "+14155550100", "--policy", "folder"}, misuse, []string{"--policy", "folder", "name a file that can be read"}})
}

func wrongCalls(t *testing.T, p program) (mistakes []mistake) {
	const plus = "write it with a plus and its country code"
	for _, m := range []struct{ to, says string }{
		{"4155550100", plus}, {"+1415", plus}, {"+15555550100", plus}, {"anna", plus}, {"", "it is empty"},
		{"tel:+14155550100;ext=7", "remove the extension"}, {"sip:anna", "write sip:user@host"}, {"https://example.com", plus},
	} {
		mistakes = append(mistakes, mistake{"to " + m.to, nil, []string{"call", "--to", m.to}, misuse, []string{"--to", m.to, m.says}})
	}
	list := p.file(t, "list.json", `["no object"]`)
	large := p.file(t, "large.json", `{"notes": "`+strings.Repeat("x", 20_000)+`"}`)
	to := func(args ...string) []string { return append([]string{"call", "--to", "+14155550100"}, args...) }
	return append(mistakes,
		mistake{"to nobody", nil, []string{"call"}, misuse, []string{"--to is missing", "--to +14155550100"}},
		mistake{"to a target that is not allowed", []string{"REDIAL_ALLOW_TO=+44,+1212"}, to(), misuse, []string{"REDIAL_ALLOW_TO", "not among the targets"}},
		mistake{"with metadata that is no pair", nil, to("--metadata", "anna"), misuse, []string{"--metadata", `"anna"`, "write key=value"}},
		mistake{"with metadata without a key", nil, to("--metadata", "=anna"), misuse, []string{"--metadata", "write key=value"}},
		mistake{"with metadata that is no object", nil, to("--metadata-json", list), misuse, []string{"--metadata-json", list, "not one JSON object"}},
		mistake{"with metadata from nowhere", nil, to("--metadata-json", "none.json"), misuse, []string{"--metadata-json", "none.json", "name a file that can be read"}},
		mistake{"with too much metadata", nil, to("--metadata-json", large), misuse, []string{"--metadata-json", large, "bytes"}},
		mistake{"with a flag that is none", nil, to("--retries", "3"), misuse, []string{"--retries", "redial call --help"}},
		mistake{"with a flag that lacks its value", nil, []string{"call", "--to"}, misuse, []string{"--to", "redial call --help"}},
		mistake{"with a second target", nil, to("+14155550101"), misuse, []string{`"+14155550101"`, "takes no argument"}},
	)
}

func wrongShows() []mistake {
	return []mistake{
		{"an unknown id", nil, []string{"show", "nobody"}, failed, []string{`no contact "nobody"`, "REDIAL_DATABASE"}},
		{"no ledger", []string{"REDIAL_DATABASE=sqlite:none.db"}, []string{"show", "anna"}, misuse, []string{"REDIAL_DATABASE", "none.db", "name the file that redial up writes"}},
		{"no id", nil, []string{"show"}, misuse, []string{"redial show takes one id"}},
	}
}

func wrongCommands() []mistake {
	return []mistake{
		{"an unknown one", nil, []string{"dial"}, misuse, []string{`unknown command "dial"`, "redial --help"}},
		{"a misspelt one", nil, []string{"cal"}, misuse, []string{`unknown command "cal"`, "redial --help"}},
		{"up with an argument", nil, []string{"up", "now"}, misuse, []string{"redial up takes no argument", `"now"`}},
		{"dev with a gateway that is none", nil, []string{"dev", "--gateway", "twilio"}, misuse, []string{"--gateway", `"twilio"`, "write simulator or kore"}},
		{"simulator with a speed that is none", nil, []string{"simulator", "--speed", "-1"}, misuse, []string{"speed", "above 0"}},
		{"simulator with no speed", nil, []string{"simulator", "--speed", "0"}, misuse, []string{"--speed", "above 0"}},
		{"dev with no speed", nil, []string{"dev", "--speed", "0"}, misuse, []string{"--speed", "above 0"}},
		{"simulator of an unknown generation", nil, []string{"simulator", "--dialect", "gen3"}, misuse, []string{`"gen3"`, "gen1, gen2 or mixed"}},
		{"simulator with an unknown profile", nil, []string{"simulator", "--profile", "calm"}, misuse, []string{`"calm"`, "everyday or storm"}},
		{"simulator with an unknown scope", nil, []string{"simulator", "--scope", "some"}, misuse, []string{`"some"`, "granted, missing or unpublished"}},
		{"simulator with a rate below none", nil, []string{"simulator", "--rate", "-1"}, misuse, []string{"rate", "-1", "0 for none"}},
		{"simulator with lines below none", nil, []string{"simulator", "--lines", "-1"}, misuse, []string{"lines", "-1", "0 for"}},
		{"simulator with a status that is no refusal", nil, []string{"simulator", "--rate-status", "200"}, misuse, []string{"200", "400 to 599"}},
		{"simulator with a status that is no success", nil, []string{"simulator", "--success-status", "404"}, misuse, []string{"404", "200 or 201"}},
		{"simulator that repeats less than never", nil, []string{"simulator", "--retries", "-1"}, misuse, []string{"retries", "-1"}},
	}
}

func TestAWrongClientSecretEndsTheCallWithTheCredentialNamedAndNothingPlaced(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.program = s.with("KORE_CLIENT_SECRET=another secret, of another app")
	s.up(t)
	s.must(t, "call", "--to", "+14155550100", "--id", "anna")
	r := s.result(t, "anna")
	require.Equal(t, call.OutcomeEscalated, r.Outcome)
	require.Len(t, r.Attempts, 1)
	require.Equal(t, call.NotPlaced, r.Attempts[0].Disposition)
	require.Contains(t, r.Attempts[0].Error, "check client id and secret")
	require.Contains(t, r.Reason, "check client id and secret")
	stats := s.gateway.stats(t)
	require.Zero(t, stats.Launched)
	require.Equal(t, 2, stats.Refused["unauthorized"], "once more with a fresh JWT, and no more")
}
