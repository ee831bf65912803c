// Package app is the command tree of redial.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/spf13/cobra"

	"redial/internal/config"
	"redial/starter"
	"redial/workflows"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // wrong usage, or wrong input; nothing was tried
)

// gin's mode is one for the process; in its debug mode it prints its routes to standard output, in the midst of a result.
func init() { gin.SetMode(gin.ReleaseMode) }

// Main runs the command line of the process and exits. The flows are those of the binary's own; a Program brings more than flows.
func Main(flows ...workflows.Definition) {
	Program{Flows: flows}.Main()
}

// sameSignal is how long a second signal counts as the first: a parent may pass on what the terminal has sent to both.
const sameSignal = 500 * time.Millisecond

// untilSignal is a context that ends with the first SIGINT or SIGTERM. Whoever sends a second one does not want to wait for
// an orderly end: the process ends at once, and says what that may have cost.
func untilSignal() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		first := time.Now()
		stop()
		for s := range signals {
			if time.Since(first) < sameSignal {
				continue
			}
			fmt.Fprintf(os.Stderr, "redial: a second signal (%s): ended at once; a dial that was not answered yet is in doubt, see redial attempt list\n", s)
			os.Exit(128 + int(s.(syscall.Signal)))
		}
	}()
	return ctx
}

// Run runs one command line and returns its exit code. The flows are those of Main.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, flows ...workflows.Definition) int {
	return Program{Flows: flows}.Run(ctx, args, stdout, stderr)
}

// Run runs one command line and returns its exit code: 0 done, 1 failed, 2 wrong usage or input. A context that ends
// stops the command in order, as a SIGINT does.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, err := withFlows(withSink(ctx, p.Escalations), p.Flows)
	if err != nil {
		fmt.Fprintln(stderr, "redial: "+oneLine(err))
		return exitUsage
	}
	out := &output{to: stdout}
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	err = out.verdict(root.ExecuteContext(ctx))
	if err == nil {
		return exitDone
	}
	if strings.HasPrefix(err.Error(), "unknown command") {
		err = usagef("%w; see redial --help", err)
	}
	fmt.Fprintln(stderr, "redial: "+oneLine(err))
	var usage usageError
	var variable *config.Error
	var input *starter.InputError
	if errors.As(err, &usage) || errors.As(err, &variable) || errors.As(err, &input) {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line, or an input, that cannot be carried out as it is.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// oneLine is an error on one line: what wraps several says them in turn.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "redial",
		Short: "Outbound calls that are not forgotten and not made twice",
		Long: `Redial places outbound calls through the Kore.ai Voice Gateway as durable call flows: each call is a Temporal
workflow that dials, waits for what the gateway reports, and calls again, escalates or ends as its policy says.

Start with "redial demo". Settings come from the environment: KORE_*, REDIAL_* and Temporal's own TEMPORAL_*.`,
		Version:       thisBuild().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpFunc(printHelp)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(demoCommand(), devCommand(), upCommand(), workerCommand(), webhookCommand(), consoleCommand(), tokenCommand(), setupCommand(), simulatorCommand(), callCommand(), showCommand(), listCommand(), exportCommand(), escalationsCommand(), policyCommand(), attemptCommand(), suppressCommand(), historiesCommand(), newCommand(), doctorCommand(), healthCommand(), versionCommand())
	root.AddCommand(steerCommands()...)
	return root
}

// printHelp is cobra's help, but for what cobra would say by itself where that cannot be written.
func printHelp(c *cobra.Command, _ []string) {
	fmt.Fprintf(c.OutOrStdout(), "%s\n\n%s", strings.TrimSpace(cmp.Or(c.Long, c.Short)), c.UsageString())
}

// oneArgument takes one of what is named, such as an id.
func oneArgument(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s takes one %s, and was given %d", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

// noArguments refuses arguments in words that name the command.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, and was given %q", c.CommandPath(), args[0])
	}
	return nil
}
