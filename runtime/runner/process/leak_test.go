package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
)

// footprint is what a process has on its machine.
type footprint struct {
	files, mounts, groups, children, routines int
}

func (f footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d mounts, %d cgroups, %d children, %d goroutines", f.files, f.mounts, f.groups, f.children, f.routines)
}

func measureAll(t *testing.T) footprint {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	f := footprint{files: len(files), mounts: strings.Count(string(mounts), "\n"), children: len(children(t)), routines: runtime.NumGoroutine()}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), fmt.Sprintf("-%d-", os.Getpid())) {
			f.groups++
		}
		return nil // a group that others remove meanwhile is not there
	})
	return f
}

// TestNothingStays: calls of every sort leave no process, cgroup, mount, folder
// or descriptor behind. MYTHOS_SANDBOX_RUNS says how many there are.
func TestNothingStays(t *testing.T) {
	runs := 100
	if s := os.Getenv("MYTHOS_SANDBOX_RUNS"); s != "" {
		if _, err := fmt.Sscan(s, &runs); err != nil {
			t.Fatalf("MYTHOS_SANDBOX_RUNS=%q: %v", s, err)
		}
	}
	dir, temp := folder(t, "x"), t.TempDir()
	t.Setenv("TMPDIR", temp)
	cache := filepath.Join(t.TempDir(), "cache")
	o := options(t, func(o *Options) { o.Parked, o.Proxy, o.CacheDir, o.MaxIdle = 2, &parrot{}, cache, 2 })
	round := func(n int) {
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() }) // where a call fails; closing again does nothing
		for i := range n {
			sort(t, r, i, dir)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	round(10) // what the runtime and the sandbox keep for ever is there after it
	before := measureAll(t)
	round(runs)
	var after footprint
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if after = measureAll(t); after.routines <= before.routines { // one that has ended is gone a moment later
			break
		}
	}
	t.Logf("before %v; after %d calls %v", before, runs, after)
	if after.files > before.files || after.mounts > before.mounts || after.groups > before.groups || after.children > before.children ||
		after.routines > before.routines {
		t.Errorf("before %v, after %v", before, after)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) != 0 {
		t.Errorf("in the folder for temporary files: %v, %v", left, err)
	}
	left, err = os.ReadDir(cache)
	for _, e := range left {
		if !treeName.MatchString(e.Name()) && e.Name() != emptyDir {
			t.Errorf("in the cache: %s", e.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// sort runs one call, of a sort that depends on i.
func sort(t *testing.T, r *Runner, i int, dir string) {
	t.Helper()
	c := call(python(t, "echo"), "q")
	want := runner.Answered
	switch i % 10 {
	case 0:
		c, want = call(python(t, "exit"), "q"), runner.Exited
	case 1:
		c, want = call(python(t, "claim"), "q"), runner.ResponseTooLarge
	case 2:
		c, want = call(python(t, "loop"), "q"), runner.TimedOut
		c.Module.Limits.Timeout = 300 * time.Millisecond // within which a busy machine may not even start it
	case 3:
		c = call(python(t, "daemon"), "q")
	case 4:
		c = call(reuse(t), "q")
		c.Share = cid.Sum([]byte{byte(i)})
	case 5:
		c, want = call(reuse(t), "die"), runner.Exited
	case 6:
		c.Grants = runner.Grants{
			Read: []string{filepath.Join(dir, "file")}, Net: only("x"),
			Secrets: []runner.Secret{{Name: "s", Value: func() ([]byte, error) { return []byte("v"), nil }}},
		}
	case 7:
		c.Grants.Write = []runner.FsWrite{{Path: dir, MaxBytes: 1}}
	case 8:
		c.Module.Digest = cid.Sum([]byte("unknown"))
		if _, err := r.Run(t.Context(), c); err == nil {
			t.Fatal("an unknown module ran")
		}
		return
	}
	res := run(t, r, c)
	if late := want == runner.TimedOut && res.Outcome == runner.NotStarted; res.Outcome != want && !late {
		t.Fatalf("call %d: %v (%s), log %s, want %v", i, res.Outcome, res.Detail, res.Log, want)
	}
}
