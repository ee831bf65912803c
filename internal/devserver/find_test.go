package devserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"redial/internal/devserver"
	"redial/internal/process/processtest"
)

func TestFind(t *testing.T) {
	const old, recent = `echo "temporal version 1.4.1 (Server 1.28.1, UI 2.39.0)"`, `echo "temporal version 1.10.0-rc.1 (Server 1.40.0, UI 3.0.0)"`

	tests := map[string]struct {
		variable, onPath, built string // bodies of scripts, "" for none
		want                    string // variable, path, built
		complaint               []string
	}{
		"the variable wins, whatever its version": {variable: old, onPath: recent, built: recent, want: "variable"},
		"a recent one on the PATH is used":        {onPath: recent, built: old, want: "path"},
		"an old one on the PATH is passed over":   {onPath: old, built: recent, want: "built"},
		"one that is broken is passed over":       {onPath: "exit 1", built: recent, want: "built"},
		"the pinned one is used":                  {built: recent, want: "built"},
		"an old one alone":                        {onPath: old, complaint: []string{"version 1.4.1, older than 1.5.0", "make bin/temporal"}},
		"none":                                    {complaint: []string{"none on the PATH", "make bin/temporal", "make demo", "TEMPORAL_CLI_PATH"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			place := map[string]string{"variable": filepath.Join(root, "elsewhere"), "path": filepath.Join(root, "path"), "built": filepath.Join(root, "bin")}
			deep := filepath.Join(root, "a", "b")
			for _, dir := range append([]string{deep}, place["variable"], place["path"], place["built"]) {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for file, text := range map[string]string{
				filepath.Join(root, "go.mod"):      "// a comment\nmodule redial // and one here\n",
				filepath.Join(root, "a", "go.mod"): "module redial/tools\n", // a module further down is not ours
			} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for where, body := range map[string]string{"variable": test.variable, "path": test.onPath, "built": test.built} {
				if body == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(place[where], "temporal"), []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(deep)
			t.Setenv("PATH", place["path"])
			t.Setenv(devserver.PathVariable, "")
			if test.variable != "" {
				t.Setenv(devserver.PathVariable, filepath.Join(place["variable"], "temporal"))
			}

			got, err := devserver.Find()
			if test.want == "" {
				processtest.RequireOneLine(t, err, test.complaint...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(place[test.want], "temporal"); got != want {
				t.Errorf("found %s, want %s", got, want)
			}
		})
	}
}

func TestFindNamesAVariableThatLeadsNowhere(t *testing.T) {
	t.Setenv(devserver.PathVariable, "/nowhere/temporal")
	_, err := devserver.Find()
	processtest.RequireOneLine(t, err, "TEMPORAL_CLI_PATH=/nowhere/temporal", "unset it")
}
