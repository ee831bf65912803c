package ledger

import (
	"time"

	"redial/followup"
)

// Capacity is what the account may carry, what it carries, and who waits for it.
type Capacity struct {
	At     time.Time       `json:"at"`
	Lines  Lines           `json:"lines"`
	Rate   DialRate        `json:"rate"`
	Paused *Pause          `json:"paused,omitempty"` // nil: requests may leave
	Queue  []QueuedOfClass `json:"queue"`            // every class, first served first
	// Failing: the last request did not get through; after the pause one leaves at a time until one does.
	Failing bool `json:"failing"`
}

// Lines are calls at the same time.
type Lines struct {
	Limit    int `json:"limit"` // 0: none
	InUse    int `json:"in_use"`
	Reserved int `json:"reserved"` // promised to contacts that were woken
}

// DialRate is how many dials count against the account's rate. All is 0 where there is none.
type DialRate struct {
	Limit  int     `json:"limit"`          // dials per window
	Window float64 `json:"window_seconds"` // over which they count
	Used   int     `json:"used"`
}

// Pause is a time in which no request of the account leaves.
type Pause struct {
	Until  time.Time       `json:"until"`
	Reason followup.Reason `json:"reason"`
}

// QueuedOfClass are the contacts of one class that wait for capacity.
type QueuedOfClass struct {
	Class  string    `json:"class"` // callback, retry or first
	Length int       `json:"length"`
	Oldest time.Time `json:"oldest_since,omitzero"` // since when the one that came first has waited
}

// classes are the names of the classes, by their number.
var classes = []string{0: "callback", classRetry: "retry", classFirst: "first"}

// Figures are a deployment's figures at one moment.
type Figures struct {
	Capacity
	OpenContacts    int // without an outcome
	AttemptsInDoubt int // of state unknown
	Owed            []OwedOfKind
}

// OwedOfKind are the deliveries of one kind that were not made yet.
type OwedOfKind struct {
	Kind    string // attempt, result, wake, webhook, or sink: what is in the inbox and was tried in vain by a sink
	Owed    int
	Failing int       // of those, tried in vain
	Due     time.Time // since when the first of them is due; in the future while all are put off; zero: none is owed
}

// Capacity tells what the account carries.
func (l *Ledger) Capacity(ctx ctx) (Capacity, error) {
	var c Capacity
	err := l.view(ctx, "count capacity", func(t *tx) (err error) {
		c, err = t.carried()
		return err
	})
	return c, err
}

// Figures counts what there is to watch, on one picture of the ledger.
func (l *Ledger) Figures(ctx ctx) (Figures, error) {
	var f Figures
	err := l.view(ctx, "count figures", func(t *tx) (err error) {
		if f.Capacity, err = t.carried(); err != nil {
			return err
		}
		if _, err = t.get(`SELECT COUNT(*) FROM contacts WHERE closed_at = 0`, nil, &f.OpenContacts); err != nil {
			return err
		}
		if _, err = t.get(`SELECT COUNT(*) FROM attempts WHERE state = 'unknown'`, nil, &f.AttemptsInDoubt); err != nil {
			return err
		}
		f.Owed, err = t.owing()
		return err
	})
	return f, err
}

func (t *tx) carried() (Capacity, error) {
	var f followup.Facts
	if err := t.capacity(&f); err != nil {
		return Capacity{}, err
	}
	if f.Lines == 0 { // clearance does not count what has no limit; a person wants to know it all the same
		if _, err := t.get(`SELECT COUNT(*) FROM attempts WHERE line_until > ?`, []any{micros(t.now)}, &f.LinesUsed); err != nil {
			return Capacity{}, err
		}
	}
	c := Capacity{At: t.now, Failing: f.Failing, Lines: Lines{f.Lines, f.LinesUsed, f.LinesReserved}, Rate: DialRate{f.Rate, f.Window.Seconds(), f.RateUsed}}
	if t.now.Before(f.PausedUntil) {
		c.Paused = &Pause{f.PausedUntil, f.PausedFor}
	}
	var err error
	c.Queue, err = t.queued()
	return c, err
}

func (t *tx) queued() ([]QueuedOfClass, error) {
	list := make([]QueuedOfClass, len(classes))
	for i, name := range classes {
		list[i].Class = name
	}
	err := t.each(`SELECT class, COUNT(*), MIN(arrived_at) FROM queue GROUP BY class`, nil, func(scan func(...any) error) error {
		var class, length int
		var oldest int64
		err := scan(&class, &length, &oldest)
		if err == nil && class >= 0 && class < len(list) {
			list[class].Length, list[class].Oldest = length, moment(oldest)
		}
		return err
	})
	return list, err
}

func (t *tx) owing() ([]OwedOfKind, error) {
	list := []OwedOfKind{{Kind: kindAttempt}, {Kind: kindResult}, {Kind: kindWake}, {Kind: kindWebhook}, {Kind: string(ToSink)}}
	const counts = `, COUNT(*), SUM(CASE WHEN last_error <> '' THEN 1 ELSE 0 END), MIN(due_at) FROM outbox WHERE `
	err := t.each(`SELECT kind`+counts+`delivered_at = 0 GROUP BY kind
			UNION ALL SELECT CAST(? AS TEXT)`+counts+forSink+` AND tries > 0 HAVING COUNT(*) > 0`, []any{ToSink},
		func(scan func(...any) error) error {
			var o OwedOfKind
			var due int64
			err := scan(&o.Kind, &o.Owed, &o.Failing, &due)
			o.Due = moment(due)
			for i := range list {
				if list[i].Kind == o.Kind {
					list[i] = o
				}
			}
			return err
		})
	return list, err
}
