package sandbox

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"golang.org/x/sys/unix"
)

// launcherName is the argv[0] that makes a process the launcher of a Program.
const launcherName = "mythos-program-launcher"

// launch is what the launcher is told. Its descriptors are those of Binds, in
// order, then Files, the log and the program itself.
type launch struct {
	Argv, Env   []string
	Config      []byte
	Binds       []bind // the root first
	Points      []Point
	HideCgroups bool
	Files       int // with the log
}

// Launch starts a program of this machine. Its Process ends with the program:
// Exit.Code is the program's, and Exit.Setup what kept it from starting.
func (h *Host) Launch(ctx context.Context, prog Program) (*Process, error) {
	if err := errors.Join(h.Admit(), ctx.Err(), prog.check()); err != nil {
		return nil, err
	}
	if !h.plan.namespaces {
		return nil, fault.New(ErrUnavailable, "an OCI runtime needs user, pid and mount namespaces; %s", h.report.String())
	}
	l, err := prog.Limits.filled()
	if err != nil {
		return nil, err
	}
	exe, err := os.OpenFile(prog.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fault.New(ErrSetup, "%w", err).About(prog.Path)
	}
	defer exe.Close()
	p := &Process{
		host: h, inNS: true,
		parked: make(chan struct{}), quiet: make(chan struct{}), done: make(chan struct{}),
	}
	if h.plan.cgroup {
		if p.group, err = h.groups.create(l); err != nil {
			return nil, fault.New(ErrSetup, "cgroup: %w", err)
		}
	}
	if err := h.adoptLauncher(p); err != nil {
		if p.group != nil {
			err = errors.Join(err, p.group.remove())
		}
		return nil, err
	}
	go p.listen()
	go p.reapProgram(prog.Ended)
	if err := p.sendProgram(ctx, &prog, exe); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// adoptLauncher spawns the launcher and counts it among the living.
func (h *Host) adoptLauncher(p *Process) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fault.New(ErrUnavailable, "the sandbox host was closed")
	}
	if err := h.spawnLauncher(p); err != nil {
		return err
	}
	h.live[p] = struct{}{}
	return nil
}

// spawnLauncher is spawn for a launcher.
func (h *Host) spawnLauncher(p *Process) error {
	var e ends
	defer func() { closeAll(e.module) }()
	if err := errors.Join(e.pipe(false), e.pipe(true), e.pipe(true)); err != nil {
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
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{"GOGC=off", "GOMAXPROCS=1", "GOTRACEBACK=none"}, Sys: h.plan.launcherAttributes(&pidfd)}
	for _, fd := range e.module {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	if p.group != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(p.group.fd.Fd())
	}
	result := make(chan error)
	h.spawns <- func() { result <- p.forkAs(launcherName, attr) }
	if err := <-result; err != nil {
		e.close()
		return errors.Join(fault.New(ErrSetup, "clone: %w", err), channel.close())
	}
	p.channel, p.Stdin, p.Stdout, p.Stderr = channel, e.host[0], e.host[1], e.host[2]
	if pidfd >= 0 {
		if unix.SetNonblock(pidfd, true) == nil {
			p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
		} else {
			_ = unix.Close(pidfd)
		}
	}
	return nil
}

// forkAs starts this program again under a name, inside p's cgroup, on the
// spawner's thread.
func (p *Process) forkAs(name string, attr *syscall.ProcAttr) (err error) {
	if p.group != nil {
		if err := p.group.enter(); err != nil {
			return errors.Join(err, p.group.leave())
		}
		defer func() {
			e := p.group.leave()
			if e != nil && err == nil {
				_ = unix.Kill(p.pid, unix.SIGKILL)
				_, _ = unix.Wait4(p.pid, nil, 0, nil)
			}
			err = errors.Join(err, e)
		}()
	}
	p.pid, _, err = syscall.StartProcess("/proc/self/exe", []string{name}, attr)
	return err
}

// launcherAttributes are those of clone: user 0 of a user namespace in which
// there is no other user.
func (p plan) launcherAttributes(pidfd *int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, Setpgid: true, PidFD: pidfd,
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if p.privileged {
		uid, gid = int(p.hostID), int(p.hostID)
		a.Credential = &syscall.Credential{}
		a.GidMappingsEnableSetgroups = true
	}
	a.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{HostID: gid, Size: 1}}
	return a
}

// sendProgram hands the program to the launcher.
func (p *Process) sendProgram(ctx context.Context, prog *Program, exe *os.File) error {
	c := launch{
		Argv: prog.Argv, Env: prog.Env, Config: prog.Config, Points: prog.Points,
		HideCgroups: prog.HideCgroups, Files: len(prog.Files) + 1,
	}
	var fds, owned []int
	defer func() { closeAll(owned) }()
	for _, m := range append([]Mount{prog.Root}, prog.Mounts...) {
		b := bind{Source: m.Source, Writable: m.Writable, File: -1}
		fd := -1
		switch {
		case m.File != nil:
			fd = int(m.File.Fd())
		case p.host.plan.privileged:
			var err error
			if fd, err = p.host.detach(m); err != nil {
				return err
			}
			owned = append(owned, fd)
		}
		if fd >= 0 {
			b.File, fds = len(fds), append(fds, fd)
		}
		c.Binds = append(c.Binds, b)
	}
	for _, f := range append(slices.Clone(prog.Files), prog.Log, exe) {
		fds = append(fds, int(f.Fd()))
	}
	body, err := json.Marshal(c)
	if err == nil {
		err = p.channel.deadline(until(ctx))
	}
	if err != nil {
		return fault.New(ErrSetup, "configuration: %w", err)
	}
	err = p.channel.sendConfig(body, fds)
	runtime.KeepAlive(prog) // fds are numbers of its files
	if err != nil {
		return p.failed("configuration", err)
	}
	if err := p.channel.deadline(time.Time{}); err != nil {
		return fault.New(ErrSetup, "configuration: %w", err)
	}
	return nil
}

// reapProgram waits for the program. It is process 1 of its namespace: every
// other one there is dead and gone by then.
func (p *Process) reapProgram(ended func(Exit) Exit) {
	defer close(p.done)
	p.awaitExit()
	p.mu.Lock()
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
		p.exit.Setup = fault.New(ErrSetup, "program launcher: ended before exec, status %d, signal %d", p.exit.Code, p.exit.Signal)
	}
	if ended != nil {
		p.exit = ended(p.exit)
	}
}

// ProgramMain runs the launcher if this process was started as one, and then
// never returns. It is called where Main is.
func ProgramMain() {
	if len(os.Args) == 0 || os.Args[0] != launcherName {
		return
	}
	runtime.LockOSThread()
	raw, fds, err := shimConfig()
	must("read-config", err)
	var l launch
	must("parse-config", json.Unmarshal(raw, &l))
	detached := 0
	for _, b := range l.Binds {
		if b.File >= 0 {
			detached++
		}
	}
	if len(fds) != detached+l.Files+1 || l.Files < 1 || len(l.Argv) == 0 || len(l.Binds) == 0 {
		fatal("parse-config", unix.EBADMSG)
	}
	l.work(fds[:detached])
	l.exec(fds[detached:])
}

// work makes the working folder in a private mount tree.
func (l *launch) work(detached []int) {
	must("mount-private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	trees := make([]int, len(l.Binds))
	host, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must("open-root", err)
	for i, b := range l.Binds { // before anything hides a source
		if b.File >= 0 && b.File < len(detached) {
			trees[i] = detached[b.File]
			continue
		}
		trees[i], err = openSource(host, b.Source)
		must("open_tree "+b.Source, err)
	}
	must("close-root", unix.Close(host))
	must("mount-work", unix.Mount("tmpfs", WorkDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=4m,nr_inodes=4096,mode=755"))
	must("chdir-work", unix.Chdir(WorkDir))
	for _, d := range []string{"state", "m"} {
		must("mkdir-"+d, unix.Mkdir(d, 0o700))
	}
	root := WorkDir + "/root"
	if len(l.Points) > 0 {
		root = WorkDir + "/lower"
	}
	must("attach root", attachAny(trees[0], root, attributes(false)))
	for i, b := range l.Binds[1:] {
		must("attach "+b.Source, attachAny(trees[i+1], WorkDir+"/m/"+strconv.Itoa(i), attributes(b.Writable)))
	}
	if len(l.Points) > 0 {
		l.overlay()
	}
	must("config", os.WriteFile(WorkDir+"/config.json", l.Config, 0o600))
	must("proc", unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	if l.HideCgroups {
		must("mount-cgroup", unix.Mount("tmpfs", "/sys/fs/cgroup", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "size=4k,mode=755"))
	}
}

// overlay lays the mount points over the root.
func (l *launch) overlay() {
	const points = WorkDir + "/points"
	for _, p := range l.Points {
		must("point "+p.Path, makeTarget(points+path.Clean("/"+p.Path), p.Dir))
	}
	must("mkdir-root", unix.Mkdir(WorkDir+"/root", 0o755))
	must("overlay", unix.Mount("overlay", WorkDir+"/root", "overlay", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV,
		"lowerdir="+strings.Join([]string{points, WorkDir + "/lower"}, ":")))
}

// exec becomes the program.
func (l *launch) exec(fds []int) {
	unix.Umask(0o077)
	must("pdeathsig", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0))
	must("host-alive", hostAlive())
	files, exe := fds[:len(fds)-1], fds[len(fds)-1]
	argv, env := cstrings(l.Argv), cstrings(l.Env)
	channel, exe := place(files, exe)
	must("close_range", unix.CloseRange(uint(channelFD+len(files)), ^uint(0), unix.CLOSE_RANGE_CLOEXEC))
	rawSend(channel, kindGo, "")
	empty := []byte{0}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(exe), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	rawSend(channel, kindFatal, "sandbox-shim: FATAL step=exec: "+unix.ErrnoName(errno))
	rawExit()
}

// CanaryProgram returns a static executable that ends with CanaryStatus where it
// is denied an internet socket with EACCES, and else with status 1; nil for an
// architecture that has none.
func CanaryProgram() []byte {
	var code []byte
	switch runtime.GOARCH {
	case "amd64": // socket(AF_INET, SOCK_STREAM, 0) == -EACCES ? 42 : 1
		code = []byte{
			0xb8, 41, 0, 0, 0, 0xbf, 2, 0, 0, 0, 0xbe, 1, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x05, // mov eax; mov edi; mov esi; xor edx, edx; syscall
			0x48, 0x83, 0xf8, 0xf3, 0xbf, CanaryStatus, 0, 0, 0, 0x74, 5, 0xbf, 1, 0, 0, 0, // cmp rax, -13; mov edi; je; mov edi
			0xb8, 60, 0, 0, 0, 0x0f, 0x05, // mov eax; syscall
		}
	case "arm64":
		for _, w := range []uint32{
			0xd28018c8, 0xd2800040, 0xd2800021, 0xd2800002, 0xd4000001, // mov x8, 198; mov x0, 2; mov x1, 1; mov x2, 0; svc
			0xb100341f, 0x52800000 | CanaryStatus<<5, 0x54000040, 0x52800020, // cmn x0, 13; mov w0; b.eq; mov w0, 1
			0xd2800ba8, 0xd4000001, // mov x8, 93; svc
		} {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
	default:
		return nil
	}
	return elfImage(runtime.GOARCH, code)
}
