package postgres

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// endWithParent: Go sets the death signal after it has changed the user, so that the kernel does not clear it. SIGQUIT is
// PostgreSQL's immediate shutdown, which takes all its processes along; killed, it would leave those that compute.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }

// kill ends the server and its children, which have sessions of their own. Stopped first, it makes no new ones.
func kill(p *os.Process) {
	_ = p.Signal(syscall.SIGSTOP)
	all := children(p.Pid)
	_ = p.Kill()
	for _, child := range all {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	for _, child := range all {
		for alive(child) {
			time.Sleep(time.Millisecond)
		}
	}
}

func children(parent int) (pids []int) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range processes {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if fields := stat(pid); len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat is /proc's line on a process from its state on: what stands before may contain anything.
func stat(pid int) [][]byte {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	return bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
}

// alive tells whether a process runs. One that is dead does not, though it may lie unreaped where the init process reaps nobody.
func alive(pid int) bool {
	fields := stat(pid)
	return len(fields) > 0 && string(fields[0]) != "Z"
}
