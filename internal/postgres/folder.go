package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"redial/internal/process"
)

const (
	temporaryPrefix = "redial-postgres-"

	// unlockedAge is how old a temporary folder that nobody has locked must be before it counts as left behind: its
	// maker may not have come to the lock.
	unlockedAge = time.Minute

	// lockGrace is for a server whose parent was killed a moment ago.
	lockGrace = 10 * time.Second
)

func (s *Server) data() string { return filepath.Join(s.options.Folder, "data") }

// enter makes the folder where it is absent, and locks it. The server inherits the lock: it is free when neither we
// nor any process of the server lives.
func (s *Server) enter(ctx context.Context) error {
	if s.lock != nil {
		return nil
	}
	if err := s.makeFolder(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockGrace)
	defer cancel()
	err := process.Until(ctx, func(context.Context) (err error) {
		s.lock, err = lockFolder(s.options.Folder)
		return err
	})
	if err != nil {
		return fmt.Errorf("folder %s is in use by another server (%w); stop that one, or choose another folder", s.options.Folder, err)
	}
	return nil
}

func (s *Server) makeFolder() (err error) {
	if s.temporary {
		s.options.Folder, err = os.MkdirTemp(s.temporaryRoot(), temporaryPrefix)
	} else {
		err = os.MkdirAll(s.options.Folder, 0o700)
	}
	if err != nil {
		return fmt.Errorf("%w; give a folder that can be written", err)
	}
	return giveAway(s.options.Folder)
}

// temporaryRoot is in memory for a server that waits for no disk: a database is some 300 files, and a disk's file system takes
// ten times as long to make them, above all shortly after as many were removed.
func (s *Server) temporaryRoot() string {
	removeAbandoned(os.TempDir(), unlockedAge)
	memory := inMemory()
	if memory == "" {
		return os.TempDir()
	}
	removeAbandoned(memory, unlockedAge)
	if s.options.NoSync {
		return memory
	}
	return os.TempDir()
}

// leave gives the folder back, and removes a temporary one.
func (s *Server) leave() error {
	if s.lock == nil {
		return nil
	}
	defer func() {
		_ = s.lock.Close()
		s.lock = nil
	}()
	if !s.temporary {
		return nil
	}
	s.removeSegment()
	// Where the first process has died by itself, the others may still be about to see it, and write.
	ctx, cancel := context.WithTimeout(context.Background(), lockGrace)
	defer cancel()
	err := process.Until(ctx, func(context.Context) error { return os.RemoveAll(s.options.Folder) })
	if err != nil {
		return fmt.Errorf("remove the folder of a stopped PostgreSQL: %w; remove it by hand", err)
	}
	return nil
}

// removeSegment removes the few bytes of System V memory that a killed server leaves to its next start, which will not
// come. Where ipcrm is absent they stay.
func (s *Server) removeSegment() {
	written, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return // it ended in order
	}
	if lines := strings.Split(string(written), "\n"); len(lines) > 6 {
		if key := strings.Fields(lines[6]); len(key) == 2 {
			_ = exec.Command("ipcrm", "-m", key[1]).Run()
		}
	}
}

// initialise fills an empty folder. initdb works beside the place, so that one that is cut off leaves no half data.
func (s *Server) initialise(ctx context.Context) error {
	if _, err := os.Stat(s.data()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	unfinished := filepath.Join(s.options.Folder, "unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	args := []string{"-D", unfinished, "--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"}
	if s.options.NoSync {
		args = append(args, "--no-sync")
	}
	cmd := s.command("initdb", args...)
	p, err := s.spawn("initdb", cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("initdb did not end in time (%w); %s", ctx.Err(), process.Remedy(ctx.Err(), ""))
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("initdb in %s failed (%s): %s", s.options.Folder, cmd.ProcessState, p.LastLines())
	}
	return os.Rename(unfinished, s.data())
}

// removeAbandoned removes temporary folders of parents that were killed, and so could not. What cannot be removed is
// somebody else's.
func removeAbandoned(root string, age time.Duration) {
	folders, _ := filepath.Glob(filepath.Join(root, temporaryPrefix+"*"))
	for _, folder := range folders {
		info, err := os.Lstat(folder)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < age {
			continue
		}
		lock, err := lockFolder(folder)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(folder)
		_ = lock.Close()
	}
}
