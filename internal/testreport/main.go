// Command testreport runs go test for a person: it prints go test's own line for every package, all that failing
// tests say, and at the end every test that was skipped with its reason, which go test keeps to itself.
//
//	go run ./internal/testreport [flags and packages of go test]
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	code, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	os.Exit(code)
}

func run(args []string, w io.Writer) (code int, err error) {
	// Ctrl-C reaches go test too. We stay until it has ended, and then say what it said.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)

	test := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	test.Stderr = os.Stderr
	events, err := test.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := test.Start(); err != nil {
		return 1, fmt.Errorf("start go test: %w", err)
	}
	err = report(events, w, slices.Contains(args, "-v"))
	if wait := test.Wait(); wait != nil {
		var exit *exec.ExitError
		if errors.As(wait, &exit) && exit.ExitCode() > 0 {
			return exit.ExitCode(), err
		}
		return 1, errors.Join(err, wait)
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// An event is a line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
}

// report reads the events of one run and writes what a person wants to see of it.
func report(events io.Reader, w io.Writer, verbose bool) error {
	type test struct{ pkg, name string }
	said := map[test]*strings.Builder{}
	skipped := map[string][]string{} // tests by reason

	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(w, line) // not test2json's, but somebody's
				continue
			}
			key := test{e.Package, e.Test}
			switch {
			case e.Action == "build-output" || e.Action == "output" && verbose:
				fmt.Fprint(w, e.Output)
			case e.Action == "output" && e.Test == "":
				if strings.HasPrefix(e.Output, "FAIL\t") {
					// A panic or a timeout ends tests without a verdict; what they said last is why.
					for other, text := range said {
						if other.pkg == e.Package {
							fmt.Fprint(w, text)
							delete(said, other)
						}
					}
				}
				if e.Output != "PASS\n" && !strings.HasPrefix(e.Output, "?   \t") {
					fmt.Fprint(w, e.Output)
				}
			case e.Action == "output":
				if strings.HasPrefix(e.Output, "=== ") {
					continue
				}
				if said[key] == nil {
					said[key] = &strings.Builder{}
				}
				said[key].WriteString(e.Output)
			case e.Action == "fail" && e.Test != "":
				if text := said[key]; text != nil {
					fmt.Fprint(w, text)
				}
				delete(said, key)
			case e.Action == "skip" && e.Test != "":
				why := reason(said[key])
				skipped[why] = append(skipped[why], "    "+e.Package+" "+e.Test)
				delete(said, key)
			case e.Action == "pass":
				delete(said, key)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read go test's events: %w", err)
		}
	}
	if len(skipped) > 0 {
		fmt.Fprintln(w, "\nNOT RUN:")
		for _, why := range slices.Sorted(maps.Keys(skipped)) {
			slices.Sort(skipped[why])
			fmt.Fprintf(w, "  %s\n%s\n", why, strings.Join(skipped[why], "\n"))
		}
	}
	return nil
}

// reason is what a skipped test said, on one line, without the place and the verdict.
func reason(said *strings.Builder) string {
	if said == nil {
		return "no reason given"
	}
	var words []string
	for line := range strings.Lines(said.String()) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "--- SKIP") {
			continue
		}
		if place, rest, found := strings.Cut(line, ": "); found && strings.Contains(place, ".go:") {
			line = rest
		}
		words = append(words, line)
	}
	if len(words) == 0 {
		return "no reason given"
	}
	return strings.Join(words, " ")
}
