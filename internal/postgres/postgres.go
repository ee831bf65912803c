// Package postgres runs a PostgreSQL server as a child process: for tests that need a real one, and for a local
// topology on a machine where no container engine runs. It is not how to run a database that matters.
//
// The server listens on 127.0.0.1 alone and trusts whoever reaches it. Stop ends it in order; on Linux it also ends
// when its parent is killed outright. Elsewhere it outlives a parent that is killed with SIGKILL.
//
// initdb and postgres refuse to run as root. When the parent is root, they run as the user postgres where there is one, and
// as nobody otherwise, and their folder belongs to that user.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"redial/internal/process"
)

const (
	host      = process.Host
	superuser = "redial"

	// startLimit holds when the caller's context has no deadline. A start takes about a second, most of it initdb;
	// recovery after a crash may take more.
	startLimit = time.Minute

	// stopGrace is what the server gets to write its last checkpoint.
	stopGrace = 30 * time.Second

	// portTries bounds how often a start is repeated because its port was taken meanwhile.
	portTries = 5
)

// Options say how the server runs. The zero value is a durable server in a temporary folder, on a free port.
type Options struct {
	Folder   string            // made when absent, kept at the end; "" is a temporary one, which Stop removes
	Port     int               // 0 is a free port
	Settings map[string]string // of postgresql.conf by name; they win over ours
	LogFile  string            // the server's output is appended here
	NoSync   bool              // nothing waits for the disk: faster; what survives a crash of the machine is undefined
}

// Server is a PostgreSQL server. Its methods may be called from several goroutines.
type Server struct {
	options   Options // with folder and port as chosen
	binaries  string
	temporary bool

	turn sync.Mutex // serialises Stop, Kill and Restart
	mu   sync.Mutex
	proc *child
	lock *os.File // nil after Stop
}

// Start starts a server and returns when it takes connections, or with an error that says in one line what to do,
// and what the server said last. ctx bounds the start only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, process.FreePort)
}

func start(ctx context.Context, o Options, pick func() (int, error)) (*Server, error) {
	binaries, err := Find()
	if err != nil {
		return nil, err
	}
	if o.Port != 0 {
		if err := process.CheckFree(o.Port); err != nil {
			return nil, fmt.Errorf("start PostgreSQL: port %d on %s cannot be used (%w): stop what listens there, or choose another port",
				o.Port, host, err)
		}
	}
	s := &Server{options: o, binaries: binaries, temporary: o.Folder == ""}
	ctx, cancel := limited(ctx)
	defer cancel()
	if err := s.begin(ctx, pick); err != nil {
		return nil, errors.Join(err, s.leave())
	}
	return s, nil
}

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, startLimit)
}

// begin takes the folder, fills it where it is empty, and launches a process on it.
func (s *Server) begin(ctx context.Context, pick func() (int, error)) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := s.initialise(ctx); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s.launch(ctx, pick)
}

// launch starts a process and waits for it, anew while a port of our choice is lost to others before it is used.
func (s *Server) launch(ctx context.Context, pick func() (int, error)) error {
	for try := 1; ; try++ {
		o := s.options
		if o.Port == 0 {
			port, err := pick()
			if err != nil {
				return fmt.Errorf("start PostgreSQL: %w", err)
			}
			o.Port = port
		}
		proc, err := spawn(filepath.Join(s.binaries, "postgres"), s.arguments(o), s.options, s.lock)
		if err != nil {
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		if err = proc.waitReady(ctx, s.url(o.Port, "postgres")); err == nil {
			s.mu.Lock()
			s.options, s.proc = o, proc
			s.mu.Unlock()
			return nil
		}
		proc.kill()
		if s.options.Port != 0 || !proc.output.lostPort() || try == portTries || ctx.Err() != nil {
			return fmt.Errorf("start PostgreSQL (%s, folder %s, port %d): %w; it said last: %s",
				s.binaries, o.Folder, o.Port, err, proc.output.lastLines())
		}
	}
}

func (s *Server) arguments(o Options) []string {
	settings := map[string]string{
		"listen_addresses":        host,
		"port":                    strconv.Itoa(o.Port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		// Its files lie in the folder: a server that is killed leaves nothing in /dev/shm.
		"dynamic_shared_memory_type": "mmap",
	}
	if o.NoSync {
		// Not synchronous_commit: a session may look at it, to be sure that what it commits is kept.
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	maps.Copy(settings, o.Settings)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// environment is ours without what steers PostgreSQL's programs elsewhere, as PGDATA and PGPORT do.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
}

// Port is the TCP port on 127.0.0.1. It stays through Restart.
func (s *Server) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.Port
}

// Folder holds the server's data and its lock.
func (s *Server) Folder() string { return s.options.Folder }

// URL is the address of a database of the server, which need not exist yet. The user is a superuser.
func (s *Server) URL(database string) string { return s.url(s.Port(), database) }

func (s *Server) url(port int, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", superuser, net.JoinHostPort(host, strconv.Itoa(port)), database)
}

// Pid is the process id of the server's first process, as started last.
func (s *Server) Pid() int { return s.current().cmd.Process.Pid }

// Done is closed when the process that runs now has ended. After Restart there is another channel.
func (s *Server) Done() <-chan struct{} { return s.current().done }

// Err says why the server ended by itself: nil while it runs, and after Stop or Kill.
func (s *Server) Err() error {
	p := s.current()
	if !p.ended() || p.asked.Load() {
		return nil
	}
	return fmt.Errorf("PostgreSQL on port %d ended by itself (%s); it said last: %s", s.Port(), p.exit(), p.output.lastLines())
}

// CreateDatabase makes a database, as a copy of template where that is not "". Nobody may be connected to the template.
func (s *Server) CreateDatabase(ctx context.Context, name, template string) error {
	statement := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize()
	if template != "" {
		statement += " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	}
	return s.administer(ctx, statement)
}

// DropDatabase drops a database, and cuts off who is connected to it. One that does not exist is no error.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.administer(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func (s *Server) administer(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Stop ends the server in order (a fast shutdown: whoever is connected is cut off), and by force when it takes more
// than thirty seconds or than ctx allows. It returns when the processes are gone, and a temporary folder with them.
// Stopping a server that has ended is no error.
func (s *Server) Stop(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return errors.Join(s.current().stop(ctx), s.leave())
}

// Kill ends the server at once, as a crash would, and returns when all its processes are gone. Its folder stays, also
// a temporary one, for Restart; Stop removes it.
func (s *Server) Kill() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.current().kill()
}

// Restart stops the server, if it runs, and starts it on the same folder and port, where it recovers what was
// committed before a crash. After Stop there is no temporary folder any more to start on.
func (s *Server) Restart(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.temporary && s.lock == nil {
		return fmt.Errorf("restart PostgreSQL: its temporary folder went with Stop; give Options.Folder, or use Kill")
	}
	if err := s.current().stop(ctx); err != nil {
		return err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	return s.begin(ctx, process.FreePort)
}

func (s *Server) current() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
