// Package serve runs an HTTP server whose limits and whose end are the same for every role.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Grace is how long requests under way may take to finish after a server was asked to stop.
const Grace = 15 * time.Second

// Listen opens a TCP address; the error is one line that names the variable to change.
func Listen(address, variable string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w; free the port or set %s to another address", address, err, variable)
	}
	return l, nil
}

// Run serves until ctx ends, then takes no new requests, lets those under way finish, and returns.
func Run(ctx context.Context, l net.Listener, h http.Handler, log *zap.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(log),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), Grace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("stop %s: %w", l.Addr(), err), server.Close())
	}
	return nil
}
