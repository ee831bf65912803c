package followup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// MaxPolicySize is the largest policy that is read, in bytes.
const MaxPolicySize = 256 << 10

// notYet are keys of the format whose rules this version cannot keep. A policy that has one is refused: dialing on
// while a window or a cap is ignored would be worse than not dialing.
var notYet = []string{"window", "limits"}

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
		return Policy{}, oneLine(err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Policy{}, errors.New("the file holds more than one document: write one policy to a file")
	}
	if err := p.validate(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// oneLine is the parser's message without its picture of the source.
func oneLine(err error) error {
	var y yaml.Error
	if !errors.As(err, &y) {
		return err
	}
	message, line := y.GetMessage(), 0
	if token := y.GetToken(); token != nil {
		line = token.Position.Line
		for _, key := range notYet {
			if token.Value == key {
				message = fmt.Sprintf("%s: this version cannot keep %s yet, and does not dial while ignoring it", key, key)
			}
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	if line > 0 {
		return fmt.Errorf("line %d: %s", line, message)
	}
	return errors.New(message)
}
