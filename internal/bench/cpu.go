package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpuTime is what this process and its servers have used of the processors. It is known on Linux only.
type cpuTime struct{ own, temporal, postgres time.Duration }

func (c cpuTime) String() string {
	text := fmt.Sprintf("CPU %.1f ms here, %.1f ms Temporal", milliseconds(c.own), milliseconds(c.temporal))
	if c.postgres > 0 {
		text += fmt.Sprintf(", %.1f ms PostgreSQL", milliseconds(c.postgres))
	}
	return text
}

func (c cpuTime) sum() time.Duration { return c.own + c.temporal + c.postgres }

func (c cpuTime) since(before cpuTime) cpuTime {
	return cpuTime{c.own - before.own, c.temporal - before.temporal, c.postgres - before.postgres}
}

func (c cpuTime) each(n int) cpuTime {
	of := time.Duration(n)
	return cpuTime{c.own / of, c.temporal / of, c.postgres / of}
}

// usedCPU: the product itself runs in this process; on SQLite so does its database.
func (p *product) usedCPU() cpuTime {
	c := cpuTime{own: readUsage(os.Getpid()).own, temporal: familyCPU(p.temporal.Pid())}
	if p.postgres != nil {
		c.postgres = familyCPU(p.postgres.Pid())
	}
	return c
}

// usage is what a process has used of the processors, in user and system time.
type usage struct {
	parent int
	own    time.Duration
	ended  time.Duration // what those of its children had used that have ended
}

// readUsage is zero where there is no /proc, and of a process that is not there.
func readUsage(pid int) (u usage) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	// The name, in parentheses, may hold spaces.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return u
	}
	ticks := func(field int) time.Duration {
		const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go runs on
		n, _ := strconv.Atoi(fields[field])
		return time.Duration(n) * tick
	}
	u.parent, _ = strconv.Atoi(fields[1])
	u.own, u.ended = ticks(11)+ticks(12), ticks(13)+ticks(14)
	return u
}

// familyCPU is what a process and its children have used, those that have ended included: PostgreSQL has one for every connection.
func familyCPU(pid int) time.Duration {
	head := readUsage(pid)
	used := head.own + head.ended
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range processes {
		child, _ := strconv.Atoi(filepath.Base(folder))
		if u := readUsage(child); u.parent == pid {
			used += u.own + u.ended
		}
	}
	return used
}
