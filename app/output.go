package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// output is the standard output of one command line. It remembers that something could not be written, so that no command has to look after
// each line that it prints. Behind what was lost it writes nothing: half of an answer is not to pass for the whole.
type output struct {
	to io.Writer

	mu   sync.Mutex
	lost error
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost != nil {
		return 0, o.lost
	}
	n, err := o.to.Write(p)
	if err != nil && !errors.Is(err, syscall.EPIPE) { // whoever has closed the pipe, as head does, wants no more
		o.lost = err
	}
	return n, err
}

// verdict is how a command has ended, given the error that it returned: one whose output was lost has failed.
func (o *output) verdict(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost == nil || err != nil && !errors.Is(err, o.lost) {
		return err
	}
	return fmt.Errorf("the output could not be written: %w: make room, or send it elsewhere; what the command has done stands", o.lost)
}

// outputFile is the file that a command's output goes to, where it is one.
func outputFile(out io.Writer) (*os.File, bool) {
	if o, is := out.(*output); is {
		out = o.to
	}
	f, is := out.(*os.File)
	return f, is
}
