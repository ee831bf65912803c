//go:build unix

package postgres

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// credentials are those of the user that the server runs as, where it is another than ours.
func credentials() (*syscall.SysProcAttr, error) {
	uid, gid, other, err := unprivileged()
	if err != nil || !other {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// unprivileged is the user that the server runs as, and whether it is another than ours.
func unprivileged() (uid, gid int, other bool, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, false, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return 0, 0, false, fmt.Errorf("PostgreSQL does not run as root, and there is neither a user postgres nor nobody (%w); run this as another user", err)
		}
	}
	uid, err = strconv.Atoi(account.Uid)
	if err != nil {
		return 0, 0, false, err
	}
	gid, err = strconv.Atoi(account.Gid)
	return uid, gid, true, err
}

// giveAway hands the folder to the user that the server runs as, who must be able to reach it.
func giveAway(folder string) error {
	uid, gid, other, err := unprivileged()
	if err != nil || !other {
		return err
	}
	for parent := filepath.Dir(folder); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return err
		}
		if owner, known := info.Sys().(*syscall.Stat_t); info.Mode()&0o001 == 0 && known && int(owner.Uid) != uid {
			return fmt.Errorf("folder %s lies in %s, which user id %d, as whom PostgreSQL runs instead of root, cannot enter; "+
				"choose a folder elsewhere, or run chmod o+x on that", folder, parent, uid)
		}
		if parent == filepath.Dir(parent) {
			return os.Chown(folder, uid, gid)
		}
	}
}

// lockFolder takes the folder, or fails at once where somebody has it.
func lockFolder(folder string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, &fs.PathError{Op: "lock", Path: file.Name(), Err: err}
	}
	return file, nil
}
