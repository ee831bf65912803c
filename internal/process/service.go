package process

import (
	"context"
	"sync"
)

// Service is a server whose process may be replaced by another. Its methods may be called from several goroutines.
type Service struct {
	turn sync.Mutex // serialises Stop, Kill and Restart
	mu   sync.Mutex
	proc *Process
}

// Serve makes a service of a process that runs.
func Serve(p *Process) *Service { return &Service{proc: p} }

// Pid is the process id of the server, as started last.
func (s *Service) Pid() int { return s.current().Pid() }

// Done is closed when the process that runs now has ended. After Restart there is another channel.
func (s *Service) Done() <-chan struct{} { return s.current().Done() }

// Err says why the server ended by itself: nil while it runs, and after Stop or Kill.
func (s *Service) Err() error { return s.current().Err() }

// Stop ends the server in order, and by force when it takes more than its grace or than ctx allows; it returns
// when the process is gone. Stopping a server that has ended is no error.
func (s *Service) Stop(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.current().Stop(ctx)
}

// Kill ends the server at once, as a crash would, and returns when the process is gone.
func (s *Service) Kill() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.current().Kill()
}

// Replace stops the process, if it runs, and puts the one that launch returns in its place.
func (s *Service) Replace(ctx context.Context, launch func(context.Context) (*Process, error)) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := s.current().Stop(ctx); err != nil {
		return err
	}
	proc, err := launch(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return nil
}

func (s *Service) current() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
