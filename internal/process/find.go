package process

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindBuilt finds a binary that this repository builds: beside the running executable, or in bin/ of the module that the
// working directory belongs to. It is "" where there is none; places are where it looked.
func FindBuilt(name string) (path string, places []string) {
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			places = append(places, filepath.Dir(self))
		}
	}
	if root, err := moduleRoot(); err == nil {
		places = append(places, filepath.Join(root, "bin"))
	}
	for _, place := range places {
		if path, err := exec.LookPath(filepath.Join(place, name)); err == nil {
			return path, places
		}
	}
	return "", places
}

// moduleRoot is the folder at or above the working directory whose go.mod declares the module redial.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if declaresRedial(filepath.Join(dir, "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the module redial")
		}
		dir = parent
	}
}

func declaresRedial(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "module" {
			return fields[1] == "redial"
		}
	}
	return false
}
