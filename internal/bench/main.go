// Command bench measures Redial against the budgets of its design, on the machine it runs on: everything it starts is
// on 127.0.0.1, and its load is bounded in count and time. Figures are printed as they were measured; a budget that is
// missed says so, and one that was not measured says why.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
)

// settings are what the command line says.
type settings struct {
	quick   bool
	json    bool
	only    string
	backlog time.Duration
	folder  string
	profile string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, progress io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.BoolVar(&s.quick, "quick", false, "measure everything briefly, in some ten minutes instead of forty")
	flags.BoolVar(&s.json, "json", false, "print JSON instead of the table")
	flags.StringVar(&s.only, "only", "", "measure these only, separated by commas; webhook is webhook-sqlite and webhook-postgres: "+strings.Join(names(), ", "))
	flags.DurationVar(&s.backlog, "backlog", 10*time.Minute, "how long lines and pace are watched with a backlog; one minute with -quick")
	flags.StringVar(&s.folder, "dir", "", "folder for databases and logs; it is the disk that is measured (default: the system's for temporary files)")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of this process to a file")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(s.only)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q: there are only flags", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(progress, "bench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, s, chosen, out, progress); err != nil {
		fmt.Fprintln(progress, "bench:", err)
		return 1
	}
	return 0
}

// measure runs the chosen scenarios and prints the report. Its error says that something could not be measured.
func measure(ctx context.Context, s settings, chosen []scenario, out, progress io.Writer) error {
	gin.SetMode(gin.ReleaseMode)
	registerSlowCommits()
	folder, err := os.MkdirTemp(s.folder, "redial-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := letThrough(folder); err != nil {
		return err
	}
	if s.profile != "" {
		stop, err := profileCPU(s.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	machine, err := describeMachine(folder)
	if err != nil {
		return err
	}
	b := &bench{settings: s, folder: folder, machine: machine, progress: progress, began: time.Now()}
	if s.quick {
		b.backlog = min(s.backlog, time.Minute)
	}
	failures := 0
	for _, c := range chosen {
		b.say("%s: %s", c.name, c.about)
		if err := c.missing(); err != nil {
			b.say("%s: NOT MEASURED: %v", c.name, err)
			b.note("NOT MEASURED: %s: %v", c.name, err)
			b.fail(c, err)
			continue
		}
		if err := c.run(ctx, b); err != nil {
			b.say("%s: could not be measured: %v", c.name, err)
			b.fail(c, err)
			failures++
		}
	}
	r := report{Machine: b.machine, Rows: b.rows(chosen), Notes: b.notes}
	if s.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		r.print(out)
	}
	if err == nil && failures > 0 {
		err = fmt.Errorf("%d of %d measurements could not be made", failures, len(chosen))
	}
	return err
}

func profileCPU(path string) (stop func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); file.Close() }, nil
}

// scenario is one run that measures one or more budgets.
type scenario struct {
	name, about string
	budgets     []budget
	run         func(context.Context, *bench) error
	needs       func() error // says what this machine lacks; nil: nothing that every machine does not have
}

func (s scenario) missing() error {
	if s.needs == nil {
		return nil
	}
	return s.needs()
}

func scenarios() []scenario {
	return []scenario{
		{name: "history", about: "events of calls, counted on a real server", budgets: historyBudgets, run: measureHistory},
		{name: "throughput-sqlite", about: "calls per second beside the floor's, in turns", budgets: throughputBudgets, run: on(sqlite, measureThroughput)},
		{name: "throughput-postgres", about: "the same with Temporal and ledger on PostgreSQL, roles apart", budgets: throughputPostgresBudgets,
			run: on(postgreSQL, measureThroughput), needs: lacksCluster},
		{name: "webhook-sqlite", about: "durable acknowledgements over HTTP", budgets: webhookBudgets, run: on(sqlite, measureWebhook)},
		{name: "webhook-postgres", about: "the same with the ledger on PostgreSQL", budgets: webhookPostgresBudgets,
			run: on(postgreSQL, measureWebhook), needs: lacksPostgres},
		{name: "backlog-sqlite", about: "lines in use, and pace, with more contacts than either allows", budgets: backlogBudgets, run: on(sqlite, measureBacklog)},
		{name: "backlog-postgres", about: "the same with Temporal and ledger on PostgreSQL, roles apart", budgets: backlogPostgresBudgets,
			run: on(postgreSQL, measureBacklog), needs: lacksCluster},
		{name: "rehearsal", about: "not built yet", budgets: rehearsalBudgets, run: func(context.Context, *bench) error { return nil }},
		{name: "memory", about: "of contacts that sleep between attempts", budgets: memoryBudgets, run: measureMemory},
	}
}

// on makes a measurement that is taken on several databases one on this.
func on(d database, measure func(context.Context, *bench, database) error) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error { return measure(ctx, b, d) }
}

func names() []string {
	var all []string
	for _, s := range scenarios() {
		all = append(all, s.name)
	}
	return all
}

// choose picks the scenarios named in a list, by their names or by what stands before the database; all of them when it is empty.
func choose(list string) ([]scenario, error) {
	if list == "" {
		return scenarios(), nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		before := len(chosen)
		for _, s := range scenarios() {
			if s.name == name || strings.HasPrefix(s.name, name+"-") {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("there is no measurement %q: choose from %s", name, strings.Join(names(), ", "))
		}
	}
	return chosen, nil
}

// bench is what scenarios share: the settings, a folder, and what was found.
type bench struct {
	settings
	folder    string
	machine   machine
	described sync.Once // PostgreSQL, as part of the machine
	progress  io.Writer
	began     time.Time
	found     map[string]finding
	notes     []string
}

// say reports progress.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// note adds a line below the table.
func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// subfolder makes a folder for one part.
func (b *bench) subfolder(name string) (string, error) {
	folder, err := os.MkdirTemp(b.folder, name+"-")
	if err != nil {
		return "", err
	}
	return folder, letThrough(folder)
}

// letThrough opens the way to what lies in a folder, and not the folder: PostgreSQL runs as another user where we are root.
func letThrough(folder string) error { return os.Chmod(folder, 0o711) }
