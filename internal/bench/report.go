package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// budget is one row of the design's table of budgets.
type budget struct {
	name  string // for programs
	what  string
	limit string // the budget, in words
	holds func(measured float64) bool
	why   string // why it is never measured; empty: it is
}

func atMost(limit float64) func(float64) bool  { return func(v float64) bool { return v <= limit } }
func atLeast(limit float64) func(float64) bool { return func(v float64) bool { return v >= limit } }
func under(limit float64) func(float64) bool   { return func(v float64) bool { return v < limit } }

// finding is what was measured of a budget, or why it was not.
type finding struct {
	value float64
	text  string
	why   string
}

// record keeps a figure, with the words it is shown in.
func (b *bench) record(name string, value float64, format string, args ...any) {
	b.keep(name, finding{value: value, text: fmt.Sprintf(format, args...)})
}

// skip keeps why a budget was not measured.
func (b *bench) skip(name, why string) { b.keep(name, finding{why: why}) }

// fail says for every budget of a scenario that has no figure yet why there is none.
func (b *bench) fail(s scenario, err error) {
	for _, budget := range s.budgets {
		if _, ok := b.found[budget.name]; !ok && budget.why == "" {
			b.skip(budget.name, err.Error())
		}
	}
}

func (b *bench) keep(name string, f finding) {
	if b.found == nil {
		b.found = map[string]finding{}
	}
	b.found[name] = f
}

// Verdicts on a budget.
const (
	verdictHolds       = "holds"
	verdictMisses      = "misses"
	verdictNotMeasured = "not measured"
)

// row is one line of the report.
type row struct {
	Name     string   `json:"name"`
	What     string   `json:"what"`
	Budget   string   `json:"budget"`
	Value    *float64 `json:"value,omitempty"` // absent when it was not measured
	Measured string   `json:"measured,omitempty"`
	Verdict  string   `json:"verdict"`
	Why      string   `json:"why,omitempty"` // it was not measured
}

// judge makes the row of a budget.
func (b budget) judge(f finding, found bool) row {
	r := row{Name: b.name, What: b.what, Budget: b.limit, Verdict: verdictNotMeasured, Why: b.why}
	switch {
	case !found:
	case f.why != "":
		r.Why = f.why
	default:
		r.Value, r.Measured, r.Verdict, r.Why = &f.value, f.text, verdictMisses, ""
		if b.holds(f.value) {
			r.Verdict = verdictHolds
		}
	}
	return r
}

func (b *bench) rows(chosen []scenario) []row {
	var rows []row
	for _, s := range chosen {
		for _, budget := range s.budgets {
			f, found := b.found[budget.name]
			rows = append(rows, budget.judge(f, found))
		}
	}
	return rows
}

// report is what bench prints.
type report struct {
	Machine machine  `json:"machine"`
	Rows    []row    `json:"rows"`
	Notes   []string `json:"notes"`
}

func (r report) print(out io.Writer) {
	fmt.Fprintf(out, "%s\n\n", r.Machine)
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleRounded)
	t.Style().Format.Header = text.FormatDefault
	t.Style().Options.SeparateRows = true
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 1, WidthMax: 48, WidthMaxEnforcer: text.WrapSoft}, {Number: 2, WidthMax: 20, WidthMaxEnforcer: text.WrapSoft},
		{Number: 3, WidthMax: 52, WidthMaxEnforcer: text.WrapSoft}, {Number: 4, WidthMax: 40, WidthMaxEnforcer: text.WrapSoft}})
	t.AppendHeader(table.Row{"what", "budget", "measured", "verdict"})
	for _, row := range r.Rows {
		verdict := row.Verdict
		if row.Why != "" {
			verdict += ": " + row.Why
		}
		t.AppendRow(table.Row{row.What, row.Budget, row.Measured, verdict})
	}
	t.Render()
	for _, note := range r.Notes {
		fmt.Fprintf(out, "- %s\n", note)
	}
}
