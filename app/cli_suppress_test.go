//go:build unix

package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/ledger"
)

// newOffice is a program with a ledger, and nothing that runs.
func newOffice(t *testing.T) program {
	t.Helper()
	p := newProgram(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(p.folder, "redial.db"), ledger.Options{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return p
}

// suppressions are what redial suppress list --all --json prints.
func (p program) suppressions(t *testing.T) []ledger.Suppression {
	t.Helper()
	return decode[struct{ Suppressions []ledger.Suppression }](t, p.must(t, "suppress", "list", "--all", "--limit", "1000", "--json")).Suppressions
}

// state is what redial suppress check --json prints.
type state struct {
	Suppressed bool
	By         *ledger.Suppression
	Statements []ledger.Suppression
}

func (p program) check(t *testing.T, who ...string) state {
	t.Helper()
	return decode[state](t, p.must(t, append([]string{"suppress", "check", "--json"}, who...)...))
}

func TestAMistakeInASuppressionIsToldInOneLineAndChangesNothing(t *testing.T) {
	t.Parallel()
	p := newOffice(t)
	const digits = "4155550142" // of a number that must not be told
	add := func(args ...string) []string { return append([]string{"suppress", "add"}, args...) }
	list := func(args ...string) []string { return append([]string{"suppress", "list"}, args...) }
	for _, m := range []mistake{
		{"add nobody", nil, add("--reason", "x"), misuse, []string{"redial suppress add takes a TARGET", "--contact ID"}},
		{"add two", nil, add("+1"+digits, "--contact", "anna", "--reason", "x"), misuse, []string{"one TARGET or --contact ID"}},
		{"add without a reason", nil, add("+1" + digits), misuse, []string{"--reason is missing"}},
		{"add for a blank", nil, add("+1"+digits, "--reason", " "), misuse, []string{"--reason is missing"}},
		{"add for two lines", nil, add("+1"+digits, "--reason", "a\nb"), misuse, []string{"--reason", "on one line"}},
		{"add for a novel", nil, add("+1"+digits, "--reason", strings.Repeat("x", 501)), misuse, []string{"--reason", "501 bytes", "at most 500"}},
		{"add by a novel", nil, add("+1"+digits, "--reason", "x", "--source", strings.Repeat("x", 121)), misuse, []string{"--source", "at most 120"}},
		{"add no number", nil, add(digits, "--reason", "x"), misuse, []string{"…42", "it has no country code"}},
		{"add an extension", nil, add("tel:+1"+digits+";x=1", "--reason", "x"), misuse, []string{"write only tel: and the number"}},
		{"add a contact that is none", nil, add("--contact", "a/b", "--reason", "x"), misuse, []string{"contact id", "1 to 120 letters"}},
		{"add a contact that is a number without a key", nil, add("--contact", "+1"+digits, "--reason", "x"), misuse, []string{"contact id", "REDIAL_ID_SECRET"}},
		{"add until no time", nil, add("+1"+digits, "--reason", "x", "--expires", "soon"), misuse, []string{"--expires", `"soon"`, "2027-01-31"}},
		{"add until yesterday", nil, add("+1"+digits, "--reason", "x", "--expires", "2001-01-01"), misuse, []string{"--expires", "is past"}},
		{"add until now", nil, add("+1"+digits, "--reason", "x", "--expires", "0s"), misuse, []string{"--expires", "is past"}},
		{"remove what is not there", nil, []string{"suppress", "remove", "+1" + digits, "--reason", "x"}, failed, []string{"number tel:…42", "not suppressed", "redial suppress list"}},
		{"remove without a reason", nil, []string{"suppress", "remove", "+1" + digits}, misuse, []string{"--reason is missing"}},
		{"check nobody", nil, []string{"suppress", "check"}, misuse, []string{"takes a TARGET"}},
		{"list a kind that is none", nil, list("--kind", "line"), misuse, []string{"--kind", "number or contact"}},
		{"list none", nil, list("--limit", "0"), misuse, []string{"--limit 0", "1 to 1000"}},
		{"list too many", nil, list("--limit", "1001"), misuse, []string{"--limit 1001", "1 to 1000"}},
		{"list after nothing", nil, list("--after", "x"), misuse, []string{"--after"}},
		{"list an argument", nil, list("x"), misuse, []string{"takes no argument"}},
		{"no ledger", []string{"REDIAL_DATABASE=sqlite:none.db"}, list(), misuse, []string{"REDIAL_DATABASE", "none.db"}},
		{"what is none", nil, []string{"suppress", "everybody"}, misuse, []string{`"everybody"`}},
	} {
		t.Run(m.name, func(t *testing.T) {
			requireToldWhy(t, p, m)
			require.NotContains(t, p.with(m.settings...).run(t, m.args...).stderr, digits)
		})
	}
	require.Empty(t, p.suppressions(t))
}

func TestAMistakeInAFileOfSuppressionsIsToldWithItsPlaceAndNothingIsLoaded(t *testing.T) {
	t.Parallel()
	p := newOffice(t)
	const good = "+14155550100"
	for _, m := range []struct {
		name, content string
		flags         []string
		says          []string
	}{
		{"empty", "", nil, []string{"it is empty", "number,reason"}},
		{"nothing but a mark", "\ufeff", nil, []string{"it is empty"}},
		{"no header", good + "\n", nil, []string{"line 1", "no column number, phone, target"}},
		{"a header of other things", "name,reason\nanna,x\n", nil, []string{"line 1", "contact_id"}},
		{"a column twice", "number,phone\n" + good + "," + good + "\n", nil, []string{"line 1", `"number" and "phone"`}},
		{"UTF-16", "\xff\xfen\x00u\x00m\x00", nil, []string{"line 1", "not in UTF-8", "save the file"}},
		{"Latin-1", "number,reason\n" + good + ",g\xfcnstig\n", nil, []string{"line 2", "not in UTF-8"}},
		{"a number of no country", "number\n" + good + "\n4155550107\n", nil, []string{"line 3", `column "number"`, "…07", "no country code", "nothing was loaded", "--skip-bad"}},
		{"a number of another country's kind", "Phone\n12\n", []string{"--default-region", "us"}, []string{"line 2", `column "Phone"`}},
		{"a region that is none", "number\n" + good + "\n", []string{"--default-region", "XX"}, []string{"--default-region", `"XX"`, "ISO 3166"}},
		{"nobody in a row", "number,reason\n,x\n", nil, []string{"line 2", "names nobody"}},
		{"a contact that is none", "contact\na/b\n", nil, []string{"line 2", `column "contact"`, "1 to 120 letters"}},
		{"an end that is none", "number,expires\n" + good + ",soon\n", nil, []string{"line 2", `column "expires"`, `"soon"`}},
		{"an end that is past", "number,expires\n" + good + ",2001-01-01\n", nil, []string{"line 2", `column "expires"`, "is past"}},
		{"a reason that is too long", "number,reason\n" + good + "," + strings.Repeat("x", 501) + "\n", nil, []string{"line 2", `column "reason"`, "at most 500"}},
		{"a source on two lines", "number,source\n" + good + ",\"a\nb\"\n", nil, []string{"line 2", `column "source"`, "on one line"}},
		{"a column too many", "number,reason\n" + good + ",a,b\n", nil, []string{"line 2", "3 columns", "the first row has 2"}},
		{"a quote that does not end", "number,reason\n" + good + ",\"a\n", nil, []string{"line 2", "quote"}},
		{"a quote within, though bad ones are left out", "number,reason\n" + good + ",a \"b\" c\n", []string{"--skip-bad"}, []string{"line 2", "quote"}},
		{"too many rows", "number\n" + strings.Repeat("1\n", 1_000_001), nil, []string{"more than 1000000 rows", "split it"}},
		{"too many bytes", "number\n" + strings.Repeat("1", 64<<20), nil, []string{"more than 64 MiB", "split it"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			file := p.file(t, strings.ReplaceAll(m.name, " ", "-")+".csv", m.content)
			says := m.says
			if m.flags == nil || m.flags[0] != "--default-region" {
				says = append(says, file)
			}
			requireToldWhy(t, p, mistake{m.name, nil, append([]string{"suppress", "import", file}, m.flags...), misuse, says})
		})
	}
	for _, m := range []mistake{
		{"no file", nil, []string{"suppress", "import"}, misuse, []string{"takes one file"}},
		{"a file that is not there", nil, []string{"suppress", "import", "none.csv"}, misuse, []string{"none.csv", "name a file that can be read"}},
		{"a folder", nil, []string{"suppress", "import", "."}, misuse, []string{"name a file that can be read"}},
	} {
		t.Run(m.name, func(t *testing.T) { requireToldWhy(t, p, m) })
	}
	require.Empty(t, p.suppressions(t))
}

func TestOfManyBadRowsTheFirstTwentyAreToldAndAllAreCounted(t *testing.T) {
	t.Parallel()
	p := newOffice(t)
	file := p.file(t, "list.csv", "number\n+14155550100\n"+strings.Repeat("5550107\n", 25))
	e := p.run(t, "suppress", "import", file)
	require.Equal(t, misuse, e.code)
	lines := strings.Split(strings.TrimSpace(e.stderr), "\n")
	require.Len(t, lines, 21)
	require.Contains(t, lines[19], "list.csv: line 22, ")
	require.Contains(t, lines[20], "25 of 26 rows are bad")
	require.NotContains(t, e.stderr, "5550107")
	require.Empty(t, p.suppressions(t))

	e = p.run(t, "suppress", "import", "--skip-bad", "--json", file)
	require.Zero(t, e.code, e.stderr)
	require.Equal(t, 20, strings.Count(e.stderr, "left out: list.csv: line "))
	require.JSONEq(t, `{"file":"list.csv","rows":26,"bad":25,"loaded":1,"repeated":0,"added":1,"dry_run":false}`, e.stdout)
	require.Len(t, p.suppressions(t), 1)
}

func TestAFileOfSuppressionsIsReadAsSpreadsheetsWriteIt(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"plain":                      "number\n+14155550100\n+14155550101\n",
		"a mark and CRLF":            "\ufeffnumber\r\n+14155550100\r\n+14155550101\r\n",
		"semicolons, and a comma":    "Phone;Reason\n+1 415-555-0100;\"a, b\"\ntel:+14155550101;\n",
		"quotes and other columns":   "\"name\",\"Target\"\n\"Anna \"\"A\"\"\",\"+14155550100\"\nBen,+14155550101\n",
		"blank rows, no end of line": "number,reason\n\n+14155550100,x\n,\n+14155550101,y",
		"the same twice":             "number\n+14155550100\n+14155550101\n+1 415 555 0100\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newOffice(t)
			require.Contains(t, p.must(t, "suppress", "import", p.file(t, "list.csv", content)), "2 statements are new")
			require.Len(t, p.suppressions(t), 2)
			for _, number := range []string{"+14155550100", "+14155550101"} {
				require.True(t, p.check(t, number).Suppressed)
			}
		})
	}
}

func TestANumberThatIsListedAgainIsCountedOnceAndEachReasonIsKept(t *testing.T) {
	t.Parallel()
	p := newOffice(t)
	file := p.file(t, "list.csv", "number,contact,reason\n+14155550100,anna,by letter\n+1 415 555 0100,,complained\n+14155550100,,complained\n,anna,by letter\n")
	require.Contains(t, p.must(t, "suppress", "import", file, "--dry-run"), "would suppress 2 numbers and contacts (repeated: 3), from 4 rows; ")
	require.Equal(t, "list.csv: 2 numbers and contacts are suppressed (repeated: 3); 3 statements are new; 4 rows were read, and 0 bad ones left out\n",
		p.must(t, "suppress", "import", file))
	require.Len(t, p.check(t, "+14155550100").Statements, 2)
	require.JSONEq(t, `{"file":"list.csv","rows":4,"bad":0,"loaded":2,"repeated":3,"added":0,"dry_run":false}`, p.must(t, "suppress", "import", file, "--json"))
}

func TestAFileOfSuppressionsComesFromStandardInput(t *testing.T) {
	t.Parallel()
	p := newOffice(t)
	said := p.reading("number\n+14155550100\n").must(t, "suppress", "import", "-")
	require.True(t, strings.HasPrefix(said, "standard input: 1 numbers and contacts are suppressed; "), said)
	by := p.check(t, "+14155550100").By
	require.Equal(t, []string{"on the list standard input", "import standard input"}, []string{by.Reason, by.Source})
	for content, says := range map[string]string{"": "it is empty", "number\n1\n": "line 2", "number\n" + strings.Repeat("1", 64<<20): "more than 64 MiB"} {
		requireToldWhy(t, p.reading(content), mistake{"", nil, []string{"suppress", "import", "-"}, misuse, []string{"standard input: ", says}})
	}
	require.Len(t, p.suppressions(t), 1)
}

func TestAFileOfSuppressionsSaysWhoWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	p := newOffice(t).with("REDIAL_ID_SECRET=a secret of this test alone")
	file := p.file(t, "list.csv", "phone,contact_id,reason,source,expires\n(415) 555-0100,,by letter,legal,2199-01-31\n,anna-7,,,\n,+14155550109,,,90d\n+14155550103,ben,both,,\n")
	said := p.must(t, "suppress", "import", file, "--default-region", "US", "--dry-run")
	require.Contains(t, said, "would suppress 5")
	require.Empty(t, p.suppressions(t))
	p.must(t, "suppress", "import", file, "--default-region", "US")
	require.Len(t, p.suppressions(t), 5)

	by := p.check(t, "+14155550100").By
	require.Equal(t, []string{"by letter", "legal", "2199-02-01T00:00:00Z"}, []string{by.Reason, by.Source, by.ExpiresAt.Format("2006-01-02T15:04:05Z07:00")})
	by = p.check(t, "--contact", "anna-7").By
	require.Equal(t, []string{"on the list list.csv", "import list.csv"}, []string{by.Reason, by.Source})
	require.Zero(t, by.ExpiresAt)
	by = p.check(t, "--contact", "+14155550109").By
	require.True(t, strings.HasPrefix(by.Subject, "h-"), "a contact id that is a number is hidden, as in runs: %s", by.Subject)
	require.False(t, p.check(t, "+14155550109").Suppressed)
	require.True(t, p.check(t, "+14155550103").Suppressed)
	require.True(t, p.check(t, "--contact", "ben").Suppressed)
	p.must(t, "suppress", "import", file, "--default-region", "US", "--source", "again", "--reason", "again")
	require.Equal(t, "again", p.check(t, "--contact", "anna-7").Statements[0].Reason)
}

func TestSuppressingLookingUpAndLiftingByTheCommandLine(t *testing.T) {
	t.Parallel()
	p := newOffice(t)
	require.Equal(t, "number tel:+14155550100 is not suppressed\n", p.must(t, "suppress", "check", "+14155550100"))
	require.Equal(t, "nobody is suppressed\n", p.must(t, "suppress", "list"))
	require.Equal(t, "number tel:+14155550100 is suppressed\n", p.must(t, "suppress", "add", "tel:14155550100", "--reason", "by letter", "--expires", "90d"))
	require.Contains(t, p.must(t, "suppress", "add", "+14155550100", "--reason", "by letter", "--expires", "89d"), "was suppressed already")
	p.must(t, "suppress", "add", "--contact", "anna-7", "--reason", "complained", "--source", "legal")
	require.Regexp(t, `^suppressed +number tel:\+14155550100 +by letter +\[operator .+\] since .+, until .+\n$`, p.must(t, "suppress", "check", "+14155550100"))
	require.Regexp(t, `^suppressed +contact anna-7 +complained +\[legal\] since [^,]+\n$`, p.must(t, "suppress", "check", "--contact", "anna-7"))
	require.Equal(t, 1, strings.Count(p.must(t, "suppress", "list", "--kind", "contact"), "\n"))
	require.Contains(t, p.must(t, "suppress", "list", "--text", "LETTER"), "+14155550100")
	require.Contains(t, p.must(t, "suppress", "list", "--limit", "1"), "there are more: --after ")

	require.Equal(t, "number tel:+14155550100 is not suppressed any more\n", p.must(t, "suppress", "remove", "+14155550100", "--reason", "signed form 7"))
	s := p.check(t, "+14155550100")
	require.False(t, s.Suppressed)
	require.Equal(t, "signed form 7", s.Statements[0].RemovedFor)
	require.True(t, strings.HasPrefix(s.Statements[0].RemovedBy, "operator "))
	require.Regexp(t, `(?m)^removed +number .+; removed by operator .+: signed form 7$`, p.must(t, "suppress", "check", "+14155550100"))
	require.NotContains(t, p.must(t, "suppress", "list"), "+14155550100")
	require.Contains(t, p.must(t, "suppress", "list", "--all"), "+14155550100")
	added := decode[struct{ Added, Suppressed bool }](t, p.must(t, "suppress", "add", "+14155550100", "--reason", "by letter", "--json"))
	require.True(t, added.Added && added.Suppressed)
}

// The simulator's record is the judge.
func TestANumberOfAnImportedFileIsNeverDialed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	up := s.up(t)
	rows := "phone;reason\n"
	for i := range 1200 {
		rows += fmt.Sprintf("+1415555%04d;state list\n", 100+i%100)
	}
	s.must(t, "suppress", "import", s.file(t, "list.csv", rows)) // beside a process that owns the ledger
	r := decode[call.Result](t, s.must(t, "call", "--to", "+14155550142", "--id", "listed", "--wait", "--json"))
	require.Equal(t, call.OutcomeSuppressed, r.Outcome)
	require.Empty(t, r.Attempts)
	require.Equal(t, "state list", r.Reason)
	require.Empty(t, s.gateway.calls(t, "+14155550142"))
	require.Zero(t, s.gateway.stats(t).Requests)
	shown := s.must(t, "show", "listed")
	require.Contains(t, shown, "[suppression of the number, by import list.csv]")
	require.Regexp(t, `(?m)^barred +the number must not be called, since .+: state list  \[import list.csv\]$`, shown)

	s.must(t, "suppress", "remove", "+14155550142", "--reason", "signed form 7")
	s.must(t, "suppress", "add", "--contact", "anna", "--reason", "complained")
	r = decode[call.Result](t, s.must(t, "call", "--to", "+14155550142", "--id", "anna", "--wait", "--json"))
	require.Equal(t, call.OutcomeSuppressed, r.Outcome)
	require.Empty(t, s.gateway.calls(t, "+14155550142"))
	s.must(t, "call", "--to", "+14155550142", "--id", "ben", "--metadata", "simulate=human+result=opted_out", "--wait")
	require.Len(t, s.gateway.calls(t, "+14155550142"), 1)
	require.Equal(t, "bot", s.check(t, "+14155550142").By.Source)
	require.Equal(t, "bot", s.check(t, "--contact", "ben").By.Source)
	require.Regexp(t, `(?m)^barred +the contact must not be called, since .+: .*opted out`, s.must(t, "show", "ben"))
	s.must(t, "call", "--to", "+14155550142", "--id", "carl", "--wait")
	require.Len(t, s.gateway.calls(t, "+14155550142"), 1)
	up.ctrlC(t)
	e := up.wait(t)
	require.NotContains(t, e.stdout+e.stderr, "4155550142")
}

func TestARunThatSleepsEndsWithinSecondsOfAnImportThatConcernsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	s.sleeper(t, "listed", "+14155550142")
	s.sleeper(t, "anna", "+14155550143")
	s.sleeper(t, "others", "+14155550144")
	rows := "phone,contact\n"
	for i := range 1200 {
		rows += fmt.Sprintf("+1415555%04d,\n", 1000+i)
	}
	s.must(t, "suppress", "import", s.file(t, "list.csv", rows+"+14155550142,\n,anna\n"))
	began := time.Now()
	for _, id := range []string{"listed", "anna"} {
		r := s.result(t, id)
		require.Equal(t, call.OutcomeSuppressed, r.Outcome)
		require.Equal(t, "on the list list.csv", r.Reason)
	}
	require.Less(t, time.Since(began), 15*time.Second)
	s.asleep(t, "others")
	require.Equal(t, 3, s.gateway.stats(t).Requests)
}

func TestTheDocumentsCommandsSuppressWhomTheySay(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash")
	s := stage{program: newOffice(t)}
	said := s.shellOf(t, "docs/suppression.md", "suppress")
	require.Regexp(t, `(?s)^number tel:\+14155550130 is suppressed\ncontact anna-7 is suppressed\nsuppressed  number .+suppressed  contact anna-7.+suppressed  number .+not suppressed any more\n$`, said)
	said = s.shellOf(t, "docs/suppression.md", "suppress import")
	require.Contains(t, said, "would suppress 3")
	require.Contains(t, said, "3 statements are new")
	require.True(t, s.check(t, "--contact", "ben-2").Suppressed)
	require.True(t, s.check(t, "+4930901820").Suppressed)
}
