package redial_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"redial/app"
	"redial/followup"
)

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestREADMENamesOnlyCommandsAndFlagsThatExist(t *testing.T) {
	for _, line := range regexp.MustCompile("redial ((?:[a-z]+)(?: [^`\n|]*)?)").FindAllStringSubmatch(readme(t), -1) {
		words := strings.Fields(line[1])
		if words[0] == "is" || words[0] == "places" || words[0] == "calls" {
			continue
		}
		var help bytes.Buffer
		if code := app.Run(context.Background(), []string{words[0], "--help"}, &help, &help); code != 0 || strings.Contains(help.String(), "unknown command") {
			t.Errorf("%q: redial %s --help exits with %d", line[0], words[0], code)
		}
		for _, word := range words[1:] {
			if strings.HasPrefix(word, "--") && !strings.Contains(help.String(), word+" ") {
				t.Errorf("%q: redial %s has no flag %s", line[0], words[0], word)
			}
		}
	}
}

func TestREADMENamesEveryVariableAndNoOther(t *testing.T) {
	source, err := os.ReadFile("internal/config/config.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`env:"([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		known[m[1]] = true
		if !strings.Contains(readme(t), "`"+m[1]+"`") {
			t.Errorf("the README does not tell of %s", m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\b(?:KORE|REDIAL)_[A-Z_]+\b`).FindAllString(readme(t), -1) {
		if !known[name] {
			t.Errorf("the README tells of %s, which nothing reads", name)
		}
	}
}

func TestREADMELinksToFilesThatExist(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(readme(t), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("link to %s: %v", m[1], err)
		}
	}
}

func TestREADMENamesTestsThatExist(t *testing.T) {
	var tests bytes.Buffer
	for _, pattern := range []string{"*_test.go", "*/*_test.go"} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(data)
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(readme(t), -1) {
		if !strings.Contains(tests.String(), "func "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

func TestREADMENamesEveryRoomAndMakeTarget(t *testing.T) {
	folders, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if room := filepath.Dir(f); !strings.Contains(readme(t), "| `"+room+"` |") {
			t.Errorf("the README's table of rooms lacks %s", room)
		}
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\bmake ([a-z]+(?:/[a-z]+)?)`).FindAllStringSubmatch(readme(t), -1) {
		if !regexp.MustCompile(`(?m)^`+m[1]+`:`).Match(makefile) && m[1] != "and" && m[1] != "build" {
			t.Errorf("there is no make target %s", m[1])
		}
	}
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
