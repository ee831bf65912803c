// Command cluster runs a whole deployment of Redial as processes on this machine: the topology of docker-compose.yml for who
// has no container engine. PostgreSQL, Temporal's server on it, two workers, two webhooks behind a proxy, the console and a
// simulated gateway, each role a process of its own that takes real signals. Everything listens on 127.0.0.1, and what the
// environment says of an account, a database or a Temporal server is not looked at: no phone can ring.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"redial/internal/process"
)

// settings are what the command line says.
type settings struct {
	dir    string
	once   bool
	redial string
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, progress io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.StringVar(&s.dir, "dir", "", "folder for databases, keys and logs, kept between runs (default: a temporary one, removed at the end)")
	flags.BoolVar(&s.once, "once", false, "place some simulated calls, check what became of them, stop everything and exit")
	flags.StringVar(&s.redial, "redial", "", "the redial binary (default: the one in bin/, of make build)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(progress, "cluster: unexpected argument %q: there are only flags\n", flags.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.play(ctx, out, progress); err != nil {
		fmt.Fprintln(progress, "cluster:", strings.Join(strings.Fields(err.Error()), " "))
		return 1
	}
	return 0
}

// play starts everything, does what was asked for, and stops everything in order.
func (s settings) play(ctx context.Context, out, progress io.Writer) (err error) {
	binary, err := s.binary()
	if err != nil {
		return err
	}
	d, err := newDeployment(s.dir, binary, func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) })
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	if ignored := ignoredVariables(); len(ignored) > 0 {
		d.say("%s: set in this environment, and ignored; everything here is simulated, and no phone can ring.", strings.Join(ignored, ", "))
	}
	d.say("Starting PostgreSQL, Temporal, two workers, two webhooks, a proxy, the console and a simulated gateway in %s …", d.folder)
	if err := d.start(ctx); err != nil {
		return unlessInterrupted(ctx, err)
	}
	if s.once {
		return unlessInterrupted(ctx, d.check(ctx, out))
	}
	d.describe(out)
	d.supervise(ctx)
	return nil
}

// binary is the redial to run.
func (s settings) binary() (string, error) {
	if s.redial != "" {
		path, err := exec.LookPath(s.redial)
		if err != nil {
			return "", fmt.Errorf("-redial %s: %w; name a binary of redial", s.redial, err)
		}
		return path, nil
	}
	path, places := process.FindBuilt("redial")
	if path == "" {
		return "", fmt.Errorf("there is no redial in %s: run make build, or name it with -redial", strings.Join(places, " or "))
	}
	return path, nil
}

// end stops what runs. A second Ctrl-C does not wait for an orderly end.
func (d *deployment) end(failure error) error {
	d.say("Stopping, workers first; Ctrl-C again ends everything at once.")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := errors.Join(failure, d.stop(ctx))
	switch {
	case !d.temporary:
		d.say("Its data is kept in %s.", d.folder)
	case err != nil:
		d.say("What it left is kept for you to look at, in %s.", d.folder)
	default:
		err = os.RemoveAll(d.folder)
	}
	return err
}

// foreign are the beginnings of variables that would lead a role, or a tool of PostgreSQL, out of this deployment.
var foreign = []string{"KORE_", "REDIAL_", "TEMPORAL_", "PG"}

// inherited is the environment without what is foreign.
func inherited() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
}

// ignoredVariables are the names of settings of a real deployment that are set here.
func ignoredVariables() (names []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "KORE_") || slices.Contains([]string{"REDIAL_DATABASE", "REDIAL_NOTIFY_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unlessInterrupted is an error, unless it only says that the user has stopped it all.
func unlessInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// fromHere is a path as somebody in the working directory would type it.
func fromHere(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}
