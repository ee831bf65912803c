// Package processtest is for tests of, and with, processes: what they say, and what becomes of a child when its parent is killed.
package processtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentVariable makes a test binary a parent, and has its argument.
const parentVariable = "REDIAL_TEST_PARENT"

// Server is what a parent starts.
type Server interface {
	Pid() int
	Done() <-chan struct{}
	Err() error
}

// Main is for TestMain. It runs the tests, or start in the parent that Parent makes of the same binary. It does not return.
func Main(m *testing.M, start func(argument string) (Server, error)) {
	if argument, parent := os.LookupEnv(parentVariable); parent {
		fmt.Fprintln(os.Stderr, beParent(start(argument)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beParent tells the server's pid and stays until it is killed.
func beParent(server Server, err error) error {
	if err != nil {
		return err
	}
	// Threads come and go in a real program; the server must not go with one of them.
	for range 50 {
		ended := make(chan struct{})
		go func() {
			runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
			close(ended)
		}()
		<-ended
	}
	fmt.Println(server.Pid())
	select {
	case <-server.Done():
		return server.Err()
	case <-time.After(time.Minute):
		return fmt.Errorf("pid %d outlived its test", os.Getpid())
	}
}

// Parent starts a parent and returns the pid of its server, and what kills the parent outright.
func Parent(tb testing.TB, argument string) (server int, kill func()) {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVariable+"="+argument)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	tb.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if _, scanned := fmt.Sscan(line, &server); scanned != nil {
		tb.Fatalf("the parent said %q (%v): %v", line, err, scanned)
	}
	return server, kill
}

// Running tells whether a process lives. One that is dead and that nobody has waited for does not: a child that lost its
// parent stays so where the init process reaps nobody.
func Running(pid int) bool {
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
