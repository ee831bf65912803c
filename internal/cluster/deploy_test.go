//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"redial/internal/devserver/devservertest"
	"redial/internal/postgres"
	"redial/internal/postgres/postgrestest"
	"redial/internal/process"
	"redial/ledger"
	"redial/simulator"
)

// block is a block of docs/deploy.md that it says is run by a test.
func block(t *testing.T, name, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/deploy.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "<!-- checked: "+name+" -->\n```"+language+"\n")
	require.True(t, found, "docs/deploy.md has no block %q any more", name)
	code, _, _ := strings.Cut(after, "```")
	return code
}

func TestTheOperatorsSQLMakesAnOwnerThatSetsUpAndRolesThatMayNotChangeTables(t *testing.T) {
	server := postgrestest.Start(t, postgres.Options{NoSync: true})
	as := func(user string) string { return strings.Replace(server.URL("redial"), "redial@", user+"@", 1) }
	maintenance := strings.Replace(as("admin"), "/redial?", "/postgres?", 1)
	execute(t, server.URL("postgres"), "CREATE ROLE admin SUPERUSER LOGIN")
	execute(t, maintenance, "ALTER ROLE redial RENAME TO nobody") // it is this server's first superuser
	creates, grants, found := strings.Cut(block(t, "ledger role", "sql"), "-- Optional")
	require.True(t, found)
	execute(t, maintenance, creates)
	execute(t, as("admin"), "-- Optional"+grants)

	_, err := ledger.Open(t.Context(), as("redial_roles"), ledger.Options{Owner: true})
	require.Error(t, err, "a role has made the tables")
	owner, err := ledger.Open(t.Context(), as("redial"), ledger.Options{Migrate: true})
	require.NoError(t, err)
	require.NoError(t, owner.Close())
	roles, err := ledger.Open(t.Context(), as("redial_roles"), ledger.Options{Owner: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, roles.Close()) }()
	require.NoError(t, roles.SetLimits(t.Context(), 10, 55, time.Minute))
	require.NoError(t, roles.Receive(t.Context(), "redial/-/anna/run/1", []byte("{}"), nil, "nobody's"))
	_, err = roles.Tick(t.Context())
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), as("redial_roles"))
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), "ALTER TABLE attempts ADD COLUMN x INT")
	require.ErrorContains(t, err, "must be owner")
}

// execute runs statements one by one: a database cannot be created in a transaction.
func execute(t *testing.T, url, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	for statement := range strings.SplitSeq(statements, ";\n") {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

// TestTheOperatorsCommandsStopDialingAndRampAndRollBackABuild runs the commands of docs/deploy.md against Temporal's server.
func TestTheOperatorsCommandsStopDialingAndRampAndRollBackABuild(t *testing.T) {
	requireServers(t)
	temporal := devservertest.Binary(t)
	dir := filepath.Join(reachableFolder(t), "kept")
	c := startCluster(t, dir)
	operate := func(name string) string { return c.commands(t, dir, temporal, block(t, name, "sh")) }

	operate("stop dialing")
	c.shell(t, dir, "call --to +14155550100 --id anna")
	require.Never(t, func() bool { return c.launched(t) > 0 }, 5*time.Second, 200*time.Millisecond, "a call was dialed")
	operate("dial again")
	require.Eventually(t, func() bool { return c.launched(t) == 1 }, patience, 100*time.Millisecond, "it is not dialed")

	first := c.worker(t, dir, "v1")
	c.commands(t, dir, temporal, "temporal worker deployment set-current-version --deployment-name redial --build-id v1 --yes")
	c.shell(t, dir, "call --to +14155550101 --id bert --wait")
	first.dialed(t, "redial/-/bert")
	second := c.worker(t, dir, "v2")
	require.Contains(t, operate("ramp"), "RampingVersionPercentage             10")
	operate("take the ramp back")
	operate("make current")
	c.shell(t, dir, "call --to +14155550102 --id carl --wait")
	second.dialed(t, "redial/-/carl")
	require.Contains(t, operate("roll back"), "drain")
	c.shell(t, dir, "call --to +14155550103 --id dora --wait")
	first.dialed(t, "redial/-/dora")
	first.stop(t)
	second.stop(t)
	c.interrupt(t)
}

// commands runs shell commands with the cluster's environment, and the Temporal CLI as temporal.
func (c *cluster) commands(t *testing.T, dir, temporal, commands string) string {
	t.Helper()
	cmd := exec.Command("sh", "-euc", ". '"+dir+"/env'; temporal() { '"+temporal+"' \"$@\"; }\n"+commands)
	cmd.Env = inherited()
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", commands, said)
	return string(said)
}

// launched is how many calls the gateway has placed.
func (c *cluster) launched(t *testing.T) int {
	t.Helper()
	text, err := get(t.Context(), "http://"+c.says(t, `simulator +(\S+) +pid`)+"/simulator/stats")
	require.NoError(t, err)
	var stats simulator.Stats
	require.NoError(t, json.Unmarshal(text, &stats))
	return stats.Launched
}

// versioned is a worker of a build, beside those of the cluster.
type versioned struct {
	*process.Process
	log string
}

// worker starts a worker of a build, and waits until the server knows it.
func (c *cluster) worker(t *testing.T, dir, build string) versioned {
	t.Helper()
	port, err := process.FreePort()
	require.NoError(t, err)
	address := fmt.Sprintf("%s:%d", process.Host, port)
	w := versioned{log: filepath.Join(t.TempDir(), "log")}
	cmd := exec.Command("sh", "-euc", ". '"+dir+"/env'; exec '"+os.Args[0]+"' worker")
	cmd.Env = append(append(inherited(), account...), as+"=redial", "REDIAL_DEPLOYMENT=redial", "REDIAL_BUILD_ID="+build, "REDIAL_HEALTH_ADDR="+address,
		"KORE_BASE_URL=http://"+c.says(t, `simulator +(\S+) +pid`), "KORE_CALLER=+12025550100", "REDIAL_NOTIFY_URL=http://"+c.says(t, `proxy +(\S+) +in this`),
		"REDIAL_NOTIFY_SECRET_FILE="+filepath.Join(dir, "secrets", "notify"))
	w.Process, err = process.Start(cmd, process.Options{Name: "worker " + build, LogFile: w.log, Grace: patience})
	require.NoError(t, err)
	t.Cleanup(w.Kill)
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	}, patience, 50*time.Millisecond)
	w.awaitWords(t, "no call is made by this build", "this build waits")
	return w
}

func (w versioned) dialed(t *testing.T, workflow string) {
	t.Helper()
	w.awaitWords(t, `"msg":"dialed"`)
	said, err := os.ReadFile(w.log)
	require.NoError(t, err)
	require.Contains(t, string(said), `"WorkflowID":"`+workflow+`"`, "another build has dialed")
}

// awaitWords waits until the log has one of the words.
func (w versioned) awaitWords(t *testing.T, words ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		said, err := os.ReadFile(w.log)
		require.NoError(t, err)
		for _, word := range words {
			if strings.Contains(string(said), word) {
				return true
			}
		}
		return false
	}, patience, 50*time.Millisecond, words)
}

func (w versioned) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(w.Pid(), syscall.SIGTERM))
	<-w.Done()
	require.ErrorContains(t, w.Err(), "exit status 0")
}
