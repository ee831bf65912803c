package process

import "testing"

func TestFreePortsStayOutOfTheRangeOfOutgoingConnections(t *testing.T) {
	for range 100 {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if port < lowestPort || port > highestPort {
			t.Fatalf("port %d is outside %d to %d", port, lowestPort, highestPort)
		}
	}
}
