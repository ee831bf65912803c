//go:build unix && !linux

package devserver

import (
	"os"
	"syscall"
)

// attributes: a group of its own keeps the terminal's Ctrl-C away. There is no parent-death signal here, so
// a server outlives a parent that is killed with SIGKILL.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func terminate(p *os.Process) { signalGroup(p, syscall.SIGTERM) }
func kill(p *os.Process)      { signalGroup(p, syscall.SIGKILL) }
