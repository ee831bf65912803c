package ledger

import (
	"iter"
	"time"

	"redial/call"
)

// exportPage is how many rows are read at a time: each page is a transaction of its own, so that nothing else waits for an export.
const exportPage = 500

// ExportFilter says what is exported.
type ExportFilter struct {
	Campaign *string   // "": of no campaign; nil: all
	Since    time.Time // dialed, or opened, then or later; zero: from the beginning
	// Until is before when it was dialed, or opened; zero: before the export began. What changes meanwhile is exported as it is when its
	// page is read.
	Until time.Time
}

// cursor is where an export stands: behind this row, by its time and its key.
type cursor struct {
	at  int64
	key string
}

// where is what comes behind the cursor, of rows whose time and key are in these columns.
func (f ExportFilter) where(at, key string, c cursor) where {
	var w where
	w.and("("+at+", "+key+") > (CAST(? AS BIGINT), CAST(? AS TEXT))", c.at, c.key)
	w.and(at+" >= ? AND "+at+" < ?", micros(f.Since), micros(f.Until))
	if f.Campaign != nil {
		w.and("c.campaign = ?", *f.Campaign)
	}
	return w
}

// pages yields rows page by page. Read reads one page from behind a cursor, and returns where it ends.
func pages[T any](l *Ledger, ctx ctx, operation string, f ExportFilter, read func(*tx, ExportFilter, cursor) ([]T, cursor, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		var behind cursor
		for more := true; more; {
			var list []T
			var end cursor
			err := l.view(ctx, operation, func(t *tx) (err error) {
				if f.Until.IsZero() {
					f.Until = t.now
				}
				list, end, err = read(t, f, behind)
				return err
			})
			if err != nil {
				yield(none, err)
				return
			}
			behind = end
			for _, row := range list {
				if !yield(row, nil) {
					return
				}
			}
			more = len(list) == exportPage
		}
	}
}

// AttemptRecord is one attempt with all that is on record of it.
type AttemptRecord struct {
	call.Attempt
	WorkflowID, ContactID, Campaign string
	Request                         call.DialRequest // what the gateway was asked
	Result                          call.ResultKind  // what the bot said; "": nothing
	Action, Rule                    string           // what was decided on it, by which rule; "": nothing yet
	NextAt                          time.Time        // when it is dialed again, as was decided; zero: it is not
}

// ExportAttempts yields attempts in the order in which they were dialed.
func (l *Ledger) ExportAttempts(ctx ctx, f ExportFilter) iter.Seq2[AttemptRecord, error] {
	return pages(l, ctx, "export attempts", f, func(t *tx, f ExportFilter, behind cursor) (list []AttemptRecord, end cursor, err error) {
		w := f.where("a.dialed_at", "a.key", behind)
		end = behind
		err = t.each(`SELECT a.attempt, a.workflow_id, c.contact_id, c.campaign, a.request, a.decision, a.dialed_at, a.key,
				COALESCE((SELECT r.kind FROM results r WHERE r.attempt_key = a.key AND r.note = ''), '')
			FROM attempts a JOIN contacts c ON c.workflow_id = a.workflow_id WHERE `+w.String()+`
			ORDER BY a.dialed_at, a.key LIMIT CAST(? AS INTEGER)`, append(w.args, exportPage), func(scan func(...any) error) error {
			var r AttemptRecord
			var decided recordedDecision
			err := scan(document{&r.Attempt}, &r.WorkflowID, &r.ContactID, &r.Campaign, document{&r.Request}, document{&decided}, &end.at, &end.key, &r.Result)
			r.Action, r.Rule, r.NextAt = string(decided.Decision.Action), decided.Decision.Rule, decided.Decision.At
			list = append(list, r)
			return err
		})
		return list, end, err
	})
}

// ContactRecord is one contact with how it stands.
type ContactRecord struct {
	ContactLine
	Target string // that it is at
}

// ExportContacts yields contacts in the order in which they were opened.
func (l *Ledger) ExportContacts(ctx ctx, f ExportFilter) iter.Seq2[ContactRecord, error] {
	return pages(l, ctx, "export contacts", f, func(t *tx, f ExportFilter, behind cursor) (list []ContactRecord, end cursor, err error) {
		w := f.where("c.opened_at", "c.workflow_id", behind)
		end = behind
		err = t.each(`SELECT `+lineColumns+`, `+whereColumns+`, c.opened_at FROM contacts c WHERE `+w.String()+`
			ORDER BY c.opened_at, c.workflow_id LIMIT CAST(? AS INTEGER)`, append(w.args, exportPage), func(scan func(...any) error) error {
			var r ContactRecord
			var p isAt
			err := r.scanLine(scan, &p.evidence, &p.otherwise, &end.at)
			r.Target, end.key = p.target(), r.WorkflowID
			list = append(list, r)
			return err
		})
		return list, end, err
	})
}
