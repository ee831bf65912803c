package ledger

import (
	"fmt"
	"slices"
	"time"

	"redial/followup"
)

// mayHaveRung leaves out attempts that surely rang no phone: provably no call, or refused on the way by a trunk, a network, an
// analytics engine or a numbering plan. One that is in doubt counts.
const mayHaveRung = `state <> 'not_placed' AND disposition NOT IN ('trunk_error', 'network_error', 'invalid_number', 'blocked')`

// keys are the columns by which calls are counted.
var keys = map[followup.By]string{followup.ByNumber: "target", followup.ByContact: "contact_id", followup.BySubject: "subject"}

// rules counts what the request's rules ask for. Its own attempt, which may be asked for again, does not count.
func (t *tx) rules(r followup.ClearanceRequest, f *followup.Facts) error {
	f.Key, f.Target, f.Ring, f.Rules, f.Consent = r.Key, r.Request.To, r.Request.RingTimeout+followup.SendWithin, r.Rules, r.Consent
	of := r.Keys()
	for by, back := range r.Rules.Count() {
		if f.Calls == nil {
			f.Calls = map[followup.By][]time.Time{}
		}
		err := t.each(fmt.Sprintf(`SELECT dialed_at FROM attempts WHERE %s = ? AND dialed_at > ? AND key <> ? AND %s
				ORDER BY dialed_at DESC LIMIT CAST(? AS INTEGER)`, keys[by], mayHaveRung),
			[]any{of[by], micros(t.now.Add(-back.Within)), r.Key, back.Calls}, func(scan func(...any) error) error {
				var at int64
				err := scan(&at)
				f.Calls[by] = append(f.Calls[by], moment(at))
				return err
			})
		if err != nil {
			return err
		}
		slices.Reverse(f.Calls[by])
	}
	for _, h := range r.Rules.Happened() {
		last, err := t.last(h, of[h.By])
		if err != nil {
			return err
		}
		if last != 0 {
			if f.Last == nil {
				f.Last = map[followup.Happening]time.Time{}
			}
			f.Last[h] = moment(last)
		}
	}
	return nil
}

// happened is when events were, by the column of a key. A call that is under way has had none yet. To whom a bot has talked, it was a
// conversation, whatever machine detection took it for: until the end of the call, or, where that was not heard, until the bot said so.
var happened = map[followup.Event]string{
	followup.EventConversation: `SELECT ended_at AS at FROM attempts WHERE %[1]s = ? AND disposition IN ('human', 'answered')
		UNION ALL SELECT CASE WHEN a.ended_at > 0 THEN a.ended_at ELSE r.received_at END FROM results r JOIN attempts a ON a.key = r.attempt_key
			WHERE a.%[1]s = ? AND r.kind <> '' AND a.disposition <> ''`,
	followup.EventRefusal: `SELECT ended_at AS at FROM attempts WHERE %[1]s = ? AND disposition = 'unwanted'
		UNION ALL SELECT r.received_at FROM results r JOIN attempts a ON a.key = r.attempt_key
			WHERE a.%[1]s = ? AND r.kind IN ('declined', 'opted_out')`,
}

// last is when something has last happened; 0: never.
func (t *tx) last(h followup.Happening, key string) (at int64, err error) {
	_, err = t.get(fmt.Sprintf(`SELECT COALESCE(MAX(at), 0) FROM (`+happened[h.Event]+`) AS happened`, keys[h.By]), []any{key, key}, &at)
	return at, err
}
