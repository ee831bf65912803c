package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a command of the product that stays up, in a folder and on ports of its own.
type process struct {
	folder      string
	environment []string
	uiURL       string
	command     *exec.Cmd
	end         context.CancelFunc
}

// prepare is a process that is not started yet.
func prepare(ctx context.Context, binary string, args ...string) (p process, err error) {
	if p.folder, err = os.MkdirTemp("", "redial-pictures-"); err != nil {
		return p, err
	}
	// Nothing of this machine's own settings: the pictures are of the product as it comes.
	p.environment = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder, "TMPDIR=" + p.folder, "TZ=UTC",
		"REDIAL_WEBHOOK_ADDR=127.0.0.1:0", "REDIAL_LOG_LEVEL=warn"}
	if cli := os.Getenv("TEMPORAL_CLI_PATH"); cli != "" {
		p.environment = append(p.environment, "TEMPORAL_CLI_PATH="+cli)
	}
	ctx, p.end = context.WithCancel(ctx)
	c := exec.CommandContext(ctx, binary, args...)
	c.Dir, c.Env = p.folder, p.environment
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = time.Minute
	p.command = c
	return p, nil
}

// stop ends the process in order, with all that it has started.
func (p *process) stop() error {
	p.end()
	err := p.command.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil // we have asked for it
	}
	return errors.Join(err, os.RemoveAll(p.folder))
}

// notStarted says why the process could not be started.
func (p *process) notStarted(err error) error {
	p.end()
	return errors.Join(fmt.Errorf("%w: build it with make build", err), os.RemoveAll(p.folder))
}

// product is redial dev, with a simulated gateway.
type product struct {
	process
	complaints bytes.Buffer
}

func startProduct(ctx context.Context, binary string) (p *product, err error) {
	p = &product{}
	p.process, err = prepare(ctx, binary, "dev", "--temporal-port", "0", "--ui-port", "0", "--simulator-addr", "127.0.0.1:0", "--speed", "20")
	if err != nil {
		return nil, err
	}
	p.command.Stderr = &p.complaints
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches it through its parent, once
	said, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, p.notStarted(err)
	}
	if !p.listen(said) {
		_ = p.stop() // how it ended says less than what it said
		return nil, fmt.Errorf("redial dev has ended: %s", bytes.TrimSpace(p.complaints.Bytes()))
	}
	return p, nil
}

// listen waits until redial dev has said where everything is, and lets it say the rest to nobody. False: it has ended before.
func (p *product) listen(said io.Reader) bool {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), " "); {
		case strings.HasPrefix(lines.Text(), "Temporal UI "):
			p.uiURL = strings.TrimSpace(strings.TrimPrefix(lines.Text(), "Temporal UI "))
		case name == "Temporal":
			p.environment = append(p.environment, "TEMPORAL_ADDRESS="+strings.TrimSpace(value))
		case strings.HasPrefix(lines.Text(), "Ctrl-C "):
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return true
		}
	}
	return false
}

// redial runs a command of the product.
func (p *product) redial(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, p.command.Path, args...)
	command.Dir, command.Env = p.folder, p.environment
	out, err := command.Output()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		return nil, fmt.Errorf("redial %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(ended.Stderr))
	}
	return out, err
}

// ask runs a command of the product that prints JSON.
func (p *product) ask(ctx context.Context, answer any, args ...string) error {
	out, err := p.redial(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, answer)
}

// standing is where each contact stands: its state, what it waits for or its outcome, and what the last attempt came to, as in
// "waiting retry busy".
func (p *product) standing(ctx context.Context) (map[string]string, error) {
	var page struct {
		Contacts []struct {
			ID      string `json:"contact_id"`
			State   string `json:"state"`
			Outcome string `json:"outcome"`
			Last    string `json:"last_disposition"`
			Wait    struct {
				Reason string `json:"reason"`
			} `json:"wait"`
		} `json:"contacts"`
	}
	if err := p.ask(ctx, &page, "list"); err != nil {
		return nil, err
	}
	stand := map[string]string{}
	for _, c := range page.Contacts {
		stand[c.ID] = strings.TrimSpace(c.State + " " + c.Wait.Reason + c.Outcome + " " + c.Last)
	}
	return stand, nil
}

// await waits until contacts stand where they are wanted.
func (p *product) await(ctx context.Context, wanted map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		stand, err := p.standing(ctx)
		if err != nil {
			return err
		}
		var missing []string
		for id, where := range wanted {
			if stand[id] != where {
				missing = append(missing, fmt.Sprintf("%s is %q and not %q", id, stand[id], where))
			}
		}
		if missing == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %s", strings.Join(missing, "; "))
		case <-time.After(200 * time.Millisecond):
		}
	}
}
