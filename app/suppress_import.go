package app

import (
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"redial/internal/config"
	"redial/ledger"
	"redial/phone"
	"redial/starter"
)

// importFlags are the flags of redial suppress import.
type importFlags struct {
	region, reason, source string
	skipBad, dryRun, json  bool
}

func suppressImportCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import FILE.csv|-",
		Short: "Suppress all numbers and contacts of a CSV file",
		Long: `Suppress all numbers and contacts of a CSV file, or of standard input (-), in UTF-8 and with commas or semicolons. Its first row names
the columns: number (or phone, target) or contact (or contact_id), or both; and where there are some, reason, source and expires.
Other columns are passed over. The whole file is looked at first: when one row is bad, nothing is loaded, unless --skip-bad leaves
the bad ones out. It holds as a whole from the moment at which the command says so; one that was stopped holds nobody, and is run again.`,
		Example: `  redial suppress import list.csv --default-region US --dry-run
  redial suppress import list.csv --reason "state list" --source "state of Florida" --skip-bad
  redial suppress import - < list.csv`,
		Args: oneArgument("file"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	c.Flags().StringVar(&f.region, "default-region", "", "the country of numbers without a country code, such as US; they are bad where none is given")
	c.Flags().StringVar(&f.reason, "reason", "", `why, for rows that do not say so; "on the list FILE" where none is given`)
	c.Flags().StringVar(&f.source, "source", "", `who or what wants it, for rows that do not say so; "import FILE" where none is given`)
	c.Flags().BoolVar(&f.skipBad, "skip-bad", false, "leave bad rows out")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "look at the file, and load nothing")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// imported is what came of a file.
type imported struct {
	File     string `json:"file"`
	Rows     int    `json:"rows"`     // without the header
	Bad      int    `json:"bad"`      // rows that were left out
	Loaded   int    `json:"loaded"`   // numbers and contacts, each counted once
	Repeated int    `json:"repeated"` // how often one stood there again
	Added    int    `json:"added"`    // statements that were new: a number that is listed for two reasons has two
	DryRun   bool   `json:"dry_run"`  // nothing was loaded
}

func (f importFlags) run(c *cobra.Command, name string) error {
	cfg, err := config.FromEnvironment()
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	file := &suppressionFile{name: name, stdin: c.InOrStdin(), region: f.region, reason: f.reason, source: f.source, ids: starter.Starter{IDKey: cfg.IDKey()}, now: time.Now()}
	if err := file.read(); err != nil {
		return usagef("%s: %w", file, err)
	}
	if file.bad > 0 && !f.skipBad {
		return file.refusal(c.ErrOrStderr())
	}
	for _, line := range file.told {
		fmt.Fprintln(c.ErrOrStderr(), "redial: left out: "+line)
	}
	done := imported{File: file.String(), Rows: file.rows, Bad: file.bad, Loaded: file.distinct(), DryRun: f.dryRun}
	done.Repeated = len(file.entries) - done.Loaded
	if !f.dryRun {
		l, err := openExisting(c.Context(), cfg)
		if err != nil {
			return err
		}
		defer l.Close()
		if done.Added, err = l.ImportSuppressions(c.Context(), file.suppressions()); err != nil {
			return fmt.Errorf("%s: nothing of it holds, run it again: %w", file, err)
		}
	}
	if f.json {
		return printJSON(c.OutOrStdout(), done)
	}
	done.print(c.OutOrStdout())
	return nil
}

func (f importFlags) check() error {
	if f.region != "" && !phone.KnownRegion(f.region) {
		return usagef("--default-region %q is unknown: write an ISO 3166 code such as US", f.region)
	}
	return checkTexts(f.source, f.reason)
}

// distinct is how many numbers and contacts the file has; one that stands there again is counted once.
func (f *suppressionFile) distinct() int {
	all := make(map[suppressed]struct{}, len(f.entries))
	for _, e := range f.entries {
		all[e.suppressed] = struct{}{}
	}
	return len(all)
}

// suppressions are what the file says.
func (f *suppressionFile) suppressions() iter.Seq[ledger.Suppression] {
	return func(yield func(ledger.Suppression) bool) {
		for _, e := range f.entries {
			if !yield(ledger.Suppression{Kind: e.Kind, Subject: e.Subject, Source: e.source, Reason: e.reason, ExpiresAt: e.expires}) {
				return
			}
		}
	}
}

// refusal is why a file is not loaded: its one bad row, or, behind those that are told on lines of their own, how many there are.
func (f *suppressionFile) refusal(w io.Writer) error {
	const remedy = "nothing was loaded: mend it, or leave bad rows out with --skip-bad"
	if f.bad == 1 {
		return usagef("%s; %s", f.told[0], remedy)
	}
	for _, line := range f.told {
		fmt.Fprintln(w, "redial: "+line)
	}
	return usagef("%s: %d of %d rows are bad, and %d of them are told; %s", f, f.bad, f.rows, len(f.told), remedy)
}

func (i imported) print(w io.Writer) {
	again := ""
	if i.Repeated > 0 {
		again = fmt.Sprintf(" (repeated: %d)", i.Repeated)
	}
	if i.DryRun {
		fmt.Fprintf(w, "%s would suppress %d numbers and contacts%s, from %d rows; %d bad ones are left out; nothing was loaded\n", i.File, i.Loaded, again, i.Rows, i.Bad)
		return
	}
	fmt.Fprintf(w, "%s: %d numbers and contacts are suppressed%s; %d statements are new; %d rows were read, and %d bad ones left out\n",
		i.File, i.Loaded, again, i.Added, i.Rows, i.Bad)
}
