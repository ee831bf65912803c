// Package devserver runs Temporal's development server as a child process: for `redial demo` and
// `redial dev`, which must work on a machine that has no Temporal, and for tests that need the real engine. The child never outlives its parent: see package process.
package devserver

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"redial/internal/process"
)

const (
	// startLimit holds when the caller's context has no deadline. A start takes some tenths of a second, more
	// on a machine that is busy or reads the binary for the first time.
	startLimit = time.Minute

	// portTries bounds how often a start is repeated because a port was taken meanwhile. The server chooses
	// ports for its inner services by itself, so that even a start on given ports may lose one.
	portTries = 5
)

// Options say how the server runs. The zero value is a server in memory, with its UI, on free ports.
type Options struct {
	Binary           string            // the temporal CLI; "" is Find()
	Namespace        string            // created beside "default", which always exists
	FrontendPort     int               // gRPC; 0 is a free port
	UIPort           int               // 0 is a free port
	DatabaseFile     string            // "" is in memory; the folder must exist
	SearchAttributes map[string]string // name to type (Keyword, Int, Datetime); registered when the namespace is first created
	LogFile          string            // the server's output is appended here
	Headless         bool              // no UI
	ExtraArgs        []string          // further arguments of `temporal server start-dev`, after ours
}

// Server is a running development server. Its methods may be called from several goroutines.
type Server struct {
	*process.Service
	options Options // with binary and ports as chosen
}

// Start starts a server and returns when it is able to run workflows, or with an error that says in one
// line what to do, and what the server said last. ctx bounds the start only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, process.FreePort)
}

func start(ctx context.Context, o Options, pick func() (int, error)) (*Server, error) {
	if o.Binary == "" {
		binary, err := Find()
		if err != nil {
			return nil, err
		}
		o.Binary = binary
	}
	for _, given := range []struct {
		use  string
		port int
	}{{"gRPC", o.FrontendPort}, {"UI", o.UIPort}} {
		if given.port == 0 || given.use == "UI" && o.Headless {
			continue
		}
		if err := process.CheckFree(given.port); err != nil {
			return nil, fmt.Errorf("start the Temporal dev server: %s port %d on %s cannot be used (%w): "+
				"stop what listens there, or choose another port", given.use, given.port, process.Host, err)
		}
	}
	chosen, proc, err := launch(ctx, o, pick)
	if err != nil {
		return nil, err
	}
	return &Server{Service: process.Serve(proc), options: chosen}, nil
}

// launch starts a process and waits for it, anew while ports are lost to others between choice and use.
func launch(ctx context.Context, o Options, pick func() (int, error)) (Options, *process.Process, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, startLimit)
		defer cancel()
	}
	for try := 1; ; try++ {
		chosen := o
		for _, port := range []*int{&chosen.FrontendPort, &chosen.UIPort} {
			if *port != 0 {
				continue
			}
			free, err := pick()
			if err != nil {
				return o, nil, fmt.Errorf("start the Temporal dev server: %w", err)
			}
			*port = free
		}
		if err := beginDatabase(chosen.DatabaseFile); err != nil {
			return o, nil, fmt.Errorf("start the Temporal dev server: %w; give a database file that can be written", err)
		}
		proc, err := spawn(chosen)
		if err != nil {
			return o, nil, fmt.Errorf("start the Temporal dev server: %w", err)
		}
		if err = proc.AwaitReady(ctx, chosen.untilReady); err == nil {
			if err = finishDatabase(chosen.DatabaseFile); err == nil {
				return chosen, proc, nil
			}
		}
		proc.Kill()
		if !proc.LostPort() || try == portTries || ctx.Err() != nil {
			return o, nil, fmt.Errorf("start the Temporal dev server (%s, gRPC port %d): %w; %s; it said last: %s",
				chosen.Binary, chosen.FrontendPort, err, remedy(err, chosen), proc.LastLines())
		}
	}
}

func remedy(err error, o Options) string {
	otherwise := "run `" + o.Binary + " server start-dev` by hand to see all of it"
	if o.LogFile != "" {
		otherwise = "see " + o.LogFile
	}
	return process.Remedy(err, otherwise)
}

// arguments are those of `temporal server start-dev`.
func (o Options) arguments() []string {
	args := []string{
		"server", "start-dev",
		"--ip", process.Host,
		"--port", strconv.Itoa(o.FrontendPort),

		// The server's defaults protect a shared cluster from one client. Here there is one client, and what
		// is measured or waited for must be the product's own pace, not a quota of the server.
		"--dynamic-config-value", "frontend.rps=50000",
		"--dynamic-config-value", "frontend.namespaceRPS=50000",
		"--dynamic-config-value", "frontend.namespaceRPS.visibility=5000",
		"--dynamic-config-value", "history.rps=50000",
		"--dynamic-config-value", "matching.rps=50000",
	}
	if o.Headless {
		args = append(args, "--headless")
	} else {
		// Without it the UI takes the gRPC port + 1000, which nobody has looked at.
		args = append(args, "--ui-port", strconv.Itoa(o.UIPort))
	}
	if o.Namespace != "" && o.Namespace != "default" {
		args = append(args, "--namespace", o.Namespace)
	}
	if o.DatabaseFile != "" {
		// Without these every transition waits for two syncs of a rollback journal, at a third of the pace.
		args = append(args, "--db-filename", o.DatabaseFile,
			"--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL")
	}
	for _, name := range slices.Sorted(maps.Keys(o.SearchAttributes)) {
		args = append(args, "--search-attribute", name+"="+o.SearchAttributes[name])
	}
	return append(args, o.ExtraArgs...)
}

// environment is ours without what would steer the CLI elsewhere: TEMPORAL_NAMESPACE, profiles and the like
// are meant for clients, and the CLI reads them as flags of the server too.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TEMPORAL_") })
}

// Address is the gRPC address, for TEMPORAL_ADDRESS or client.Options.HostPort.
func (s *Server) Address() string { return s.options.address() }

// UIURL is the address of the web UI, or "" for a headless server.
func (s *Server) UIURL() string {
	if s.options.Headless {
		return ""
	}
	return "http://" + net.JoinHostPort(process.Host, strconv.Itoa(s.options.UIPort))
}

// Restart stops the server, if it runs, and starts it on the same ports and the same database file. A server
// in memory starts empty.
func (s *Server) Restart(ctx context.Context) error {
	return s.Replace(ctx, func(ctx context.Context) (*process.Process, error) {
		_, proc, err := launch(ctx, s.options, process.FreePort)
		return proc, err
	})
}
