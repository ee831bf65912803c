package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	events := []event{
		{Action: "build-output", Output: "# redial/broken\nbroken.go:1:1: undefined: x\n"},
		{Action: "output", Package: "redial/none", Output: "?   \tredial/none\t[no test files]\n"},
		{Action: "output", Package: "redial/a", Test: "TestGood", Output: "=== RUN   TestGood\n"},
		{Action: "output", Package: "redial/a", Test: "TestGood", Output: "    a_test.go:1: chatter\n"},
		{Action: "pass", Package: "redial/a", Test: "TestGood"},
		{Action: "output", Package: "redial/a", Test: "TestBad", Output: "    a_test.go:2: got 1, want 2\n"},
		{Action: "output", Package: "redial/a", Test: "TestBad", Output: "--- FAIL: TestBad (0.00s)\n"},
		{Action: "fail", Package: "redial/a", Test: "TestBad"},
		{Action: "output", Package: "redial/a", Test: "TestSkipped", Output: "    a_test.go:3: the real engine is not here: x\n"},
		{Action: "output", Package: "redial/a", Test: "TestSkipped", Output: "--- SKIP: TestSkipped (0.00s)\n"},
		{Action: "skip", Package: "redial/a", Test: "TestSkipped"},
		{Action: "output", Package: "redial/a", Test: "TestPanics", Output: "panic: out of range\n"},
		{Action: "output", Package: "redial/a", Output: "FAIL\tredial/a\t0.1s\n"},
		{Action: "fail", Package: "redial/a"},
		{Action: "output", Package: "redial/b", Output: "PASS\n"},
		{Action: "output", Package: "redial/b", Output: "ok  \tredial/b\t0.2s\n"},
		{Action: "pass", Package: "redial/b"},
	}
	var lines strings.Builder
	for _, e := range events {
		if err := json.NewEncoder(&lines).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	lines.WriteString("a line of somebody else\n")

	var got strings.Builder
	if err := report(strings.NewReader(lines.String()), &got, false); err != nil {
		t.Fatal(err)
	}
	want := `# redial/broken
broken.go:1:1: undefined: x
    a_test.go:2: got 1, want 2
--- FAIL: TestBad (0.00s)
panic: out of range
FAIL	redial/a	0.1s
ok  	redial/b	0.2s
a line of somebody else

NOT RUN:
  the real engine is not here: x
    redial/a TestSkipped
`
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

// The exit code is the gate: a failure that is reported but not returned would pass.
func TestRunReturnsWhatGoTestReturns(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":         "module planted\n\ngo 1.26.0\n",
		"good/x_test.go": "package good\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) {}\n",
		"bad/x_test.go":  "package bad\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) { t.Error(\"planted\") }\n",
		"sick/x_test.go": "package sick\n\nimport \"testing\"\n\nfunc TestSick(t *testing.T) { undefined() }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for pkg, test := range map[string]struct {
		fails bool
		says  string
	}{
		"./good": {false, "ok  \tplanted/good"},
		"./bad":  {true, "x_test.go:5: planted"},
		"./sick": {true, "undefined: undefined"},
	} {
		var said strings.Builder
		code, err := run([]string{pkg}, &said)
		if err != nil {
			t.Errorf("%s: %v", pkg, err)
		}
		if (code != 0) != test.fails || !strings.Contains(said.String(), test.says) {
			t.Errorf("%s: exit code %d, it said:\n%s", pkg, code, said.String())
		}
	}
}
