package temporalserver

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"

	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process"
	"redial/internal/process/processtest"
)

func TestAPortLostBetweenChoiceAndUseIsReplacedAndNoneIsOpenBeyondTheLoopbackInterface(t *testing.T) {
	if _, err := Find(); err != nil {
		processtest.Skip(t, "temporal-server", err)
	}
	taken, err := net.Listen("tcp", net.JoinHostPort(process.Host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	ctx, cancel := bounded(t.Context())
	defer cancel()
	s, err := prepare(ctx, Options{Postgres: postgrestest.Start(t, postgres.Options{NoSync: true}).URL("postgres"), Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	lost := taken.Addr().(*net.TCPAddr).Port
	picks := 0
	proc, err := s.launch(ctx, func() (int, error) {
		if picks++; picks == 1 {
			return lost, nil
		}
		return process.FreePort()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Kill()
	if s.ports[frontendPort] == lost {
		t.Error("it runs on a port that was taken")
	}
	for variable, port := range s.ports {
		requireClosed(t, variable, port)
	}
}

// requireClosed tries a port on the addresses by which others reach this machine.
func requireClosed(t *testing.T, variable string, port int) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.IsLinkLocalUnicast() {
			continue
		}
		conn, err := net.Dial("tcp", net.JoinHostPort(network.IP.String(), strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s=%d on %s: %v, want refused", variable, port, network.IP, err)
		}
	}
}
