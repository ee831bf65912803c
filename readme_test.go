package redial_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"redial/app"
	"redial/followup"
)

// documents are held to the truth: what they name has to be there.
var documents = []string{"README.md", "docs/deploy.md", "docs/writing-flows.md", "docs/changing-flows.md", "docs/suppression.md", "docs/policy.md", "docs/operating.md"}

func document(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func readme(t *testing.T) string {
	t.Helper()
	return document(t, "README.md")
}

// inEachDocument runs a check on every document, by its name.
func inEachDocument(t *testing.T, check func(t *testing.T, name, text string)) {
	t.Helper()
	for _, name := range documents {
		t.Run(name, func(t *testing.T) { check(t, name, document(t, name)) })
	}
}

func TestDocumentsNameOnlyCommandsAndFlagsThatExist(t *testing.T) {
	inEachDocument(t, func(t *testing.T, _, text string) {
		for _, line := range regexp.MustCompile("redial ((?:[a-z]+(?:-[a-z]+)*)(?: [^`\n|]*)?)").FindAllStringSubmatch(text, -1) {
			words := strings.Fields(line[1])
			if slices.Contains([]string{"is", "places", "calls", "here"}, words[0]) {
				continue
			}
			var help bytes.Buffer
			if code := app.Run(context.Background(), []string{words[0], "--help"}, &help, &help); code != 0 || strings.Contains(help.String(), "unknown command") {
				t.Errorf("%q: redial %s --help exits with %d", line[0], words[0], code)
			}
			if len(words) > 1 && strings.Contains(help.String(), "\n  "+words[1]+" ") { // a command of its own
				help.Reset()
				app.Run(context.Background(), []string{words[0], words[1], "--help"}, &help, &help)
			}
			for _, word := range words[1:] {
				if strings.HasPrefix(word, "--") && !strings.Contains(help.String(), word+" ") {
					t.Errorf("%q: redial %s has no flag %s", line[0], words[0], word)
				}
			}
		}
	})
}

// variable is one that the product reads, with its default.
type variable struct{ name, byDefault string }

func variables(t *testing.T) (all []variable) {
	t.Helper()
	for _, m := range regexp.MustCompile(`env:"([A-Z_]+)"(?: envDefault:"([^"]*)")?`).FindAllStringSubmatch(document(t, "internal/config/config.go"), -1) {
		all = append(all, variable{m[1], m[2]})
	}
	if len(all) < 20 {
		t.Fatalf("internal/config/config.go reads %d variables only: it was looked at in the wrong way", len(all))
	}
	return all
}

// secrets are the variables that may name a file instead.
func secrets(t *testing.T) (names []string) {
	t.Helper()
	_, list, found := strings.Cut(document(t, "internal/config/config.go"), "var secrets = []string{")
	if !found {
		t.Fatal("internal/config/config.go has no list of secrets any more")
	}
	list, _, _ = strings.Cut(list, "}")
	for _, m := range regexp.MustCompile(`"([A-Z_]+)"`).FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestDocumentsNameNoVariableThatNothingReads(t *testing.T) {
	known := map[string]bool{}
	for _, v := range variables(t) {
		known[v.name] = true
	}
	for _, name := range secrets(t) {
		known[name+"_FILE"] = true
	}
	inEachDocument(t, func(t *testing.T, _, text string) {
		for _, name := range regexp.MustCompile(`\b(?:KORE|REDIAL)_[A-Z_]+\b`).FindAllString(text, -1) {
			if !known[strings.TrimSuffix(name, "_")] && name != "KORE_" && name != "REDIAL_" {
				t.Errorf("it tells of %s, which nothing reads", name)
			}
		}
	})
}

func TestTheOperatorsTableHasEveryVariableWithItsDefault(t *testing.T) {
	text := document(t, "docs/deploy.md")
	for _, v := range variables(t) {
		rows := regexp.MustCompile("(?m)^\\| `"+v.name+"` \\|.*\\| ([^|]*) \\|$").FindAllStringSubmatch(text, -1)
		if len(rows) != 1 {
			t.Errorf("%s has %d rows", v.name, len(rows))
			continue
		}
		if v.byDefault != "" && rows[0][1] != "`"+v.byDefault+"`" {
			t.Errorf("%s: the default is %s, and the table says %s", v.name, v.byDefault, rows[0][1])
		}
	}
	_, after, _ := strings.Cut(text, "## Every variable")
	for _, name := range secrets(t) {
		if strings.Count(after, "`"+name+"`") < 2 {
			t.Errorf("it does not say that %s may stand in a file", name)
		}
	}
}

func TestTheOperatorsAreToldOfEveryMetricAndNoOther(t *testing.T) {
	known := map[string]bool{}
	text := document(t, "docs/deploy.md")
	for _, m := range regexp.MustCompile(`gauge\("([a-z_]+)"`).FindAllStringSubmatch(document(t, "console/metrics.go"), -1) {
		known["redial_"+m[1]] = true
		if !strings.Contains(text, "`redial_"+m[1]) {
			t.Errorf("it does not tell of redial_%s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(redial_[a-z_]+)").FindAllStringSubmatch(text, -1) {
		if !known[m[1]] && m[1] != "redial_roles" { // a role of PostgreSQL
			t.Errorf("it tells of %s, which is no metric", m[1])
		}
	}
}

func TestDocumentsLinkToWhatExists(t *testing.T) {
	inEachDocument(t, func(t *testing.T, name, text string) {
		headings := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
			headings[strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(text, -1) {
			switch {
			case strings.Contains(m[1], "://"):
			case m[1] == "":
				if !headings[m[2]] {
					t.Errorf("there is no heading #%s", m[2])
				}
			default:
				if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
					t.Errorf("link to %s: %v", m[1], err)
				}
			}
		}
	})
}

// That those which a document shows exist is tested with its links.
func TestEveryPictureIsShownAndToldToWhoeverCannotSeeIt(t *testing.T) {
	shown := map[string]bool{}
	inEachDocument(t, func(t *testing.T, name, text string) {
		for _, m := range regexp.MustCompile(`!\[([^\]]*)\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
			shown[filepath.Join(filepath.Dir(name), m[2])] = true
			if len(m[1]) < 20 {
				t.Errorf("the text in place of %s is %q: say what is to be seen", m[2], m[1])
			}
		}
	})
	pictures, err := filepath.Glob("docs/*/*.png")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		if !shown[p] {
			t.Errorf("no document shows %s", p)
		}
	}
}

func TestDocumentsNameTestsThatExist(t *testing.T) {
	var tests bytes.Buffer
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			tests.WriteString(document(t, f))
		}
	}
	inEachDocument(t, func(t *testing.T, _, text string) {
		for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(tests.String(), "func "+name[1]+"(") {
				t.Errorf("there is no %s", name[1])
			}
		}
	})
}

func TestREADMENamesEveryRoom(t *testing.T) {
	folders, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if room := filepath.Dir(f); !strings.Contains(readme(t), "| `"+room+"` |") {
			t.Errorf("the README's table of rooms lacks %s", room)
		}
	}
}

func TestDocumentsNameMakeTargetsThatExist(t *testing.T) {
	makefile := document(t, "Makefile") + document(t, "app/scaffold/Makefile.tmpl") // of a flow author's module
	inEachDocument(t, func(t *testing.T, _, text string) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z]+(?:/[a-z]+)?)").FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
				t.Errorf("there is no make target %s", m[1])
			}
		}
	})
}

func TestREADMEsPolicyIsValid(t *testing.T) {
	_, after, found := strings.Cut(readme(t), "<!-- checked: policy -->\n```yaml\n")
	if !found {
		t.Fatal("the policy is gone")
	}
	text, _, _ := strings.Cut(after, "```")
	p, err := followup.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "reminder" || len(p.Warnings()) > 0 {
		t.Errorf("%+v, %v", p, p.Warnings())
	}
}

func TestNothingInTheRepositoryNamesThisMachineOrAWorkplace(t *testing.T) {
	out, err := exec.Command("git", "ls-files").Output()
	if err != nil {
		t.Skip("not a git checkout: ", err)
	}
	forbidden := regexp.MustCompile(`/wo` + `rk/|/ro` + `ot/go|proxy\.gol` + `ang\.org|\.\./sh` + `ared`)
	for _, name := range strings.Fields(string(out)) {
		data, err := os.ReadFile(name)
		if err == nil && forbidden.Match(data) {
			t.Errorf("%s names %s", name, forbidden.Find(data))
		}
	}
}
