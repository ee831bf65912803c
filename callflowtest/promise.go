package callflowtest

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"redial/call"
)

// Promise is something that holds for every run of a flow; the error says how it was broken.
type Promise func(*Run) error

var dayWindow = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)

// NeverDialedOutside promises that calls are dialed within a window of the day, such as "09:00-20:00", in a zone. It panics when
// the window is not written so.
func NeverDialedOutside(window string, zone *time.Location) Promise {
	if !dayWindow.MatchString(window) || zone == nil {
		panic(fmt.Sprintf("callflowtest.NeverDialedOutside: %q is no window: write it as 09:00-20:00, with a zone", window))
	}
	from, to, _ := strings.Cut(window, "-")
	return func(r *Run) error {
		for _, d := range r.dials {
			clock := d.At.In(zone).Format("15:04")
			within := clock >= from && clock < to
			if to < from { // over midnight
				within = clock >= from || clock < to
			}
			if !within {
				return fmt.Errorf("attempt %d was dialed at %s in %s, outside %s", d.N, d.At.In(zone).Format("15:04:05"), zone, window)
			}
		}
		return nil
	}
}

// AtMost promises that no more than n calls are dialed within any such time.
func AtMost(n int, per time.Duration) Promise {
	return func(r *Run) error {
		for i := n; i < len(r.dials); i++ {
			if took := r.dials[i].At.Sub(r.dials[i-n].At); took < per {
				return fmt.Errorf("%d dials within %s: at most %d are allowed in %s", n+1, took, n, per)
			}
		}
		return nil
	}
}

// OneInFlightPerNumber promises that no number is dialed while a call to it is under way.
func OneInFlightPerNumber() Promise {
	return func(r *Run) error {
		over := map[string]time.Time{}
		for _, d := range r.dials {
			if d.At.Before(over[d.Number]) {
				return fmt.Errorf("attempt %d dialed %s while a call to it was under way, until %s", d.N, d.Number, over[d.Number].In(r.kit.zone).Format("15:04:05"))
			}
			if d.Over.After(over[d.Number]) {
				over[d.Number] = d.Over
			}
		}
		return nil
	}
}

// Ended promises that the flow ends, and its contact with exactly one outcome.
func Ended() Promise {
	return func(r *Run) error {
		switch {
		case r.endless != "":
			return fmt.Errorf("%s", r.endless)
		case r.err != nil:
			return fmt.Errorf("the flow failed: %w", r.err)
		case r.result.Outcome == "":
			return fmt.Errorf("the flow ended without an outcome")
		}
		if c, known := r.kit.ledger.Show(r.id); known && c.Outcome != r.result.Outcome && r.result.Outcome != call.OutcomeDuplicateID {
			return fmt.Errorf("the flow says that its outcome is %s, and the ledger has %q", r.result.Outcome, c.Outcome)
		}
		return nil
	}
}
