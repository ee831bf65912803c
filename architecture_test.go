package redial_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "redial"

// house is the table of rooms, top down. A room may import the rooms of its row, packages of its own, and, where
// allowed says so, internal ones. Test files are free, but for those of simulator.
var house = []struct {
	room string
	may  []string
}{
	{"cmd/redial", []string{"app"}},
	{"examples", append([]string{"app"}, belowApp...)},
	{"internal/bench", append([]string{"app"}, belowApp...)}, // a program that measures the whole
	{"internal/cluster", []string{"simulator", "call"}},      // a program that runs the whole
	{"app", belowApp},
	{"callflowtest", []string{"activities", "workflows", "simulator", "followup", "call"}},
	{"console", []string{"starter", "ledger", "followup", "call"}},
	{"worker", []string{"workflows", "activities", "ledger", "koreai", "starter"}},
	{"webhook", []string{"ledger", "koreai", "call"}},
	{"relay", []string{"workflows", "ledger", "call"}},
	{"starter", []string{"workflows", "phone", "call"}},
	{"workflows", []string{"activities", "followup", "call"}},
	{"activities", []string{"followup", "call"}},
	{"ledger", []string{"followup", "call"}},
	{"koreai", []string{"phone", "call"}},
	{"simulator", nil},
	{"followup", []string{"phone", "call"}},
	{"phone", []string{"call"}},
	{"call", nil},
	{"internal/devserver", nil},
	{"internal/postgres", nil},
	{"internal", []string{"phone", "call"}}, // each folder of it is a room of its own with this row
}

var belowApp = []string{
	"callflowtest", "console", "worker", "webhook", "relay", "starter", "workflows", "activities",
	"ledger", "koreai", "simulator", "followup", "phone", "call",
}

// withoutInternal are the rooms that share nothing with the others: call is the ground, and a simulator that
// shared code with the product could be wrong together with it.
var withoutInternal = []string{"call", "simulator"}

// notBehindActivities is kept out of what a flow author's worker or test must link: drivers, and our clients of the network.
var notBehindActivities = []string{
	"modernc.org/sqlite", "github.com/jackc/pgx", "github.com/lib/pq",
	module + "/ledger", module + "/koreai",
}

// emptyNames say nothing. What has no better name has no place of its own yet.
var emptyNames = []string{"util", "utils", "helper", "helpers", "common", "misc"}

// A source is one parsed Go file; folder and file are relative to the root, with slashes.
type source struct {
	folder, file string
	syntax       *ast.File
	positions    *token.FileSet
}

func (s source) test() bool { return strings.HasSuffix(s.file, "_test.go") }

func (s source) at(node ast.Node) string {
	return fmt.Sprintf("%s:%d", s.file, s.positions.Position(node.Pos()).Line)
}

func TestArchitecture(t *testing.T) {
	sources := parseTree(t, ".")
	for _, s := range sources {
		for _, rule := range []func(source) []string{imports, zones, names, exposed} {
			for _, violation := range rule(s) {
				t.Error(violation)
			}
		}
	}
	for _, violation := range undocumented(sources) {
		t.Error(violation)
	}
}

func TestActivitiesComeWithoutDriversAndClients(t *testing.T) {
	if exists, _ := filepath.Glob("activities/*.go"); exists == nil {
		t.Skip("there is no package activities yet")
	}
	listed, err := exec.Command("go", "list", "-deps", "./activities").Output()
	if err != nil {
		t.Fatalf("go list -deps ./activities: %v", err)
	}
	for dependency := range strings.Lines(string(listed)) {
		if forbidden := forbiddenBehindActivities(strings.TrimSpace(dependency)); forbidden != "" {
			t.Errorf("activities brings in %s: it must not depend on %s; declare an interface in activities and "+
				"implement it elsewhere", strings.TrimSpace(dependency), forbidden)
		}
	}
}

func forbiddenBehindActivities(dependency string) string {
	for _, forbidden := range notBehindActivities {
		if dependency == forbidden || strings.HasPrefix(dependency, forbidden+"/") {
			return forbidden
		}
	}
	return ""
}

// roomOf is the room that a folder of the module belongs to, or "" when it belongs to none.
func roomOf(folder string) string {
	parts := strings.Split(folder, "/")
	switch parts[0] {
	case "cmd", "examples", "internal":
		if len(parts) < 2 {
			return ""
		}
		return parts[0] + "/" + parts[1]
	default:
		return parts[0]
	}
}

// allowed tells whether a package of the folder from may import one of the folder to, and if not, why.
func allowed(from, to string) (why string, ok bool) {
	importer, imported := roomOf(from), roomOf(to)
	if importer == imported {
		return "", true
	}
	may, known := row(importer)
	if !known {
		return "it is no room of the table in architecture_test.go", false
	}
	if strings.HasPrefix(imported, "internal/") {
		if slices.Contains(withoutInternal, importer) {
			return importer + " imports nothing internal", false
		}
		if imported == "internal/bench" || imported == "internal/cluster" {
			return imported + " is a program", false
		}
		return "", true
	}
	if slices.Contains(may, imported) {
		return "", true
	}
	if len(may) == 0 {
		return importer + " imports nothing of the product", false
	}
	return fmt.Sprintf("%s may import %s", importer, strings.Join(may, ", ")), false
}

// row finds a room's imports: by its own name, or by that of the hall it lies in, as examples/reminder does.
func row(room string) (may []string, known bool) {
	hall, _, _ := strings.Cut(room, "/")
	for _, name := range []string{room, hall} {
		for _, r := range house {
			if r.room == name {
				return r.may, true
			}
		}
	}
	return nil, room == "." // the root has documentation and no imports
}

func imports(s source) (violations []string) {
	if _, known := row(roomOf(s.folder)); !known {
		return []string{fmt.Sprintf("%s: folder %s is no room of the table in architecture_test.go", s.file, s.folder)}
	}
	for _, spec := range s.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler says it better
		}
		folder, ours := strings.CutPrefix(imported, module+"/")
		switch {
		case ours && (!s.test() || roomOf(s.folder) == "simulator"):
			if why, ok := allowed(s.folder, folder); !ok {
				violations = append(violations, fmt.Sprintf("%s imports %s: %s", s.at(spec), imported, why))
			}
		case !ours && !s.test() && roomOf(s.folder) == "call" && !standard(imported):
			violations = append(violations, fmt.Sprintf("%s imports %s: call uses the standard library only", s.at(spec), imported))
		}
	}
	return violations
}

// standard: only paths of the standard library have a first element without a dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// zones: time.LoadLocation reads the files of the host, which differ from machine to machine and change under a
// running one. phone has the product's own archive.
func zones(s source) (violations []string) {
	if roomOf(s.folder) == "phone" {
		return nil
	}
	clock := importName(s.syntax, "time")
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && n.Sel.Name == "LoadLocation" {
				violations = append(violations, s.at(n)+" calls time.LoadLocation: take the zone from package phone")
			}
		case *ast.Ident:
			if clock == "." && n.Name == "LoadLocation" {
				violations = append(violations, s.at(n)+" calls time.LoadLocation: take the zone from package phone")
			}
		}
		return true
	})
	return violations
}

// importName is the name under which a file knows a package, or "".
func importName(file *ast.File, imported string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(imported) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}

func names(s source) (violations []string) {
	file := strings.TrimSuffix(path.Base(s.file), ".go")
	for _, word := range append(strings.Split(file, "_"), s.syntax.Name.Name, path.Base(s.folder)) {
		if slices.Contains(emptyNames, word) {
			violations = append(violations, fmt.Sprintf("%s (package %s): %q says nothing; name it after what it does",
				s.file, s.syntax.Name.Name, word))
			break
		}
	}
	return violations
}

// exposed looks for types of internal packages in the signatures of public ones, which a user could not name.
func exposed(s source) (violations []string) {
	if s.test() || s.syntax.Name.Name == "main" || strings.HasPrefix(s.folder, "internal") {
		return nil
	}
	hidden := map[string]string{}
	for _, spec := range s.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err == nil && strings.HasPrefix(imported, module+"/internal/") {
			hidden[importName(s.syntax, imported)] = imported
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	for _, part := range signatures(s.syntax) {
		ast.Inspect(part, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				// An unexported field is nobody's business; parameters have no such protection.
				if _, inStruct := part.(*ast.TypeSpec); inStruct && len(n.Names) > 0 && !slices.ContainsFunc(n.Names, (*ast.Ident).IsExported) {
					return false
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && hidden[x.Name] != "" {
					violations = append(violations, fmt.Sprintf("%s exposes %s.%s in its exported API: nobody outside the "+
						"module can name it", s.at(n), hidden[x.Name], n.Sel.Name))
				}
			}
			return true
		})
	}
	return violations
}

// signatures are what a file shows to others: the types of its exported declarations, without bodies and values.
func signatures(file *ast.File) (parts []ast.Node) {
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() || d.Recv != nil && !exportedReceiver(d.Recv) {
				continue
			}
			parts = append(parts, d.Type)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						parts = append(parts, spec)
					}
				case *ast.ValueSpec:
					if spec.Type != nil && slices.ContainsFunc(spec.Names, (*ast.Ident).IsExported) {
						parts = append(parts, spec.Type)
					}
				}
			}
		}
	}
	return parts
}

func exportedReceiver(receiver *ast.FieldList) bool {
	for _, field := range receiver.List {
		kind := field.Type
		for {
			switch k := kind.(type) {
			case *ast.StarExpr:
				kind = k.X
				continue
			case *ast.IndexExpr:
				kind = k.X
				continue
			case *ast.IndexListExpr:
				kind = k.X
				continue
			case *ast.Ident:
				return k.IsExported()
			}
			break
		}
	}
	return true
}

// undocumented names the packages in which no file says what the package is for.
func undocumented(sources []source) (violations []string) {
	said := map[string]bool{}
	for _, s := range sources {
		if s.test() {
			continue
		}
		said[s.folder] = said[s.folder] || s.syntax.Doc != nil && strings.TrimSpace(s.syntax.Doc.Text()) != ""
	}
	for folder, documented := range said {
		if !documented {
			violations = append(violations, folder+": no file has a comment above its package clause; say in one what the package is for")
		}
	}
	slices.Sort(violations)
	return violations
}

// parseTree parses every Go file of the module: other modules, and what the go command ignores, left out.
func parseTree(t *testing.T, root string) (sources []source) {
	t.Helper()
	positions := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == root {
				return nil
			}
			base := entry.Name()
			nested, _ := filepath.Glob(filepath.Join(name, "go.mod"))
			if nested != nil || base == "testdata" || base == "vendor" || base == "bin" || base[0] == '.' || base[0] == '_' {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		syntax, err := parser.ParseFile(positions, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		sources = append(sources, source{
			folder: filepath.ToSlash(filepath.Dir(name)), file: filepath.ToSlash(name), syntax: syntax, positions: positions,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(sources, func(s source) bool { return s.file == "doc.go" }) {
		t.Fatal("the walk over the module did not meet doc.go: it looked at the wrong place")
	}
	return sources
}

// A gate that cannot fail guards nothing: every rule must let the good through and stop what is planted here.
func TestTheRulesCanFail(t *testing.T) {
	tests := map[string]struct {
		rule       func(source) []string
		file, code string
		want       string // part of the one violation; "" for none
	}{
		"down the table":                    {imports, "relay/relay.go", `import "redial/ledger"`, ""},
		"up the table":                      {imports, "ledger/ledger.go", `import "redial/relay"`, "ledger may import followup, call"},
		"sideways":                          {imports, "webhook/handler.go", `import "redial/relay"`, "webhook/handler.go:2 imports redial/relay"},
		"past a door":                       {imports, "cmd/redial/main.go", `import "redial/worker"`, "cmd/redial may import app"},
		"within a room":                     {imports, "ledger/ledger.go", `import "redial/ledger/sqlite"`, ""},
		"from a corner of a room":           {imports, "ledger/sqlite/open.go", `import "redial/koreai"`, "imports redial/koreai"},
		"a test is free":                    {imports, "ledger/ledger_test.go", `import "redial/relay"`, ""},
		"a test of simulator is not":        {imports, "simulator/call_test.go", `import "redial/call"`, "simulator imports nothing"},
		"simulator alone":                   {imports, "simulator/server.go", `import "redial/internal/token"`, "imports nothing internal"},
		"call alone":                        {imports, "call/event.go", `import "redial/internal/token"`, "imports nothing internal"},
		"call and the standard library":     {imports, "call/event.go", `import "encoding/json"`, ""},
		"call and others":                   {imports, "call/event.go", `import "github.com/google/uuid"`, "standard library only"},
		"an example and the public":         {imports, "examples/reminder/main.go", `import "redial/app"`, ""},
		"an example and another":            {imports, "examples/reminder/main.go", `import "redial/examples/survey"`, "imports redial/examples/survey"},
		"internal and the ground":           {imports, "internal/config/config.go", `import "redial/phone"`, ""},
		"internal and internal":             {imports, "internal/config/config.go", `import "redial/internal/token"`, ""},
		"internal and the rooms above":      {imports, "internal/config/config.go", `import "redial/ledger"`, "imports redial/ledger"},
		"devserver alone":                   {imports, "internal/devserver/find.go", `import "redial/call"`, "imports nothing of the product"},
		"devserver and its own":             {imports, "internal/devserver/which/main.go", `import "redial/internal/devserver"`, ""},
		"a room that nobody planned":        {imports, "dialer/dialer.go", ``, "no room of the table"},
		"a command that nobody planned":     {imports, "cmd/tool/main.go", ``, "no room of the table"},
		"the host's zones":                  {zones, "followup/window.go", "import \"time\"\nvar _, _ = time.LoadLocation(\"UTC\")", "followup/window.go:3 calls time.LoadLocation"},
		"the host's zones, renamed":         {zones, "followup/window.go", "import clock \"time\"\nvar load = clock.LoadLocation", "calls time.LoadLocation"},
		"the host's zones, without a name":  {zones, "followup/window.go", "import . \"time\"\nvar load = LoadLocation", "calls time.LoadLocation"},
		"the host's zones, in phone":        {zones, "phone/zone.go", "import \"time\"\nvar load = time.LoadLocation", ""},
		"another LoadLocation":              {zones, "followup/window.go", "import \"redial/phone\"\nvar load = phone.LoadLocation", ""},
		"an empty file name":                {names, "ledger/sqlite_util.go", ``, `"util" says nothing`},
		"an empty folder name":              {names, "internal/common/x.go", ``, `"common" says nothing`},
		"a name":                            {names, "ledger/utility_rate.go", ``, ""},
		"an internal type in a signature":   {exposed, "webhook/h.go", "import \"redial/internal/token\"\nfunc New(k token.Key) {}", "exposes redial/internal/token.Key"},
		"an internal type in a method":      {exposed, "webhook/h.go", "import \"redial/internal/token\"\nfunc (h *Handler) Key() *token.Key { return nil }", "exposes"},
		"an internal type in a field":       {exposed, "webhook/h.go", "import \"redial/internal/token\"\ntype H struct{ Key token.Key }", "exposes"},
		"an internal type, embedded":        {exposed, "webhook/h.go", "import \"redial/internal/token\"\ntype H struct{ token.Key }", "exposes"},
		"an internal type, renamed":         {exposed, "webhook/h.go", "import tk \"redial/internal/token\"\ntype Key = tk.Key", "exposes"},
		"an internal type in a field of us": {exposed, "webhook/h.go", "import \"redial/internal/token\"\ntype H struct{ key token.Key }", ""},
		"an internal type in a body":        {exposed, "webhook/h.go", "import \"redial/internal/token\"\nfunc New() { var _ token.Key }", ""},
		"an internal type among ourselves":  {exposed, "webhook/h.go", "import \"redial/internal/token\"\nfunc (h handler) Key(token.Key) {}", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.rule(planted(t, test.file, test.code))
			switch {
			case test.want == "" && len(got) > 0:
				t.Errorf("stopped: %q", got)
			case test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)):
				t.Errorf("got %q, want one violation with %q", got, test.want)
			}
		})
	}

	t.Run("a package without documentation", func(t *testing.T) {
		silent, spoken := planted(t, "relay/relay.go", ""), planted(t, "ledger/ledger.go", "")
		spoken.syntax.Doc = &ast.CommentGroup{List: []*ast.Comment{{Text: "// Package ledger keeps."}}}
		if got := undocumented([]source{silent, spoken}); len(got) != 1 || !strings.HasPrefix(got[0], "relay:") {
			t.Errorf("got %q, want one violation about relay", got)
		}
	})
	t.Run("a driver behind activities", func(t *testing.T) {
		for dependency, stopped := range map[string]bool{
			"github.com/jackc/pgx/v5/pgconn": true, "redial/koreai": true, "redial/koreaidle": false, "redial/call": false,
		} {
			if got := forbiddenBehindActivities(dependency) != ""; got != stopped {
				t.Errorf("%s stopped: %t, want %t", dependency, got, stopped)
			}
		}
	})
}

func planted(t *testing.T, file, code string) source {
	t.Helper()
	positions := token.NewFileSet()
	folder := path.Dir(file)
	syntax, err := parser.ParseFile(positions, file, "package "+path.Base(folder)+"\n"+code+"\n", parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{folder: folder, file: file, syntax: syntax, positions: positions}
}
