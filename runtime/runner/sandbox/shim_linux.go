package sandbox

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shimName is the argv[0] that makes a process the shim.
const shimName = "mythos-sandbox-shim"

// exitSetup is the status of a shim that failed.
const exitSetup = 125

// insideID is the user and group that a module sees itself as: never 0.
const insideID = 1000

// setup is what a shim needs before it knows its module.
type setup struct {
	Namespaces bool `json:"ns"`
	Proc       bool `json:"proc"`
	Landlock   bool `json:"landlock"`
	Seccomp    bool `json:"seccomp"`
	Fallback   bool `json:"fallback"` // no cgroup: bound memory and processes by rlimits
	Park       bool `json:"park"`     // say when the scaffolding stands
	Limits     Limits
	Canary     *canary `json:"canary,omitempty"` // try what must fail and report
}

// bind is a mount as the shim is told it.
type bind struct {
	Source   string
	Target   string
	Writable bool
	File     int  // index of the detached mount among the descriptors, or -1
	Hidden   bool // the canary's: visible, and covered by no Landlock rule
}

// config is the module.
type config struct {
	Argv, Env []string
	Dir       string
	Binds     []bind
	Files     int // the last Files descriptors but Exec's are the module's
	Exec      bool
}

// shim is the state of the process that becomes the module.
type shim struct {
	setup
	config
	fds []int
}

// Main runs the shim if this process was started as one, and then never
// returns. Every main, and every TestMain of tests that start a sandbox, calls
// it before anything else.
func Main() {
	ProgramMain()
	if len(os.Args) == 0 || os.Args[0] != shimName {
		return
	}
	// All that follows is state of one thread, which exec keeps.
	runtime.LockOSThread()
	var s shim
	s.lock()
}

// fatal reports a failed step to the host and ends the shim.
func fatal(step string, err error) {
	text := err.Error()
	var errno unix.Errno
	if errors.As(err, &errno) && text == errno.Error() {
		if name := unix.ErrnoName(errno); name != "" {
			text = name
		}
	}
	line := "sandbox-shim: FATAL step=" + step + ": " + text
	if shimSend(kindFatal, []byte(line[:min(len(line), maxMessage/2)])) != nil {
		os.Stderr.WriteString(line + "\n")
	}
	os.Exit(exitSetup)
}

func must(step string, err error) {
	if err != nil {
		fatal(step, err)
	}
}

// lock goes through the steps of the package comment and does not return.
func (s *shim) lock() {
	kind, body, _, err := shimRecv(make([]byte, maxMessage))
	must("read-setup", err)
	if kind != kindSetup {
		fatal("read-setup", unix.EBADMSG)
	}
	must("parse-setup", json.Unmarshal(body, &s.setup))
	if s.Namespaces {
		s.scaffold()
		must("sethostname", unix.Sethostname([]byte("module")))
		must("setdomainname", unix.Setdomainname([]byte("local")))
	}
	if s.Park {
		must("parked", shimSend(kindParked, nil))
	}
	raw, fds, err := shimConfig()
	must("read-config", err)
	must("parse-config", json.Unmarshal(raw, &s.config))
	s.fds = fds
	must("parse-config", s.counts())
	if s.Namespaces {
		s.mounts()
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	if s.Canary != nil {
		s.Canary.before(s.Namespaces)
	}
	s.confine()
	s.exec()
}

// counts checks that the descriptors are those that the configuration speaks of.
func (s *shim) counts() error {
	want := s.Files
	if s.Exec {
		want++
	}
	for _, b := range s.Binds {
		if b.File >= 0 {
			want++
		}
	}
	if len(s.fds) != want || s.Files < 0 || s.Files > maxFiles || len(s.Argv) == 0 {
		return unix.EBADMSG
	}
	return nil
}

// confine takes away what the module must not have, up to seccomp.
func (s *shim) confine() {
	must("chdir", unix.Chdir(s.Dir))
	unix.Umask(0o077)
	s.rlimits()
	s.dropCaps()
	must("no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	must("pdeathsig", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0))
	must("dumpable", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	must("host-alive", hostAlive())
	if s.Landlock {
		must("landlock", s.landlock())
	}
}

// hostAlive closes the gap before the death signal was set again.
func hostAlive() error {
	p := []unix.PollFd{{Fd: channelFD, Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(p, 0); err != nil || n == 0 {
		return err
	}
	return unix.EPIPE
}

// rlimits only ever lowers.
func (s *shim) rlimits() {
	lower := func(name string, which int, want uint64) {
		var now unix.Rlimit
		must("rlimit-"+name, unix.Prlimit(0, which, nil, &now))
		want = min(want, now.Max)
		must("rlimit-"+name, unix.Prlimit(0, which, &unix.Rlimit{Cur: want, Max: want}, nil))
	}
	lower("core", unix.RLIMIT_CORE, 0)
	lower("nofile", unix.RLIMIT_NOFILE, s.Limits.NoFile)
	lower("fsize", unix.RLIMIT_FSIZE, uint64(s.Limits.FileBytes))
	lower("memlock", unix.RLIMIT_MEMLOCK, 64<<10)
	lower("msgqueue", unix.RLIMIT_MSGQUEUE, 0)
	if s.Limits.CPU > 0 {
		lower("cpu", unix.RLIMIT_CPU, s.Limits.CPU)
	}
	if s.Fallback && s.Namespaces { // elsewhere it would count all processes of the user
		lower("nproc", unix.RLIMIT_NPROC, uint64(s.Limits.Pids))
	}
}

// lockedBits are NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE with their
// locks, and the lock of KEEP_CAPS.
const lockedBits = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80

// dropCaps gives every capability up. Without namespaces the process has none,
// or is a root that may not change bounding set and securebits: no_new_privs
// then keeps exec from giving any back.
func (s *shim) dropCaps() {
	if s.Namespaces {
		must("ambient", unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		for i := uintptr(0); i <= 63; i++ {
			err := unix.Prctl(unix.PR_CAPBSET_DROP, i, 0, 0, 0)
			if err == unix.EINVAL { // past the last one
				break
			}
			must("capbset-"+strconv.Itoa(int(i)), err)
		}
		must("securebits", unix.Prctl(unix.PR_SET_SECUREBITS, lockedBits, 0, 0, 0))
	}
	if s.Namespaces || s.Landlock || s.Seccomp {
		var none [2]unix.CapUserData
		must("capset", unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]))
	}
}

// boundData lowers RLIMIT_DATA, by raw system calls only. It comes last because the
// shim's own data, of which 32 MiB are a buffer of Go's crypto that is never touched,
// must not count: a Go runtime that may not allocate dies.
func (s *shim) boundData() (errno unix.Errno) {
	now := unix.Rlimit{}
	prlimit := func(to, from *unix.Rlimit) {
		if errno == 0 {
			_, _, errno = unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_DATA,
				uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), 0, 0)
		}
	}
	prlimit(nil, &now)
	want := min(uint64(s.Limits.Memory), now.Max)
	prlimit(&unix.Rlimit{Cur: want, Max: want}, nil)
	return errno
}

// exec arranges descriptors, closes the last door and becomes the module. From
// the filter on there are only raw system calls: the Go runtime must not start
// a thread while another one is in execve.
func (s *shim) exec() {
	files := s.fds[len(s.fds)-s.Files:]
	fd := -1
	if s.Exec {
		files, fd = s.fds[len(s.fds)-s.Files-1:len(s.fds)-1], s.fds[len(s.fds)-1]
	}
	path, argv, env := cstrings(s.Argv[:1])[0], cstrings(s.Argv), cstrings(s.Env)
	channel, fd := place(files, fd)
	must("close_range", unix.CloseRange(uint(channelFD+len(files)), ^uint(0), unix.CLOSE_RANGE_CLOEXEC))
	send := func(kind byte, text string) { rawSend(channel, kind, text) }
	send(kindGo, "")
	if s.Seccomp {
		if errno := filter(); errno != 0 {
			send(kindFatal, "sandbox-shim: FATAL step=seccomp: "+unix.ErrnoName(errno))
			rawExit()
		}
	}
	if s.Canary != nil {
		send(kindSeen, s.Canary.after(&s.setup))
	}
	var errno unix.Errno
	if s.Fallback {
		if errno = s.boundData(); errno != 0 {
			send(kindFatal, "sandbox-shim: FATAL step=rlimit-data: "+unix.ErrnoName(errno))
			rawExit()
		}
	}
	if fd >= 0 {
		empty := []byte{0}
		_, _, errno = unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
			uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
		runtime.KeepAlive(empty)
	} else {
		_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
			uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
	}
	send(kindFatal, "sandbox-shim: FATAL step=exec: "+unix.ErrnoName(errno))
	rawExit()
}

func rawExit() {
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, exitSetup, 0, 0)
	}
}

func rawSend(fd int, kind byte, text string) {
	message := append([]byte{kind}, text...)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&message[0])), uintptr(len(message)))
}

// cstrings returns a NULL-terminated vector of C strings.
func cstrings(list []string) []*byte {
	out := make([]*byte, len(list)+1)
	for i, v := range list {
		b := append([]byte(v), 0)
		out[i] = &b[0]
	}
	return out
}

// place moves files to 3, 4, ... without close-on-exec, and the channel and the
// executable out of their way with it. It returns where those are.
func place(files []int, exe int) (channel, moved int) {
	low := channelFD + len(files)
	away := func(fd int) int {
		if fd < 0 || fd >= low {
			return fd
		}
		to, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, low)
		must("place", err)
		return to
	}
	// The channel moves last: until then a failure is reported through it.
	sources := make([]int, len(files))
	for i, fd := range files {
		sources[i] = away(fd)
	}
	exe = away(exe)
	channel, err := unix.FcntlInt(channelFD, unix.F_DUPFD_CLOEXEC, low)
	must("place", err)
	for i, fd := range sources {
		if err := unix.Dup3(fd, channelFD+i, 0); err != nil {
			rawSend(channel, kindFatal, "sandbox-shim: FATAL step=place: "+err.Error())
			rawExit()
		}
	}
	return channel, exe
}
