package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redial/internal/config"
)

func TestDefaultsHoldWhereNothingIsSet(t *testing.T) {
	c, err := config.From(map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	if c.DialRate.N != 55 || c.DialRate.Per != time.Minute || c.MaxCalls != 10 || c.Database != "sqlite:redial.db" ||
		c.WebhookAddr != ":8081" || c.KoreAPI != "v1" || c.KoreTimezone.String() != "UTC" || !c.AllowTo.Allows("tel:+14155550100") {
		t.Errorf("%+v", c)
	}
}

func TestCeilingsAreCallsInATime(t *testing.T) {
	for text, want := range map[string]string{"": "[{2 0s true} {3 24h0m0s false} {7 168h0m0s false}]", "none": "[]", "1/90m, 2/day": "[{1 1h30m0s false} {2 0s true}]"} {
		settings := map[string]string{"REDIAL_CEILINGS": text}
		if text == "" {
			settings = nil
		}
		c, err := config.From(settings)
		if err != nil || fmt.Sprint(c.Ceilings) != want || c.CeilingsGiven() != (text != "") {
			t.Errorf("%q: %v %v", text, c.Ceilings, err)
		}
	}
	for _, bad := range []string{"0/day", "3", "3/0s", "3/week", "3/-1d", "-3/1d", "3/500d", ",", "none,3/day"} {
		if c, err := config.From(map[string]string{"REDIAL_CEILINGS": bad}); err == nil {
			t.Errorf("%q is taken: %v", bad, c.Ceilings)
		}
	}
}

func TestAMalformedValueIsOneLineThatNamesTheVariableAndTheRemedy(t *testing.T) {
	for variable, c := range map[string]struct{ value, says string }{
		"REDIAL_DIAL_RATE": {"fast", "55/1m"},
		"REDIAL_MAX_CALLS": {"0", "at least 1"},
		"REDIAL_CEILINGS":  {"2/day,many", "2/day,3/24h,7/7d, or none"},
		"KORE_TIMEZONE":    {"Mars/Olympus", "Europe/Paris"},
		"REDIAL_ALLOW_TO":  {"+1415, nobody", "sip:user@host"},

		"REDIAL_TRUSTED_PROXIES": {"10.0.0.5, proxy.internal", "10.0.0.0/8"},
	} {
		_, err := config.From(map[string]string{variable: c.value})
		if err == nil || !strings.HasPrefix(err.Error(), variable+": ") || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: %v", variable, c.value, err)
		}
	}
}

func TestWhatIsMissingIsNamedByItsVariable(t *testing.T) {
	c, err := config.From(map[string]string{"KORE_BASE_URL": "https://platform.example"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NotifyURLs(); err == nil || !strings.HasPrefix(err.Error(), "REDIAL_NOTIFY_SECRET: ") {
		t.Errorf("notify URLs: %v", err)
	}
	c.NotifySecret = "0123456789abcdef"
	if _, err := c.NotifyURLs(); err == nil || !strings.HasPrefix(err.Error(), "REDIAL_NOTIFY_URL: ") {
		t.Errorf("notify URLs: %v", err)
	}
}

func TestASecretMayStandInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.From(map[string]string{"REDIAL_NOTIFY_SECRET_FILE": file})
	if err != nil || c.NotifySecret != "0123456789abcdef" {
		t.Errorf("%q, %v", c.NotifySecret, err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, environment := range map[string]map[string]string{
		"cannot be read": {"REDIAL_NOTIFY_SECRET_FILE": file + "x"},
		"is empty":       {"REDIAL_NOTIFY_SECRET_FILE": empty},
		"is set too":     {"REDIAL_NOTIFY_SECRET_FILE": file, "REDIAL_NOTIFY_SECRET": "fedcba9876543210"},
	} {
		_, err := config.From(environment)
		if err == nil || !strings.HasPrefix(err.Error(), "REDIAL_NOTIFY_SECRET_FILE: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := config.From(map[string]string{"REDIAL_NOTIFY_SECRET_FILE": ""}); err != nil {
		t.Errorf("a variable that is set to nothing names no file: %v", err)
	}
}

func TestARoleThatRunsApartDoesNotFallBackOnALedgerOfItsOwn(t *testing.T) {
	for _, environment := range []map[string]string{{}, {"REDIAL_DATABASE": ""}} {
		c, err := config.From(environment)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SharedDatabase(); err == nil || !strings.HasPrefix(err.Error(), "REDIAL_DATABASE: ") {
			t.Errorf("%v", err)
		}
	}
	c, err := config.From(map[string]string{"REDIAL_DATABASE": "sqlite:redial.db"})
	if err != nil || c.SharedDatabase() != nil {
		t.Errorf("%v, %v", err, c.SharedDatabase())
	}
}

func TestOnlyAllowedTargetsAndPrefixesMayBeDialed(t *testing.T) {
	c, err := config.From(map[string]string{"REDIAL_ALLOW_TO": "+1415, tel:+493012345678, sip:busy@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]bool{
		"tel:+14155550100": true, "tel:+14085550100": false, "tel:+493012345678": true, "tel:+491": false,
		"sip:busy@example.com": true, "sip:busy@example.com.evil.org": false,
	} {
		if c.AllowTo.Allows(uri) != want {
			t.Errorf("%s: %t", uri, !want)
		}
	}
}

func TestAListOfTargetsThatNamesNoneOpensNothing(t *testing.T) {
	for _, value := range []string{",", " , "} {
		if _, err := config.From(map[string]string{"REDIAL_ALLOW_TO": value}); err == nil || !strings.Contains(err.Error(), "names no target") {
			t.Errorf("%q: %v", value, err)
		}
	}
}
