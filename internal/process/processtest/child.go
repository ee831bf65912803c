package processtest

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Transcript is what a process has said so far: the output of a command that runs. It may be read while it is written.
type Transcript struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (t *Transcript) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.Write(data)
}

func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.String()
}

// Child is a process that a test has started.
type Child struct {
	Command *exec.Cmd
	Ended   <-chan struct{} // closed when it has ended
}

// Start starts a command.
func Start(tb testing.TB, cmd *exec.Cmd) *Child {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return &Child{cmd, ended}
}

// Kill ends the process at once, and waits until it is gone.
func (c *Child) Kill() {
	_ = c.Command.Process.Kill()
	<-c.Ended
}

// Says waits until the process has said something to out that matches the pattern, and returns the last group of the match, or
// all of it. A process that ends without it fails the test, as one does that takes longer than the patience.
func (c *Child) Says(tb testing.TB, out *Transcript, pattern string, patience time.Duration) string {
	tb.Helper()
	expression := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		over := time.Now().After(end)
		select {
		case <-c.Ended:
			over = true
		default:
		}
		if match := expression.FindStringSubmatch(out.String()); match != nil {
			return match[len(match)-1]
		}
		if over {
			tb.Fatalf("%s has not said %q; it said:\n%s", strings.Join(c.Command.Args[1:], " "), pattern, out)
		}
	}
}
