package app_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/followup"
)

// full is a file to which nothing can be written.
func full(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// requireFailure requires that a command of which nobody has seen the output has failed, in one line.
func requireFailure(t *testing.T, p program, args ...string) {
	t.Helper()
	e := p.run(t, args...)
	require.Equal(t, failed, e.code, "%q %s", args, e.stderr)
	require.Regexp(t, `^redial: the output could not be written: write /dev/stdout: no space left on device: [^\n]+\n$`, e.stderr, args)
}

// commandsOf are the commands that the program completes, those of commands with their parents.
func (p program) commandsOf(t *testing.T, parents ...string) (all []string) {
	t.Helper()
	for line := range strings.Lines(p.must(t, append(append([]string{"__complete"}, parents...), "")...)) {
		name, _, described := strings.Cut(line, "\t")
		if !described || name == "help" {
			continue
		}
		path := append(slices.Clone(parents), name)
		all = append(append(all, strings.Join(path, " ")), p.commandsOf(t, path...)...)
	}
	return all
}

// needServers are the commands that need more than a ledger; those that print a result of their own have a test below.
var needServers = []string{"call", "call-now", "cancel", "change-policy", "console", "demo", "dev", "doctor", "health", "histories save", "opt-out", "pause",
	"reschedule", "resume", "setup", "simulator", "up", "webhook", "worker"}

func TestEveryCommandFailsWhoseOutputCannotBeWritten(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.story()
	policy, err := followup.Parse([]byte("name: strict\non: {busy: escalate}"))
	require.NoError(t, err)
	p.on(1, 10, 0)
	p.calls("anna", 1, policy, busyBody, busyEvent)
	p.on(1, 12, 0)
	doubted := p.request("ben", 1, policy)
	require.NotNil(t, p.asks("ben", 1, policy))
	_, err = p.ledger.Answer(t.Context(), doubted.Key, doubted.Owner, call.DialAnswer{Class: call.AnswerUnknown, Message: "the answer was lost"})
	require.NoError(t, err)
	file := p.file(t, "reminder.yaml", "{name: reminder}")
	list := p.file(t, "list.csv", "number\n+14155550100\n")
	lost := p.with("TEMPORAL_ADDRESS=127.0.0.1:1", "REDIAL_CONSOLE_SECRET=a secret of this test alone")
	lost.stdout = full(t)

	commands := map[string][]string{ // what comes behind their names, one command line each
		"attempt": {""}, "attempt list": {"", "--json"}, "attempt resolve": {doubted.Key + " --as human --reason found"},
		"escalations": {""}, "escalations list": {"", "--json"}, "escalations ack": {"anna --by eva", "anna --by eva --json"},
		"export":    {"attempts", "contacts --format jsonl"},
		"histories": {""}, "list": {"", "--json", "--outcome expired"}, "new": {"orders --redial " + sources(t)},
		"policy": {"--help"}, "policy explain": {"", file + " --json"}, "policy put": {file + " --reason x"}, "policy list": {"", "--json"},
		"policy presets": {"", "--json"}, "policy show": {"reminder", "reminder --json"}, "show": {"anna", "anna --json"},
		"suppress": {""}, "suppress add": {"+14155550100 --reason x"}, "suppress check": {"+14155550100", "+14155550100 --json"}, "suppress list": {"", "--json"},
		"suppress import": {list, list + " --dry-run --json"}, "suppress remove": {"+14155550100 --reason x"},
		"token": {"--for eva", "--for eva --json"}, "version": {"", "--json"},
	}
	for _, name := range p.commandsOf(t) {
		requireFailure(t, lost, append(strings.Fields(name), "--help")...)
		if slices.Contains(needServers, name) {
			continue
		}
		require.NotEmpty(t, commands[name], "redial %s is a command that nobody tries", name)
		for _, line := range commands[name] {
			requireFailure(t, lost, append(strings.Fields(name), strings.Fields(line)...)...)
		}
		delete(commands, name)
	}
	require.Empty(t, commands, "commands that are gone")
	for _, line := range []string{"", "--help", "--version", "help call", "completion bash"} {
		requireFailure(t, lost, strings.Fields(line)...)
	}
}

func TestWhatACommandHasDoneStandsWhenItsOutputIsLost(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.up(t)
	lost := s.program
	lost.stdout = full(t)
	requireFailure(t, lost, "setup")
	start := []string{"call", "--to", anna, "--metadata", "simulate=busy+ring=1s", "--policy", s.file(t, "later.yaml", "on: {busy: {retry: [1h]}}")}
	requireFailure(t, lost, append(start, "--id", "anna")...)
	requireFailure(t, lost, append(start, "--id", "ben", "--json")...)
	s.asleep(t, "anna")
	requireFailure(t, lost, "pause", "anna", "--reason", "x")
	requireFailure(t, lost, "cancel", "anna", "--reason", "x")
	require.Equal(t, call.OutcomeCanceled, s.result(t, "anna").Outcome)
	e := lost.run(t, "call", "--to", anna, "--id", "carl", "--metadata", "simulate=human", "--wait")
	require.Equal(t, failed, e.code)
	require.Contains(t, e.stderr, "the output could not be written")
	require.Equal(t, failed, lost.run(t, "doctor").code)

	address := "127.0.0.1:" + freePort(t)
	gateway := lost.start(t, "simulator", "--addr", address)
	eventually(t, "the simulator", func() bool {
		response, err := http.Get("http://" + address + "/simulator/stats")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
	gateway.signal(t, syscall.SIGINT)
	e = gateway.wait(t)
	require.Equal(t, failed, e.code)
	require.Contains(t, e.stderr, "the output could not be written")
}

// The last line of a usual `redial export … | head -1`.
func TestACommandWhoseReaderHasSeenEnoughSaysNothing(t *testing.T) {
	t.Parallel()
	p := newPast(t, 2)
	p.story()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	defer writer.Close()
	silent := p.with("TEMPORAL_ADDRESS=127.0.0.1:1")
	silent.stdout = writer
	for _, line := range []string{"list", "show held", "export attempts", "policy explain", "--help"} {
		q := silent.launch(t, strings.Fields(line)...)
		e := q.wait(t)
		require.Empty(t, e.stderr, line)
		require.Equal(t, syscall.SIGPIPE, q.Command.ProcessState.Sys().(syscall.WaitStatus).Signal(), line)
	}
}
