package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheProcessorTimeOfAServerIncludesItsChildrenAlsoThoseThatHaveEnded(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("processor time is known on Linux only")
	}
	const work = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`
	cmd := exec.Command("sh", "-c", `(`+work+`); (`+work+`; echo done; read line <&3) & wait`)
	in, keptOpen, err := os.Pipe()
	require.NoError(t, err)
	defer keptOpen.Close()
	cmd.ExtraFiles = []*os.File{in} // what runs in the background has no standard input
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)

	head, family := readUsage(cmd.Process.Pid), familyCPU(cmd.Process.Pid)
	require.Positive(t, head.ended, "of the child that has ended")
	require.Greater(t, family, head.own+head.ended, "the child that lives counts too")
	require.GreaterOrEqual(t, readUsage(os.Getpid()).own, time.Duration(0))
	require.Zero(t, readUsage(-1))

	require.NoError(t, keptOpen.Close())
	_, _ = io.Copy(io.Discard, out)
	require.NoError(t, cmd.Wait())
}
