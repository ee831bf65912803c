package process

import (
	"bytes"
	"os"
	"strings"
	"sync"
)

// kept is how much of the output is held for error messages.
const kept = 16 << 10

// output keeps the end of what the process writes, and passes all of it to the log file when there is one.
type output struct {
	mu   sync.Mutex
	tail []byte
	file *os.File
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, b...)
	if excess := len(o.tail) - kept; excess > 0 {
		o.tail = append(o.tail[:0], o.tail[excess:]...)
	}
	if o.file != nil {
		// A full disk must not stop the process: a failed write here would close its pipe.
		_, _ = o.file.Write(b)
	}
	return len(b), nil
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
}

// lastLines are the last three lines, on one line.
func (o *output) lastLines() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for line := range strings.Lines(string(o.tail)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "(nothing)"
	}
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// lostPort tells whether the process has complained that somebody else had bound one of its ports first.
func (o *output) lostPort() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Contains(bytes.ToLower(o.tail), []byte("address already in use"))
}
