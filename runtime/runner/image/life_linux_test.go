package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// executorArg makes a test binary an executor: EXECUTOR RUNTIME FOLDER, where the
// folder holds an unpacked image and descriptor 3 is handed on to the module.
const executorArg = "mythos-image-test-executor"

// executor runs a module that stays, with a child in a session of its own, and
// says so.
func executor() {
	if len(os.Args) != 4 || os.Args[1] != executorArg {
		return
	}
	err := func() error {
		ctx := context.Background()
		h, err := sandbox.Open(ctx, sandbox.Options{})
		if err != nil {
			return err
		}
		found, err := Discover(ctx, h, os.Args[2], os.TempDir())
		if err != nil {
			return err
		}
		b := box{entry: []string{"/bin/look", "hold"}, env: environment(), limits: sandbox.Limits{Memory: memory, Pids: 64}}
		p, err := found[0].launch(ctx, h, &b, sandbox.Mount{Source: os.Args[3]}, nil, []*os.File{os.NewFile(3, "held")})
		if err != nil {
			return err
		}
		line, err := bufio.NewReader(p.Stdout).ReadString('\n')
		if err != nil {
			said, _ := io.ReadAll(p.Stderr)
			return fmt.Errorf("%w: %s", err, said)
		}
		fmt.Print(line)
		_, err = os.Stdin.Read(make([]byte, 1)) // until it is killed
		return err
	}()
	fmt.Println("executor:", err)
	os.Exit(1)
}

// TestExecutorKilled kills an executor whose module has a child in a session of
// its own. Both hold a pipe of the test, which ends when the last of them is gone.
func TestExecutorKilled(t *testing.T) {
	code, err := shared.program("look")
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, on Runtime) {
		dir := granted(t, "")
		if err := canaryTree(dir, nil); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.WriteFile(filepath.Join(dir, "bin/look"), code, 0o755)); err != nil {
			t.Fatal(err)
		}
		held, theirs, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		cmd := exec.Command("/proc/self/exe", executorArg, on.Path, dir)
		cmd.ExtraFiles = []*os.File{theirs}
		cmd.Stderr = os.Stderr
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start(), theirs.Close(), held.SetDeadline(time.Now().Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		line, err := bufio.NewReader(out).ReadString('\n')
		if line != "holding <nil>\n" {
			t.Fatalf("%q, %v", line, err)
		}
		before := below(t, cmd.Process.Pid)
		if len(before) < 2 {
			t.Fatalf("the executor has only the processes %v", before)
		}
		begin := time.Now()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if n, err := held.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("something of the module is alive: %d bytes, %v", n, err)
		}
		t.Logf("executor killed: %d processes below it, their pipe closed after %v", len(before), time.Since(begin))
		_ = cmd.Wait()
		var left []string
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
			if left = alive(before); len(left) == 0 {
				break
			}
		}
		if len(left) != 0 {
			t.Errorf("still there: %v", left)
		}
		t.Logf("all gone after %v", time.Since(begin))
	})
}

// below returns the processes that descend from one, each as its number and the
// time of its start.
func below(t testing.TB, pid int) []string {
	t.Helper()
	parents := map[string]string{}
	names := map[string]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		raw, err := os.ReadFile(s)
		if err != nil {
			continue // it ended
		}
		f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		id := filepath.Base(filepath.Dir(s))
		parents[id], names[id] = f[1], id+" "+f[19]
	}
	top := fmt.Sprint(pid)
	var out []string
	for id := range parents {
		for up := parents[id]; up != "" && up != "0"; up = parents[up] {
			if up == top {
				out = append(out, names[id])
				break
			}
		}
	}
	return out
}

// alive returns those of processes that are still there and no zombies.
func alive(list []string) []string {
	var out []string
	for _, p := range list {
		id, start, _ := strings.Cut(p, " ")
		raw, err := os.ReadFile("/proc/" + id + "/stat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if f[19] == start && f[0] != "Z" && f[0] != "X" {
			out = append(out, p+" "+f[0])
		}
	}
	return out
}

// footprint is what a process has on its machine.
type footprint struct{ files, mounts, groups, children, routines int }

func measure(t *testing.T) footprint {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	f := footprint{len(files), strings.Count(string(mounts), "\n"), 0, len(below(t, os.Getpid())), runtime.NumGoroutine()}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), fmt.Sprintf("-%d-", os.Getpid())) {
			f.groups++
		}
		return nil // a group that others remove meanwhile is not there
	})
	return f
}

// TestNothingStays: calls of every sort leave no process, cgroup, mount, folder
// or descriptor behind. MYTHOS_IMAGE_RUNS says how many there are.
func TestNothingStays(t *testing.T) {
	runs := 24
	if s := os.Getenv("MYTHOS_IMAGE_RUNS"); s != "" {
		if _, err := fmt.Sscan(s, &runs); err != nil {
			t.Fatalf("MYTHOS_IMAGE_RUNS=%q: %v", s, err)
		}
	}
	each(t, func(t *testing.T, on Runtime) {
		temp, dir := t.TempDir(), granted(t, "x")
		t.Setenv("TMPDIR", temp)
		cache := filepath.Join(dir, "cache")
		img := withProgram(t, "guest")
		round := func(n int) {
			r, err := New(options(t, on.Path, func(o *Options) { o.CacheDir, o.Proxy, o.Grace = cache, parrot{}, 2*time.Second }))
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				oneOf(t, r, img, i, dir)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		round(8) // what is kept for ever is there after it
		before := measure(t)
		round(runs)
		var after footprint
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
			if after = measure(t); after.routines <= before.routines && after.children <= before.children {
				break
			}
		}
		t.Logf("before %+v; after %d calls %+v", before, runs, after)
		if after.files > before.files || after.mounts > before.mounts || after.groups > before.groups || after.children > before.children ||
			after.routines > before.routines {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
			t.Errorf("in the folder for temporary files: %v, %v", left, err)
		}
		left, err := os.ReadDir(cache)
		for _, e := range left {
			if !imageName.MatchString(e.Name()) && e.Name() != "calls" {
				t.Errorf("in the cache: %s", e.Name())
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// oneOf runs one call, of a sort that depends on i.
func oneOf(t *testing.T, r *Runner, img *built, i int, dir string) {
	t.Helper()
	do := func(how string) runner.Call { return call(img.module("bin/guest", how), "q") }
	c, want := do("echo"), runner.Answered
	switch i % 8 {
	case 1:
		c, want = do("exit"), runner.Exited
	case 2:
		c, want = do("claim"), runner.ResponseTooLarge
	case 3:
		c, want = do("loop"), runner.TimedOut
		c.Module.Limits.Timeout = 2 * time.Second
	case 4:
		c = do("daemon")
	case 5:
		c, want = do("linger"), runner.TimedOut
	case 6:
		c.Grants = runner.Grants{
			Read: []string{filepath.Join(dir, "file")}, Net: &runner.Net{},
			Secrets: []runner.Secret{{Name: "s", Value: func() ([]byte, error) { return []byte("v"), nil }}},
		}
	case 7:
		c, want = do("trap"), runner.Trapped
	}
	res, err := r.Run(t.Context(), c)
	if err != nil || res.Outcome != want {
		t.Fatalf("call %d: %v (%s), log %s, %v; want %v", i, res.Outcome, res.Detail, res.Log, err, want)
	}
}
