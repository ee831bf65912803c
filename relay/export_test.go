package relay

import "time"

// StuckAfter changes how long the relay may stand still, for tests that have no half minute to spare.
func (r *Relay) StuckAfter(d time.Duration) { r.stuck = d }
