package followup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxPolicySize is the largest policy that is read, in bytes.
const MaxPolicySize = 256 << 10

// Parse reads a policy in YAML or JSON. Unknown keys, wrong types and values out of range are errors that name the line
// where the parser knows it, and the key.
func Parse(data []byte) (Policy, error) {
	var p Policy
	if err := read(data, "policy", MaxPolicySize, &p); err != nil {
		return Policy{}, err
	}
	err := p.Validate()
	if err == nil {
		err = p.whole(data)
	}
	if err != nil {
		return Policy{}, located(data, err)
	}
	return p, nil
}

// read reads one document strictly. What is its name.
func read(data []byte, what string, most int, into any) error {
	if len(data) > most {
		return fmt.Errorf("the %s is larger than %d KiB", what, most>>10)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("the %s is not UTF-8 text: save it as such", what)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the %s is empty: see docs/policy.md for one", what)
		}
		return explain(err, data)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the file holds more than one document: write one %s to a file", what)
	}
	return nil
}

// located puts the line of the key before an error that begins with the key.
func located(data []byte, err error) error {
	if err == nil {
		return nil
	}
	key, problem, _ := strings.Cut(err.Error(), ": ")
	// A key that is missing has no line; the mapping that should hold it has one.
	for k := key; k != ""; k = k[:max(0, strings.LastIndexAny(k, ".["))] {
		if line := lineOf(data, func(path string, _ *token.Token) bool { return path == "$."+k }); line > 0 {
			return fmt.Errorf("line %d: %s: %s", line, key, problem)
		}
	}
	return err
}

// written tells whether a key stands in the text.
func written(data []byte, key string) bool {
	return lineOf(data, func(path string, _ *token.Token) bool { return path == "$."+key }) > 0
}

// wholeNumbers are the keys whose values the parser would cut at the point.
var wholeNumbers = regexp.MustCompile(`^\$\.(jitter|attempts|dial\.threshold_words|limits\[\d+\]\.calls)$`)

// whole names what the parser has let pass: a window that is written and says nothing, and a number that is not whole.
func (p Policy) whole(data []byte) error {
	const remedy = "it is empty: name days, holidays or presets, or leave it out"
	switch {
	case p.Window.IsZero() && written(data, "window"):
		return errors.New("window: " + remedy)
	case len(p.Window.Days) == 0 && written(data, "window.days"):
		return errors.New("window.days: " + remedy)
	}
	var key, value string
	if lineOf(data, func(path string, t *token.Token) bool {
		key, value = strings.TrimPrefix(path, "$."), t.Value
		return t.Type == token.FloatType && wholeNumbers.MatchString(path)
	}) > 0 {
		return fmt.Errorf("%s: %s is not a whole number", key, value)
	}
	return nil
}

// explain is what is wrong, in one line that names the line and the key.
func explain(err error, data []byte) error {
	var value *valueError
	if errors.As(err, &value) {
		return at(data, value.Error(), func(_ string, t *token.Token) bool { return t.Value == value.text })
	}
	var y yaml.Error
	if !errors.As(err, &y) {
		return err
	}
	message, _, _ := strings.Cut(y.GetMessage(), "\n")
	found := y.GetToken()
	if found == nil {
		return errors.New(message)
	}
	var kind *yaml.TypeError
	if errors.As(err, &kind) {
		message = fmt.Sprintf("%q is not %s", found.Value, kindOf(kind.DstType))
	}
	if kind != nil {
		return at(data, message, func(_ string, t *token.Token) bool { return t.Position.Offset == found.Position.Offset })
	}
	return fmt.Errorf("line %d: %s", found.Position.Line, message)
}

// kindOf says in words what a value has to be.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	default:
		return "a mapping of keys to values"
	}
}

// at puts the place of the first value that fits before a message.
func at(data []byte, message string, fits func(path string, t *token.Token) bool) error {
	var key string
	line := lineOf(data, func(path string, t *token.Token) bool {
		key = strings.TrimPrefix(path, "$.")
		return fits(path, t)
	})
	if line == 0 {
		return errors.New(message)
	}
	return fmt.Errorf("line %d: %s: %s", line, key, message)
}

// lineOf is the line of the first value that fits; 0 when none does.
func lineOf(data []byte, fits func(path string, t *token.Token) bool) int {
	file, err := parser.ParseBytes(data, 0)
	if err != nil || len(file.Docs) == 0 {
		return 0
	}
	finder := &finder{fits: fits}
	ast.Walk(finder, file.Docs[0].Body)
	return finder.line
}

type finder struct {
	fits func(path string, t *token.Token) bool
	line int
}

// Visit looks at one node; the walk goes on below it until something fits.
func (f *finder) Visit(node ast.Node) ast.Visitor {
	if f.line > 0 {
		return nil
	}
	if t := node.GetToken(); t != nil && f.fits(node.GetPath(), t) {
		f.line = t.Position.Line
		return nil
	}
	return f
}
