package process

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// own: a group of its own keeps the terminal's Ctrl-C away; the death signal covers a parent that is
// killed and cannot stop anything any more. Go sets it after it has changed the user, at which the kernel clears it.
func own(cmd *exec.Cmd, orphan syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, orphan
}

// kill ends also descendants that have sessions of their own, as PostgreSQL's do: one that computes would go on.
func kill(p *os.Process) {
	descendants := freeze(p.Pid)[1:]
	signalGroup(p, syscall.SIGKILL)
	for _, pid := range descendants {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, pid := range descendants {
		for alive(pid) {
			time.Sleep(time.Millisecond)
		}
	}
}

// freeze stops a process and its descendants, each before its children are looked for, so that it makes no new ones.
func freeze(pid int) (all []int) {
	for generation := []int{pid}; len(generation) > 0; generation = children(generation) {
		for _, pid := range generation {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
		all = append(all, generation...)
	}
	return all
}

func children(parents []int) (pids []int) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range processes {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		if fields := stat(pid); len(fields) > 1 {
			if parent, err := strconv.Atoi(string(fields[1])); err == nil && slices.Contains(parents, parent) {
				pids = append(pids, pid)
			}
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
