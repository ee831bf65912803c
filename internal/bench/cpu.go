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
type cpuTime struct {
	own, temporal time.Duration
	// postgres is by what it was used for: the ledger's connections, Temporal's, and what serves both, such as the checkpointer.
	postgres struct{ ledger, temporal, rest time.Duration }
}

func (c cpuTime) String() string {
	text := fmt.Sprintf("CPU %.1f ms here, %.1f ms Temporal", milliseconds(c.own), milliseconds(c.temporal))
	if db := c.postgres; db.ledger+db.temporal+db.rest > 0 {
		text += fmt.Sprintf(", %.1f ms PostgreSQL for the ledger, %.1f for Temporal, %.1f for itself", milliseconds(db.ledger), milliseconds(db.temporal),
			milliseconds(db.rest))
	}
	return text
}

// parts are all that the time consists of.
func (c *cpuTime) parts() []*time.Duration {
	return []*time.Duration{&c.own, &c.temporal, &c.postgres.ledger, &c.postgres.temporal, &c.postgres.rest}
}

func (c cpuTime) sum() (all time.Duration) {
	for _, part := range c.parts() {
		all += *part
	}
	return all
}

func (c cpuTime) since(before cpuTime) cpuTime {
	earlier := before.parts()
	for i, part := range c.parts() {
		*part -= *earlier[i]
	}
	return c
}

func (c cpuTime) each(n int) cpuTime {
	for _, part := range c.parts() {
		*part /= time.Duration(n)
	}
	return c
}

// usedCPU: the product itself runs in this process; on SQLite so does its database.
func (p *product) usedCPU() cpuTime {
	c := cpuTime{own: readUsage(os.Getpid()).own, temporal: familyCPU(p.temporal.Pid())}
	if p.postgres != nil {
		server := p.postgres.Pid()
		c.postgres.ledger, c.postgres.temporal = connectionsCPU(server, ledgerDatabase), connectionsCPU(server, temporalDatabases)
		c.postgres.rest = familyCPU(server) - c.postgres.ledger - c.postgres.temporal
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
	for _, child := range childrenOf(pid) {
		used += child.own + child.ended
	}
	return used
}

// childrenOf are the children of a process, by their ids.
func childrenOf(pid int) map[int]usage {
	children := map[int]usage{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range processes {
		child, _ := strconv.Atoi(filepath.Base(folder))
		if u := readUsage(child); u.parent == pid {
			children[child] = u
		}
	}
	return children
}

// connectionsCPU is what PostgreSQL has used for the open connections to databases whose names begin so. A connection's process calls
// itself "postgres: user database host(port) activity".
func connectionsCPU(server int, database string) (used time.Duration) {
	for pid, u := range childrenOf(server) {
		title, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if words := strings.Fields(string(title)); len(words) > 2 && words[0] == "postgres:" && strings.HasPrefix(words[2], database) {
			used += u.own
		}
	}
	return used
}
