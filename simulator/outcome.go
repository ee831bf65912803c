package simulator

import (
	"fmt"
	"slices"
)

// Outcome is what truly became of a call, whatever was notified about it. The names are those of the dispositions in
// common use among dialers; an answered call is named after what detection could tell.
type Outcome string

const (
	// Answered calls.
	Human     Outcome = "human"
	Machine   Outcome = "machine"
	Silent    Outcome = "silent"
	Undecided Outcome = "undecided"
	AMDError  Outcome = "amd_error"
	Answered  Outcome = "answered" // no verdict: detection was off, was stopped, or said something new

	// Calls that ended before they were answered.
	Busy          Outcome = "busy"
	NoAnswer      Outcome = "no_answer"
	Unreachable   Outcome = "unreachable"
	Declined      Outcome = "declined"
	Unwanted      Outcome = "unwanted"
	Blocked       Outcome = "blocked"
	InvalidNumber Outcome = "invalid_number"
	TrunkError    Outcome = "trunk_error"
	NetworkError  Outcome = "network_error"
	Failed        Outcome = "failed"
)

// The answering-machine events of the gateway.
const (
	amdHuman           = "amd_human_detected"
	amdMachine         = "amd_machine_detected"
	amdNoSpeech        = "amd_no_speech_detected"
	amdDecisionTimeout = "amd_decision_timeout"
	amdStoppedSpeaking = "amd_machine_stopped_speaking"
	amdTone            = "amd_tone_detected"
	amdError           = "amd_error"
	amdStopped         = "amd_stopped"
)

// outcomeOfAMD names an answered call by the event that its detection ended with.
func outcomeOfAMD(event string) Outcome {
	switch event {
	case amdHuman:
		return Human
	case amdMachine, amdTone, amdStoppedSpeaking:
		return Machine
	case amdNoSpeech:
		return Silent
	case amdDecisionTimeout:
		return Undecided
	case amdError:
		return AMDError
	default:
		return Answered
	}
}

// failureCodes lists the SIP final responses behind each unanswered outcome, the one a script means by default first.
var failureCodes = map[Outcome][]int{
	Busy:          {486, 600},
	NoAnswer:      {487, 408},
	Unreachable:   {480},
	Declined:      {603},
	Unwanted:      {607},
	Blocked:       {608},
	InvalidNumber: {404, 410, 484, 485, 604},
	TrunkError:    {403, 401, 407, 488, 606},
	NetworkError:  {503, 500, 502, 504},
}

// outcomeOfSIP names an unanswered call by its final response.
func outcomeOfSIP(code int) Outcome {
	for outcome, codes := range failureCodes {
		if slices.Contains(codes, code) {
			return outcome
		}
	}
	if code >= 500 && code <= 599 {
		return NetworkError
	}
	return Failed
}

// sipPhrases holds the reason phrases of SIP final responses: RFC 3261, section 21, and where it says nothing the
// registry's own (RFC 8197 for 607, RFC 8688 for 608, and their like).
var sipPhrases = map[int]string{
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
	413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
	420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
	433: "Anonymity Disallowed", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
	483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
	488: "Not Acceptable Here", 491: "Request Pending", 493: "Undecipherable",
	500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large", 580: "Precondition Failure",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable", 607: "Unwanted", 608: "Rejected",
}

// sipPhrase gives the reason phrase of a final response. Code 0 is a failure for which the gateway has no SIP response.
func sipPhrase(code int) string {
	if code == 0 {
		return "error"
	}
	if phrase, known := sipPhrases[code]; known {
		return phrase
	}
	return fmt.Sprintf("Unknown Response %d", code)
}

// Party is who ended an answered call.
type Party string

const (
	// ByCaller means the far end, the person called: the gateway's own, confusing, word for it.
	ByCaller Party = "caller"
	// ByBot means that the bot hung up.
	ByBot Party = "bot"
	// ByGateway means that the gateway itself hung up, as it does on a machine in mode disconnect.
	ByGateway Party = "gateway"
)

func (p Party) known() bool { return p == ByCaller || p == ByBot || p == ByGateway }

// reasonCode is the gateway's word for who ended a completed call.
func (p Party) reasonCode(d Dialect) string {
	if p != ByGateway {
		return string(p) + "-disconnected"
	}
	if d == Gen1 {
		return "SAVG-disconnected"
	}
	return "KoreVG-disconnected"
}
