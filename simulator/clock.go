package simulator

import (
	"context"
	"time"
)

// clock converts between the gateway's time, which runs at a speed, and ours.
type clock struct{ speed float64 }

// real is how long a duration of the gateway's clock takes on ours.
func (c clock) real(d time.Duration) time.Duration { return time.Duration(float64(d) / c.speed) }

// simulated is how much of the gateway's time passes in a duration of ours.
func (c clock) simulated(d time.Duration) time.Duration { return time.Duration(float64(d) * c.speed) }

// sleep waits for a duration of the gateway's clock and reports whether it was waited out.
func (c clock) sleep(ctx context.Context, d time.Duration) bool { return sleep(ctx, c.real(d)) }

// sleep waits for a real duration and reports whether it was waited out.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
