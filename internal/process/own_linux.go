package process

import (
	"os"
	"os/exec"
	"syscall"
)

// own: a group of its own keeps the terminal's Ctrl-C away; the death signal covers a parent that is
// killed and cannot stop anything any more. SIGKILL, because nobody would be left to wait for an orderly end.
func own(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
}

func terminate(p *os.Process) { signalGroup(p, syscall.SIGTERM) }
func kill(p *os.Process)      { signalGroup(p, syscall.SIGKILL) }
