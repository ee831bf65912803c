package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"redial/call"
	"redial/followup"
	"redial/internal/config"
	"redial/phone"
	"redial/starter"
	"redial/workflows"
)

// maxMetadata is the most metadata that is taken, in bytes: facts say to keep it below 4 KB, the limit of the gateway is
// not known, and all of it stands in the run's history.
const maxMetadata = 16 << 10

// callFlags are the flags of redial call.
type callFlags struct {
	to                                               []string
	id, campaign, flow, input, caller, trunk, policy string
	zone, subject, consent                           string
	metadata                                         []string
	metadataFile                                     string
	toGiven, wait, json                              bool
}

func callCommand() *cobra.Command {
	var f callFlags
	c := &cobra.Command{
		Use:   "call --to TARGET",
		Short: "Start one outbound call",
		Long: `Start a call flow for one contact. It dials until the contact has its outcome, for minutes or for weeks, whether or
not this command waits. The same --id is never called twice.

Exit status: 0 started, or with --wait an outcome exists; 1 it failed or the id was called before; 2 wrong usage or input.`,
		Example: `  redial call --to +14155550100 --wait
  redial call --to sip:anna@pbx.example.com --id anna-7 --policy reminder.yaml --metadata name=Anna`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			f.toGiven = c.Flags().Changed("to")
			return startCall(c, f)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&f.to, "to", nil, "who is called: +E.164, tel: or sip: (required, unless the flow's input says it); given again: the contact's next number")
	flags.StringVar(&f.id, "id", "", "the contact's id; a random one where none is given")
	flags.StringVar(&f.campaign, "campaign", "", "the campaign the contact belongs to")
	flags.StringVar(&f.flow, "flow", workflows.NameOutboundCall, "the flow that makes the call")
	flags.StringVar(&f.input, "input", "", "file with the flow's own input, YAML or JSON; - reads standard input")
	flags.StringVar(&f.caller, "caller", "", "caller id; the worker's KORE_CALLER where none is given")
	flags.StringVar(&f.trunk, "trunk", "", "trunk; the worker's KORE_TRUNK where none is given")
	flags.StringVar(&f.policy, "policy", "", "file with the policy, YAML or JSON, or ledger:NAME for one that the run follows; the default policy where none is given")
	flags.StringVar(&f.zone, "zone", "", "the recipient's time zone, like Europe/Paris; guessed from the number where none is given")
	flags.StringVar(&f.subject, "subject", "", "what the call is about, such as a debt: limits by subject count over all contacts that have it")
	flags.StringVar(&f.consent, "consent", "", "file with the recipient's consent, YAML or JSON: scope, source, at, expires")
	flags.StringArrayVar(&f.metadata, "metadata", nil, "key=value for the bot; may be given several times")
	flags.StringVar(&f.metadataFile, "metadata-json", "", "file with a JSON object for the bot; - reads standard input")
	flags.BoolVar(&f.wait, "wait", false, "wait for the outcome and print the result")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return c
}

func startCall(c *cobra.Command, f callFlags) error {
	cfg, err := config.FromEnvironment()
	if err != nil {
		return err
	}
	policy, err := findPolicy(c.Context(), cfg, f.policy)
	if err != nil {
		return err
	}
	in, err := f.runInput(c.Context(), policy, c.InOrStdin())
	if err != nil {
		return usageError{err}
	}
	for _, to := range append([]call.Target{in.To}, in.Further...) {
		if to.URI == "" {
			continue
		}
		if err := cfg.AllowTo.Check(to); err != nil {
			return err
		}
	}
	warn(c, in.Policy)
	temporal, err := connectQuietly(c.Context())
	if err != nil {
		return err
	}
	defer temporal.Close()
	s := starter.Starter{Client: temporal, IDKey: cfg.IDKey()}
	started, err := s.Call(c.Context(), f.flow, in)
	if errors.Is(err, starter.ErrDuplicateID) && f.policy != "" {
		return fmt.Errorf("%w; another policy for its run: redial change-policy %s --policy %s", err, f.id, f.policy)
	}
	if err != nil {
		return explain(err)
	}
	if f.wait {
		return awaitResult(c, s, started, f.json)
	}
	if f.json {
		return printJSON(c.OutOrStdout(), started)
	}
	fmt.Fprintf(c.OutOrStdout(), "started %s (run %s); see: %s show %s\n", started.WorkflowID, started.RunID, os.Args[0], started.ContactID)
	return nil
}

// awaitResult waits for a call's outcome and prints it. A contact that was called before, by a run that Temporal does
// not remember, is refused by the ledger: that is a failure, as it is when Temporal remembers.
func awaitResult(c *cobra.Command, s starter.Starter, started starter.Call, asJSON bool) error {
	fmt.Fprintf(c.ErrOrStderr(), "redial: waiting for the outcome of %s; it goes on when this command is stopped\n", started.WorkflowID)
	r, err := s.Result(c.Context(), started)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(c.OutOrStdout(), r)
	} else {
		printResult(c.OutOrStdout(), r)
	}
	if err == nil && r.Outcome == call.OutcomeDuplicateID {
		err = fmt.Errorf("%w: %s; nothing was dialed", starter.ErrDuplicateID, r.Reason)
	}
	return err
}

// runInput makes a run's input from the flags. All of its errors are the user's.
func (f callFlags) runInput(ctx context.Context, p workflows.Under, stdin io.Reader) (workflows.Input, error) {
	in := workflows.Input{ContactID: f.id, Campaign: f.campaign, Caller: f.caller, Trunk: f.trunk, Subject: f.subject,
		Policy: p.Policy, Follows: p.Follows, FollowsVersion: p.Version}
	flow, data, err := f.readFlow(ctx, stdin)
	if err != nil {
		return in, err
	}
	in.Data = data
	if !f.toGiven && flow.Name() == workflows.NameOutboundCall {
		return in, errors.New("--to is missing: say who is called, for example --to +14155550100")
	}
	if f.toGiven {
		if err := f.readTargets(&in); err != nil {
			return in, err
		}
	}
	if in.Consent, err = readConsent(f.consent); err != nil {
		return in, err
	}
	in.Metadata, err = f.readMetadata(stdin)
	return in, err
}

// readTargets reads the contact's numbers, all of them in the zone that is stated.
func (f callFlags) readTargets(in *workflows.Input) error {
	var all []call.Target
	for _, text := range f.to {
		t, err := phone.Parse(text, "")
		if err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		t.Zone = f.zone
		all = append(all, t)
	}
	in.To, in.Further = all[0], all[1:]
	return nil
}

func readConsent(file string) (*followup.Consent, error) {
	if file == "" {
		return nil, nil
	}
	data, err := readFile(file, followup.MaxConsentSize)
	if err != nil {
		return nil, fmt.Errorf("--consent: %w", err)
	}
	c, err := followup.ParseConsent(data)
	if err != nil {
		return nil, fmt.Errorf("--consent %s: %w", file, err)
	}
	return &c, nil
}

func (f callFlags) readMetadata(stdin io.Reader) (map[string]any, error) {
	metadata := map[string]any{}
	if f.metadataFile != "" {
		data, err := readAll(f.metadataFile, stdin, maxMetadata)
		if err != nil {
			return nil, fmt.Errorf("--metadata-json: %w", err)
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		if err := decoder.Decode(&metadata); err != nil || decoder.More() {
			return nil, fmt.Errorf("--metadata-json %s: it is not one JSON object", f.metadataFile)
		}
	}
	for _, pair := range f.metadata {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("--metadata %q: write key=value", pair)
		}
		metadata[key] = value
	}
	if data, err := json.Marshal(metadata); err != nil || len(data) > maxMetadata {
		return nil, fmt.Errorf("--metadata: more than %d bytes as JSON", maxMetadata)
	}
	if len(metadata) == 0 {
		return nil, nil
	}
	return metadata, nil
}

// readAll reads a file, or standard input, where one is given, when it is named -.
func readAll(file string, stdin io.Reader, most int) ([]byte, error) {
	if file != "-" || stdin == nil {
		return readFile(file, most)
	}
	data, err := io.ReadAll(io.LimitReader(stdin, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("standard input has more than %d bytes", most)
	}
	return data, err
}

func readFile(file string, most int) ([]byte, error) {
	handle, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w; name a file that can be read", err)
	}
	defer handle.Close()
	data, err := io.ReadAll(io.LimitReader(handle, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w; name a file that can be read", err)
	case len(data) > most:
		return nil, fmt.Errorf("%s has more than %d bytes", file, most)
	}
	return data, nil
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func printResult(w io.Writer, r call.Result) {
	fmt.Fprintf(w, "%s: %s", r.WorkflowID, r.Outcome)
	if r.Reason != "" {
		fmt.Fprintf(w, " (%s)", r.Reason)
	}
	fmt.Fprintln(w)
	for _, a := range r.Attempts {
		fmt.Fprintf(w, "  attempt %d: %s\n", a.N, describeAttempt(a))
	}
}

// describeAttempt is one attempt in words.
func describeAttempt(a call.Attempt) string {
	var b strings.Builder
	if a.Disposition == "" {
		fmt.Fprintf(&b, "%s", a.State)
	} else {
		fmt.Fprintf(&b, "%s", a.Disposition)
	}
	if a.Reason != "" {
		said := a.Reason
		if !strings.Contains(said, a.ReasonCode) { // the older gateway says it in both
			said += " " + a.ReasonCode
		}
		fmt.Fprintf(&b, ", the gateway said %q", said)
	}
	if a.EndedBy != "" {
		fmt.Fprintf(&b, ", %d s, ended by the %s", a.DurationS, a.EndedBy)
	}
	if a.SuspectedHuman {
		b.WriteString(", perhaps a person: machines do not hang up at once")
	}
	if a.Error != "" {
		fmt.Fprintf(&b, ": %s", a.Error)
	}
	return b.String()
}

// unlessInterrupted is an error, unless all it says is that the user stopped the command.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
