package followup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
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
	if len(data) > MaxPolicySize {
		return Policy{}, fmt.Errorf("the policy is larger than %d KiB", MaxPolicySize>>10)
	}
	if !utf8.Valid(data) {
		return Policy{}, errors.New("the policy is not UTF-8 text: save it as such")
	}
	var p Policy
	decoder := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := decoder.Decode(&p); err != nil {
		if errors.Is(err, io.EOF) {
			return Policy{}, errors.New("the policy is empty: write at least a name")
		}
		return Policy{}, explain(err, data)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Policy{}, errors.New("the file holds more than one document: write one policy to a file")
	}
	if err := p.Validate(); err != nil {
		key, problem, _ := strings.Cut(err.Error(), ": ")
		// A key that is missing has no line; the mapping that should hold it has one.
		for k := key; k != ""; k = k[:max(0, strings.LastIndexAny(k, ".["))] {
			if line := lineOf(data, func(path string, _ *token.Token) bool { return path == "$."+k }); line > 0 {
				return Policy{}, fmt.Errorf("line %d: %s: %s", line, key, problem)
			}
		}
		return Policy{}, err
	}
	return p, nil
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
