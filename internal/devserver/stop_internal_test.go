package devserver

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAServerThatIgnoresItsStopIsKilledWhenTimeIsUp(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "temporal")
	// The shell waits for sleep, which is a second process: it must go as well.
	body := "#!/bin/sh\ntrap '' TERM\necho deaf\nsleep 600\necho unreachable\n"
	if err := os.WriteFile(binary, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := spawn(Options{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := until(ctx, func(context.Context) error {
		if p.output.lastLines() != "deaf" {
			return os.ErrNotExist
		}
		return nil
	}); err != nil {
		t.Fatal("the script did not come up")
	}

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = p.stop(short)
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("stop: %v, want that it was killed", err)
	}
	select {
	case <-p.done:
	default:
		t.Error("stop returned before the process was gone")
	}
	if err := p.stop(t.Context()); err != nil {
		t.Errorf("the second stop: %v", err)
	}
}
