package ledger

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"redial/call"
	"redial/followup"
)

// SuppressionKind is what must not be called.
type SuppressionKind string

const (
	SuppressedNumber  SuppressionKind = "number"  // one target, whoever's it is
	SuppressedContact SuppressionKind = "contact" // one contact, by whatever number and in whatever campaign
)

// Suppression is one statement that somebody must not be called. Several may be made of the same number or contact; it is not called
// while one of them holds.
type Suppression struct {
	ID      int64           `json:"id"` // given by the ledger, in order
	Kind    SuppressionKind `json:"kind"`
	Subject string          `json:"subject"` // the canonical URI of a target, or a contact id
	At      time.Time       `json:"at"`      // since when it holds: since it was made, or its import was complete; given by the ledger
	Source  string          `json:"source"`  // who or what made it, such as bot, policy reminder: on.unwanted, operator anna, import list.csv
	Reason  string          `json:"reason"`
	// ExpiresAt is from when on it does not hold any more; zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// A statement that was removed does not hold, and is kept.
	RemovedAt  time.Time `json:"removed_at,omitzero"`
	RemovedBy  string    `json:"removed_by,omitempty"`
	RemovedFor string    `json:"removed_for,omitempty"`
	Holds      bool      `json:"holds"` // now
}

// String is the subject, fit for logs and errors.
func (s Suppression) String() string {
	if s.Kind == SuppressedNumber {
		return "number " + call.Mask(s.Subject)
	}
	return string(s.Kind) + " " + s.Subject
}

func (s Suppression) validate() error {
	switch {
	case s.Kind != SuppressedNumber && s.Kind != SuppressedContact:
		return fmt.Errorf("%q is no kind of suppression: write number or contact", s.Kind)
	case s.Subject == "":
		return fmt.Errorf("the %s is missing: say who must not be called", s.Kind)
	case s.Source == "" || s.Reason == "":
		return fmt.Errorf("the suppression of %s has no source or no reason: say who wants it, and why", s)
	}
	return nil
}

// Suppress records that somebody must not be called, and tells whether that was new: where the same source has said the same for the
// same reason, until the same time or longer, nothing is recorded. A statement never shortens or replaces another. Every open contact
// concerned is woken to recheck whether it may go on, whatever it waits for.
func (l *Ledger) Suppress(ctx ctx, s Suppression) (added bool, err error) {
	if err := s.validate(); err != nil {
		return false, err
	}
	err = l.update(ctx, part, "suppress "+s.String(), func(t *tx) error {
		added, err = t.suppress(s, "")
		return err
	})
	return added, err
}

// stated is the condition of a statement that was made: one of an import is when the whole of it is.
const stated = `(s.import_id = 0 OR EXISTS (SELECT 1 FROM suppression_imports i WHERE i.import_id = s.import_id AND i.completed_at > 0))`

// holds is the condition of a statement that holds at a time.
const holds = `s.removed_at = 0 AND (s.expires_at = 0 OR s.expires_at > ?) AND ` + stated

// addEntry adds a statement, unless it holds already, or is there already from the same import.
const addEntry = `INSERT INTO suppression_entries (kind, subject, at, source, reason, expires_at, import_id)
	SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT)
	WHERE NOT EXISTS (SELECT 1 FROM suppression_entries s WHERE s.subject = ? AND s.kind = ? AND s.source = ? AND s.reason = ? AND s.removed_at = 0
		AND (s.expires_at = 0 OR s.expires_at >= ? AND CAST(? AS BIGINT) <> 0) AND (s.import_id = ? OR ` + stated + `))`

func (s Suppression) entry(at time.Time, importID int64) []any {
	expires := micros(s.ExpiresAt)
	return []any{s.Kind, s.Subject, micros(at), s.Source, s.Reason, expires, importID,
		s.Subject, s.Kind, s.Source, s.Reason, expires, expires, importID}
}

// concerned are the open contacts of what is said: those that were opened for the number, were called at it, or wait to be, and those of the
// contact id. What is said is the table said, of kinds and subjects; its joins are in the order in which each finds its rows by an index.
const concerned = `SELECT c.workflow_id FROM said CROSS JOIN contacts c WHERE said.kind = 'number' AND c.target = said.subject AND c.closed_at = 0
	UNION SELECT c.workflow_id FROM said CROSS JOIN attempts a CROSS JOIN contacts c
		WHERE said.kind = 'number' AND a.target = said.subject AND c.workflow_id = a.workflow_id AND c.closed_at = 0
	UNION SELECT q.workflow_id FROM said CROSS JOIN queue q WHERE said.kind = 'number' AND q.target = said.subject
	UNION SELECT c.workflow_id FROM said CROSS JOIN contacts c WHERE said.kind = 'contact' AND c.contact_id = said.subject AND c.closed_at = 0`

// suppress records a statement. The contact that makes it itself, if there is one, need not be told.
func (t *tx) suppress(s Suppression, by string) (added bool, err error) {
	n, err := t.change(addEntry, s.entry(t.now, 0)...)
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.wakeConcerned(`SELECT CAST(? AS TEXT) AS kind, CAST(? AS TEXT) AS subject`, []any{s.Kind, s.Subject}, by)
}

// wakeConcerned owes the contacts concerned by what is said, a query of kinds and subjects, a wake to recheck whether they may go on.
func (t *tx) wakeConcerned(said string, args []any, by string) error {
	t.owed = true
	return t.exec(`WITH said AS (`+said+`)
		INSERT INTO outbox (topic, kind, workflow_id, attempt_key, url, body, due_at)
		SELECT CAST(? AS TEXT) || w.workflow_id, CAST(? AS TEXT), w.workflow_id, '', '', CAST(? AS TEXT), CAST(? AS BIGINT)
		FROM (`+concerned+`) AS w WHERE w.workflow_id <> ? ORDER BY w.workflow_id `+owedAgain,
		append(args, kindWake+"/", kindWake, bodyRecheck, micros(t.now), by)...)
}

// Recheck tells why a contact that waits must not be called any more, and ends it then; nil: it goes on. It is asked by whoever was
// woken for that. An empty target leaves the contact's numbers out.
func (l *Ledger) Recheck(ctx ctx, c followup.Claim) (refused *followup.Refusal, err error) {
	err = l.update(ctx, part, "recheck "+c.WorkflowID, func(t *tx) error {
		refused = nil
		have, found, err := t.contact(c.WorkflowID)
		switch {
		case err != nil || !found || have.firstRunID != c.FirstRunID:
			return err // the next attempt is told why it is refused
		case !have.closedAt.IsZero():
			refused = &followup.Refusal{Outcome: have.outcome, Reason: have.reason, Rule: have.rule}
			return nil
		}
		s, err := t.suppressed(c.Target, c.ContactID)
		if err != nil || s == nil {
			return err
		}
		_, refused = followup.Clear(followup.Facts{Now: t.now, Allowed: true, Suppressed: s.Reason, SuppressedBy: s.Source,
			SuppressedContact: s.Kind == SuppressedContact})
		if err := t.close(c.WorkflowID, refused.Outcome, false, refused.Reason, refused.Rule); err != nil {
			return err
		}
		d := decision{workflowID: c.WorkflowID, kind: "refused", reason: refused.Reason, rule: refused.Rule}
		if s.Kind == SuppressedNumber {
			d.evidence = asked{call.Target{URI: c.Target, Zone: c.Zone}}
		}
		return t.decide(d)
	})
	return refused, err
}

// suppressCalled suppresses the number that an attempt was made to, and the contact if it is asked for, too. By is as for suppress.
func (t *tx) suppressCalled(key string, contact bool, by, source, reason string) error {
	var target, id string
	if found, err := t.get(`SELECT a.target, c.contact_id FROM attempts a JOIN contacts c ON c.workflow_id = a.workflow_id WHERE a.key = ?`,
		[]any{key}, &target, &id); err != nil || !found {
		return err
	}
	_, err := t.suppress(Suppression{Kind: SuppressedNumber, Subject: target, Source: source, Reason: reason}, by)
	if err == nil && contact && id != "" {
		_, err = t.suppress(Suppression{Kind: SuppressedContact, Subject: id, Source: source, Reason: reason}, by)
	}
	return err
}

// Unsuppress removes every statement that holds of a number or a contact, and returns how many there were. What was removed, by whom
// and why stays on record. It is an error when none holds.
func (l *Ledger) Unsuppress(ctx ctx, kind SuppressionKind, subject, who, reason string) (removed int64, err error) {
	s := Suppression{Kind: kind, Subject: subject, Source: who, Reason: reason}
	if err := s.validate(); err != nil {
		return 0, err
	}
	err = l.update(ctx, part, "lift the suppression of "+s.String(), func(t *tx) error {
		n, err := t.change(`UPDATE suppression_entries AS s SET removed_at = ?, removed_by = ?, removed_for = ? WHERE s.subject = ? AND s.kind = ? AND `+holds,
			micros(t.now), who, reason, subject, kind, micros(t.now))
		if err == nil && n == 0 && !t.again { // else it may have been done, before its commit was in doubt
			err = errors.New("it is not suppressed: see redial suppress list")
		}
		removed = n
		return err
	})
	return removed, err
}

// entryColumns are the columns of a Suppression, of the table suppression_entries as s. What is imported is written down before it holds.
const entryColumns = `s.id, s.kind, s.subject, COALESCE((SELECT i.completed_at FROM suppression_imports i WHERE i.import_id = s.import_id), s.at),
	s.source, s.reason, s.expires_at, s.removed_at, s.removed_by, s.removed_for`

// entries reads statements that were made; condition is on suppression_entries as s, with what comes behind it.
func (t *tx) entries(condition string, args ...any) ([]Suppression, error) {
	list := []Suppression{} // a list in JSON, too
	err := t.each(`SELECT `+entryColumns+` FROM suppression_entries s WHERE `+condition, args, func(scan func(...any) error) error {
		s, err := t.entry(scan)
		list = append(list, s)
		return err
	})
	return list, err
}

// entry scans entryColumns.
func (t *tx) entry(scan func(...any) error) (s Suppression, err error) {
	var at, expires, removed int64
	err = scan(&s.ID, &s.Kind, &s.Subject, &at, &s.Source, &s.Reason, &expires, &removed, &s.RemovedBy, &s.RemovedFor)
	s.At, s.ExpiresAt, s.RemovedAt = moment(at), moment(expires), moment(removed)
	s.Holds = removed == 0 && (expires == 0 || s.ExpiresAt.After(t.now))
	return s, err
}

// Suppressed returns the statement by which a target, or else a contact, must not be called now; nil: there is none. That of the
// contact comes first, because it forbids more; then the one that holds longest. Either may be empty.
func (l *Ledger) Suppressed(ctx ctx, target, contact string) (s *Suppression, err error) {
	err = l.view(ctx, "look for a suppression", func(t *tx) error {
		s, err = t.suppressed(target, contact)
		return err
	})
	return s, err
}

func (t *tx) suppressed(target, contact string) (found *Suppression, err error) {
	if err := t.suppressedSoon(target, contact, func(s Suppression) { found = &s }); err != nil {
		return nil, err
	}
	err = t.wait()
	return found, err
}

// suppressedSoon hands the statement to tell, if there is one, by the time that the next answer is waited for.
func (t *tx) suppressedSoon(target, contact string, tell func(Suppression)) error {
	return t.soon(`SELECT `+entryColumns+` FROM suppression_entries s
			WHERE (s.subject = ? AND s.kind = 'number' OR s.subject = ? AND s.kind = 'contact') AND `+holds+`
			ORDER BY s.kind, CASE WHEN s.expires_at = 0 THEN 0 ELSE 1 END, s.expires_at DESC, s.id LIMIT 1`, []any{target, contact, micros(t.now)},
		func(scan func(...any) error) error {
			s, err := t.entry(scan)
			tell(s)
			return err
		})
}

// suppression is why the request's number or contact must not be called, by the time that the next answer is waited for.
func (t *tx) suppression(r followup.ClearanceRequest, f *followup.Facts) error {
	return t.suppressedSoon(r.Request.To.URI, r.ContactID, func(s Suppression) {
		f.Suppressed, f.SuppressedBy, f.SuppressedContact = s.Reason, s.Source, s.Kind == SuppressedContact
	})
}

// mostShown is how many statements are shown with a contact.
const mostShown = 20

// suppressionsOf are the statements that hold of a contact, and of its numbers.
func (t *tx) suppressionsOf(contact string, numbers []string) ([]Suppression, error) {
	args := []any{contact}
	for _, n := range numbers {
		args = append(args, n)
	}
	return t.entries(`(s.subject = ? AND s.kind = 'contact' OR s.kind = 'number' AND s.subject IN (`+strings.TrimSuffix(strings.Repeat("?, ", len(numbers)), ", ")+`))
		AND `+holds+` ORDER BY s.kind, s.id LIMIT CAST(? AS INTEGER)`, append(args, micros(t.now), mostShown)...)
}

// SuppressionFilter says which statements are listed; the zero filter is all that hold, without an end.
type SuppressionFilter struct {
	Kind    SuppressionKind // "": both
	Subject string          // exactly this number or contact; "": any
	Text    string          // stands in the subject, the source or the reason, in small letters or capitals
	Past    bool            // also those that have expired or were removed
	Before  int64           // only those with a smaller ID; 0: all
	Limit   int             // at most so many; 0: no limit
}

// Suppressions lists statements, the newest first. The next page comes before the last ID of this one.
func (l *Ledger) Suppressions(ctx ctx, f SuppressionFilter) (list []Suppression, err error) {
	err = l.view(ctx, "list suppressions", func(t *tx) error {
		where, args := []string{stated}, []any{}
		and := func(condition string, values ...any) {
			where, args = append(where, condition), append(args, values...)
		}
		if !f.Past {
			and("s.removed_at = 0 AND (s.expires_at = 0 OR s.expires_at > ?)", micros(t.now))
		}
		if f.Kind != "" {
			and("s.kind = ?", f.Kind)
		}
		if f.Subject != "" {
			and("s.subject = ?", f.Subject)
		}
		if f.Text != "" {
			text := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(f.Text)) + "%"
			and(`(LOWER(s.subject) LIKE ? ESCAPE '\' OR LOWER(s.source) LIKE ? ESCAPE '\' OR LOWER(s.reason) LIKE ? ESCAPE '\')`, text, text, text)
		}
		if f.Before != 0 {
			and("s.id < ?", f.Before)
		}
		condition := strings.Join(where, " AND ") + " ORDER BY s.id DESC"
		if f.Limit > 0 {
			condition, args = condition+" LIMIT CAST(? AS INTEGER)", append(args, f.Limit)
		}
		list, err = t.entries(condition, args...)
		return err
	})
	return list, err
}
