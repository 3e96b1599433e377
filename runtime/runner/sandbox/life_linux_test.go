package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runImage runs an executable without a sandbox and returns its status.
func runImage(t *testing.T, image []byte) int {
	t.Helper()
	p := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(p, image, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p)
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// executor is a process with a module that is a tree; it says when the tree
// stands and waits for its end. Descriptor 3 is handed on to the module.
func executor(args []string) {
	h, err := Open(context.Background(), Options{})
	if err == nil {
		s := Spec{
			Argv: []string{"/module/attacker", "attack", "tree", "8"}, Files: []*os.File{os.NewFile(3, "held")},
			Mounts: []Mount{{Source: args[0], Target: "/module/attacker"}}, Limits: Limits{Memory: 256 << 20},
		}
		var p *Process
		if p, err = h.Start(context.Background(), s); err == nil {
			var said string
			if said, err = bufio.NewReader(p.Stdout).ReadString('\n'); err == nil {
				fmt.Print(said)
				pause()
			}
		}
	}
	fmt.Println("executor:", err)
	os.Exit(1)
}

// TestExecutorKilled kills an executor whose module is a tree of processes. They
// all hold a pipe of the test, which ends when the last of them is gone.
func TestExecutorKilled(t *testing.T) {
	held, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cmd := exec.Command(attackerBinary(t), "executor", attackerBinary(t))
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), theirs.Close(), held.SetDeadline(time.Now().Add(generous))); err != nil {
		t.Fatal(err)
	}
	want(t, "sandbox", line(t, out), map[string]string{"tree": "ok"})
	begin := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if n, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("something of the module is alive: %d bytes, %v", n, err)
	}
	t.Logf("executor killed: module of 9 processes gone after %v", time.Since(begin))
	_ = cmd.Wait()
	open(t, Options{}) // sweeps
	for _, dir := range groupDirs(t) {
		if strings.Contains(dir, "-"+strconv.Itoa(cmd.Process.Pid)+"-") {
			t.Errorf("the dead executor's cgroup stays: %s", dir)
		}
	}
}

// groupDirs lists the cgroups of sandboxes in this process's own folders.
func groupDirs(t *testing.T) []string {
	t.Helper()
	mounts, err1 := os.ReadFile("/proc/self/mountinfo")
	self, err2 := os.ReadFile("/proc/self/cgroup")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	h := findCgroups(string(mounts), string(self), "")
	var out []string
	for _, base := range []string{h.unified, h.memory, h.pids} {
		found, err := filepath.Glob(filepath.Join(base, "mythos-*"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

// residue counts what a run could leave behind.
type residue struct {
	children, groups, mounts, temps int
	files                           []string
}

func measure(t *testing.T) residue {
	t.Helper()
	var r residue
	own := "-" + strconv.Itoa(os.Getpid()) + "-"
	for _, d := range groupDirs(t) {
		if strings.Contains(d, own) {
			r.groups++
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	r.mounts = strings.Count(string(b), "\n")
	temps, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range temps {
		if strings.Contains(e.Name(), "sandbox") {
			r.temps++
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tasks {
		if b, err := os.ReadFile(p); err == nil {
			r.children += len(strings.Fields(string(b)))
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range fds {
		if l, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(l, "/proc/") {
			r.files = append(r.files, e.Name()+"="+l)
		}
	}
	return r
}

// TestLeavesNothing runs 200 modules, or MYTHOS_SANDBOX_RUNS, and counts before
// and after. Some answer, some are killed, some were parked and never used.
func TestLeavesNothing(t *testing.T) {
	runs := 200
	if v := os.Getenv("MYTHOS_SANDBOX_RUNS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	h := sandboxHost(t)
	image, err := sealedFile("short", canaryImage())
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	short := Spec{Argv: []string{"short"}, Exec: image}
	once := func(i int) {
		if i%4 == 3 {
			parked, err := h.Park(t.Context(), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if i%8 == 3 {
				if err := parked.Close(); err != nil {
					t.Fatal(err)
				}
				return
			}
			p, err := parked.Start(t.Context(), short)
			if err != nil {
				t.Fatal(err)
			}
			finish(t, p, i)
			return
		}
		p, err := h.Start(t.Context(), short)
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 2 {
			p.Kill()
		}
		finish(t, p, i)
	}
	once(0) // warms what stays open for good
	before := measure(t)
	for i := range runs {
		once(i)
	}
	after := measure(t)
	if before.children != after.children || before.groups != after.groups || before.mounts != after.mounts ||
		before.temps != after.temps || !slices.Equal(before.files, after.files) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	t.Logf("%d runs: children %d, cgroups %d, mounts %d, descriptors %d, as before", runs, after.children, after.groups, after.mounts, len(after.files))
}

func finish(t *testing.T, p *Process, i int) {
	t.Helper()
	exit := p.Wait()
	if i%4 != 2 && (exit.Code != exitCanary || exit.Setup != nil) {
		t.Fatalf("run %d: %+v", i, exit)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestModes makes each feature missing in turn.
func TestModes(t *testing.T) {
	full := open(t, Options{}).Level()
	for _, c := range []struct {
		missing []Feature
		level   uint8
	}{
		{[]Feature{FeatureUser}, 1},
		{[]Feature{FeaturePID}, 1},
		{[]Feature{FeatureMount}, 1},
		{[]Feature{FeatureNet}, 1},
		{[]Feature{FeatureIPC}, 1},
		{[]Feature{FeatureUTS}, 1},
		{[]Feature{FeatureCgroup}, 1},
		{[]Feature{FeatureRoot}, 1},
		{[]Feature{FeatureUser, FeatureLandlock}, 0},
		{[]Feature{FeatureSeccomp}, 0},
		{[]Feature{FeatureProc}, full},
		{[]Feature{FeatureLandlock}, 2},
		{[]Feature{FeatureKill}, 2},
		{[]Feature{FeatureMemory}, 2},
		{[]Feature{FeaturePids}, 2},
	} {
		h := open(t, Options{Disable: c.missing})
		if h.Level() != c.level {
			t.Errorf("without %v: level %d, want %d\n%s", c.missing, h.Level(), c.level, h.Report())
		}
		if c.level >= LevelNamespaces {
			if out, exit := inside(t, h, nil, "leak"); exit.Code != 0 || !strings.Contains(out, "ids: 1000 1000 1") {
				t.Errorf("without %v: %+v, %s", c.missing, exit, out)
			}
			continue
		}
		refused(t, h, c.missing[0])
	}
}

// refused asserts that nothing starts and that the refusal says why.
func refused(t *testing.T, h *Host, missing Feature) {
	t.Helper()
	children := measure(t).children
	_, err1 := h.Start(t.Context(), attackSpec(t, "leak"))
	_, err2 := h.Park(t.Context(), Limits{})
	for _, err := range []error{h.Admit(), err1, err2} {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), string(missing)) || !strings.Contains(err.Error(), fixes[missing]) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	if n := measure(t).children; n != children {
		t.Errorf("%d processes were started", n-children)
	}
}

// TestModesBestEffort runs at the level there is.
func TestModesBestEffort(t *testing.T) {
	secret := hostFile(t)
	landlock := open(t, Options{Mode: BestEffort, Disable: []Feature{FeatureUser}})
	if landlock.Level() != LevelLandlock || landlock.Admit() != nil {
		t.Fatalf("%s, %v", landlock.Report(), landlock.Admit())
	}
	copied := attackSpecAt(t)
	out, _ := inside(t, landlock, func(s *Spec) { s.Mounts = copied }, "read", secret, "/tmp")
	want(t, "landlock", out, map[string]string{"read": "EACCES", "read-passwd": "EACCES", "list-etc": "EACCES"})
	out, _ = inside(t, landlock, func(s *Spec) { s.Mounts = copied }, "tcp", listenTCP(t))
	want(t, "landlock", out, map[string]string{"tcp": "EACCES"})
	none := open(t, Options{Mode: None})
	if none.Level() != LevelNone || none.Admit() != nil {
		t.Fatalf("%s, %v", none.Report(), none.Admit())
	}
	out, _ = inside(t, none, func(s *Spec) { s.Mounts = copied }, "read", secret, t.TempDir())
	want(t, "none", out, map[string]string{"read": "ok"})
}

// attackSpecAt copies the attacker where every user may execute it.
func attackSpecAt(t *testing.T) []Mount {
	t.Helper()
	b, err := os.ReadFile(attackerBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "mythos-level1-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := filepath.Join(dir, "attacker")
	if err := errors.Join(os.WriteFile(p, b, 0o755), os.Chmod(p, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return []Mount{{Source: dir, Target: "/module"}}
}

// TestGrants gives a module a writable folder, a secret and a socket.
func TestGrants(t *testing.T) {
	h, dir := sandboxHost(t), t.TempDir()
	out, _ := inside(t, h, func(s *Spec) { s.Mounts = append(s.Mounts, Mount{Source: dir, Target: "/data/kv", Writable: true}) },
		"write", "/data/kv/value", "/data/other")
	want(t, "granted", out, map[string]string{"write-0": "ok", "write-1": "EROFS|EACCES"})
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "value"), &st); err != nil || int(st.Uid) != os.Geteuid() {
		t.Errorf("the file belongs to %d, %v", st.Uid, err)
	}
	out, _ = inside(t, h, func(s *Spec) { s.Mounts = append(s.Mounts, Mount{Source: dir, Target: "/data", Writable: true}) }, "exec", "/data")
	want(t, "writable is not executable", out, map[string]string{"exec": "EACCES"})

	secret, err := sealedFile("secret", []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	out, _ = inside(t, h, func(s *Spec) { s.Files = []*os.File{secret} }, "fd")
	want(t, "secret", out, map[string]string{"fd3 hunter2": "ok"})
	out, _ = inside(t, h, func(s *Spec) { s.Files = []*os.File{secret} }, "leak")
	want(t, "secret", out, map[string]string{"open": "0 1 2 3"})

	sock := filepath.Join(dir, "net.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(sock, 0o666); err != nil {
		t.Fatal(err)
	}
	out, _ = inside(t, h, func(s *Spec) { s.Sockets = []Socket{{sock, "/run/mythos/net.sock"}} }, "unix", "/run/mythos/net.sock")
	want(t, "socket", out, map[string]string{"unix": "ok"})
}

// TestGrantsRefuse asks for sandboxes that cannot be.
func TestGrantsRefuse(t *testing.T) {
	h := sandboxHost(t)
	open, err := os.Open(attackerBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for name, change := range map[string]func(*Spec){
		"no program":      func(s *Spec) { s.Argv = nil },
		"relative":        func(s *Spec) { s.Argv[0] = "attacker" },
		"zero byte":       func(s *Spec) { s.Argv = append(s.Argv, "a\x00b") },
		"environment":     func(s *Spec) { s.Env = []string{"=x"} },
		"target":          func(s *Spec) { s.Mounts[0].Target = "/module/../x" },
		"target reserved": func(s *Spec) { s.Mounts[0].Target = "/dev/null" },
		"target twice":    func(s *Spec) { s.Mounts = append(s.Mounts, s.Mounts[0]) },
		"source":          func(s *Spec) { s.Mounts[0].Source = "relative" },
		"limit":           func(s *Spec) { s.Limits.Memory = -1 },
		"unsealed":        func(s *Spec) { s.Exec = open },
	} {
		s := attackSpec(t, "leak")
		change(&s)
		if p, err := h.Start(t.Context(), s); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				p.Close()
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*Spec)
		step   string
	}{
		"no such program": {func(s *Spec) { s.Argv[0] = "/module/missing" }, "step=exec: ENOENT"},
		"no such folder":  {func(s *Spec) { s.Dir = "/missing" }, "step=chdir: ENOENT"},
	} {
		s := attackSpec(t, "leak")
		c.change(&s)
		p := start(t, h, s)
		if exit := p.Wait(); !errors.Is(exit.Setup, ErrSetup) || !strings.Contains(exit.Setup.Error(), c.step) || exit.Code != exitSetup {
			t.Errorf("%s: %+v", name, exit)
		}
	}
}

// TestParked asserts that what is parked is what it was parked with.
func TestParked(t *testing.T) {
	h := sandboxHost(t)
	s := attackSpec(t, "leak")
	p, err := h.Park(t.Context(), s.Limits)
	if err != nil {
		t.Fatal(err)
	}
	run, err := p.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	out, exit := output(t, run)
	want(t, "parked", out, map[string]string{"open": "0 1 2", "ids": "1000 1000 1"})
	if err := run.Close(); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	if _, err := p.Start(t.Context(), s); !errors.Is(err, ErrSpec) {
		t.Errorf("a second use: %v", err)
	}
	other, err := h.Park(t.Context(), Limits{Pids: 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Start(t.Context(), s); !errors.Is(err, ErrSpec) {
		t.Errorf("other limits: %v", err)
	}
}

// TestExecutorCloses asserts that closing a host ends what it runs.
func TestExecutorCloses(t *testing.T) {
	h, err := Open(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, h, attackSpec(t, "pause"))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if exit := p.Wait(); exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("%+v", exit)
	}
	if _, err := h.Start(t.Context(), attackSpec(t, "leak")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("start after close: %v", err)
	}
}

// TestReport asserts that a report claims nothing that no canary showed.
func TestReport(t *testing.T) {
	r := open(t, Options{Disable: []Feature{FeatureUTS}, Now: func() time.Time { return time.Unix(1_700_000_000, 5) }}).Report()
	if want := "sandbox: level=landlock ns=none proc=none landlock=" + r.find(FeatureLandlock).Detail + " seccomp=denylist-v1 cgroup=none"; r.String() != want {
		t.Errorf("%s\nwant %s", r, want)
	}
	if s := r.find(FeatureNet); s.OK || s.Detail != "not tried: uts-namespace is missing" || s.Fix == "" {
		t.Errorf("%+v", s)
	}
	if missing := r.missing(); len(missing) != 1 || missing[0].Name != FeatureUTS || r.Probed.Unix() != 1_700_000_000 {
		t.Errorf("%+v, %v", missing, r.Probed)
	}
}
