//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Main returns: only Linux has a shim.
func Main() {}

// Host runs modules at level 0: nothing but Linux has a sandbox yet. Required,
// the default, refuses.
type Host struct {
	mode   Mode
	report Report
	mu     sync.Mutex
	closed bool
	live   map[*Process]struct{}
}

// Open reports level 0.
func Open(ctx context.Context, o Options) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := findings{}
	if o.Mode != None {
		for _, x := range needNamespaces {
			f[x] = Status{Name: x, Detail: "not on " + runtime.GOOS, Fix: "run on Linux, in a virtual machine for one; wasm modules need no sandbox"}
		}
	}
	h := &Host{mode: o.Mode, report: f.report(o.Mode, false), live: map[*Process]struct{}{}}
	h.report.Probed = o.probed()
	return h, nil
}

// Close kills what still runs. It is idempotent.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	var live []*Process
	for p := range h.live {
		live = append(live, p)
	}
	h.mu.Unlock()
	var errs []error
	for _, p := range live {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Level returns 0.
func (h *Host) Level() uint8 { return h.report.Level }

// Report says what is missing.
func (h *Host) Report() Report { return h.report }

// Admit refuses, with ErrUnavailable, unless the mode lets modules run without a
// sandbox.
func (h *Host) Admit() error { return h.report.admit(h.mode) }

// Start runs s as a plain process with its own environment and descriptors.
func (h *Host) Start(ctx context.Context, s Spec) (*Process, error) {
	if err := h.Admit(); err != nil {
		return nil, err
	}
	if _, err := s.Limits.filled(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Exec != nil {
		return nil, fault.New(ErrSpec, "no executable memory files on %s", runtime.GOOS)
	}
	s, err := s.flatten()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(ErrSetup, "start: %w", err)
	}
	return h.start(s)
}

func (h *Host) start(s Spec) (*Process, error) {
	cmd := &exec.Cmd{Path: s.Argv[0], Args: s.Argv, Env: append([]string{}, s.Env...), Dir: s.Dir, ExtraFiles: s.Files}
	setGroup(cmd)
	var ends [6]*os.File
	var err error
	for i := 0; i < len(ends) && err == nil; i += 2 {
		ends[i], ends[i+1], err = os.Pipe()
	}
	if err == nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = ends[0], ends[3], ends[5]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && h.closed {
		err = errors.New("the sandbox host was closed")
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		closeAll(ends[:]...)
		return nil, fault.New(ErrSetup, "start %s: %w", s.Argv[0], err)
	}
	closeAll(ends[0], ends[3], ends[5])
	p := &Process{Stdin: ends[1], Stdout: ends[2], Stderr: ends[4], host: h, cmd: cmd, done: make(chan struct{})}
	h.live[p] = struct{}{}
	go p.reap()
	return p, nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Park remembers the limits: there is nothing to prepare.
func (h *Host) Park(ctx context.Context, l Limits) (*Parked, error) {
	if err := errors.Join(h.Admit(), ctx.Err()); err != nil {
		return nil, err
	}
	l, err := l.filled()
	if err != nil {
		return nil, err
	}
	return &Parked{host: h, limits: l}, nil
}

// Parked is a promise to start a process.
type Parked struct {
	host   *Host
	limits Limits
	mu     sync.Mutex
	used   bool
}

// Start runs s and uses p up.
func (p *Parked) Start(ctx context.Context, s Spec) (*Process, error) {
	p.mu.Lock()
	used := p.used
	p.used = true
	p.mu.Unlock()
	if used {
		return nil, fault.New(ErrSpec, "the parked sandbox was used or closed before")
	}
	l, err := s.Limits.filled()
	if err != nil {
		return nil, err
	}
	if l != p.limits {
		return nil, fault.New(ErrSpec, "limits %+v, parked with %+v", l, p.limits)
	}
	return p.host.Start(ctx, s)
}

// Close makes p unusable.
func (p *Parked) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = true
	return nil
}

// Process is a running module.
type Process struct {
	Stdin, Stdout, Stderr *os.File

	host *Host
	cmd  *exec.Cmd
	done chan struct{}
	exit Exit
	once sync.Once
}

func (p *Process) reap() {
	defer close(p.done)
	err := p.cmd.Wait()
	killGroup(p.cmd.Process)
	p.exit = Exit{Code: p.cmd.ProcessState.ExitCode(), Signal: signalOf(p.cmd.ProcessState)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.exit.Setup = fault.New(ErrSetup, "wait: %w", err)
	}
}

// Kill ends the process and what stayed in its group.
func (p *Process) Kill() {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Kill()
		killGroup(p.cmd.Process)
	}
}

// Wait returns after the main process ended.
func (p *Process) Wait() Exit {
	<-p.done
	return p.exit
}

// Close kills, waits and closes the pipes. It is idempotent.
func (p *Process) Close() error {
	p.once.Do(func() {
		p.Kill()
		<-p.done
		closeAll(p.Stdin, p.Stdout, p.Stderr)
		p.host.mu.Lock()
		delete(p.host.live, p)
		p.host.mu.Unlock()
	})
	return nil
}
