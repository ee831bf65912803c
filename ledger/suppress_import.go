package ledger

import (
	"iter"
	"math/rand/v2"
	"time"
)

// importChunk is how many statements of an import are written together: few enough that clearance beside it hardly waits.
const importChunk = 500

// ImportSuppressions records many statements, all or none of which hold when it returns, and returns how many of them were new. They
// are written in small transactions, with pauses between them: a process beside this one has to come to its turn on a SQLite file.
// Those of an import that does not come to its end never hold; it is made again from the beginning. When it has come to its end, the open
// contacts concerned are woken as by Suppress, by whatever relay there is: whoever imports need not stay for that.
func (l *Ledger) ImportSuppressions(ctx ctx, list iter.Seq[Suppression]) (added int, err error) {
	for s := range list {
		if err := s.validate(); err != nil {
			return 0, err
		}
	}
	id := 1 + rand.Int64N(1<<62) // chosen here, so that a transaction that is repeated writes the same
	err = l.update(ctx, part, "begin an import of suppressions", func(t *tx) error {
		return t.exec(`INSERT INTO suppression_imports (import_id, begun_at, told_to)
			VALUES (?, ?, (SELECT COALESCE(MAX(id), 0) FROM suppression_entries)) ON CONFLICT (import_id) DO NOTHING`, id, micros(t.now))
	})
	if err == nil {
		err = l.importEntries(ctx, id, list)
	}
	if err != nil {
		return 0, err
	}
	err = l.update(ctx, part, "complete an import of suppressions", func(t *tx) error {
		t.owed = true
		if err := t.exec(`UPDATE suppression_imports SET completed_at = ? WHERE import_id = ?`, micros(t.now), id); err != nil {
			return err
		}
		_, err := t.get(`SELECT COUNT(*) FROM suppression_entries WHERE import_id = ?`, []any{id}, &added)
		return err
	})
	return added, err
}

func (l *Ledger) importEntries(ctx ctx, id int64, list iter.Seq[Suppression]) error {
	chunk := make([]Suppression, 0, importChunk)
	for s := range list {
		if chunk = append(chunk, s); len(chunk) == importChunk {
			if err := l.importChunk(ctx, id, chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	return l.importChunk(ctx, id, chunk)
}

func (l *Ledger) importChunk(ctx ctx, id int64, chunk []Suppression) error {
	began := time.Now()
	err := l.update(ctx, part, "import suppressions", func(t *tx) error {
		for _, s := range chunk {
			if err := t.exec(addEntry, s.entry(t.now, id)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(chunk) < importChunk {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Since(began)):
		return nil
	}
}

// mostAtOnce is how many wakes may be due beside those of an import: the ends of calls are told in the same lane, and have to come to their
// turn.
const mostAtOnce = importChunk

// tellEvery is how long those of the next entries wait at the most.
const tellEvery = 50 * time.Millisecond

// toTell is the condition of an import whose open contacts were not all woken yet.
const toTell = `completed_at > 0 AND told_at = 0`

// tellImport wakes the open contacts that the next entries of an import concern. Which ones those are is kept with what it owes, so that
// another relay goes on where one has ended; of two that come at the same time one passes it over.
func (l *Ledger) tellImport(ctx ctx) error {
	return l.update(ctx, part, "tell of an import of suppressions", func(t *tx) error {
		var id, from, to int64
		found, err := t.get(`SELECT import_id, told_to FROM suppression_imports WHERE `+toTell+` ORDER BY completed_at LIMIT 1`+t.leaveOut(), nil, &id, &from)
		if err != nil || !found {
			return err
		}
		var n, due int
		if _, err := t.get(`SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE delivered_at = 0 AND due_at <= ? AND kind = ? LIMIT CAST(? AS INTEGER)) AS wakes`,
			[]any{micros(t.now), kindWake, mostAtOnce}, &due); err != nil || due == mostAtOnce {
			return err
		}
		if _, err := t.get(`SELECT COUNT(*), COALESCE(MAX(id), 0) FROM
				(SELECT id FROM suppression_entries WHERE import_id = ? AND id > ? ORDER BY id LIMIT CAST(? AS INTEGER)) AS entries`,
			[]any{id, from, importChunk}, &n, &to); err != nil {
			return err
		}
		if n < importChunk {
			if err := t.exec(`UPDATE suppression_imports SET told_at = ? WHERE import_id = ?`, micros(t.now), id); err != nil || n == 0 {
				return err
			}
		}
		if err := t.exec(`UPDATE suppression_imports SET told_to = ? WHERE import_id = ?`, to, id); err != nil {
			return err
		}
		return t.wakeConcerned(`SELECT s.kind, s.subject FROM suppression_entries s WHERE s.import_id = ? AND s.id > ? AND s.id <= ?`, []any{id, from, to}, "")
	})
}
