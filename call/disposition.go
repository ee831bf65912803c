package call

import "slices"

// Disposition is what became of one attempt. The list is closed.
type Disposition string

const (
	Human         Disposition = "human"
	Machine       Disposition = "machine"
	Silent        Disposition = "silent"    // answered, and nobody spoke
	Undecided     Disposition = "undecided" // answered, and detection ran out of time
	AMDFailed     Disposition = "amd_error" // answered, and detection broke
	Answered      Disposition = "answered"  // answered, and nobody said by whom
	Busy          Disposition = "busy"
	NoAnswer      Disposition = "no_answer"
	Unreachable   Disposition = "unreachable"
	Declined      Disposition = "declined"
	Unwanted      Disposition = "unwanted" // SIP 607: the person rejects such calls
	Blocked       Disposition = "blocked"  // SIP 608: analytics of a carrier rejected the call
	InvalidNumber Disposition = "invalid_number"
	TrunkError    Disposition = "trunk_error"
	NetworkError  Disposition = "network_error"
	Failed        Disposition = "failed"
	NotPlaced     Disposition = "not_placed" // refused by the gateway before it was a call
	Unknown       Disposition = "unknown"    // no end was heard, or it is in doubt whether there was a call
)

// Dispositions lists every disposition, in the order in which tables show them.
func Dispositions() []Disposition {
	return []Disposition{Human, Machine, Silent, Undecided, AMDFailed, Answered, Busy, NoAnswer, Unreachable, Declined,
		Unwanted, Blocked, InvalidNumber, TrunkError, NetworkError, Failed, NotPlaced, Unknown}
}

// Valid tells whether d is of the closed list.
func (d Disposition) Valid() bool { return slices.Contains(Dispositions(), d) }

// Technical tells whether an attempt with this disposition is no business attempt: it says something about the
// network, not about the person, and does not count against a policy's attempts.
func (d Disposition) Technical() bool {
	return d == NetworkError || d == TrunkError || d == NotPlaced || d == AMDFailed
}

// Conversation tells whether a person may have spoken with the bot.
func (d Disposition) Conversation() bool {
	switch d {
	case Human, Answered, Silent, Undecided, AMDFailed, Unknown:
		return true
	}
	return false
}

// ofCompleted is the disposition of an answered call by the strongest value of detection.
func ofCompleted(amd AMD) Disposition {
	if v, ok := verdicts[amd]; ok {
		return v.disposition
	}
	return Answered
}

// ofFailed is the disposition of a call that was never answered, by the final response of SIP (RFC 3261; 607 is RFC
// 8197, 608 is RFC 8688).
func ofFailed(sip int) Disposition {
	switch sip {
	case 486, 600:
		return Busy
	case 408, 487:
		return NoAnswer
	case 480:
		return Unreachable
	case 603:
		return Declined
	case 607:
		return Unwanted
	case 608:
		return Blocked
	case 404, 410, 484, 485, 604:
		return InvalidNumber
	case 401, 403, 407, 488, 606:
		return TrunkError
	}
	if sip >= 500 && sip <= 599 {
		return NetworkError
	}
	return Failed
}
