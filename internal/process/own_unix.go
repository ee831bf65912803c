//go:build unix && !linux

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// own: a group of its own keeps the terminal's Ctrl-C away. There is no parent-death signal here, so
// a server outlives a parent that is killed with SIGKILL.
func own(cmd *exec.Cmd, _ syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

func kill(p *os.Process) { signalGroup(p, syscall.SIGKILL) }
