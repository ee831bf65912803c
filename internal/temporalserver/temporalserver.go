// Package temporalserver runs Temporal's real server on PostgreSQL as a child process: for a cluster of processes on one
// machine, and for tests that ask what a production engine does when it restarts. It is the server and the schema of the
// containers in docker-compose.yml, with all four services in one process on the loopback interface. The child never
// outlives its parent: see package process.
package temporalserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"redial/internal/process"
)

const (
	// startLimit holds when the caller's context has no deadline. A start takes some seconds, most of them for
	// the schema; more on a machine that is busy.
	startLimit = 2 * time.Minute

	// portTries bounds how often a start is repeated because a port was taken meanwhile.
	portTries = 5
)

// Options say how the server runs. Only Postgres and Folder have no default.
type Options struct {
	Binaries           Binaries       // the zero value is Find()
	Postgres           string         // URL of a server on whose database a user may create others; TCP, without TLS
	Database           string         // "" is temporal; created where it is missing
	VisibilityDatabase string         // "" is temporal_visibility; likewise
	Folder             string         // for the dynamic configuration; must exist, and be this server's alone
	FrontendPort       int            // gRPC; 0 is a free port. The inner services always get free ones
	HistoryShards      int            // 0 is 16; what the databases were created with stays
	Namespace          string         // "" is default; registered where it is missing
	Retention          time.Duration  // of a namespace that is registered; 0 is 30 days
	DynamicConfig      map[string]any // key to value, for all namespaces; wins over ours
	LogFile            string         // the server's output, JSON lines, is appended here
}

// dynamicConfig is for servers that do not live long: without it, search attributes that were just registered are unknown for up to
// a minute. It costs a read for each use. Worker deployment versions are on by default in this version.
var dynamicConfig = map[string]any{"system.forceSearchAttributesCacheRefreshOnRead": true}

// Server is a running server. Its methods may be called from several goroutines.
type Server struct {
	*process.Service
	settings settings
}

// settings are options of which nothing is open any more.
type settings struct {
	Options
	store store
	ports map[string]int // by the variable that tells the server
}

// portVariables: each service has a port for requests and one to find the others of its cluster.
var portVariables = []string{
	frontendPort, "FRONTEND_MEMBERSHIP_PORT", "HISTORY_GRPC_PORT", "HISTORY_MEMBERSHIP_PORT",
	"MATCHING_GRPC_PORT", "MATCHING_MEMBERSHIP_PORT", "WORKER_GRPC_PORT", "WORKER_MEMBERSHIP_PORT",
}

const frontendPort = "FRONTEND_GRPC_PORT"

// Start creates the databases and brings their schema up to date, where that is needed, starts a server and returns when
// it is able to run workflows, or with an error that says in one line what to do. ctx bounds the start only: the server
// runs until Stop. What a server has left in the databases, the next one on them goes on with; two at a time are one too many.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	s, err := prepare(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start the Temporal server: %w", err)
	}
	proc, err := s.launch(ctx, process.FreePort)
	if err != nil {
		return nil, err
	}
	return &Server{Service: process.Serve(proc), settings: *s}, nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, startLimit)
}

func prepare(ctx context.Context, o Options) (*settings, error) {
	s := &settings{Options: o.withDefaults()}
	if o.Binaries == (Binaries{}) {
		found, err := Find()
		if err != nil {
			return nil, err
		}
		s.Binaries = found
	}
	if o.FrontendPort != 0 {
		if err := process.CheckFree(o.FrontendPort); err != nil {
			return nil, fmt.Errorf("gRPC port %d on %s cannot be used (%w): stop what listens there, or choose another port",
				o.FrontendPort, process.Host, err)
		}
	}
	if err := s.writeDynamicConfig(); err != nil {
		return nil, err
	}
	var err error
	if s.store, err = parseStore(o.Postgres); err != nil {
		return nil, err
	}
	for _, pair := range [][2]string{{s.Database, "temporal"}, {s.VisibilityDatabase, "visibility"}} {
		if err := s.store.create(ctx, pair[0]); err != nil {
			return nil, err
		}
		if err := s.store.migrate(ctx, s.Binaries.SQLTool, pair[0], "postgresql/v12/"+pair[1]); err != nil {
			return nil, err
		}
	}
	return s, s.store.forgetMembers(ctx, s.Database)
}

func (o Options) withDefaults() Options {
	if o.Database == "" {
		o.Database = "temporal"
	}
	if o.VisibilityDatabase == "" {
		o.VisibilityDatabase = "temporal_visibility"
	}
	if o.HistoryShards == 0 {
		o.HistoryShards = 16
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	if o.Retention == 0 {
		o.Retention = 30 * 24 * time.Hour
	}
	return o
}

func (s *settings) dynamicConfigFile() string { return filepath.Join(s.Folder, "dynamic-config.yaml") }

// writeDynamicConfig writes JSON, which is YAML too. The server does not start without such a file.
func (s *settings) writeDynamicConfig() error {
	entries := maps.Clone(dynamicConfig)
	maps.Copy(entries, s.DynamicConfig)
	type constrained struct {
		Value any `json:"value"`
	}
	file := map[string][]constrained{}
	for key, value := range entries {
		file[key] = []constrained{{value}}
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("write the dynamic configuration: %w; its values must be such that JSON has them", err)
	}
	if err := os.WriteFile(s.dynamicConfigFile(), text, 0o600); err != nil {
		return fmt.Errorf("write the dynamic configuration: %w; give a folder that exists and can be written", err)
	}
	return nil
}

// launch starts a process and waits for it, anew while ports are lost to others between choice and use.
func (s *settings) launch(ctx context.Context, pick func() (int, error)) (*process.Process, error) {
	for try := 1; ; try++ {
		ports, err := s.choosePorts(pick)
		if err != nil {
			return nil, fmt.Errorf("start the Temporal server: %w", err)
		}
		chosen := *s
		chosen.ports = ports
		proc, err := chosen.spawn()
		if err != nil {
			return nil, fmt.Errorf("start the Temporal server: %w; build the pinned one with `make bin/temporal-server`", err)
		}
		if err = proc.AwaitReady(ctx, chosen.untilReady); err == nil {
			*s = chosen
			return proc, nil
		}
		proc.Kill()
		if !proc.LostPort() || try == portTries || ctx.Err() != nil {
			return nil, fmt.Errorf("start the Temporal server (%s, gRPC port %d, %s): %w; %s; it said last: %s",
				s.Binaries.Server, ports[frontendPort], s.store, err, remedy(err, s.Options), proc.LastLines())
		}
	}
}

// choosePorts keeps the ports of an earlier start: the others of a cluster, and clients, know them.
func (s *settings) choosePorts(pick func() (int, error)) (map[string]int, error) {
	if s.ports != nil {
		return s.ports, nil
	}
	ports := map[string]int{}
	taken := map[int]bool{s.FrontendPort: true, 0: true}
	for _, variable := range portVariables {
		if variable == frontendPort && s.FrontendPort != 0 {
			ports[variable] = s.FrontendPort
			continue
		}
		for taken[ports[variable]] {
			port, err := pick()
			if err != nil {
				return nil, err
			}
			ports[variable] = port
		}
		taken[ports[variable]] = true
	}
	return ports, nil
}

func (s *settings) spawn() (*process.Process, error) {
	cmd := exec.Command(s.Binaries.Server, "--allow-no-auth", "start")
	cmd.Env = s.environment()
	return process.Start(cmd, process.Options{Name: "the Temporal server at " + s.address(), LogFile: s.LogFile})
}

// environment is how this server is configured: it has its configuration as a template inside, and these are its variables.
// None of ours are handed on: the template reads names as plain as DB.
func (s *settings) environment() []string {
	env := []string{
		"DB=postgres12",
		"POSTGRES_SEEDS=" + s.store.host,
		"DB_PORT=" + s.store.port,
		"POSTGRES_USER=" + s.store.user,
		"POSTGRES_PWD=" + s.store.password,
		"DBNAME=" + s.Database,
		"VISIBILITY_DBNAME=" + s.VisibilityDatabase,
		"NUM_HISTORY_SHARDS=" + strconv.Itoa(s.HistoryShards),
		"BIND_ON_IP=" + process.Host,
		"TEMPORAL_BROADCAST_ADDRESS=" + process.Host,
		"FRONTEND_HTTP_PORT=0",
		"DYNAMIC_CONFIG_FILE_PATH=" + s.dynamicConfigFile(),
	}
	for variable, port := range s.ports {
		env = append(env, variable+"="+strconv.Itoa(port))
	}
	return env
}

func remedy(err error, o Options) string {
	otherwise := "give it a log file to see all of it"
	if o.LogFile != "" {
		otherwise = "see " + o.LogFile
	}
	return process.Remedy(err, otherwise)
}

func (s *settings) address() string {
	return net.JoinHostPort(process.Host, strconv.Itoa(s.ports[frontendPort]))
}

// Address is the gRPC address, for TEMPORAL_ADDRESS or client.Options.HostPort.
func (s *Server) Address() string { return s.settings.address() }

// Restart stops the server, if it runs, and starts it on the same ports and databases.
func (s *Server) Restart(ctx context.Context) error {
	return s.Replace(ctx, func(ctx context.Context) (*process.Process, error) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		kept := s.settings
		return kept.launch(ctx, process.FreePort)
	})
}
