package process_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"redial/internal/process"
	"redial/internal/process/processtest"
)

func TestMain(m *testing.M) {
	processtest.Main(m, func(string) (processtest.Server, error) {
		return process.Start(exec.Command("/bin/sh", "-c", `trap '' HUP INT TERM; sleep 600; echo unreachable`), process.Options{})
	})
}

func TestAProcessDiesWithAKilledParent(t *testing.T) {
	pid, kill := processtest.Parent(t, "")
	if !processtest.Running(pid) {
		t.Fatalf("pid %d does not run", pid)
	}
	kill()
	await(t, func() error {
		if processtest.Running(pid) {
			return errors.New("it outlives its parent")
		}
		return nil
	})
}

func TestAKilledProcessTakesItsDescendantsAlongAlsoFromOtherSessions(t *testing.T) {
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `setsid sh -c 'setsid sleep 600 & echo up; wait' & wait`)
	cmd.ExtraFiles = []*os.File{held}
	p, err := process.Start(cmd, process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_ = held.Close()
	awaitOutput(t, p, "up")
	p.Kill()
	_ = alive.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := alive.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a descendant outlives it: %v", err)
	}
}

func TestAProcessIsStoppedWithTheSignalOfItsChoice(t *testing.T) {
	p := start(t, process.Options{StopSignal: syscall.SIGINT}, `trap 'echo tidy; exit 0' INT; trap '' TERM; echo up; while :; do sleep 0.01; done`)
	awaitOutput(t, p, "up")
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said := p.LastLines(); said != "up | tidy" {
		t.Errorf("it said %q", said)
	}
}

func await(t *testing.T, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := process.Until(ctx, func(context.Context) error { return holds() }); err != nil {
		t.Fatal(err)
	}
}
