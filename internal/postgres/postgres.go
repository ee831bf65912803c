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
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

	// NoSync: nothing waits for the disk, and a temporary folder is in memory where there is room. It is faster; what
	// survives a crash of the machine is undefined.
	NoSync bool
}

// Server is a PostgreSQL server. Its methods may be called from several goroutines. Kill keeps its folder, also a temporary
// one, for Restart; Stop removes it.
type Server struct {
	*process.Service
	options   Options // with folder and port as chosen
	binaries  string
	temporary bool

	turn sync.Mutex // serialises Stop and Restart
	lock *os.File   // nil after Stop
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
	if o.Folder != "" {
		if o.Folder, err = filepath.Abs(o.Folder); err != nil {
			return nil, fmt.Errorf("start PostgreSQL: %w; give the whole path of the folder", err)
		}
	}
	s := &Server{options: o, binaries: binaries, temporary: o.Folder == ""}
	proc, err := s.begin(ctx, pick)
	if err != nil {
		return nil, errors.Join(err, s.leave())
	}
	s.Service = process.Serve(proc)
	return s, nil
}

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, startLimit)
}

// begin takes the folder, fills it where it is empty, and launches a process on it.
func (s *Server) begin(ctx context.Context, pick func() (int, error)) (*process.Process, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	err := s.enter(ctx)
	if err == nil {
		err = s.initialise(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s.launch(ctx, pick)
}

// launch starts a process and waits for it, anew while a port of our choice is lost to others before it is used.
func (s *Server) launch(ctx context.Context, pick func() (int, error)) (*process.Process, error) {
	given := s.options.Port
	for try := 1; ; try++ {
		port := given
		if given == 0 {
			free, err := pick()
			if err != nil {
				return nil, fmt.Errorf("start PostgreSQL: %w", err)
			}
			port = free
		}
		proc, err := s.spawn("PostgreSQL on port "+strconv.Itoa(port), s.command("postgres", s.arguments(port)...))
		if err != nil {
			return nil, fmt.Errorf("start PostgreSQL: %w", err)
		}
		err = proc.AwaitReady(ctx, func(ctx context.Context) error {
			return process.Until(ctx, func(ctx context.Context) error { return answers(ctx, proc, url(port, "postgres")) })
		})
		if err == nil {
			if given == 0 { // a restart writes nothing: Port may be asked meanwhile
				s.options.Port = port
			}
			return proc, nil
		}
		proc.Kill()
		if given != 0 || !proc.LostPort() || try == portTries || ctx.Err() != nil {
			return nil, fmt.Errorf("start PostgreSQL (%s, folder %s, port %d): %w; %s; it said last: %s", s.binaries, s.options.Folder,
				port, err, process.Remedy(err, "mend what it complains of"), proc.LastLines())
		}
	}
}

// answers tells whether our server takes connections, and not another that has taken its port.
func answers(ctx context.Context, proc *process.Process, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var written string
	if err := conn.QueryRow(ctx, "SELECT pg_read_file('postmaster.pid')").Scan(&written); err != nil {
		return err
	}
	if pid, _, _ := strings.Cut(written, "\n"); pid != strconv.Itoa(proc.Pid()) {
		return fmt.Errorf("the server that answers has pid %s", pid)
	}
	return nil
}

// command is one of PostgreSQL's programs. It inherits the lock of the folder.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.binaries, program), args...)
	cmd.Env = environment()
	cmd.Dir = s.options.Folder // ours may be closed to the user it runs as
	cmd.ExtraFiles = []*os.File{s.lock}
	return cmd
}

// spawn: SIGTERM would wait for the clients to leave; SIGQUIT is the shutdown at once that takes all processes along.
func (s *Server) spawn(name string, cmd *exec.Cmd) (*process.Process, error) {
	var err error
	if cmd.SysProcAttr, err = credentials(); err != nil {
		return nil, err
	}
	p, err := process.Start(cmd, process.Options{
		Name: name, LogFile: s.options.LogFile, Grace: stopGrace, StopSignal: syscall.SIGINT, OrphanSignal: syscall.SIGQUIT,
	})
	if err != nil {
		return nil, fmt.Errorf("%w; see that %s can be run, and that %s can be entered by the user it runs as", err, cmd.Path, cmd.Dir)
	}
	return p, nil
}

func (s *Server) arguments(port int) []string {
	settings := map[string]string{
		"listen_addresses":        host,
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		// Its files lie in the folder, and go with it: a server that is killed leaves nothing beside it.
		"dynamic_shared_memory_type": "mmap",
	}
	if s.options.NoSync {
		// Not synchronous_commit: a session may look at it, to be sure that what it commits is kept.
		settings["fsync"], settings["full_page_writes"] = "off", "off"
		settings["max_wal_size"] = "256MB" // its place may be in memory, and a checkpoint costs little here
	}
	maps.Copy(settings, s.options.Settings)
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
func (s *Server) Port() int { return s.options.Port }

// Folder holds the server's data and its lock.
func (s *Server) Folder() string { return s.options.Folder }

// URL is the address of a database of the server, which need not exist yet. The user is a superuser.
func (s *Server) URL(database string) string { return url(s.Port(), database) }

func url(port int, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", superuser, net.JoinHostPort(host, strconv.Itoa(port)), database)
}

// CreateDatabase makes a database, as a copy of template where that is not "". Nobody may be connected to the template.
func (s *Server) CreateDatabase(ctx context.Context, name, template string) error {
	statement := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize()
	if template != "" {
		statement += " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	}
	return s.administer(ctx, func(conn *pgx.Conn) string {
		if s.options.NoSync && strategies(conn) {
			return statement + " STRATEGY file_copy" // half the price of the log where its checkpoints wait for no disk
		}
		return statement
	})
}

// strategies tells whether the server has more than one way to copy a database, as from version 15 on.
func strategies(conn *pgx.Conn) bool {
	major, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), ".")
	version, err := strconv.Atoi(major)
	return err == nil && version >= 15
}

// DropDatabase drops a database, and cuts off who is connected to it. One that does not exist is no error.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.administer(ctx, func(*pgx.Conn) string {
		return "DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"
	})
}

func (s *Server) administer(ctx context.Context, statement func(*pgx.Conn) string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL on port %d: %w; see whether it runs", s.Port(), err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement(conn)); err != nil {
		return fmt.Errorf("%s: %w", statement(conn), err)
	}
	return nil
}

// Stop ends the server in order (a fast shutdown: whoever is connected is cut off), and by force when it takes more
// than thirty seconds or than ctx allows. It returns when the processes are gone, and a temporary folder with them.
// Stopping a server that has ended is no error.
func (s *Server) Stop(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return errors.Join(s.Service.Stop(ctx), s.leave())
}

// Restart stops the server, if it runs, and starts it on the same folder and port, where it recovers what was
// committed before a crash. After Stop there is no temporary folder any more to start on.
func (s *Server) Restart(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.temporary && s.lock == nil {
		return fmt.Errorf("restart PostgreSQL: its temporary folder went with Stop; give Options.Folder, or use Kill")
	}
	return s.Replace(ctx, func(ctx context.Context) (*process.Process, error) { return s.begin(ctx, process.FreePort) })
}
