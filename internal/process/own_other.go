//go:build !unix

package process

import (
	"os"
	"os/exec"
)

func own(*exec.Cmd) {}

// terminate has no gentle way here; a database must survive it.
func terminate(p *os.Process) { _ = p.Kill() }
func kill(p *os.Process)      { _ = p.Kill() }
