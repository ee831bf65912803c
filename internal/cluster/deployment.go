package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"redial/internal/postgres"
	"redial/internal/process"
	"redial/internal/temporalserver"
	"redial/simulator"
)

// startFor is how long everything may take to come up, on a machine that does much else.
const startFor = 5 * time.Minute

// restartPause keeps a part that cannot live from being started all the time.
const restartPause = time.Second

// part is a process of the deployment.
type part interface {
	Pid() int
	Done() <-chan struct{}
	Err() error
	Restart(context.Context) error
	Stop(context.Context) error
}

// named is a part, and what people call it.
type named struct {
	part
	name, address string
}

// deployment is all of it.
type deployment struct {
	folder    string
	temporary bool
	binary    string
	say       func(format string, args ...any)

	parts     []*named // in the order in which they were started
	proxy     *proxy
	simulator string // URL
	console   string // URL
	temporal  string // address
	database  string // of the ledger
}

// newDeployment prepares the folder; "" is a temporary one.
func newDeployment(folder, binary string, say func(string, ...any)) (*deployment, error) {
	d := &deployment{folder: folder, temporary: folder == "", say: say}
	var err error
	if d.binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	if d.temporary {
		d.folder, err = os.MkdirTemp("", "redial-cluster-")
	} else if d.folder, err = filepath.Abs(folder); err == nil {
		err = os.MkdirAll(d.folder, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; give a folder that can be written", err)
	}
	// PostgreSQL runs as another user where we are root, and has to get through. What is in it is closed by itself.
	if err := os.Chmod(d.folder, 0o711); err != nil {
		return nil, err
	}
	for _, name := range []string{"logs", "secrets", "temporal"} {
		if err := os.MkdirAll(filepath.Join(d.folder, name), 0o700); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *deployment) log(name string) string { return filepath.Join(d.folder, "logs", name+".log") }

// start starts every part, each when what it needs is ready.
func (d *deployment) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startFor)
	defer cancel()
	if err := d.makeSecrets(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.startPostgres, d.startTemporal, d.setup, d.startRoles, d.writeEnvironment} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *deployment) add(name, address string, p part) {
	d.parts = append(d.parts, &named{part: p, name: name, address: address})
	d.say("  %-11s is ready", name)
}

func (d *deployment) startPostgres(ctx context.Context) error {
	server, err := postgres.Start(ctx, postgres.Options{Folder: filepath.Join(d.folder, "postgres"), LogFile: d.log("postgres"),
		// As in docker-compose.yml: Temporal's pools alone may grow to 160 connections, each role of Redial has ten.
		Settings: map[string]string{"max_connections": "300"}})
	if err != nil {
		return err
	}
	d.add("postgres", fmt.Sprintf("127.0.0.1:%d", server.Port()), server)
	d.database = strings.Replace(server.URL("redial"), "redial@", ledgerUser+"@", 1)
	return makeLedgerDatabase(ctx, server.URL("postgres"))
}

// ledgerUser owns the ledger's database, and may nothing else.
const ledgerUser = "ledger"

// makeLedgerDatabase makes the ledger's user and database where they are not there yet.
func makeLedgerDatabase(ctx context.Context, superuser string) error {
	conn, err := pgx.Connect(ctx, superuser)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var user, database bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1), EXISTS (SELECT FROM pg_database WHERE datname = 'redial')`, ledgerUser).
		Scan(&user, &database)
	if err == nil && !user {
		_, err = conn.Exec(ctx, "CREATE ROLE "+ledgerUser+" LOGIN")
	}
	if err == nil && !database {
		_, err = conn.Exec(ctx, "CREATE DATABASE redial OWNER "+ledgerUser)
	}
	if err != nil {
		return fmt.Errorf("make the ledger's database: %w", err)
	}
	return nil
}

func (d *deployment) startTemporal(ctx context.Context) error {
	server, err := temporalserver.Start(ctx, temporalserver.Options{Postgres: d.superuserURL(), Folder: filepath.Join(d.folder, "temporal"),
		LogFile: d.log("temporal")})
	if err != nil {
		return err
	}
	d.temporal = server.Address()
	d.add("temporal", d.temporal, server)
	return nil
}

func (d *deployment) superuserURL() string {
	return d.parts[0].part.(*postgres.Server).URL("postgres")
}

// secrets are the keys of the deployment, in files that are made once: calls under way rely on them.
var secrets = map[string]func() string{
	"notify":     rand.Text,
	"id":         rand.Text,
	"escalation": func() string { return "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text())) },
}

func (d *deployment) secret(name string) string { return filepath.Join(d.folder, "secrets", name) }

func (d *deployment) makeSecrets() error {
	for name, value := range secrets {
		file, err := os.OpenFile(d.secret(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err == nil {
			_, err = file.WriteString(value())
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shared is what every role and every short command is told.
func (d *deployment) shared() []string {
	return []string{
		"TEMPORAL_ADDRESS=" + d.temporal, "TEMPORAL_NAMESPACE=default",
		"TEMPORAL_CONFIG_FILE=" + os.DevNull, // a profile of the user's may say TLS
		"REDIAL_DATABASE=" + d.database,
		"REDIAL_ID_SECRET_FILE=" + d.secret("id"),
	}
}

// account is the simulated gateway's.
var account = []string{
	"KORE_BOT_ID=" + simulator.DefaultBotID, "KORE_CLIENT_ID=" + simulator.DefaultClientID, "KORE_CLIENT_SECRET=" + simulator.DefaultClientSecret,
}

// redial is a command of the redial binary under the deployment's settings.
func (d *deployment) redial(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.Env = append(inherited(), d.shared()...)
	return cmd
}

func (d *deployment) setup(ctx context.Context) error {
	said, err := d.redial(ctx, "setup").CombinedOutput()
	if err != nil {
		return fmt.Errorf("redial setup: %w: %s", err, said)
	}
	return nil
}

// startRoles starts the roles of Redial. The proxy knows the webhooks' addresses, and the workers the proxy's.
func (d *deployment) startRoles(ctx context.Context) error {
	gateway, err := d.startRole(ctx, role{name: "simulator", args: []string{"simulator", "--dialect=mixed", "--speed=10"}, flag: "--addr", probe: "/healthz",
		settings: account, grace: 20 * time.Second})
	if err != nil {
		return err
	}
	d.simulator = "http://" + gateway
	hearing := []string{"REDIAL_NOTIFY_SECRET_FILE=" + d.secret("notify"), "REDIAL_ESCALATION_SECRET_FILE=" + d.secret("escalation"),
		"REDIAL_TRUSTED_PROXIES=127.0.0.1", "REDIAL_DRAIN_DELAY=2s"} // the proxy asks every second
	var webhooks []string
	for _, name := range []string{"webhook-1", "webhook-2"} {
		address, err := d.startRole(ctx, role{name: name, args: []string{"webhook"}, variable: "REDIAL_WEBHOOK_ADDR", settings: hearing, grace: 40 * time.Second})
		if err != nil {
			return err
		}
		webhooks = append(webhooks, address)
	}
	if d.proxy, err = startProxy(webhooks); err != nil {
		return err
	}
	d.say("  %-11s is ready", "proxy")
	dialing := append([]string{"KORE_BASE_URL=" + d.simulator, "KORE_CALLER=+12025550100", "REDIAL_NOTIFY_URL=" + d.proxy.url(),
		"REDIAL_NOTIFY_SECRET_FILE=" + d.secret("notify")}, account...)
	for _, name := range []string{"worker-1", "worker-2"} {
		if _, err := d.startRole(ctx, role{name: name, args: []string{"worker"}, variable: "REDIAL_HEALTH_ADDR", settings: dialing, grace: 50 * time.Second}); err != nil {
			return err
		}
	}
	console, err := d.startRole(ctx, role{name: "console", args: []string{"console"}, variable: "REDIAL_CONSOLE_ADDR", grace: 20 * time.Second})
	d.console = "http://" + console
	return err
}

func (d *deployment) startRole(ctx context.Context, r role) (address string, err error) {
	r.deployment = d
	running, err := r.start(ctx)
	if err != nil {
		return "", err
	}
	d.add(r.name, running.address, running)
	return running.address, nil
}

// environmentFile is what a person reads into a shell to work with this deployment.
func (d *deployment) environmentFile() string { return filepath.Join(d.folder, "env") }

func (d *deployment) writeEnvironment(context.Context) error {
	var b strings.Builder
	for _, setting := range d.shared() {
		name, value, _ := strings.Cut(setting, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	b.WriteString("unset REDIAL_ALLOW_TO REDIAL_ID_SECRET TEMPORAL_PROFILE TEMPORAL_API_KEY TEMPORAL_TLS\n")
	return os.WriteFile(d.environmentFile(), []byte(b.String()), 0o600)
}

// describe tells where everything is, and what to do with it.
func (d *deployment) describe(out io.Writer) {
	fmt.Fprint(out, "\nA whole deployment of Redial is up, against a simulated gateway: no phone can ring.\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range d.parts {
		fmt.Fprintf(table, "  %s\t%s\tpid %d\n", p.name, p.address, p.Pid())
	}
	fmt.Fprintf(table, "  proxy\t%s\tin this process\n", strings.TrimPrefix(d.proxy.url(), "http://"))
	_ = table.Flush()
	redial := fromHere(d.binary)
	fmt.Fprintf(out, `
Place a call, in another terminal:
  . %s
  %s call --to +14155550100 --id anna --wait
  %s show anna
What becomes of a call is said by its metadata, as in --metadata simulate=busy; simulator/README.md tells the language.

Look around:
  curl %s/api/v1/capacity
  curl %s/simulator/stats
  bin/temporal workflow list    (make bin/temporal builds it)
Kill a process (kill -9 PID), or end it in order (kill PID): the others take over, and it is started again.
Logs: %s
Ctrl-C stops everything in order.

`, fromHere(d.environmentFile()), redial, redial, d.console, d.simulator, filepath.Join(fromHere(d.folder), "logs"))
}

// supervise starts again what ends, until ctx ends.
func (d *deployment) supervise(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range d.parts {
		all.Go(func() { d.revive(ctx, p) })
	}
	all.Wait()
}

func (d *deployment) revive(ctx context.Context, p *named) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
		}
		how, _, _ := strings.Cut(fmt.Sprint(p.Err()), "; it said last")
		d.say("%s, and is started again; see %s", how, d.log(p.name))
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartPause):
		}
		if err := p.Restart(ctx); err != nil {
			d.say("%s: %v", p.name, err)
			continue
		}
		d.say("%s is ready again, pid %d", p.name, p.Pid())
	}
}

// order is that in which parts are stopped, those of one line together: no new dials, then no new reports, then the ground.
var order = [][]string{{"worker-1", "worker-2"}, {"simulator"}, {"webhook-1", "webhook-2", "console"}, {"temporal"}, {"postgres"}}

// stop stops everything in order, what is ended by force named in its error. When ctx ends everything is ended by force.
func (d *deployment) stop(ctx context.Context) error {
	var failures []error
	for _, names := range order {
		results := make(chan error, len(names))
		for _, name := range names {
			go func() { results <- d.stopPart(ctx, name) }()
		}
		for range names {
			failures = append(failures, <-results)
		}
	}
	if d.proxy != nil {
		failures = append(failures, d.proxy.close())
	}
	return errors.Join(failures...)
}

func (d *deployment) stopPart(ctx context.Context, name string) error {
	for _, p := range d.parts {
		if p.name == name {
			return p.Stop(ctx)
		}
	}
	return nil // it was not started
}

// untilReady returns when the process answers a probe with 200.
func untilReady(ctx context.Context, p *process.Process, url string) error {
	return p.AwaitReady(ctx, func(ctx context.Context) error {
		return process.Until(ctx, func(ctx context.Context) error { return probe(ctx, url) })
	})
}
