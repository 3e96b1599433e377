package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"golang.org/x/sys/unix"
)

// startFor bounds how long a shim may take where the caller's context has no
// deadline.
const startFor = 20 * time.Second

// Process is a running module. Stdin, Stdout and Stderr are the host's ends of
// its pipes; deadlines work on them, and they stay open until Close.
type Process struct {
	Stdin, Stdout, Stderr *os.File

	host    *Host
	pid     int
	pidfd   *os.File
	channel *channel
	group   *cgroup
	inNS    bool

	mu     sync.Mutex // guards reaped: a number is not signalled once it may be another's
	reaped bool

	parked chan struct{} // closed when the scaffolding stands
	quiet  chan struct{} // closed when the shim's end of the channel is
	note   notes         // valid after quiet
	done   chan struct{} // closed when exit is valid
	exit   Exit

	closeOnce sync.Once
	closeErr  error
}

// notes is what a shim said.
type notes struct {
	ready bool // it came to exec
	fatal string
	seen  []byte
}

// listen reads what the shim says until it is the module, or dead.
func (p *Process) listen() {
	defer close(p.quiet)
	parked := p.parked
	for {
		kind, body, err := p.channel.recv()
		if err != nil {
			return
		}
		switch kind {
		case kindParked:
			if parked != nil {
				close(parked)
				parked = nil
			}
		case kindSeen:
			p.note.seen = body
		case kindGo:
			p.note.ready = true
		case kindFatal:
			p.note.fatal = string(body)
		}
	}
}

// reap waits for the main process. In a pid namespace every other process is
// dead and gone by then: the kernel sees to that before it reports the first.
func (p *Process) reap() {
	defer close(p.done)
	p.awaitExit()
	p.mu.Lock()
	if !p.inNS {
		_ = unix.Kill(-p.pid, unix.SIGKILL) // what is left of the process group
	}
	var status unix.WaitStatus
	err := retry(func() error {
		_, err := unix.Wait4(p.pid, &status, 0, nil)
		return err
	})
	p.reaped = true
	p.mu.Unlock()
	<-p.quiet
	p.exit = Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		p.exit.Signal = int(status.Signal())
	}
	if p.group != nil {
		p.exit.OOM = p.group.oom()
	}
	switch {
	case err != nil:
		p.exit.Setup = fault.New(ErrSetup, "wait for process %d: %w", p.pid, err)
	case p.note.fatal != "":
		p.exit.Setup = fault.New(ErrSetup, "%s", p.note.fatal)
	case !p.note.ready:
		p.exit.Setup = fault.New(ErrSetup, "sandbox-shim: FATAL step=unknown: ended before exec, status %d, signal %d", p.exit.Code, p.exit.Signal)
	}
}

// awaitExit returns when the main process is dead; it is not reaped yet.
func (p *Process) awaitExit() {
	dead := func(options int) bool {
		var info unix.Siginfo
		err := retry(func() error { return unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil) })
		return err != nil || info.Signo != 0
	}
	if p.pidfd != nil {
		raw, err := p.pidfd.SyscallConn()
		if err == nil && raw.Read(func(uintptr) bool { return dead(unix.WNOHANG) }) == nil {
			return
		}
	}
	dead(0)
}

func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// Kill ends the whole tree at once. It is idempotent and may be called at any
// time, by anyone.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	if p.group != nil {
		_ = p.group.kill()
	}
	if p.pidfd != nil {
		if raw, err := p.pidfd.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
		}
	}
	_ = unix.Kill(p.pid, unix.SIGKILL)
	if !p.inNS {
		_ = unix.Kill(-p.pid, unix.SIGKILL)
	}
}

// Wait returns after the main process ended, and with it, from level 2 on,
// every other one.
func (p *Process) Wait() Exit {
	<-p.done
	return p.exit
}

// Close kills, waits, and gives back everything. It is idempotent.
func (p *Process) Close() error {
	p.closeOnce.Do(func() {
		p.Kill()
		<-p.done
		errs := []error{p.channel.close(), p.Stdin.Close(), p.Stdout.Close(), p.Stderr.Close()}
		if p.pidfd != nil {
			errs = append(errs, p.pidfd.Close())
		}
		if p.group != nil {
			errs = append(errs, p.group.remove())
		}
		p.host.forget(p)
		for i, err := range errs {
			if errors.Is(err, os.ErrClosed) { // the caller may close its ends before
				errs[i] = nil
			}
		}
		p.closeErr = errors.Join(errs...)
	})
	return p.closeErr
}

// run hands the module to the shim.
func (p *Process) run(ctx context.Context, s Spec, hidden map[string]bool) error {
	c, fds, owned, err := p.host.configure(s, hidden)
	defer closeAll(owned)
	if err != nil {
		return err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return fault.New(ErrSetup, "configuration: %w", err)
	}
	if err := p.channel.deadline(until(ctx)); err != nil {
		return fault.New(ErrSetup, "configuration: %w", err)
	}
	err = p.channel.sendConfig(body, fds)
	runtime.KeepAlive(s) // fds are numbers of its files
	if err != nil {
		return p.failed("configuration", err)
	}
	if err := p.channel.deadline(time.Time{}); err != nil {
		return fault.New(ErrSetup, "configuration: %w", err)
	}
	return nil
}

// failed ends a shim that could not be talked to, and returns its own words
// about why, if it had any.
func (p *Process) failed(step string, err error) error {
	p.Kill()
	if exit := p.Wait(); exit.Setup != nil && p.note.fatal != "" {
		return exit.Setup
	}
	return fault.New(ErrSetup, "%s: %w", step, err)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// setup sends what the shim needs to build its scaffolding.
func (p *Process) setup(ctx context.Context, s setup) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fault.New(ErrSetup, "setup: %w", err)
	}
	if err := p.channel.deadline(until(ctx)); err != nil {
		return fault.New(ErrSetup, "setup: %w", err)
	}
	if err := p.channel.send(kindSetup, body, nil); err != nil {
		return p.failed("setup", err)
	}
	return nil
}

// awaitParked returns when the scaffolding stands.
func (p *Process) awaitParked(ctx context.Context) error {
	timer := time.NewTimer(startFor)
	defer timer.Stop()
	select {
	case <-p.parked:
		if err := p.channel.deadline(time.Time{}); err != nil {
			return fault.New(ErrSetup, "parked: %w", err)
		}
		return nil
	case <-p.quiet:
		return p.failed("parked", errors.New("the shim ended"))
	case <-ctx.Done():
		return p.failed("parked", ctx.Err())
	case <-timer.C:
		return p.failed("parked", os.ErrDeadlineExceeded)
	}
}

// awaitKilled returns when p is dead of SIGKILL.
func (p *Process) awaitKilled(ctx context.Context) error {
	timer := time.NewTimer(startFor / 10)
	defer timer.Stop()
	select {
	case <-p.done:
		if p.exit.Signal != int(unix.SIGKILL) {
			return fmt.Errorf("cgroup.kill: ended with status %d, signal %d", p.exit.Code, p.exit.Signal)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errors.New("cgroup.kill did not kill")
	}
}

// Parked is a sandbox that waits for its module.
type Parked struct {
	process *Process
	limits  Limits
	mu      sync.Mutex
	used    bool
}

// take returns the process the first time.
func (p *Parked) take() *Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used {
		return nil
	}
	p.used = true
	return p.process
}

// Start runs s in p and uses p up, whatever happens. The Limits must equal
// those of Park.
func (p *Parked) Start(ctx context.Context, s Spec) (*Process, error) {
	process := p.take()
	if process == nil {
		return nil, fault.New(ErrSpec, "the parked sandbox was used or closed before")
	}
	l, err := s.Limits.filled()
	if err == nil && l != p.limits {
		err = fault.New(ErrSpec, "limits %+v, parked with %+v", l, p.limits)
	}
	if err == nil {
		err = s.check()
	}
	if err == nil {
		err = process.run(ctx, s, nil)
	}
	if err != nil {
		return nil, errors.Join(err, process.Close())
	}
	return process, nil
}

// Close ends p if it was not started. It is idempotent.
func (p *Parked) Close() error {
	if process := p.take(); process != nil {
		return process.Close()
	}
	return nil
}

// pipe returns the host's end and the module's; read tells which the host's is.
func pipe(hostReads bool) (*os.File, int, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, err
	}
	host, module := fds[0], fds[1]
	if !hostReads {
		host, module = fds[1], fds[0]
	}
	if err := unix.SetNonblock(host, true); err != nil {
		closeAll(fds[:])
		return nil, -1, err
	}
	return os.NewFile(uintptr(host), "sandbox-pipe"), module, nil
}
