package cli

import (
	"io"
)

// stdout is standard output. It gives its errors their code and keeps the first.
type stdout struct {
	w      io.Writer
	failed error
}

func (s *stdout) Write(b []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	n, err := s.w.Write(b)
	if err != nil {
		s.failed = fileError("standard output", err)
	}
	return n, s.failed
}

// Fd lets package term ask whether it is a terminal.
func (s *stdout) Fd() uintptr {
	if f, ok := s.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// deaf is stdout for cobra, which would print an error of its own; execute asks
// stdout for it.
type deaf struct{ *stdout }

func (d deaf) Write(b []byte) (int, error) {
	_, _ = d.stdout.Write(b)
	return len(b), nil
}
