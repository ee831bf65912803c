// Package process runs a server as a child process, for demonstrations, for tests that need the real thing, and for a
// cluster on one machine.
//
// The child never outlives its parent. Stop ends it in order; on Linux it also ends when the parent is killed outright. It
// has a process group of its own, so that Ctrl-C in a terminal reaches the parent alone, which can then finish what it has
// under way before it takes the server down.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// defaultGrace is what a server gets to end in order.
const defaultGrace = 10 * time.Second

// Options say how a process is looked after.
type Options struct {
	Name    string        // what it is, in errors: "the Temporal server"
	LogFile string        // its output is appended here; "" is nowhere
	Grace   time.Duration // what it gets to end in order; 0 is ten seconds

	// StopSignal asks it to end in order; 0 is SIGTERM. OrphanSignal reaches it when its parent is killed, on Linux; 0 is
	// SIGKILL, because nobody is left to wait for an orderly end.
	StopSignal, OrphanSignal syscall.Signal
}

func (o Options) withDefaults() Options {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.StopSignal == 0 {
		o.StopSignal = syscall.SIGTERM
	}
	if o.OrphanSignal == 0 {
		o.OrphanSignal = syscall.SIGKILL
	}
	return o
}

// Process is a child that was started. Its methods may be called from several goroutines.
type Process struct {
	options Options
	cmd     *exec.Cmd
	output  *output
	done    chan struct{} // closed after the process was waited for
	asked   atomic.Bool   // we ended it
}

// Start starts cmd, whose output it takes over. It runs as another user where cmd.SysProcAttr has credentials.
func Start(cmd *exec.Cmd, o Options) (*Process, error) {
	o = o.withDefaults()
	p := &Process{options: o, cmd: cmd, output: &output{}, done: make(chan struct{})}
	if o.LogFile != "" {
		file, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%w; give a log file that can be written", err)
		}
		p.output.file = file
	}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	own(cmd, o.OrphanSignal)
	// A wrapper script may leave somebody behind who holds the pipe.
	cmd.WaitDelay = time.Second

	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the process and waits for it on one thread: the kernel's parent-death signal is sent when the
// thread that forked ends, not when the process does, and Go ends idle threads as it likes.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer p.output.close()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	_ = p.cmd.Wait() // how it ended is kept in ProcessState
	close(p.done)
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// LastLines are the last three lines of the output, on one line.
func (p *Process) LastLines() string { return p.output.lastLines() }

// LostPort tells whether the process has complained that somebody else had bound one of its ports first.
func (p *Process) LostPort() bool { return p.output.lostPort() }

// Err says why the process ended by itself: nil while it runs, and after Stop or Kill.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.asked.Load() {
		return nil
	}
	return fmt.Errorf("%s ended by itself (%s); it said last: %s", p.options.Name, p.cmd.ProcessState, p.LastLines())
}

// Stop ends the process in order, and by force when it takes more than its grace or than ctx allows; it returns
// when the process is gone. Stopping a process that has ended is no error.
func (p *Process) Stop(ctx context.Context) error {
	p.asked.Store(true)
	select {
	case <-p.done:
		return nil
	default:
	}
	grace := time.NewTimer(p.options.Grace)
	defer grace.Stop()
	began := time.Now()
	terminate(p.cmd.Process, p.options.StopSignal)
	select {
	case <-p.done:
		return nil
	case <-grace.C:
	case <-ctx.Done():
	}
	p.Kill()
	return fmt.Errorf("stop %s: pid %d had not ended %s after it was asked to, and was killed",
		p.options.Name, p.Pid(), time.Since(began).Round(time.Millisecond))
}

// Kill ends the process at once, as a crash would, and its group with it; on Linux also those of its descendants that have
// left the group. It returns when they are gone.
func (p *Process) Kill() {
	p.asked.Store(true)
	select {
	case <-p.done:
		return
	default:
	}
	kill(p.cmd.Process)
	<-p.done
}

// AwaitReady calls ready, and ends its context when the process ends. It says whether the process ended before it
// answered, or did not answer before parent ended, which the error then wraps.
func (p *Process) AwaitReady(parent context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()

	err := ready(ctx)
	select {
	case <-p.done:
		// Also when something answered: then it was somebody else's server on a port that ours has lost.
		return fmt.Errorf("it ended before it answered (%s)", p.cmd.ProcessState)
	default:
	}
	if err == nil {
		return nil
	}
	if cause := parent.Err(); cause != nil {
		return fmt.Errorf("it runs but did not answer in time (%w; last: %v)", cause, err)
	}
	return err
}

// Remedy says what to do about err of AwaitReady; otherwise is for one that ended.
func Remedy(err error, otherwise string) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "give it more time, or see what keeps the machine busy"
	case errors.Is(err, context.Canceled):
		return "the start was called off"
	default:
		return otherwise
	}
}
