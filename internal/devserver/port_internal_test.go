package devserver

import (
	"net"
	"testing"
)

func TestAPortLostBetweenChoiceAndUseIsReplaced(t *testing.T) {
	binary, err := Find()
	if err != nil {
		t.Skip("the real engine is not here:", err)
	}
	taken, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()

	picks := 0
	server, err := start(t.Context(), Options{Binary: binary, Headless: true}, func() (int, error) {
		picks++
		if picks <= 2 {
			return taken.Addr().(*net.TCPAddr).Port, nil
		}
		return freePort()
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if picks <= 2 {
		t.Errorf("the first choice was taken, but only %d ports were chosen", picks)
	}
}

func TestFreePortsStayOutOfTheRangeOfOutgoingConnections(t *testing.T) {
	for range 100 {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		if port < lowestPort || port > highestPort {
			t.Fatalf("port %d is outside %d to %d", port, lowestPort, highestPort)
		}
	}
}
