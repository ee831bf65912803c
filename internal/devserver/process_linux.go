package devserver

import (
	"os"
	"syscall"
)

// attributes: a group of its own keeps the terminal's Ctrl-C away; the death signal covers a parent that is
// killed and cannot stop anything any more. SIGKILL, because nobody would be left to wait for an orderly end.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func terminate(p *os.Process) { signalGroup(p, syscall.SIGTERM) }
func kill(p *os.Process)      { signalGroup(p, syscall.SIGKILL) }
