package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// FindBuilt finds a binary that this repository builds: beside the running executable, or in bin/ of the sources that Checkout
// finds. It is "" where there is none; places are where it looked.
func FindBuilt(name string) (path string, places []string) {
	if self, err := executable(); err == nil {
		places = append(places, filepath.Dir(self))
	}
	if root, err := Checkout(); err == nil {
		places = append(places, filepath.Join(root, "bin"))
	}
	for _, place := range places {
		if path, err := exec.LookPath(filepath.Join(place, name)); err == nil {
			return path, places
		}
	}
	return "", places
}

// Checkout is the folder of the product's sources: the nearest at or above the working directory, or else the running
// executable, whose go.mod declares the module redial; or the one by which a go.mod there replaces it, as a flow author's does.
func Checkout() (string, error) {
	var from []string
	if dir, err := os.Getwd(); err == nil {
		from = append(from, dir)
	}
	if self, err := executable(); err == nil {
		from = append(from, filepath.Dir(self))
	}
	for _, dir := range from {
		for ; ; dir = filepath.Dir(dir) {
			if root := sourcesOf(dir); root != "" {
				return root, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("no folder at or above the working directory or the executable has a go.mod of the module redial")
}

func executable() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(self)
}

var (
	declared = regexp.MustCompile(`(?m)^module[ \t]+"?redial"?[ \t]*(?://.*)?$`)
	replaced = regexp.MustCompile(`(?m)^(?:replace)?[ \t]+redial[ \t]+=>[ \t]+"?([^\s"]+)"?`)
)

// sourcesOf is the folder of the module redial as the go.mod of a folder knows it: the folder itself, or its replacement. "" where
// there is no such go.mod.
func sourcesOf(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return ""
	}
	if declared.Match(text) {
		return dir
	}
	by := replaced.FindSubmatch(text)
	if by == nil {
		return ""
	}
	root := string(by[1])
	if !filepath.IsAbs(root) {
		root = filepath.Join(dir, root)
	}
	if text, err = os.ReadFile(filepath.Join(root, "go.mod")); err != nil || !declared.Match(text) {
		return ""
	}
	return root
}
