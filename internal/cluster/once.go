package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"redial/call"
	"redial/simulator"
)

// checkFor is how long the simulated calls may take, on a machine that does much else.
const checkFor = 2 * time.Minute

// example is a simulated call and what has to become of it.
type example struct {
	id, to, simulate string
	outcome          call.Outcome
	attempts         []call.Disposition
}

var examples = []example{
	{"human", "+14155550101", "human", call.Outcome(call.Human), []call.Disposition{call.Human}},
	{"machine-then-human", "+14155550102", "machine,human", call.Outcome(call.Human), []call.Disposition{call.Machine, call.Human}},
	{"busy", "+14155550103", "busy", call.Outcome(call.Busy), []call.Disposition{call.Busy}},
}

const examplePolicy = "on: {human: done, machine: {retry: [2s]}, busy: stop}\n"

// check places the examples, each by redial call, and checks what the flow, the gateway and the console say of them.
func (d *deployment) check(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	policy := filepath.Join(d.folder, "policy.yaml")
	if err := os.WriteFile(policy, []byte(examplePolicy), 0o600); err != nil {
		return err
	}
	run := strconv.FormatInt(time.Now().Unix(), 36) // an id is called once, also in a folder that was kept
	results := make(chan error, len(examples))
	for _, e := range examples {
		go func() { results <- d.place(ctx, e, run, policy) }()
	}
	for range examples {
		if err := <-results; err != nil {
			return err
		}
	}
	if err := d.checkGateway(ctx); err != nil {
		return err
	}
	if err := d.checkConsole(ctx); err != nil {
		return err
	}
	for _, b := range d.proxy.webhooks {
		if b.served.Load() == 0 {
			return fmt.Errorf("the proxy gave the webhook at %s nothing", b.address)
		}
	}
	for _, p := range d.parts {
		if err := p.Err(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%d simulated calls, each with the outcome that was expected, through %d processes\n", len(examples), len(d.parts))
	return err
}

func (d *deployment) place(ctx context.Context, e example, run, policy string) error {
	cmd := d.redial(ctx, "call", "--to", e.to, "--id", e.id+"-"+run, "--policy", policy, "--metadata", "simulate="+e.simulate, "--wait", "--json")
	var said, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("call %s: %w: %s", e.id, err, complaint.String())
	}
	var r call.Result
	if err := json.Unmarshal(said.Bytes(), &r); err != nil {
		return fmt.Errorf("call %s: its result is no JSON: %w", e.id, err)
	}
	var attempts []call.Disposition
	for _, a := range r.Attempts {
		attempts = append(attempts, a.Disposition)
	}
	if r.Outcome != e.outcome || !slices.Equal(attempts, e.attempts) {
		return fmt.Errorf("call %s: outcome %s by attempts %v, and not %s by %v", e.id, r.Outcome, attempts, e.outcome, e.attempts)
	}
	return nil
}

// checkGateway asks the gateway what was really placed.
func (d *deployment) checkGateway(ctx context.Context) error {
	text, err := get(ctx, d.simulator+"/simulator/stats")
	if err != nil {
		return err
	}
	var s simulator.Stats
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	want := 0
	for _, e := range examples {
		want += len(e.attempts)
	}
	if s.Launched != want || s.DuplicateDials != 0 || s.MaxPerTarget > 1 {
		return fmt.Errorf("the gateway placed %d calls and not %d, %d attempts more than once, up to %d at a time to one number",
			s.Launched, want, s.DuplicateDials, s.MaxPerTarget)
	}
	return nil
}

func (d *deployment) checkConsole(ctx context.Context) error {
	text, err := get(ctx, d.console+"/metrics")
	if err != nil {
		return err
	}
	for _, line := range []string{"redial_ledger_up 1", "redial_contacts_open 0", "redial_attempts_unknown 0"} {
		if !strings.Contains(string(text), line+"\n") {
			return fmt.Errorf("the console's metrics do not say %q", line)
		}
	}
	return nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, response.Status, text)
	}
	return text, err
}
