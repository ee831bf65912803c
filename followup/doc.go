// Package followup decides what happens next. It reads a policy, decides after each attempt whether the contact is
// done, dialed again and when, escalated or given up, and rules on whether a call may be placed now. Everything in it
// is a pure function of its arguments: it reads no clock, no file and no database, so that a decision can be tested,
// explained and recorded.
package followup
