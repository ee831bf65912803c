//go:build unix

package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redial/call"
	"redial/internal/postgres/postgrestest"
)

// TestADeploymentMovesFromOneMachineToRolesApartWithoutForgettingOrRepeatingACall: one contact has its outcome by then, another sleeps
// between two attempts.
func TestADeploymentMovesFromOneMachineToRolesApartWithoutForgettingOrRepeatingACall(t *testing.T) {
	t.Parallel()
	one := newStage(t)
	one.file(t, "patience.yaml", "on: {busy: {retry: [20s]}, human: done}\n")
	up := one.up(t)
	one.must(t, "call", "--to", "+14155550101", "--id", "anna", "--metadata", "simulate="+answering, "--wait")
	one.must(t, "call", "--to", "+14155550102", "--id", "bert", "--policy", "patience.yaml", "--metadata", "simulate=busy+ring=1s,"+answering)
	eventually(t, "bert to be busy", func() bool {
		s := one.run(t, "show", "bert", "--json")
		return s.code == 0 && len(one.show(t, "bert").Attempts) == 1 && one.show(t, "bert").Attempts[0].Disposition == call.Busy
	})
	database := postgrestest.Database(t)
	elsewhere := one.with("REDIAL_DATABASE=" + database)
	e := elsewhere.run(t, "setup", "--from", "sqlite:redial.db")
	require.Equal(t, failed, e.code, "the ledger is in use")
	require.Contains(t, e.stderr, "another redial process owns it")
	up.ctrlC(t)
	require.Zero(t, up.wait(t).code)

	require.Contains(t, elsewhere.must(t, "setup", "--from", "sqlite:redial.db"), "moved, with 2 contacts, 2 attempts and")
	e = one.run(t, "up")
	require.Equal(t, misuse, e.code, "two ledgers would dial everybody twice")
	require.Contains(t, e.stderr, "it was moved to postgres://")

	apart := apart{stage: one, proxy: newProxy(t, "127.0.0.1:"+one.webhook)}
	apart.program = elsewhere
	apart.worker(t)
	apart.webhook(t)
	require.Equal(t, []call.Disposition{call.Busy, call.Human}, dispositions(apart.result(t, "bert")))
	require.Len(t, apart.gateway.calls(t, "+14155550102"), 2)
	again := apart.run(t, "call", "--to", "+14155550101", "--id", "anna", "--wait")
	require.Equal(t, failed, again.code, "anna was called: %s", again.stdout)
	require.Len(t, apart.gateway.calls(t, "+14155550101"), 1)
}
