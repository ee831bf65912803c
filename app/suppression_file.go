package app

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"redial/ledger"
	"redial/phone"
	"redial/starter"
)

const (
	largestSuppressionFile = 64 << 20 // bytes
	mostSuppressionRows    = 1_000_000
	mostToldBad            = 20 // bad rows of which each is told
)

// suppressionColumns are the names that columns of a suppression file may have.
var suppressionColumns = map[string]string{
	"number": "number", "phone": "number", "target": "number", "contact": "contact", "contact_id": "contact",
	"reason": "reason", "source": "source", "expires": "expires",
}

// suppressionFile is a CSV file of numbers and contacts that must not be called.
type suppressionFile struct {
	name           string // "-": standard input
	stdin          io.Reader
	region         string
	reason, source string // for rows that do not say so; "": by the file's name
	ids            starter.Starter
	now            time.Time

	header  []string
	columns map[string]int    // where they are, by their meaning
	texts   map[string]string // reasons and sources, each kept once
	rows    int
	entries []suppressionEntry
	bad     int
	told    []string // the first bad rows
}

// suppressionEntry is one number or contact of a file. A file may have a million.
type suppressionEntry struct {
	suppressed
	reason, source string
	expires        time.Time
}

// String is what the file is called.
func (f *suppressionFile) String() string {
	if f.name == "-" {
		return "standard input"
	}
	return f.name
}

func (f *suppressionFile) open() (io.ReadCloser, error) {
	if f.name == "-" {
		return io.NopCloser(f.stdin), nil
	}
	return os.Open(f.name)
}

// read reads all rows. An error is of the file as a whole; bad rows are counted and told.
func (f *suppressionFile) read() error {
	data, err := f.data()
	if err != nil {
		return err
	}
	base := filepath.Base(f.String())
	f.reason, f.source, f.texts = cmp.Or(f.reason, "on the list "+base), cmp.Or(f.source, "import "+base), map[string]string{}
	if err := f.count(data); err != nil { // before a million numbers are looked at
		return err
	}
	return eachRow(data, func(line int, row []string) error {
		if f.header == nil {
			return f.nameColumns(row)
		}
		f.row(line, row)
		return nil
	})
}

// count checks that the file is CSV from its first row to its last, and that it has no more rows than may be.
func (f *suppressionFile) count(data []byte) error {
	err := eachRow(data, func(int, []string) error {
		if f.rows++; f.rows > 1+mostSuppressionRows {
			return fmt.Errorf("it has more than %d rows: split it", mostSuppressionRows)
		}
		return nil
	})
	if err == nil && f.rows == 0 {
		err = errors.New("it is empty: write a first row that names the columns, such as number,reason")
	}
	f.rows = max(0, f.rows-1)
	return err
}

// eachRow reads CSV row by row; a row is kept for as long as it is looked at. Rows without anything in them are passed over, the first
// one excepted.
func eachRow(data []byte, do func(line int, row []string) error) error {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = separator(data), true, -1
	for first := true; ; first = false {
		row, err := r.Read()
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &syntax):
			return fmt.Errorf("line %d: %w: put a cell that has quotes in it into quotes, and double those", syntax.Line, syntax.Err)
		case err != nil:
			return err
		case !first && strings.TrimSpace(strings.Join(row, "")) == "":
			continue
		}
		line, _ := r.FieldPos(0)
		if err := do(line, row); err != nil {
			return err
		}
	}
}

// data is the file's content in UTF-8, without a byte order mark.
func (f *suppressionFile) data() ([]byte, error) {
	file, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("%w: name a file that can be read", cmp.Or(errors.Unwrap(err), err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, largestSuppressionFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: name a file that can be read", cmp.Or(errors.Unwrap(err), err))
	case len(data) > largestSuppressionFile:
		return nil, fmt.Errorf("it has more than %d MiB: split it", largestSuppressionFile>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for line, rest := 1, data; !utf8.Valid(rest); line++ {
		text, after, _ := bytes.Cut(rest, []byte("\n"))
		if !utf8.Valid(text) {
			return nil, fmt.Errorf("line %d is not in UTF-8: save the file as CSV in UTF-8", line)
		}
		rest = after
	}
	return data, nil
}

// separator is what stands between the columns: a comma, or a semicolon where spreadsheets use the comma in numbers.
func separator(data []byte) rune {
	header, _, _ := bytes.Cut(data, []byte("\n"))
	if bytes.Count(header, []byte(";")) > bytes.Count(header, []byte(",")) {
		return ';'
	}
	return ','
}

// nameColumns finds the columns by the first row.
func (f *suppressionFile) nameColumns(header []string) error {
	f.columns = map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		f.header = append(f.header, strings.Clone(name))
		meaning, known := suppressionColumns[strings.ToLower(name)]
		if !known {
			continue
		}
		if before, twice := f.columns[meaning]; twice {
			return fmt.Errorf("line 1: the columns %.40q and %.40q mean the same: leave one of them out", f.header[before], name)
		}
		f.columns[meaning] = i
	}
	_, numbers := f.columns["number"]
	_, contacts := f.columns["contact"]
	if !numbers && !contacts {
		return errors.New("line 1 names no column number, phone, target, contact or contact_id: write a first row that names the columns")
	}
	return nil
}

// row takes one row, and tells of it if it is bad.
func (f *suppressionFile) row(line int, row []string) {
	entries, err := f.parse(row)
	if err == nil {
		f.entries = append(f.entries, entries...)
		return
	}
	if f.bad++; f.bad <= mostToldBad {
		f.told = append(f.told, fmt.Sprintf("%s: line %d, %s", f, line, err))
	}
}

// parse reads the numbers and contacts of one row.
func (f *suppressionFile) parse(row []string) ([]suppressionEntry, error) {
	if len(row) != len(f.header) {
		return nil, fmt.Errorf("which has %d columns, and the first row has %d: put a cell with a separator in it into quotes", len(row), len(f.header))
	}
	var e suppressionEntry
	var err error
	if e.reason, err = f.text(row, "reason", f.reason, longestReason); err != nil {
		return nil, err
	}
	if e.source, err = f.text(row, "source", f.source, longestSource); err != nil {
		return nil, err
	}
	if e.expires, err = expiry(f.cell(row, "expires"), f.now); err != nil {
		return nil, f.in("expires", err)
	}
	number, contact := f.cell(row, "number"), f.cell(row, "contact")
	var entries []suppressionEntry
	if number != "" {
		to, err := phone.Parse(number, f.region)
		if err != nil {
			return nil, f.in("number", errors.New(unparsable(number, err)))
		}
		e.suppressed = suppressed{ledger.SuppressedNumber, to.URI}
		entries = append(entries, e)
	}
	if contact != "" {
		id, err := f.ids.ContactID(contact)
		if err != nil {
			return nil, f.in("contact", err)
		}
		e.suppressed = suppressed{ledger.SuppressedContact, strings.Clone(id)}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil, errors.New("which names nobody: fill in a number or a contact, or take the row out")
	}
	return entries, nil
}

// cell is the row's cell in a column; "" where there is no such column.
func (f *suppressionFile) cell(row []string, meaning string) string {
	i, there := f.columns[meaning]
	if !there {
		return ""
	}
	return strings.TrimSpace(row[i])
}

// text is a cell that people have written, or what is said in its place.
func (f *suppressionFile) text(row []string, meaning, otherwise string, most int) (string, error) {
	text := f.cell(row, meaning)
	if text == "" {
		return otherwise, nil
	}
	if err := plainText(text, most); err != nil {
		return "", f.in(meaning, err)
	}
	if _, known := f.texts[text]; !known {
		text = strings.Clone(text) // else the whole row would be kept with it
		f.texts[text] = text
	}
	return f.texts[text], nil
}

// in is what is wrong in a column, by the name that the file has for it.
func (f *suppressionFile) in(meaning string, err error) error {
	return fmt.Errorf("column %.40q: %w", f.header[f.columns[meaning]], err)
}
