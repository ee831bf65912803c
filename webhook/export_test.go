package webhook

import "time"

// StoreFor is how long a request waits for a slow ledger.
const StoreFor = storeFor

// StoreFor changes it, for tests that have no seconds to spare.
func (w *Webhook) StoreFor(d time.Duration) { w.storeFor = d }
