package devserver_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// running tells whether a process lives. One that is dead and that nobody has waited for does not: a child
// that lost its parent stays so where the init process reaps nobody.
func running(pid int) bool {
	if found, err := os.FindProcess(pid); err != nil || found.Signal(syscall.Signal(0)) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
