package devserver

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range from which the usual kernels serve outgoing connections and requests
// for "any port". A port of that range can be handed to anybody while a server restarts, and a client that
// redials it without pause can even connect to itself and so keep it taken.
const (
	lowestPort  = 20_000
	highestPort = 29_999
)

func freePort() (int, error) {
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if err = checkFree(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port on %s between %d and %d: 100 tries failed, the last with: %w; "+
		"state the ports", host, lowestPort, highestPort, err)
}

func checkFree(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}
