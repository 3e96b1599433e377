package sandbox

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 2 && os.Args[1] == "attack" {
		attacker(os.Args[2], os.Args[3:])
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "executor" {
		executor(os.Args[2:])
	}
	os.Exit(m.Run())
}

// generous is a deadline that only a hung test reaches.
const generous = 60 * time.Second

// open returns a Host that the test closes.
func open(t testing.TB, o Options) *Host {
	t.Helper()
	h, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// shared is the one Host that most tests use; required and level 2 at least.
func sandboxHost(t testing.TB) *Host {
	t.Helper()
	h := open(t, Options{})
	if err := h.Admit(); err != nil {
		t.Fatalf("this machine cannot run the attack tests: %v", err)
	}
	return h
}

// attackerBinary is this test as a static executable: itself, or, if it was
// built with cgo for the race detector, a build without.
func attackerBinary(t testing.TB) string {
	t.Helper()
	p, err := staticSelf()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var staticSelf = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := elf.Open(self)
	if err != nil {
		return "", err
	}
	defer f.Close()
	dynamic := false
	for _, p := range f.Progs {
		dynamic = dynamic || p.Type == elf.PT_INTERP
	}
	if !dynamic {
		return self, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(cache, "mythos-test", "sandbox-attacker")
	cmd := exec.Command("go", "test", "-c", "-o", out, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("build the attacker: " + err.Error() + "\n" + string(b))
	}
	return out, nil
})

// attackSpec runs an attack inside.
func attackSpec(t testing.TB, args ...string) Spec {
	t.Helper()
	return Spec{
		Argv:   append([]string{"/module/attacker", "attack"}, args...),
		Env:    []string{"HOME=/tmp", "TMPDIR=/tmp"},
		Dir:    "/module",
		Mounts: []Mount{{Source: attackerBinary(t), Target: "/module/attacker"}},
		Limits: Limits{Memory: 256 << 20, TmpBytes: 32 << 20},
	}
}

// start starts s and closes it with the test.
func start(t testing.TB, h *Host, s Spec) *Process {
	t.Helper()
	p, err := h.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// output reads all that p writes, and how it ended.
func output(t testing.TB, p *Process) (string, Exit) {
	t.Helper()
	deadline(t, p)
	out, err := io.ReadAll(p.Stdout)
	diag, err2 := io.ReadAll(p.Stderr)
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("%v\n%s%s", err, out, diag)
	}
	if len(diag) > 0 {
		t.Logf("stderr: %s", diag)
	}
	return string(out), p.Wait()
}

func deadline(t testing.TB, p *Process) {
	t.Helper()
	for _, f := range []*os.File{p.Stdout, p.Stderr} {
		if err := f.SetDeadline(time.Now().Add(generous)); err != nil {
			t.Fatal(err)
		}
	}
}

// line reads up to the end of a line.
func line(t testing.TB, r io.Reader) string {
	t.Helper()
	var b bytes.Buffer
	one := make([]byte, 1)
	for b.Len() < 1<<16 {
		if _, err := io.ReadFull(r, one); err != nil {
			t.Fatalf("%v after %q", err, b.String())
		}
		if one[0] == '\n' {
			break
		}
		b.WriteByte(one[0])
	}
	return b.String()
}

// inside runs an attack in a sandbox to its end.
func inside(t testing.TB, h *Host, change func(*Spec), args ...string) (string, Exit) {
	t.Helper()
	s := attackSpec(t, args...)
	if change != nil {
		change(&s)
	}
	p := start(t, h, s)
	out, exit := output(t, p)
	if exit.Setup != nil {
		t.Fatal(exit.Setup)
	}
	return out, exit
}

// bare starts an attack without any sandbox: the positive control. Its process
// group is killed with the test.
func bare(t testing.TB, args ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(attackerBinary(t), append([]string{"attack"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	if err := errors.Join(cmd.Start(), w.Close(), r.SetDeadline(time.Now().Add(generous))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		r.Close()
	})
	return cmd, r
}

// control runs an attack to its end without a sandbox.
func control(t testing.TB, args ...string) string {
	t.Helper()
	_, r := bare(t, args...)
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("control: %v", err)
	}
	return string(out)
}

// results parses "NAME: OUTCOME" lines.
func results(out string) map[string]string {
	m := map[string]string{}
	for l := range strings.Lines(out) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), ": "); ok {
			m[k] = v
		}
	}
	return m
}

// want compares the outcomes of an attack.
func want(t testing.TB, where, out string, outcomes map[string]string) {
	t.Helper()
	got := results(out)
	for k, w := range outcomes {
		ok := false
		for _, one := range strings.Split(w, "|") {
			ok = ok || got[k] == one
		}
		if !ok {
			t.Errorf("%s: %s gave %q, want %s\n%s", where, k, got[k], w, out)
		}
	}
}

// victim is a process of the host that attacks are aimed at.
func victim(t testing.TB) string {
	t.Helper()
	cmd, _ := bare(t, "pause")
	return strconv.Itoa(cmd.Process.Pid)
}

func listenTCP(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// hostFile is a file that this user can read.
func hostFile(t testing.TB) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(p, []byte("host secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestUnprivileged runs the attacks, the leak test and the executor's death
// again as a user without rights.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("already without privileges: the other tests are these")
	}
	b, err := os.ReadFile(attackerBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "mythos-sandbox-unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self := filepath.Join(dir, "test")
	if err := errors.Join(os.WriteFile(self, b, 0o755), os.Chmod(self, 0o755), os.Chown(dir, 65534, 65534), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.v", "-test.run=^Test(Attack|Executor|Leaves|Modes|Grants|Parked|Report)")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "MYTHOS_SANDBOX_RUNS=" + os.Getenv("MYTHOS_SANDBOX_RUNS")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	t.Logf("as uid 65534:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	if !bytes.Contains(out, []byte("--- PASS: TestAttackFiles")) {
		t.Error("the attacks did not run")
	}
}
