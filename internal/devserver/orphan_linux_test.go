package devserver_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
)

const parentVariable = "REDIAL_DEVSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if binary := os.Getenv(parentVariable); binary != "" {
		beParent(binary)
	}
	os.Exit(m.Run())
}

// beParent starts a server, tells its pid and address, and stays until it is killed.
func beParent(binary string) {
	server, err := devserver.Start(context.Background(), devserver.Options{Binary: binary, Headless: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
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
	fmt.Println(server.Pid(), server.Address())
	select {
	case <-server.Done():
		fmt.Fprintln(os.Stderr, server.Err())
		os.Exit(1)
	case <-time.After(time.Minute):
		os.Exit(1)
	}
}

func TestTheServerDiesWithAKilledParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+devservertest.Binary(t))
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var address string
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if _, scanned := fmt.Sscan(line, &pid, &address); scanned != nil {
		t.Fatalf("the parent said %q (%v): %v", line, err, scanned)
	}
	if !running(pid) {
		t.Fatalf("pid %d does not run", pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the server to die with its parent", func() bool { return !running(pid) })
	eventually(t, "its port to be free", func() bool { return free(address) == nil })
}
