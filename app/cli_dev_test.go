//go:build unix

package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDevHasNoCeilingsButThoseThatAreSet(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.program = h.with("REDIAL_CEILINGS=")
	free := h.dev(t)
	for _, id := range []string{"one", "two", "three"} { // one more than is the default on a day
		require.Contains(t, h.must(t, "call", "--to", anna, "--id", id, "--metadata", "simulate=human", "--wait"), "human")
	}
	free.ctrlC(t)
	require.Zero(t, free.wait(t).code)

	h.program = h.with("REDIAL_CEILINGS=3/day")
	h.dev(t)
	h.must(t, "call", "--to", anna, "--id", "four", "--metadata", "simulate=human")
	eventually(t, "the fourth to be held", func() bool { return strings.Contains(h.run(t, "show", "four").stdout, "REDIAL_CEILINGS") })
}
