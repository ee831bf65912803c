package koreai

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"redial/call"
)

// fold makes the spellings of one word alike: "Call-In-Progress", "call_in_progress" and "callInProgress".
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// parseStatus folds the statuses of both generations. One that is not known is news and never an end: a call that is
// taken for ended wrongly might be dialed again while it is still going on.
func parseStatus(s string) call.Status {
	switch fold(s) {
	case "answered":
		return call.StatusAnswered
	case "callinprogress", "inprogress", "progress":
		return call.StatusProgress
	case "completed":
		return call.StatusCompleted
	case "failed":
		return call.StatusFailed
	}
	return call.StatusOther
}

// phrases are the reason phrases of SIP final responses (RFC 3261, 21; RFC 8197; RFC 8688), and the words that
// AudioCodes, whose API this one follows, has for calls that were not answered. They count only where no code is given.
// AudioCodes' "error" is left out: it names no response, and such a call has simply failed.
var phrases = map[string]int{
	"ok": 200,

	"unauthorized": 401, "forbidden": 403, "notfound": 404, "proxyauthenticationrequired": 407, "requesttimeout": 408,
	"gone": 410, "temporarilyunavailable": 480, "temporarilynotavailable": 480, "addressincomplete": 484, "ambiguous": 485,
	"busyhere": 486, "requestterminated": 487, "notacceptablehere": 488,

	"serverinternalerror": 500, "internalservererror": 500, "notimplemented": 501, "badgateway": 502,
	"serviceunavailable": 503, "servertimeout": 504, "gatewaytimeout": 504,

	"busyeverywhere": 600, "decline": 603, "doesnotexistanywhere": 604, "unwanted": 607, "rejected": 608,

	"busy": 486, "declined": 603, "noanswer": 487,
}

var threeDigits = regexp.MustCompile(`\b[1-6][0-9]{2}\b`)

// sipCode reads the final response: the first three-digit code in the reason, else one in the reason code, else the
// response whose phrase either is. A phrase on a call that has not failed ("OK" above all) says nothing new.
func sipCode(e call.Event) int {
	for _, s := range []string{e.Reason, e.ReasonCode} {
		if token := threeDigits.FindString(s); token != "" {
			code, _ := strconv.Atoi(token)
			return code
		}
	}
	if e.Status != call.StatusFailed {
		return 0
	}
	if code, known := phrases[fold(e.ReasonCode)]; known {
		return code
	}
	return phrases[fold(e.Reason)]
}

// enders are how reason codes of completed calls begin, by who hung up. "Caller" is the far end, the person called: so the
// engine beneath the gateway names it. SAVG and KoreVG are one gateway's names in two generations; client-disconnected,
// transferred and machine-detected are AudioCodes'.
var enders = []struct {
	prefix string
	party  call.Party
}{
	{"caller", call.PartyCallee},
	{"client", call.PartyCallee},
	{"bot", call.PartyBot},
	{"transferred", call.PartyBot},
	{"savg", call.PartyGateway},
	{"korevg", call.PartyGateway},
	{"machinedetected", call.PartyGateway},
	{"amderror", call.PartyGateway},
	{"error", call.PartyGateway},
}

// endedBy reads who ended an answered call. In mid-call the reason code is "OK", and on a failed call it is a phrase of SIP.
func endedBy(e call.Event) call.Party {
	if e.Status != call.StatusCompleted {
		return ""
	}
	folded := fold(e.ReasonCode)
	for _, ender := range enders {
		if strings.HasPrefix(folded, ender.prefix) {
			return ender.party
		}
	}
	return ""
}
