package app

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"redial/internal/process"
)

// scaffold is a module of one's own, each file as a template.
//
//go:embed scaffold/*.tmpl
var scaffold embed.FS

func newCommand() *cobra.Command {
	var m newModule
	c := &cobra.Command{
		Use:   "new FOLDER",
		Short: "Write a module of your own, with a flow, its test and its policy, into a new folder",
		Long: `Write a Go module into a new folder, which builds and passes its test: redial with a flow of its own, that calls until somebody
confirms. The folder's name becomes that of the binary. Redial is taken from its sources, by a replace in go.mod, with the
versions that they state of everything else.`,
		Example: `  redial new ../orders
  redial new orders --module github.com/example/orders --redial ../redial`,
		Args: oneArgument("folder"),
		RunE: func(c *cobra.Command, args []string) error {
			m.Folder = filepath.Clean(args[0])
			m.Name = filepath.Base(m.Folder)
			if err := m.complete(); err != nil {
				return usageError{err}
			}
			if err := m.write(); err != nil {
				return err
			}
			m.say(c.OutOrStdout(), c.ErrOrStderr())
			return nil
		},
	}
	c.Flags().StringVar(&m.Module, "module", "", "path of the module; example.com/NAME where none is given")
	c.Flags().StringVar(&m.Redial, "redial", "", "folder of Redial's sources; found where you or this program are within them")
	return c
}

// newModule is what the templates are filled with.
type newModule struct {
	Folder       string // that is written
	Name, Module string
	Redial       string // folder of the sources, absolute
	Checker      string // pinned version of workflowcheck
	goMod, goSum string
}

var (
	moduleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	modulePath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
)

// complete checks what was asked for, and fills in the rest from Redial's sources.
func (m *newModule) complete() error {
	if !moduleName.MatchString(m.Name) {
		return fmt.Errorf("%q is no name for a module: name a folder with a lower-case letter, then at most 39 letters, digits and dashes", m.Name)
	}
	if m.Module == "" {
		m.Module = "example.com/" + m.Name
	}
	if !modulePath.MatchString(m.Module) || m.Module == "redial" || strings.HasPrefix(m.Module, "redial/") {
		return fmt.Errorf("--module %q is no path for a module of your own: write one like github.com/example/%s", m.Module, m.Name)
	}
	if entries, err := os.ReadDir(m.Folder); err == nil && len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty: name another, or remove it", m.Folder)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; name another folder", err)
	}
	if _, err := os.Stat(filepath.Dir(m.Folder)); err != nil {
		return fmt.Errorf("%w; create that folder first", err)
	}
	return m.findSources()
}

var (
	ofRedial     = regexp.MustCompile(`(?m)^module redial$`)
	goVersion    = regexp.MustCompile(`(?m)^go \S+$`)
	requirement  = regexp.MustCompile(`(?m)^(?:require)?\s+(\S+) (v\S+)(?: // indirect)?$`)
	checkVersion = regexp.MustCompile(`go\.temporal\.io/sdk/contrib/tools/workflowcheck (v\S+)`)
)

// findSources reads from Redial's sources what a module on top of them must require. All of it is taken over, with its checksums, so
// that the module builds as it is, in the versions that Redial is tested with.
func (m *newModule) findSources() (err error) {
	if m.Redial == "" {
		if m.Redial, err = process.Checkout(); err != nil {
			return errors.New("the sources of Redial are not found from here: name their folder with --redial")
		}
	}
	if m.Redial, err = filepath.Abs(m.Redial); err != nil {
		return err
	}
	read := func(name string) (text string) {
		data, failed := os.ReadFile(filepath.Join(m.Redial, filepath.FromSlash(name)))
		err = errors.Join(err, failed)
		return string(data)
	}
	theirs, lint := read("go.mod"), read("tools/lint/go.mod")
	m.goSum = read("go.sum")
	checker := checkVersion.FindStringSubmatch(lint)
	if err != nil || !ofRedial.MatchString(theirs) || checker == nil {
		return fmt.Errorf("--redial %s: these are not Redial's sources: name the folder whose go.mod says module redial", m.Redial)
	}
	m.Checker = checker[1]
	var indirect strings.Builder
	direct := "\tredial v0.0.0\n"
	for _, r := range requirement.FindAllStringSubmatch(theirs, -1) {
		if r[1] == "go.temporal.io/sdk" {
			direct = fmt.Sprintf("\t%s %s\n", r[1], r[2]) + direct
			continue
		}
		fmt.Fprintf(&indirect, "\t%s %s // indirect\n", r[1], r[2])
	}
	m.goMod = fmt.Sprintf("module %s\n\n%s\n\nrequire (\n%s)\n\nrequire (\n%s)\n\n// Until Redial is published.\nreplace redial => %s\n",
		m.Module, goVersion.FindString(theirs), direct, indirect.String(), quotePath(m.Redial))
	return nil
}

// quotePath is a path as go.mod has it.
func quotePath(path string) string {
	if strings.ContainsAny(path, " \t\"'`(),") {
		return fmt.Sprintf("%q", path)
	}
	return path
}

// write makes the folder, whole or not at all.
func (m *newModule) write() (err error) {
	partial, err := os.MkdirTemp(filepath.Dir(m.Folder), "."+m.Name+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", m.Folder, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w; nothing was written", m.Folder, errors.Join(err, os.RemoveAll(partial)))
		}
	}()
	if err := m.fill(partial); err != nil {
		return err
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	if err := os.Remove(m.Folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(partial, m.Folder)
}

func (m *newModule) fill(folder string) error {
	templates, err := template.ParseFS(scaffold, "scaffold/*.tmpl")
	if err != nil {
		return err
	}
	files := map[string]string{"go.mod": m.goMod, "go.sum": m.goSum}
	for _, t := range templates.Templates() {
		var text strings.Builder
		if err := t.Execute(&text, m); err != nil {
			return err
		}
		files[scaffolded(t.Name())] = text.String()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// scaffolded is the name of the file that a template makes.
func scaffolded(name string) string {
	name = strings.TrimSuffix(name, ".tmpl")
	if name == "gitignore" {
		return ".gitignore"
	}
	return name
}

func (m *newModule) say(out, warnings io.Writer) {
	fmt.Fprintf(out, `%s is a module of your own, %s, on top of Redial's sources in %s.

  cd %s
  make test     # its flow, through two weeks, in milliseconds
  make run      # Temporal, a simulated gateway and the flow; stays up

Begin with flow.go, and change what it says; README.md tells the rest.
`, m.Folder, m.Module, m.Redial, m.Folder)
	if _, err := exec.LookPath("go"); err != nil {
		fmt.Fprintln(warnings, "redial: warning: the go command is not on the PATH: install Go 1.26 or newer to build the module")
	}
}
