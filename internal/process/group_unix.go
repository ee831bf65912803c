//go:build unix

package process

import (
	"os"
	"syscall"
)

func terminate(p *os.Process, signal syscall.Signal) { signalGroup(p, signal) }

// signalGroup reaches the process also when the binary is a version manager's shim that runs it as a child.
func signalGroup(p *os.Process, signal syscall.Signal) {
	if err := syscall.Kill(-p.Pid, signal); err != nil {
		_ = p.Signal(signal) // gone already, or not in a group of its own
	}
}
