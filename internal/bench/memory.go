package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdk "go.temporal.io/sdk/worker"

	"redial/simulator"
	"redial/workflows"
)

var memoryBudgets = []budget{{name: "memory", what: "worker memory per open, sleeping contact beyond the cache",
	limit: "under 1,024 bytes", holds: under(1024)}}

// cachedRuns is how many runs the worker keeps in memory while the sleeping contacts are counted.
const cachedRuns = 200

// measureMemory lets contacts sleep after a busy line, and compares the memory of this process at two counts of them,
// both above what the worker's cache holds.
func measureMemory(ctx context.Context, b *bench) error {
	few, many := 2000, 6000
	if b.quick {
		few, many = 500, 1500
	}
	sdk.SetStickyWorkflowCacheSize(cachedRuns)
	defer sdk.SetStickyWorkflowCacheSize(10_000) // the SDK's default
	p, err := b.startProduct(ctx, productOptions{name: "memory", lines: 10_000, rate: 10_000, window: time.Second,
		simulator: simulator.Config{Speed: 1000, PlainNumbers: true, Profile: simulator.Profile{Outcomes: map[string]float64{"busy+pdd=0s+ring=1s": 1}}}})
	if err != nil {
		return err
	}
	defer p.close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	var at [2]memory
	for i, contacts := range []int{few, many} {
		if err := p.putToSleep(ctx, contacts); err != nil {
			return err
		}
		p.simulator.Reset() // its record is no part of a worker
		at[i] = measureProcess()
		b.say("memory: %d contacts sleep: heap and stacks %.1f MiB, resident %.1f MiB", contacts, mib(at[i].heap), mib(at[i].resident))
	}
	slope := func(a, b int64) float64 { return float64(b-a) / float64(many-few) }
	heap, resident := slope(at[0].heap, at[1].heap), slope(at[0].resident, at[1].resident)
	b.record("memory", max(heap, resident), "%.0f bytes (the larger of: heap and stacks %.0f, resident %.0f; slope from %d to %d contacts, %d runs cached)",
		max(heap, resident), heap, resident, few, many, cachedRuns)
	return nil
}

// putToSleep starts contacts until so many wait for their next attempt.
func (p *product) putToSleep(ctx context.Context, contacts int) error {
	db, err := look(p.address)
	if err != nil {
		return err
	}
	defer db.Close()
	asleep := func() (n int, err error) {
		err = db.QueryRowContext(ctx, `SELECT COUNT(*) FROM attempts WHERE decision <> ''`).Scan(&n)
		return n, err
	}
	first, err := asleep()
	if err != nil {
		return err
	}
	if err := p.startContacts(ctx, first, contacts); err != nil {
		return err
	}
	for {
		n, err := asleep()
		if err != nil {
			return err
		}
		if n >= contacts {
			time.Sleep(2 * time.Second) // the last of them still write their histories
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// startContacts starts the contacts from the first on, several at a time.
func (p *product) startContacts(ctx context.Context, first, end int) error {
	var next atomic.Int64
	next.Store(int64(first))
	var starters sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		starters.Go(func() {
			for n := next.Add(1) - 1; n < int64(end) && errs[i] == nil; n = next.Add(1) - 1 {
				_, errs[i] = p.starter.Call(ctx, workflows.NameOutboundCall, workflows.Input{ContactID: fmt.Sprintf("c%d", n), To: target(int(n))})
			}
		})
	}
	starters.Wait()
	return errors.Join(errs...)
}

// memory is what this process holds, in bytes.
type memory struct{ heap, resident int64 }

func measureProcess() memory {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return memory{heap: int64(s.HeapAlloc + s.StackInuse), resident: residentMemory()}
}

// residentMemory is known on Linux only, and zero elsewhere.
func residentMemory() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
