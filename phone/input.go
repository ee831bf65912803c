package phone

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"redial/call"
)

// Target is a target in an input of one's own, such as that of a call flow. In JSON it is a string as a person spells it, which
// Parse reads, without a default region. Written again it is an object, {"uri": "tel:+14155550100"}, which is read by its form
// alone: what a numbering plan allows changes, and a run that was started with a number must be able to read it for as long as
// it lives.
type Target struct{ call.Target }

// e164 is the form of a telephone target: up to 15 digits (ITU-T E.164).
var e164 = regexp.MustCompile(`^tel:\+[1-9][0-9]{4,14}$`)

// UnmarshalJSON reads either form.
func (t *Target) UnmarshalJSON(data []byte) (err error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(`"`)) {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		t.Target, err = Parse(text, "")
		return err
	}
	if err := json.Unmarshal(data, &t.Target); err != nil {
		return err
	}
	scheme, rest, _ := strings.Cut(t.URI, ":")
	switch uri := t.URI; {
	case e164.MatchString(uri):
		return nil
	case scheme == "sip" || scheme == "sips":
		if canonical, err := canonicalSIP(scheme, rest); err == nil && canonical == uri {
			return nil
		}
	}
	return fmt.Errorf("target %s cannot be called: it is no canonical URI; write a string, such as %q", quote(t.URI), "+14155550100")
}
