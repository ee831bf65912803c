package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"redial/internal/process"
)

// child is a postgres, or an initdb.
type child struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed after the process was waited for
	asked  atomic.Bool   // we ended it
}

func spawn(binary string, args []string, o Options, lock *os.File) (*child, error) {
	p := &child{cmd: exec.Command(binary, args...), output: &output{}, done: make(chan struct{})}
	attributes, err := attributes()
	if err != nil {
		return nil, err
	}
	if o.LogFile != "" {
		file, err := os.OpenFile(o.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%w; give a log file that can be written", err)
		}
		p.output.file = file
	}
	p.cmd.SysProcAttr = attributes
	p.cmd.Env = environment()
	p.cmd.Dir = o.Folder // ours may be closed to the user it runs as
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.ExtraFiles = []*os.File{lock}
	p.cmd.WaitDelay = time.Second

	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w; see that %s can be run, and that %s can be entered by the user it runs as", err, binary, o.Folder)
	}
	return p, nil
}

// run starts the process and waits for it on one thread: the kernel's parent-death signal is sent when the
// thread that forked ends, not when the process does, and Go ends idle threads as it likes.
func (p *child) run(started chan<- error) {
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

// exit says how the process ended. It may be called after done.
func (p *child) exit() string { return p.cmd.ProcessState.String() }

func (p *child) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *child) stop(ctx context.Context) error {
	p.asked.Store(true)
	if p.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	began := time.Now()
	terminate(p.cmd.Process)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	p.kill()
	return fmt.Errorf("stop PostgreSQL: pid %d had not ended %s after it was asked to, and was killed; its next start recovers its data",
		p.cmd.Process.Pid, time.Since(began).Round(time.Millisecond))
}

func (p *child) kill() {
	p.asked.Store(true)
	if p.ended() {
		return
	}
	kill(p.cmd.Process)
	<-p.done
}

// waitReady returns when the server takes connections.
func (p *child) waitReady(parent context.Context, url string) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := process.Until(ctx, func(ctx context.Context) error { return p.answers(ctx, url) })
	switch {
	case p.ended():
		return fmt.Errorf("it ended before it took a connection (%s)", p.exit())
	case err != nil && parent.Err() != nil:
		return fmt.Errorf("it runs but took no connection in time (%w; last: %v); give it more time, or see what keeps the machine busy",
			parent.Err(), err)
	}
	return err
}

// answers tells whether our server takes connections, and not another that has taken its port.
func (p *child) answers(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var written string
	if err := conn.QueryRow(ctx, "SELECT pg_read_file('postmaster.pid')").Scan(&written); err != nil {
		return err
	}
	if pid, _, _ := strings.Cut(written, "\n"); pid != strconv.Itoa(p.cmd.Process.Pid) {
		return fmt.Errorf("the server that answers has pid %s", pid)
	}
	return nil
}
