//go:build unix

package process_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"redial/internal/process"
)

func TestAProcessThatIgnoresItsStopIsKilledWhenTimeIsUpWithItsChildren(t *testing.T) {
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `trap '' TERM; echo deaf; sleep 600; echo unreachable`)
	cmd.ExtraFiles = []*os.File{held}
	p, err := process.Start(cmd, process.Options{Name: "the deaf server"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	_ = held.Close()
	awaitOutput(t, p, "deaf")

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = p.Stop(short)
	if err == nil || !strings.Contains(err.Error(), "stop the deaf server") || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop: %v, want that it was killed", err)
	}
	requireDone(t, p.Done())
	// The pipe ends when nobody holds it any more: neither the shell nor the sleep it waited for.
	_ = alive.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := alive.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a child outlives it: %v", err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func TestAProcessThatIsStoppedEndsInOrderAndItsLogHasAllItSaid(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p := start(t, process.Options{Name: "the server", LogFile: log}, `trap 'echo tidy; exit 0' TERM; echo up; sleep 600 & wait`)
	awaitOutput(t, p, "up")
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("Err of one that was stopped: %v", err)
	}
	if said, err := os.ReadFile(log); err != nil || string(said) != "up\ntidy\n" {
		t.Errorf("the log has %q, %v", said, err)
	}
}

func TestAProcessThatEndsByItselfIsQuoted(t *testing.T) {
	p := start(t, process.Options{Name: "the server"}, `echo one; echo two; echo three; echo "no room left" >&2; exit 3`)
	<-p.Done()
	const want = "the server ended by itself (exit status 3); it said last: two | three | no room left"
	if err := p.Err(); err == nil || err.Error() != want {
		t.Errorf("Err() = %v, want %s", err, want)
	}
	err := p.AwaitReady(t.Context(), func(context.Context) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "ended before it answered") {
		t.Errorf("somebody else's answer was taken for its own: %v", err)
	}
}

func TestWaitingEndsWithTheProcess(t *testing.T) {
	p := start(t, process.Options{Name: "the server"}, `echo up; sleep 600`)
	awaitOutput(t, p, "up")
	result := make(chan error, 1)
	asked := make(chan struct{})
	go func() {
		result <- p.AwaitReady(t.Context(), func(ctx context.Context) error {
			close(asked)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-asked
	p.Kill()
	if err := <-result; err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("AwaitReady = %v", err)
	}
}

func TestAReplacedProcessIsGoneBeforeItsSuccessorStarts(t *testing.T) {
	first := start(t, process.Options{Name: "the server"}, "exec sleep 600")
	service := process.Serve(first)
	err := service.Replace(t.Context(), func(context.Context) (*process.Process, error) {
		requireDone(t, first.Done())
		return start(t, process.Options{Name: "the server"}, "exec sleep 600"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if service.Pid() == first.Pid() || service.Err() != nil {
		t.Errorf("pid %d of %d, %v", service.Pid(), first.Pid(), service.Err())
	}
	if err := syscall.Kill(service.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-service.Done()
	if err := service.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Err() = %v, want that it was killed", err)
	}
	service.Kill()
}

func TestABinaryThatIsNotThereIsAnError(t *testing.T) {
	if _, err := process.Start(exec.Command("/nowhere/server"), process.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func start(t *testing.T, o process.Options, script string) *process.Process {
	t.Helper()
	p, err := process.Start(exec.Command("/bin/sh", "-c", script), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func awaitOutput(t *testing.T, p *process.Process, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := process.Until(ctx, func(context.Context) error {
		if p.LastLines() != want {
			return errors.New(p.LastLines())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func requireDone(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	default:
		t.Error("the process is not gone")
	}
}
