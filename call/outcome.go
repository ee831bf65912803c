package call

// Outcome is how the whole contact ended: the last attempt's disposition where a rule said that this ends it, or one
// of the values below. A contact has exactly one.
type Outcome string

const (
	OutcomeExhausted   Outcome = "exhausted"
	OutcomeEscalated   Outcome = "escalated"
	OutcomeSuppressed  Outcome = "suppressed"
	OutcomeOptedOut    Outcome = "opted_out"
	OutcomeExpired     Outcome = "expired"
	OutcomeCanceled    Outcome = "canceled"
	OutcomeDuplicateID Outcome = "duplicate_id"
)

// Valid tells whether o is a disposition or one of the outcomes above.
func (o Outcome) Valid() bool {
	switch o {
	case OutcomeExhausted, OutcomeEscalated, OutcomeSuppressed, OutcomeOptedOut, OutcomeExpired, OutcomeCanceled, OutcomeDuplicateID:
		return true
	}
	return Disposition(o).Valid()
}

// Result is the result of one call flow, and what `redial call --wait --json` prints.
type Result struct {
	WorkflowID string    `json:"workflow_id"`
	RunID      string    `json:"run_id"`
	Outcome    Outcome   `json:"outcome"`
	Escalated  bool      `json:"escalated"`
	Reason     string    `json:"reason"`
	Attempts   []Attempt `json:"attempts"`
}
