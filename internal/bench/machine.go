package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	Time      time.Time `json:"time"`
	System    string    `json:"system"`
	Processor string    `json:"processor,omitempty"`
	Cores     int       `json:"cores"`
	MemoryGiB float64   `json:"memory_gib,omitempty"`
	Go        string    `json:"go"`
	FsyncMs   float64   `json:"fsync_ms"`
	Load      string    `json:"load,omitempty"` // of the system, before anything was started

	// PostgreSQL is the version (server_version) and the settings of the server that was measured; absent where none was.
	PostgreSQL map[string]string `json:"postgresql,omitempty"`
}

func (m machine) String() string {
	text := fmt.Sprintf("%s: %d cores", m.System, m.Cores)
	if m.Processor != "" {
		text += " (" + m.Processor + ")"
	}
	if m.MemoryGiB > 0 {
		text += fmt.Sprintf(", %.0f GiB of memory", m.MemoryGiB)
	}
	text += fmt.Sprintf(", %s, fsync of 4 KiB %.2f ms (median)", m.Go, m.FsyncMs)
	if m.Load != "" {
		text += ", load before: " + m.Load
	}
	text = m.Time.Format(time.DateTime) + "  " + text
	if m.PostgreSQL == nil {
		return text
	}
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(m.PostgreSQL)) {
		if name != postgresVersion {
			settings = append(settings, name+" "+m.PostgreSQL[name])
		}
	}
	return text + fmt.Sprintf("\nPostgreSQL %s on the same machine: %s", m.PostgreSQL[postgresVersion], strings.Join(settings, ", "))
}

func describeMachine(folder string) (machine, error) {
	fsync, err := timeFsync(folder)
	m := machine{
		Time: time.Now(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(),
		Processor: procLine("/proc/cpuinfo", "model name"), FsyncMs: milliseconds(fsync),
	}
	kib, _ := strconv.ParseFloat(strings.TrimSuffix(procLine("/proc/meminfo", "MemTotal"), " kB"), 64)
	m.MemoryGiB = kib / (1 << 20)
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	return m, err
}

// procLine is the value of a line "name : value" of a file of Linux; empty elsewhere.
func procLine(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// timeFsync is the median time of a sync after 4 KiB were appended to a file.
func timeFsync(folder string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(folder, "fsync"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var took []float64
	block := make([]byte, 4<<10)
	for range 200 {
		if _, err := file.Write(block); err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := file.Sync(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begin)))
	}
	return time.Duration(median(took)), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
