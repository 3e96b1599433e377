package sandbox

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"golang.org/x/sys/unix"
)

// plan is what a Host does for every sandbox.
type plan struct {
	namespaces bool
	proc       bool
	landlock   bool
	seccomp    bool
	cgroup     bool
	privileged bool // mounts are detached by the host, and modules are hostID
	hostID     uint32
}

// Host is what this machine enforces. It is safe for concurrent use.
type Host struct {
	mode   Mode
	plan   plan
	groups *hierarchy
	report Report

	spawns chan func()
	ended  chan struct{}

	mu     sync.Mutex
	closed bool
	live   map[*Process]struct{}
	idmaps map[uint64]int // user namespaces that map a disk owner to hostID
}

// Open probes this machine by running canaries, and returns what can be
// enforced. Whether that suffices is for Admit to say.
func Open(ctx context.Context, o Options) (*Host, error) {
	h := &Host{
		mode: o.Mode, spawns: make(chan func()), ended: make(chan struct{}),
		live: map[*Process]struct{}{}, idmaps: map[uint64]int{},
	}
	go h.spawner()
	if err := h.probe(ctx, o.Disable); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.report.Probed = o.probed()
	return h, nil
}

// spawner starts every shim on one thread that lives as long as h does: the
// death signal of a child follows the thread that made it, not the process. The
// goroutine ends with its thread locked, which ends the thread.
func (h *Host) spawner() {
	runtime.LockOSThread()
	defer close(h.ended)
	for f := range h.spawns {
		f()
	}
}

// Close kills what still runs and gives back everything. It is idempotent.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
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
	close(h.spawns)
	<-h.ended
	for _, fd := range h.idmaps {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// Level returns the level that h enforces, 0 to 3.
func (h *Host) Level() uint8 { return h.report.Level }

// Report returns what probing found.
func (h *Host) Report() Report { return h.report }

// Admit refuses, with ErrUnavailable, what is missing and what to do, if modules
// may not run here.
func (h *Host) Admit() error { return h.report.admit(h.mode) }

// Start runs s in a new sandbox. What fails before the module's first
// instruction is in Exit.Setup, unless it failed on the host's side.
func (h *Host) Start(ctx context.Context, s Spec) (*Process, error) {
	if err := h.Admit(); err != nil {
		return nil, err
	}
	l, err := s.Limits.filled()
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	p, err := h.launch(ctx, h.plan, l, false, nil)
	if err != nil {
		return nil, err
	}
	if err := p.run(ctx, s, nil); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Park starts a sandbox that waits for its module: namespaces, cgroup and
// scaffolding stand, and nothing of a module ran.
func (h *Host) Park(ctx context.Context, l Limits) (*Parked, error) {
	if err := h.Admit(); err != nil {
		return nil, err
	}
	l, err := l.filled()
	if err != nil {
		return nil, err
	}
	p, err := h.launch(ctx, h.plan, l, true, nil)
	if err != nil {
		return nil, err
	}
	if err := p.awaitParked(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &Parked{process: p, limits: l}, nil
}

// launch starts a shim and sends it its setup.
func (h *Host) launch(ctx context.Context, plan plan, l Limits, park bool, c *canary) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.New(ErrSetup, "start: %w", err)
	}
	p := &Process{
		host: h, inNS: plan.namespaces,
		parked: make(chan struct{}), quiet: make(chan struct{}), done: make(chan struct{}),
	}
	if plan.cgroup {
		group, err := h.groups.create(l)
		if err != nil {
			return nil, fault.New(ErrSetup, "cgroup: %w", err)
		}
		p.group = group
	}
	if err := h.adopt(p, plan); err != nil {
		if p.group != nil {
			err = errors.Join(err, p.group.remove())
		}
		return nil, err
	}
	go p.listen()
	go p.reap()
	s := setup{
		Namespaces: plan.namespaces, Proc: plan.proc, Landlock: plan.landlock, Seccomp: plan.seccomp,
		Fallback: !plan.cgroup, Park: park, Limits: l, Canary: c,
	}
	if err := p.setup(ctx, s); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// adopt spawns p's shim and counts p among the living.
func (h *Host) adopt(p *Process, plan plan) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fault.New(ErrUnavailable, "the sandbox host was closed")
	}
	if err := h.spawn(p, plan); err != nil {
		return err
	}
	h.live[p] = struct{}{}
	return nil
}

func (h *Host) forget(p *Process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.live, p)
}

// until is the time by which a shim must have taken what it is sent.
func until(ctx context.Context) time.Time {
	limit := time.Now().Add(startFor)
	if t, ok := ctx.Deadline(); ok && t.Before(limit) {
		return t
	}
	return limit
}

// ends are the descriptors of one shim.
type ends struct {
	host   []*os.File
	module []int
}

func (e *ends) pipe(hostReads bool) error {
	host, module, err := pipe(hostReads)
	if err != nil {
		return err
	}
	e.host, e.module = append(e.host, host), append(e.module, module)
	return nil
}

func (e *ends) close() {
	for _, f := range e.host {
		_ = f.Close()
	}
}

// spawn fills p with a started shim.
func (h *Host) spawn(p *Process, plan plan) error {
	var e ends
	defer func() { closeAll(e.module) }()
	err := errors.Join(e.pipe(false), e.pipe(true), e.pipe(true))
	if err != nil {
		e.close()
		return fault.New(ErrSetup, "pipe: %w", err)
	}
	channel, theirs, err := newChannel()
	if err != nil {
		e.close()
		return fault.New(ErrSetup, "channel: %w", err)
	}
	e.module = append(e.module, theirs)
	pidfd := -1
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{"GOGC=off", "GOMAXPROCS=1", "GOTRACEBACK=none"}, Sys: plan.attributes(&pidfd)}
	for _, fd := range e.module {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	if p.group != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(p.group.fd.Fd())
	}
	result := make(chan error)
	h.spawns <- func() { result <- p.fork(attr) }
	if err := <-result; err != nil {
		e.close()
		return errors.Join(fault.New(ErrSetup, "clone: %w", err), channel.close())
	}
	p.channel, p.Stdin, p.Stdout, p.Stderr = channel, e.host[0], e.host[1], e.host[2]
	if pidfd >= 0 {
		// Non-blocking, so that waiting for it takes no thread.
		if unix.SetNonblock(pidfd, true) == nil {
			p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
		} else {
			_ = unix.Close(pidfd)
		}
	}
	return nil
}

// fork starts the shim inside p's cgroup, on the spawner's thread.
func (p *Process) fork(attr *syscall.ProcAttr) error {
	if p.group != nil {
		if err := p.group.enter(); err != nil {
			return errors.Join(err, p.group.leave())
		}
	}
	pid, _, err := syscall.StartProcess("/proc/self/exe", []string{shimName}, attr)
	p.pid = pid
	if p.group == nil {
		return err
	}
	if e := p.group.leave(); e != nil {
		// Never seen: a thread may always go back to where it came from.
		if err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
		return errors.Join(err, e)
	}
	return err
}

// attributes are those of clone. Setpgid, not Setsid: a session of its own costs
// some 10 us in each exchange where sched_autogroup is on.
func (p plan) attributes(pidfd *int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, PidFD: pidfd}
	if !p.namespaces {
		if p.privileged {
			a.Credential = &syscall.Credential{Uid: p.hostID, Gid: p.hostID}
		}
		return a
	}
	a.Cloneflags = anyNamespace
	uid, gid := os.Geteuid(), os.Getegid()
	if p.privileged {
		uid, gid = int(p.hostID), int(p.hostID)
		a.Credential = &syscall.Credential{Uid: insideID, Gid: insideID}
		a.GidMappingsEnableSetgroups = true
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: insideID, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: insideID, HostID: gid, Size: 1}}
	a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	return a
}

// preferredID is the host's user and group of modules: above every range that
// systems hand out. Where it is not mapped, the last id but two is taken.
const preferredID = 1_987_000_000

// pickID returns an id that uidMap, a file like /proc/self/uid_map, has; ok is
// false if there is none but few.
func pickID(uidMap string) (uint32, bool) {
	best, found := uint64(0), false
	for line := range strings.Lines(uidMap) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 64)
		if err1 != nil || err2 != nil || count < 1000 {
			continue
		}
		last := first + count - 1
		if first <= preferredID && preferredID <= last {
			return preferredID, true
		}
		if id := last - 2; id < 1<<32 && id > best {
			best, found = id, true
		}
	}
	return uint32(best), found
}
