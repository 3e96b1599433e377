package sandbox

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every attack is first shown to work without a sandbox, by the same program.

func TestAttackFiles(t *testing.T) {
	h, secret := sandboxHost(t), hostFile(t)
	want(t, "control", control(t, "read", secret, t.TempDir()), map[string]string{"read": "ok", "read-link": "ok", "read-passwd": "ok", "list-etc": "ok"})
	out, _ := inside(t, h, nil, "read", secret, "/tmp")
	want(t, "sandbox", out, map[string]string{"read": "ENOENT", "read-link": "ENOENT", "read-passwd": "ENOENT", "list-etc": "ENOENT"})
}

func TestAttackWrite(t *testing.T) {
	h, dir := sandboxHost(t), t.TempDir()
	module := filepath.Join(dir, "code.js")
	if err := errors.Join(os.WriteFile(module, []byte("code"), 0o666), os.Chmod(module, 0o666), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	want(t, "control", control(t, "write", module, filepath.Join(dir, "new")), map[string]string{"write-0": "ok", "write-1": "ok"})
	paths := []string{"/tree/code.js", "/tree/new2", "/module/attacker", "/new", "/dev/new", "/proc/self/exe"}
	out, _ := inside(t, h, func(s *Spec) { s.Mounts = append(s.Mounts, Mount{Source: dir, Target: "/tree"}) }, append([]string{"write"}, paths...)...)
	want(t, "sandbox", out, map[string]string{
		"write-0": "EROFS|EACCES", "write-1": "EROFS|EACCES", "write-2": "EROFS|EACCES|ETXTBSY", "write-3": "EROFS|EACCES",
		"write-4": "EROFS|EACCES", "write-5": "EROFS|EACCES|ETXTBSY",
	})
	if b, err := os.ReadFile(module); err != nil || string(b) != "xode" {
		t.Errorf("the module holds %q, %v", b, err)
	}
}

func TestAttackNetwork(t *testing.T) {
	h, port, name := sandboxHost(t), listenTCP(t), "mythos-test-"+strconv.Itoa(os.Getpid())
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(l, &unix.SockaddrUnix{Name: "@" + name}), unix.Listen(l, 4))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	want(t, "control", control(t, "tcp", port), map[string]string{"tcp": "ok"})
	want(t, "control", control(t, "abstract", name), map[string]string{"abstract": "ok"})
	out, _ := inside(t, h, nil, "tcp", port)
	want(t, "sandbox", out, map[string]string{"tcp": "EACCES"})
	out, _ = inside(t, h, nil, "abstract", name)
	want(t, "sandbox", out, map[string]string{"abstract": "ECONNREFUSED|EPERM"})
}

func TestAttackSocketFamilies(t *testing.T) {
	outside := results(control(t, "families"))
	out, _ := inside(t, sandboxHost(t), nil, "families")
	for _, f := range socketFamilies {
		if outside[f.name] != "ok" {
			t.Logf("NO CONTROL for AF_%s: without a sandbox it gives %s here", strings.ToUpper(f.name), outside[f.name])
		}
		want(t, "sandbox", out, map[string]string{f.name: "EACCES"})
	}
	if outside["inet"] != "ok" || outside["netlink"] != "ok" {
		t.Errorf("control: %v", outside)
	}
}

func TestAttackForkBomb(t *testing.T) {
	h := sandboxHost(t)
	_, r := bare(t, "fork", "120")
	if got := line(t, r); got != "forks: 120" {
		t.Fatalf("control: %s", got)
	}
	s := attackSpec(t, "fork", "120")
	s.Limits.Pids = 64
	p := start(t, h, s)
	deadline(t, p)
	n, err := strconv.Atoi(strings.TrimPrefix(line(t, p.Stdout), "forks: "))
	if err != nil || n >= 64 {
		t.Errorf("%d forks, %v", n, err)
	}
	if got := line(t, p.Stdout); got != "fork: EAGAIN" {
		t.Errorf("stopped by %q", got)
	}
	gone(t, p, strconv.Itoa(n)+" children")
}

// gone kills p and asserts that nothing of it is left: its stdout, which every
// process of the tree holds, comes to its end.
func gone(t *testing.T, p *Process, what string) {
	t.Helper()
	begin := time.Now()
	p.Kill()
	exit := p.Wait()
	took := time.Since(begin)
	if exit.Signal != int(unix.SIGKILL) {
		t.Errorf("exit %+v", exit)
	}
	if _, err := io.Copy(io.Discard, p.Stdout); err != nil {
		t.Errorf("a process still holds the pipe: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("kill to empty, %s: %v", what, took)
}

func TestAttackMemory(t *testing.T) {
	h, size := sandboxHost(t), strconv.Itoa(512<<20)
	want(t, "control", control(t, "alloc", size), map[string]string{"alloc": "ok"})
	out, exit := inside(t, h, nil, "alloc", size)
	if h.Level() == LevelFull {
		if !exit.OOM || exit.Signal != int(unix.SIGKILL) || strings.Contains(out, "ok") {
			t.Errorf("exit %+v, %s", exit, out)
		}
	} else {
		want(t, "sandbox", out, map[string]string{"alloc": "ENOMEM"})
	}
	want(t, "control", control(t, "memfd", size), map[string]string{"memfd": "ok"})
	out, _ = inside(t, h, nil, "memfd", size)
	want(t, "sandbox", out, map[string]string{"memfd": "EFBIG"})
}

func TestAttackFillTmp(t *testing.T) {
	h, size := sandboxHost(t), strconv.Itoa(40<<20)
	want(t, "control", control(t, "fill", t.TempDir(), size), map[string]string{"fill": "ok"})
	out, _ := inside(t, h, nil, "fill", "/tmp", size)
	want(t, "sandbox", out, map[string]string{"fill": "ENOSPC"})
}

func TestAttackFlood(t *testing.T) {
	h := sandboxHost(t)
	_, r := bare(t, "flood")
	if n, err := io.CopyN(io.Discard, r, 64<<20); err != nil {
		t.Fatalf("control: %d bytes, %v", n, err)
	}
	p := start(t, h, attackSpec(t, "flood"))
	deadline(t, p)
	if _, err := io.CopyN(io.Discard, p.Stdout, 1<<20); err != nil {
		t.Fatal(err)
	}
	gone(t, p, "a flood nobody reads") // the pipe is full and must not matter
}

func TestAttackSpin(t *testing.T) {
	h := sandboxHost(t)
	_, r := bare(t, "spin")
	want(t, "control", line(t, r), map[string]string{"spin": "ok"})
	p := start(t, h, attackSpec(t, "spin"))
	deadline(t, p)
	want(t, "sandbox", line(t, p.Stdout), map[string]string{"spin": "ok"})
	gone(t, p, "spinning")
	s := attackSpec(t, "spin")
	s.Limits.CPU = 1
	if _, exit := output(t, start(t, h, s)); exit.Signal != int(unix.SIGKILL) && exit.Signal != int(unix.SIGXCPU) {
		t.Errorf("a second of processor time ended with %+v", exit)
	}
}

func TestAttackIgnoresSignals(t *testing.T) {
	h := sandboxHost(t)
	cmd, r := bare(t, "ignore")
	line(t, r)
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT} {
		if err := unix.Kill(cmd.Process.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil || info.Signo != 0 {
		t.Fatalf("control: it died of a signal that it ignores: %v", err)
	}
	p := start(t, h, attackSpec(t, "ignore"))
	deadline(t, p)
	line(t, p.Stdout)
	gone(t, p, "ignoring every signal")
}

func TestAttackDaemon(t *testing.T) {
	h := sandboxHost(t)
	cmd, r := bare(t, "daemon")
	line(t, r)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	// Control: the daemon left the process group and outlives its parent and the
	// kill of the group. It holds the pipe: reading does not end.
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	f := r.(*os.File)
	if err := f.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("control: the daemon is gone: %d bytes, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	killDaemons(t)
	p := start(t, h, attackSpec(t, "daemon"))
	out, exit := output(t, p) // ends only when the daemon let go of the pipe
	want(t, "sandbox", out, map[string]string{"daemon": "ok"})
	if exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
}

// killDaemons ends the control's daemon, which by design nothing else reaches:
// the process with this very executable and argument whose parent is not us.
func killDaemons(t *testing.T) {
	t.Helper()
	self := attackerBinary(t)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && string(b) == self+"\x00attack\x00daemon\x00" && unix.Kill(pid, unix.SIGKILL) == nil {
			n++
		}
	}
	if n == 0 {
		t.Error("control: no daemon found to clean up")
	}
}

func TestAttackProcesses(t *testing.T) {
	h, pid := sandboxHost(t), victim(t)
	variable := strconv.FormatUint(uint64(addressOf()), 10)
	outside := results(control(t, "victim", pid, variable))
	for _, k := range []string{"signal", "pidfd"} {
		if outside[k] != "ok" {
			t.Errorf("control: %s gave %s", k, outside[k])
		}
	}
	for _, k := range []string{"vm_readv", "ptrace"} {
		if outside[k] == "EPERM" {
			t.Logf("NO CONTROL for %s: this user may not even outside (yama)", k)
		}
	}
	out, _ := inside(t, h, nil, "victim", pid, variable)
	want(t, "sandbox", out, map[string]string{"signal": "ESRCH", "pidfd": "ESRCH", "vm_readv": "EPERM", "ptrace": "EPERM"})
	want(t, "control", control(t, "proc", pid), map[string]string{"environ": "ok", "fds": "ok", "sysctl": "ok"})
	out, _ = inside(t, h, nil, "proc", pid)
	want(t, "sandbox", out, map[string]string{"environ": "ENOENT", "fds": "ENOENT", "sysctl": "ENOENT"})
}

// addressOf is an address that is mapped in every copy of this binary.
func addressOf() uintptr {
	pc, _, _, _ := runtime.Caller(0)
	return pc
}

func TestAttackLeaks(t *testing.T) {
	t.Setenv("MYTHOS_CANARY", "canary-value")
	fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	outside := control(t, "leak")
	if !strings.Contains(outside, "canary-value") || !strings.Contains(outside, " "+strconv.Itoa(fd)) {
		t.Errorf("control: %s", outside)
	}
	out, _ := inside(t, sandboxHost(t), nil, "leak")
	want(t, "sandbox", out, map[string]string{"env": "HOME=/tmp TMPDIR=/tmp", "open": "0 1 2", "ids": "1000 1000 1"})
}

func TestAttackSyscalls(t *testing.T) {
	outside := results(control(t, "syscalls"))
	out, _ := inside(t, sandboxHost(t), nil, "syscalls")
	shown := 0
	for _, c := range hostile {
		w := "EPERM"
		switch c.name {
		case "clone3":
			w = "ENOSYS"
		case "socketpair":
			w = "EACCES"
		}
		want(t, "sandbox", out, map[string]string{c.name: w})
		switch outside[c.name] {
		case w, "":
			t.Logf("NO CONTROL for %s: it gives %s without a sandbox too", c.name, outside[c.name])
		default:
			shown++
		}
	}
	if shown < len(hostile)/2 {
		t.Errorf("control: only %d of %d calls can be told from a refusal: %v", shown, len(hostile), outside)
	}
}

func TestAttackExec(t *testing.T) {
	want(t, "control", control(t, "exec", t.TempDir()), map[string]string{"exec": "ok"})
	out, _ := inside(t, sandboxHost(t), nil, "exec", "/tmp")
	want(t, "sandbox", out, map[string]string{"exec": "EACCES"})
}

// TestAttackForeignABI calls the kernel by another architecture's door, where
// numbers mean something else.
func TestAttackForeignABI(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("int 0x80 and x32 are amd64's")
	}
	// The call is getpid; the program exits with 0 if it answered, with 1 if not.
	exits := []byte{
		0x31, 0xff, // xor edi, edi
		0x85, 0xc0, // test eax, eax
		0x7f, 0x02, // jg +2
		0xff, 0xc7, // inc edi
		0xb8, 60, 0, 0, 0, 0x0f, 0x05, // exit(edi)
	}
	for name, code := range map[string][]byte{
		"int80": {0xb8, 20, 0, 0, 0, 0xcd, 0x80},
		"x32":   {0xb8, 39, 0, 0, 0x40, 0x0f, 0x05},
	} {
		image := elfImage("amd64", append(code, exits...))
		if got := runImage(t, image); got != 0 {
			t.Logf("NO CONTROL for %s: this kernel does not answer it (status %d)", name, got)
		}
		f, err := sealedFile(name, image)
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, sandboxHost(t), Spec{Argv: []string{name}, Exec: f})
		if _, exit := output(t, p); exit.Signal != int(unix.SIGSYS) || exit.Setup != nil {
			t.Errorf("%s: exit %+v, want SIGSYS", name, exit)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
