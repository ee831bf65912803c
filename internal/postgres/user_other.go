//go:build !unix

package postgres

import (
	"os"
	"path/filepath"
	"syscall"
)

func credentials() (*syscall.SysProcAttr, error) { return nil, nil }

func giveAway(string) error { return nil }

// lockFolder locks nothing here: PostgreSQL's own lock still keeps two servers off one folder.
func lockFolder(folder string) (*os.File, error) {
	return os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}
