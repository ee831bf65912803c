//go:build unix && !linux

package postgres

import (
	"os"
	"syscall"
)

// endWithParent: there is no parent-death signal here.
func endWithParent(*syscall.SysProcAttr) {}

// kill ends the first process; the others see its end and follow, but for those that compute, which do so later.
func kill(p *os.Process) { _ = p.Kill() }
