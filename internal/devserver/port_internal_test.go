package devserver

import (
	"net"
	"testing"

	"redial/internal/process"
	"redial/internal/process/processtest"
)

func TestAPortLostBetweenChoiceAndUseIsReplaced(t *testing.T) {
	binary, err := Find()
	if err != nil {
		processtest.Skip(t, "temporal", err)
	}
	taken, err := net.Listen("tcp", net.JoinHostPort(process.Host, "0"))
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
		return process.FreePort()
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if picks <= 2 {
		t.Errorf("the first choice was taken, but only %d ports were chosen", picks)
	}
}
