package callflowtest

import (
	"slices"
	"time"

	"redial/call"
	"redial/followup"
)

// keyOf is by what calls are counted: the value of each key for one attempt.
type keyOf map[followup.By]string

// register lets an attempt be found by its keys.
func (l *Ledger) register(a *attempt, keys keyOf) {
	for by, key := range keys {
		if a.keys[by] == key {
			continue
		}
		if was := (counted{by, a.keys[by]}); a.keys != nil {
			l.counted[was] = slices.DeleteFunc(l.counted[was], func(o *attempt) bool { return o == a })
		}
		l.counted[counted{by, key}] = append(l.counted[counted{by, key}], a)
	}
	a.keys = keys
}

// counted is a key and its value.
type counted struct {
	by  followup.By
	key string
}

// mayHaveRung leaves out attempts that surely rang no phone. One that is in doubt counts.
func (a *attempt) mayHaveRung() bool {
	switch a.Disposition {
	case call.TrunkError, call.NetworkError, call.InvalidNumber, call.Blocked:
		return false
	}
	return a.State != call.StateNotPlaced
}

// rules counts what the request's rules ask for. Its own attempt, which may be asked for again, does not count.
func (l *Ledger) rules(r followup.ClearanceRequest, f *followup.Facts) {
	f.Key, f.Target, f.Ring, f.Rules, f.Consent = r.Key, r.Request.To, r.Request.RingTimeout+followup.SendWithin, r.Rules, r.Consent
	keys := r.Keys()
	for by, back := range r.Rules.Count() {
		if f.Calls == nil {
			f.Calls = map[followup.By][]time.Time{}
		}
		for _, a := range l.counted[counted{by, keys[by]}] {
			if a.Key != r.Key && a.mayHaveRung() && a.DialedAt.After(f.Now.Add(-back.Within)) {
				f.Calls[by] = append(f.Calls[by], a.DialedAt)
			}
		}
		slices.SortFunc(f.Calls[by], time.Time.Compare)
		f.Calls[by] = f.Calls[by][max(0, len(f.Calls[by])-back.Calls):]
	}
	for _, h := range r.Rules.Happened() {
		if last := l.last(h, keys[h.By]); !last.IsZero() {
			if f.Last == nil {
				f.Last = map[followup.Happening]time.Time{}
			}
			f.Last[h] = last
		}
	}
}

// last is when something has last happened; zero: never.
func (l *Ledger) last(h followup.Happening, key string) (last time.Time) {
	note := func(at time.Time) {
		if at.After(last) {
			last = at
		}
	}
	for _, a := range l.counted[counted{h.By, key}] {
		switch {
		case h.Event == followup.EventRefusal:
			note(a.refusedAt)
			if a.Disposition == call.Unwanted {
				note(a.EndedAt)
			}
		case a.Disposition == call.Human || a.Disposition == call.Answered:
			note(a.EndedAt)
		}
		if h.Event == followup.EventConversation && a.Disposition != "" {
			for _, r := range a.said { // to whom a bot has talked, it was a conversation
				if note(a.EndedAt); a.EndedAt.IsZero() {
					note(r.ReceivedAt)
				}
			}
		}
	}
	return last
}
