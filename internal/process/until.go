package process

import (
	"context"
	"time"
)

// PollEvery is the grain of waiting for a condition that nobody announces.
const PollEvery = 20 * time.Millisecond

// Until repeats try, each time for a second at most, until it succeeds or ctx ends, and returns the last error of try's
// own making.
func Until(ctx context.Context, try func(context.Context) error) error {
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	var last error
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}
