package devserver_test

import (
	"context"
	"net"
	"strconv"
	"testing"

	"redial/internal/devserver"
	"redial/internal/devserver/devservertest"
	"redial/internal/process"
	"redial/internal/process/processtest"
)

func TestMain(m *testing.M) {
	processtest.Main(m, func(port string) (processtest.Server, error) {
		frontend, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		return devserver.Start(context.Background(), devserver.Options{FrontendPort: frontend, Headless: true})
	})
}

func TestTheServerDiesWithAKilledParent(t *testing.T) {
	devservertest.Binary(t)
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	pid, kill := processtest.Parent(t, strconv.Itoa(port))
	if !processtest.Running(pid) {
		t.Fatalf("pid %d does not run", pid)
	}
	kill()
	eventually(t, "the server to die with its parent", func() bool { return !processtest.Running(pid) })
	eventually(t, "its port to be free", func() bool { return free(net.JoinHostPort(process.Host, strconv.Itoa(port))) == nil })
}
