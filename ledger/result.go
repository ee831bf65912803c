package ledger

import (
	"bytes"
	"time"

	"redial/call"
)

// Notes on results that were kept and do not stand.
const (
	noteNoAttempt    = "no such attempt"
	noteSecondResult = "a second result"
)

// ReceiveResult stores what a bot says that a conversation came to, in one transaction: when it returns nil, that is on disk, and
// told to the flow of a contact that is open. The first result of an attempt stands; a second one is kept with a note, and the same
// body again changes nothing. A body that could not be read comes with the reason, and is kept for people to look at.
func (l *Ledger) ReceiveResult(ctx ctx, key string, raw []byte, r call.BotResult, unreadable string) error {
	if raw == nil {
		raw = []byte{} // NULL is no body
	}
	return l.update(ctx, part.of(key), "receive a result of "+key, func(t *tx) error {
		row, known, err := t.attempt(key) // whose lock orders the results of an attempt
		if err != nil {
			return err
		}
		understood := ""
		if unreadable == "" {
			if understood, err = encode(call.BotResult{Kind: r.Kind, At: r.At, Data: r.Data}); err != nil {
				return err
			}
		}
		note, repeated, err := t.judge(key, known, raw, unreadable)
		if err != nil || repeated {
			return err
		}
		if err := t.exec(`INSERT INTO results (attempt_key, received_at, raw, result, note, kind) VALUES (?, ?, ?, ?, ?, ?)`,
			key, micros(t.now), raw, understood, note, r.Kind); err != nil {
			return err
		}
		if known && unreadable == "" && r.Kind == call.OptedOut { // also in a second result: whoever does not want to be called is not
			if err := t.suppressCalled(key, true, "", "bot", "opted out in attempt "+key); err != nil {
				return err
			}
		}
		if note != "" {
			return nil
		}
		return t.tellResult(row.workflowID, key)
	})
}

// judge holds a result against those that are kept already: the note that it gets, and whether it is one of them again.
func (t *tx) judge(key string, known bool, raw []byte, unreadable string) (note string, repeated bool, err error) {
	note = unreadable
	if note == "" && !known {
		note = noteNoAttempt
	}
	err = t.each(`SELECT raw, result, note FROM results WHERE attempt_key = ?`, []any{key}, func(scan func(...any) error) error {
		var before []byte
		var understood, noted string
		if err := scan(&before, &understood, &noted); err != nil {
			return err
		}
		alike := (understood == "") == (unreadable != "") && (noted == noteNoAttempt) == (note == noteNoAttempt)
		repeated = repeated || alike && bytes.Equal(before, raw)
		if noted == "" && note == "" {
			note = noteSecondResult
		}
		return nil
	})
	return note, repeated, err
}

// tellResult owes the flow the result that stands. A contact that is closed may have a flow that still waits for it; where it has
// none, the relay finds nobody.
func (t *tx) tellResult(workflowID, key string) error {
	return t.owe(delivery{kind: kindResult, workflowID: workflowID, attemptKey: key, due: t.now})
}

// result reads the result of an attempt that stands, if there is one, by the time that the next answer is waited for.
func (t *tx) result(key string, into **call.BotResult) error {
	return t.soon(`SELECT received_at, result FROM results WHERE attempt_key = ? AND note = ''`, []any{key}, func(scan func(...any) error) error {
		var r call.BotResult
		var at int64
		err := scan(&at, document{&r})
		r.AttemptKey, r.ReceivedAt = key, moment(at)
		*into = &r
		return err
	})
}

// Result is one result as it was received from a bot.
type Result struct {
	At         time.Time       `json:"at"`
	AttemptKey string          `json:"attempt_key"`
	Said       *call.BotResult `json:"said,omitempty"` // nil: it could not be read
	Raw        string          `json:"raw"`
	Note       string          `json:"note,omitempty"` // why it does not stand
}

// results are all that a contact's bots have handed in, in order.
func (t *tx) results(workflowID string) ([]Result, error) {
	list := []Result{} // a list in JSON, too
	err := t.each(`SELECT r.received_at, r.attempt_key, r.raw, r.result, r.note FROM results r JOIN attempts a ON a.key = r.attempt_key
			WHERE a.workflow_id = ? ORDER BY r.id`, []any{workflowID}, func(scan func(...any) error) error {
		var r Result
		var at int64
		var raw []byte
		var said call.BotResult
		err := scan(&at, &r.AttemptKey, &raw, document{&said}, &r.Note)
		r.At, r.Raw = moment(at), string(raw)
		if said.Kind != "" {
			said.AttemptKey, said.ReceivedAt = r.AttemptKey, r.At
			r.Said = &said
		}
		list = append(list, r)
		return err
	})
	return list, err
}
