//go:build !unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

func own(*exec.Cmd, syscall.Signal) {}

// terminate has no gentle way here; a database must survive it.
func terminate(p *os.Process, _ syscall.Signal) { _ = p.Kill() }
func kill(p *os.Process)                        { _ = p.Kill() }
