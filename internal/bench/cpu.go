package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// cpuTime is what two processes have used of the processors: this one, and Temporal's server. It is known on Linux only.
type cpuTime struct{ own, server time.Duration }

func (c cpuTime) String() string {
	return fmt.Sprintf("CPU %.1f ms here, %.1f ms Temporal", milliseconds(c.own), milliseconds(c.server))
}

func (c cpuTime) since(before cpuTime) cpuTime {
	return cpuTime{c.own - before.own, c.server - before.server}
}

func (c cpuTime) each(n int) cpuTime {
	return cpuTime{c.own / time.Duration(n), c.server / time.Duration(n)}
}

func usedCPU(server int) cpuTime {
	return cpuTime{processCPU(os.Getpid()), processCPU(server)}
}

// processCPU reads user and system time of a process; zero where there is no /proc.
func processCPU(pid int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go runs on
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold spaces.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}
