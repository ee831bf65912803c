package config_test

import (
	"fmt"
	"strings"
	"testing"

	"redial/internal/config"
)

func TestNoProxyIsTrustedUnlessItIsNamed(t *testing.T) {
	c, err := config.From(map[string]string{})
	if err != nil || len(c.TrustedProxies) != 0 {
		t.Errorf("%v, %v", c.TrustedProxies, err)
	}
}

func TestTrustedProxiesAreAddressesAndRanges(t *testing.T) {
	c, err := config.From(map[string]string{"REDIAL_TRUSTED_PROXIES": "10.0.0.5, 172.16.9.9/12,::1,fd00::/8,::ffff:192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.TrustedProxies); got != "[10.0.0.5/32 172.16.0.0/12 ::1/128 fd00::/8 192.0.2.1/32]" {
		t.Error(got)
	}
}

func TestWhatIsNoProxyIsRefusedWithItsRemedy(t *testing.T) {
	for value, says := range map[string]string{
		"proxy.internal": "neither an address nor a range", "10.0.0.0/33": "10.0.0.0/8", "10.0.0": "fd00::/8", ",": "names no proxy",
		"0.0.0.0/0": "would let everybody", "::/0": "would let everybody", "fe80::1%eth0": "neither an address", "::ffff:10.0.0.0/104": "neither an address",
	} {
		_, err := config.From(map[string]string{"REDIAL_TRUSTED_PROXIES": value})
		if err == nil || !strings.HasPrefix(err.Error(), "REDIAL_TRUSTED_PROXIES: ") || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), value) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
