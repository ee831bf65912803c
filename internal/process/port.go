package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Host is the only interface on which our children listen.
const Host = "127.0.0.1"

// Ports are taken from below the range from which the usual kernels serve outgoing connections and requests
// for "any port". A port of that range can be handed to anybody while a server restarts, and a client that
// redials it without pause can even connect to itself and so keep it taken.
const (
	lowestPort  = 20_000
	highestPort = 29_999
)

// FreePort is a port on Host that is free now. Somebody else may have it a moment later: see LostPort.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if err = CheckFree(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port on %s between %d and %d: 100 tries failed, the last with: %w; "+
		"state the ports", Host, lowestPort, highestPort, err)
}

// CheckFree says why a port on Host cannot be used.
func CheckFree(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(Host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}
