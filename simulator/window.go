package simulator

import "time"

// window counts requests in a sliding span of time, and remembers the most it ever held. It is not safe for concurrent
// use.
type window struct {
	span   time.Duration
	limit  int // 0 for none
	stamps []time.Time
	most   int
}

// admit counts a request and reports whether it is within the limit; if not, also how long until one would be. A refused
// request counts as well: a client that hammers is refused for as long as it hammers.
func (w *window) admit(now time.Time) (wait time.Duration, within bool) {
	gone := 0
	for gone < len(w.stamps) && now.Sub(w.stamps[gone]) >= w.span {
		gone++
	}
	w.stamps = append(w.stamps[gone:], now)
	w.most = max(w.most, len(w.stamps))
	if w.limit == 0 || len(w.stamps) <= w.limit {
		return 0, true
	}
	return w.stamps[len(w.stamps)-w.limit].Add(w.span).Sub(now), false
}
