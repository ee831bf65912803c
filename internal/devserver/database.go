package devserver

import (
	"errors"
	"io/fs"
	"os"
)

// A database file is whole once a server was ready on it. Until then a marker stands beside it: a first start that is cut
// off leaves a file with some of its tables, and the server makes tables only where there is no file at all, so that no
// later start would succeed. Nothing is lost with such a file: nobody was ever told that its server runs.

func marker(database string) string { return database + ".unfinished" }

// beginDatabase makes sure that a server finds either a whole database file or none. "" is a database in memory.
func beginDatabase(database string) error {
	if database == "" {
		return nil
	}
	_, err := os.Stat(marker(database))
	switch {
	case err == nil:
		for _, part := range []string{"", "-wal", "-shm"} {
			if err := remove(database + part); err != nil {
				return err
			}
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(database); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(marker(database), nil, 0o600)
}

// finishDatabase says that the server is ready.
func finishDatabase(database string) error {
	if database == "" {
		return nil
	}
	return remove(marker(database))
}

func remove(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
