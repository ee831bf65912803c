package phone_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"testing"
	"time"

	"redial/phone"
)

// Evidence names the version: a new archive is a new version.
func TestTheArchiveIsThatOfItsVersion(t *testing.T) {
	archive, err := os.ReadFile("zoneinfo.zip")
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{"go1.26": "8f55634d05f8bca1f7bc7c69c5933428c69357e0bdf565e5ba224e3f88ff12e8"}
	if got := fmt.Sprintf("%x", sha256.Sum256(archive)); got != sums[phone.ZonesVersion] {
		t.Errorf("the archive's sum is %s, and that of %s is %s: change ZonesVersion with the archive", got, phone.ZonesVersion, sums[phone.ZonesVersion])
	}
}

func TestZonesComeFromTheEmbeddedArchiveWithTheirClockChanges(t *testing.T) {
	paris, err := phone.Zone("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		utc  time.Time
		want string
	}{
		{time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC), "01:59:59 CET"},
		{time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), "03:00:00 CEST"},
		{time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), "02:00:00 CET"},
	} {
		if got := c.utc.In(paris).Format("15:04:05 MST"); got != c.want {
			t.Errorf("%s in Paris: %s; want %s", c.utc, got, c.want)
		}
	}
	if again, _ := phone.Zone("Europe/Paris"); again != paris {
		t.Error("a zone is loaded twice")
	}
	for _, name := range []string{"", "Europe", "Europe/Nowhere", "../etc/passwd", "Local"} {
		if _, err := phone.Zone(name); err == nil {
			t.Errorf("zone %q was loaded", name)
		}
	}
}
