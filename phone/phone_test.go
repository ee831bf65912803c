package phone_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redial/call"
	"redial/phone"
)

func TestParseGivesEverySpellingOfALineOneCanonicalURI(t *testing.T) {
	for _, c := range []struct{ text, region, uri string }{
		{"tel:911234567890", "", "tel:+911234567890"}, // the sample of the gateway's documentation
		{"tel:911234567890", "US", "tel:+911234567890"},
		{"tel:+14155550100", "", "tel:+14155550100"},
		{"TEL:+1-415-555-0100", "", "tel:+14155550100"},
		{" tel:+1(415)555.0100 ", "", "tel:+14155550100"},
		{"+14155550100", "", "tel:+14155550100"},
		{"+1 (415) 555-0100", "", "tel:+14155550100"},
		{"+1\u2011415\u2013555\u00a00100", "", "tel:+14155550100"},
		{"\u202a+1 415 555 0100\u202c", "", "tel:+14155550100"},
		{"+1 415 555 0199", "DE", "tel:+14155550199"},
		{"(415) 555-0100", "US", "tel:+14155550100"},
		{"14155550100", "us", "tel:+14155550100"},
		{"011 49 30 123456", "US", "tel:+4930123456"},
		{"0049 30/123456", "DE", "tel:+4930123456"},
		{"030 123456", "DE", "tel:+4930123456"},
		{"+39 06 1234567", "", "tel:+39061234567"},
		{"+800 1234 5678", "", "tel:+80012345678"},

		{"sip:1234567890@1.23.345.678:1234", "", "sip:1234567890@1.23.345.678:1234"}, // the other sample
		{"SIP:Alice@Example.COM", "", "sip:Alice@example.com"},
		{"sips:alice@example.com:05061;transport=tls;lr", "", "sips:alice@example.com:5061"},
		{"sip:%61lice%2b%40x@example.com", "", "sip:alice%2B%40x@example.com"},
		{"sip:+14155550100;ext=5@gateway.example", "", "sip:+14155550100;ext=5@gateway.example"},
		{"sip:bob@[2001:DB8:0::1]:5060", "", "sip:bob@[2001:db8::1]:5060"},
	} {
		t.Run(c.text, func(t *testing.T) {
			target, err := phone.Parse(c.text, c.region)
			require.NoError(t, err)
			require.Equal(t, call.Target{URI: c.uri}, target)
		})
	}
}

func TestParseRefusesWhatCannotBeCalledInOneLineThatNamesTheValueAndTheRemedy(t *testing.T) {
	for _, c := range []struct{ text, region, says string }{
		{"", "", "empty"},
		{"4155550100", "", "country code"},
		{"0049 30 123456", "", "country code"},
		{"0049 30 123456", "US", "country code"},
		{"4155550100", "XX", `default region "XX"`},
		{"tel:0049301234567", "", "country code"},
		{"tel:+1415555010012", "", "too long"},
		{"+1 415 555", "", "too short"},
		{"+1 555 0100", "", "area code"},
		{"+15555550100", "", "numbering plan"},
		{"+1234567890123456", "", "long"},
		{"tel:911", "", "short"},
		{"tel:112", "", "short"},
		{"+999 123456789", "", "country"},
		{"+1 415 555 0100 ext. 5", "", "extension"},
		{"+1 415 555 0100 x5", "", "extension"},
		{"+1 415 555 0100,5", "", "extension"},
		{"tel:+14155550100;ext=5", "", "extension"},
		{"tel:5550100;phone-context=+1415", "", "parameter"},
		{"1-800-FLOWERS", "US", "neither"},
		{"alice@example.com", "", "neither"},
		{"https://example.com", "", "neither"},
		{"+1 415 555 0100\r\nSubject: x", "", "control character"},
		{"\xff+14155550100", "", "UTF-8"},
		{strings.Repeat("1", 256), "", "255 bytes"},
		{"sip:example.com", "", "one user and one host"},
		{"sip:@example.com", "", "one user and one host"},
		{"sip:a@b@c", "", "one user and one host"},
		{"sip:alice:secret@example.com", "", "password"},
		{"sip:alice@example.com?Subject=x", "", "headers"},
		{"sip:al?ice@example.com", "", "headers"},
		{"sip:al%0d%0aice@example.com", "", "control character"},
		{"sip:al%2@example.com", "", "escape"},
		{"sip:al%zz@example.com", "", "escape"},
		{"sip:al ice@example.com", "", "user part"},
		{"sip:alice@exa mple.com", "", "host name"},
		{"sip:alice@-example.com", "", "host name"},
		{"sip:alice@example.com:0", "", "port"},
		{"sip:alice@example.com:70000", "", "port"},
		{"sip:alice@[::1%eth0]", "", "IPv6"},
		{"sip:alice@[::1]x", "", "port"},
	} {
		t.Run(c.text, func(t *testing.T) {
			target, err := phone.Parse(c.text, c.region)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, `target "`)
			require.NotContains(t, err.Error(), "\n")
			require.Zero(t, target)
		})
	}
}

func TestParsingACanonicalURIReturnsItUnchanged(t *testing.T) {
	regions := rapid.SampledFrom([]string{"", "US", "DE", "IN", "GB", "IT"})
	number := rapid.StringMatching(`(tel:)?\+?(1|49|44|39|91|800)?[ (]?[0-9]{2,4}[) -]?[0-9]{3,8}`)
	sip := rapid.StringMatching(`[sS]ips?:([a-zA-Z0-9+._;!]|%[2-7][0-9a-fA-F]){1,8}@([a-zA-Z0-9]{1,5}\.){0,2}[a-zA-Z]{1,3}(:0?[1-9][0-9]{0,3})?(;lr)?`)
	rapid.Check(t, func(t *rapid.T) {
		text, region := rapid.OneOf(number, sip).Draw(t, "text"), regions.Draw(t, "region")
		once, err := phone.Parse(text, region)
		if err != nil {
			t.Skip("not a target")
		}
		twice, err := phone.Parse(once.URI, regions.Draw(t, "another region"))
		if err != nil || twice != once {
			t.Fatalf("%q in %q is %q, and that is %q, %v", text, region, once.URI, twice.URI, err)
		}
	})
}

func FuzzParseNeverPanicsAndNeverLetsAControlCharacterThrough(f *testing.F) {
	for _, seed := range []string{"", "tel:", "tel:+", "+", "sip:", "sip:@", "sip:a@[", "sip:a@[]", "sip:a@[::1]:", "sip:%@h", "sip:a%4",
		"tel:911234567890", "+1 415 555 0100 ext 5", "sips:a@h:65536", "tel:;ext=", "sip:a@h\x00", "００４９", "+٤٤٢٠٧٩٤٦٠٠٠٠"} {
		f.Add(seed, "")
		f.Add(seed, "US")
	}
	f.Fuzz(func(t *testing.T, text, region string) {
		target, err := phone.Parse(text, region)
		phone.LooksLikeNumber(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("the error for %q has several lines: %q", text, err)
			}
			return
		}
		phone.Region(target)
		for _, c := range []byte(target.URI) {
			if c <= ' ' || c >= 0x7f || c == '?' || c == '"' || c == '<' || c == '>' {
				t.Fatalf("%q became %q", text, target.URI)
			}
		}
		if again, err := phone.Parse(target.URI, ""); err != nil || again != target {
			t.Fatalf("%q became %q, and that became %q, %v", text, target.URI, again.URI, err)
		}
	})
}

func TestRegionIsThatOfTheNumberAndEmptyWhereThereIsNone(t *testing.T) {
	for uri, region := range map[string]string{
		"tel:+14155550100": "US", "tel:+16045550100": "CA", "tel:+911234567890": "IN", "tel:+442079460000": "GB",
		"tel:+80012345678": "", "sip:alice@example.com": "", "tel:rubbish": "", "": "", "tel:+15555550100": "",
	} {
		require.Equal(t, region, phone.Region(call.Target{URI: uri}), uri)
	}
}

func TestLooksLikeNumberFindsNumbersAndLeavesOrdinaryIdsAlone(t *testing.T) {
	for _, number := range []string{
		"+14155550100", "14155550100", "4155550100", "555-0100", "5550100", "(415) 555-0100", "415.555.0100", "030/1234567",
		"+49 30 1234567", "0049301234567", "tel:+14155550100", "TEL:14155550100", "sip:14155550100@example.com",
		"lead +1 415 555 0100", "lead-+14155550100", "acme/14155550100", "acme_14155550100", "Ann 415-555-0100", "crm:(415) 555.0100",
		"+1\u2011415\u2011555\u20110100", "\u202a4155550100", "id=+4930123456;x",
	} {
		require.True(t, phone.LooksLikeNumber(number), number)
	}
	for _, id := range []string{
		"", "order-1234", "123456", "12-34-56", "alice", "sip:alice@example.com", "order-1234567", "A1234567890B",
		"550e8400-e29b-41d4-a716-446655440000", "2026-W10-batch-3", "order-2026-03-02", "order-1772445600000", "a+1", "v1.2.3+45",
		"5f8d0d55b54764421b7156c5", "1234567890123456789012", "campaign/7/row/12",
	} {
		require.False(t, phone.LooksLikeNumber(id), id)
	}
}
