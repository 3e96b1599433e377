//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attacker is the test binary as a hostile module. It says what each attempt
// gave, one line each, "NAME: ok" or "NAME: ERRNO", and nothing else.
func attacker(name string, args []string) {
	attempts := map[string]func([]string){
		"read": readHost, "write": writeFiles, "tcp": connectTCP, "abstract": connectAbstract, "families": families,
		"fork": forkBomb, "alloc": allocate, "memfd": bigMemfd, "fill": fillTmp, "flood": flood, "spin": spin,
		"ignore": ignoreSignals, "daemon": daemon, "tree": tree, "victim": touchVictim, "proc": readProc,
		"leak": listLeaks, "syscalls": syscalls, "exec": execTmp, "pause": func([]string) { pause() },
		"fd": readFile3, "unix": connectUnix, "pids": readPids,
	}
	f, ok := attempts[name]
	if !ok {
		fmt.Println("unknown attack", name)
		os.Exit(99)
	}
	f(args)
}

// say reports one attempt.
func say(name string, err error) {
	var errno syscall.Errno
	switch {
	case err == nil:
		fmt.Printf("%s: ok\n", name)
	case errors.As(err, &errno):
		fmt.Printf("%s: %s\n", name, unix.ErrnoName(errno))
	default:
		fmt.Printf("%s: %v\n", name, err)
	}
}

func sayErrno(name string, errno syscall.Errno) {
	if errno == 0 {
		say(name, nil)
		return
	}
	say(name, errno)
}

func pause() {
	for {
		unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

// fork is fork(2) without Go's help: the child must use raw system calls only.
func fork() (int, syscall.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return int(pid), errno
}

func readHost(args []string) {
	link := filepath.Join(args[1], "link-to-host")
	_ = os.Symlink(args[0], link)
	_, err := os.ReadFile(args[0])
	say("read", err)
	_, err = os.ReadFile(link)
	say("read-link", err)
	_, err = os.ReadFile("/etc/passwd")
	say("read-passwd", err)
	_, err = os.ReadDir("/etc")
	say("list-etc", err)
}

func writeFiles(args []string) {
	for i, p := range args {
		f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.WriteString("x")
		}
		say("write-"+strconv.Itoa(i), err)
	}
}

func connectTCP(args []string) {
	port, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	say("tcp", err)
}

func connectAbstract(args []string) { say("abstract", dialUnix("@"+args[0])) }

func connectUnix(args []string) { say("unix", dialUnix(args[0])) }

func dialUnix(name string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: name})
}

// socketFamilies are those that reach beyond the sandbox.
var socketFamilies = []struct {
	name              string
	domain, kind, num int
}{
	{"inet", unix.AF_INET, unix.SOCK_STREAM, 0},
	{"inet6", unix.AF_INET6, unix.SOCK_DGRAM, 0},
	{"vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0},
	{"netlink", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
	{"alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
	{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0},
}

func families([]string) {
	for _, f := range socketFamilies {
		_, err := unix.Socket(f.domain, f.kind, f.num)
		say(f.name, err)
	}
}

func forkBomb(args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	runtime.LockOSThread()
	for n := range want {
		pid, errno := fork()
		if pid == 0 && errno == 0 {
			pause()
		}
		if errno != 0 {
			fmt.Printf("forks: %d\n", n)
			sayErrno("fork", errno)
			pause()
		}
	}
	fmt.Printf("forks: %d\n", want)
	say("fork", nil)
	pause()
}

func allocate(args []string) {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	say("alloc", err)
}

func bigMemfd(args []string) {
	signal.Ignore(unix.SIGXFSZ)
	size, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	fd, err := unix.MemfdCreate("big", 0)
	if err == nil {
		err = unix.Ftruncate(fd, int64(size))
	}
	say("memfd", err)
}

func fillTmp(args []string) {
	size, err := strconv.Atoi(args[1])
	if err != nil {
		panic(err)
	}
	f, err := os.Create(filepath.Join(args[0], "fill"))
	for n := 0; err == nil && n < size; n += 1 << 20 {
		_, err = f.Write(make([]byte, 1<<20))
	}
	say("fill", err)
}

func flood([]string) {
	b := []byte(strings.Repeat("flood ", 10000))
	for {
		if _, err := os.Stdout.Write(b); err != nil {
			return
		}
	}
}

func spin([]string) {
	say("spin", nil)
	for n := 0; ; n++ {
		runtime.KeepAlive(n)
	}
}

func ignoreSignals([]string) {
	for s := syscall.Signal(1); s < 32; s++ {
		if s != unix.SIGKILL && s != unix.SIGSTOP {
			signal.Ignore(s)
		}
	}
	say("ignore", nil)
	pause()
}

// daemon leaves a grandchild in a session of its own, which keeps stdout open,
// and ends.
func daemon([]string) {
	runtime.LockOSThread()
	if pid, errno := fork(); errno != 0 || pid != 0 {
		say("daemon", nil)
		return
	}
	unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	if pid, errno := fork(); errno != 0 || pid != 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	pause()
}

// tree makes n children, one of them in a session of its own, and waits.
func tree(args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	runtime.LockOSThread()
	for i := range n {
		pid, errno := fork()
		if pid == 0 && errno == 0 {
			if i == 0 {
				unix.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
			}
			pause()
		}
		if errno != 0 {
			sayErrno("tree", errno)
			return
		}
	}
	say("tree", nil)
	pause()
}

// touchVictim attacks a process of the host by its number.
func touchVictim(args []string) {
	runtime.LockOSThread()
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	say("signal", unix.Kill(pid, 0))
	_, err = unix.PidfdOpen(pid, 0)
	say("pidfd", err)
	buf := make([]byte, 1)
	var local unix.Iovec
	local.Base = &buf[0]
	local.SetLen(1)
	address, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		panic(err)
	}
	_, err = unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: uintptr(address), Len: 1}}, 0)
	say("vm_readv", err)
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0, 0, 0)
	sayErrno("ptrace", errno)
}

func readProc(args []string) {
	b, err := os.ReadFile("/proc/" + args[0] + "/environ")
	if err == nil && len(b) == 0 {
		err = unix.ENODATA
	}
	say("environ", err)
	_, err = os.ReadDir("/proc/" + args[0] + "/fd")
	say("fds", err)
	_, err = os.ReadFile("/proc/sys/kernel/hostname")
	say("sysctl", err)
}

// listLeaks names the environment and the descriptors that it was given.
func listLeaks([]string) {
	fmt.Println("env:", strings.Join(os.Environ(), " "))
	var open []string
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			open = append(open, strconv.Itoa(fd))
		}
	}
	fmt.Println("open:", strings.Join(open, " "))
	fmt.Println("ids:", os.Geteuid(), os.Getegid(), os.Getpid())
}

// hostile are calls that the filter refuses, with arguments that do no harm
// where it does not.
var hostile = []struct {
	name   string
	number uintptr
	args   [5]uintptr
}{
	{"unshare", unix.SYS_UNSHARE, [5]uintptr{unix.CLONE_FS}},
	{"setns", unix.SYS_SETNS, [5]uintptr{^uintptr(0)}},
	{"umount", unix.SYS_UMOUNT2, [5]uintptr{0, ^uintptr(0)}},
	{"open_tree", unix.SYS_OPEN_TREE, [5]uintptr{^uintptr(0), 0, 1 << 30}},
	{"fsopen", unix.SYS_FSOPEN, [5]uintptr{0, 1 << 30}},
	{"chroot", unix.SYS_CHROOT, [5]uintptr{0}},
	{"io_uring", unix.SYS_IO_URING_SETUP, [5]uintptr{0, 0}},
	{"bpf", unix.SYS_BPF, [5]uintptr{1 << 20}},
	{"keyctl", unix.SYS_KEYCTL, [5]uintptr{0, ^uintptr(2), 1}},
	{"add_key", unix.SYS_ADD_KEY, [5]uintptr{0}},
	{"perf", unix.SYS_PERF_EVENT_OPEN, [5]uintptr{0}},
	{"userfaultfd", unix.SYS_USERFAULTFD, [5]uintptr{1}},
	{"personality", unix.SYS_PERSONALITY, [5]uintptr{0xffffffff}},
	{"pidfd_getfd", unix.SYS_PIDFD_GETFD, [5]uintptr{^uintptr(0)}},
	{"kcmp", unix.SYS_KCMP, [5]uintptr{1, 1, 99}},
	{"name_to_handle", unix.SYS_NAME_TO_HANDLE_AT, [5]uintptr{^uintptr(0), 0, 0, 0, 1 << 30}},
	{"mbind", unix.SYS_MBIND, [5]uintptr{0}},
	{"memfd_secret", unix.SYS_MEMFD_SECRET, [5]uintptr{1 << 20}},
	{"clone3", unix.SYS_CLONE3, [5]uintptr{0}},
	{"clone_newuser", unix.SYS_CLONE, [5]uintptr{unix.CLONE_NEWUSER | unix.CLONE_FS}},
	{"tiocsti", unix.SYS_IOCTL, [5]uintptr{0, unix.TIOCSTI, 0}},
	{"tioclinux", unix.SYS_IOCTL, [5]uintptr{0, unix.TIOCLINUX, 0}},
	{"socketpair", unix.SYS_SOCKETPAIR, [5]uintptr{unix.AF_INET, unix.SOCK_STREAM, 0, 0}},
}

func syscalls([]string) {
	runtime.LockOSThread()
	for _, h := range hostile {
		_, _, errno := unix.RawSyscall6(h.number, h.args[0], h.args[1], h.args[2], h.args[3], h.args[4], 0)
		sayErrno(h.name, errno)
	}
}

// execTmp writes a program to a folder and runs it.
func execTmp(args []string) {
	p := filepath.Join(args[0], "dropped")
	err := os.WriteFile(p, canaryImage(), 0o755)
	if err != nil {
		say("drop", err)
		return
	}
	pid, err := syscall.ForkExec(p, []string{p}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err == nil {
		var status unix.WaitStatus
		_, err = unix.Wait4(pid, &status, 0, nil)
		if err == nil && status.ExitStatus() != exitCanary {
			err = fmt.Errorf("status %d", status.ExitStatus())
		}
	}
	say("exec", err)
}

// readFile3 shows what is behind the descriptor that it was given.
func readFile3([]string) {
	b := make([]byte, 64)
	n, err := unix.Pread(3, b, 0)
	say("fd3 "+string(b[:max(n, 0)]), err)
}

func readPids([]string) {
	entries, err := os.ReadDir("/proc")
	n := 0
	for _, e := range entries {
		if _, e := strconv.Atoi(e.Name()); e == nil {
			n++
		}
	}
	fmt.Println("pids:", n)
	say("list", err)
}
