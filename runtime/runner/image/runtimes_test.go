package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

func TestOldRunc(t *testing.T) {
	for version, old := range map[string]bool{
		"1.1.5+ds1": true, "1.2.7": true, "1.2.8": false, "1.3.0-rc.1": true, "1.3.2": true, "1.3.3": false, "1.4.0": false, "2.0.0": false, "0.9.9": true, "unknown": true,
	} {
		if oldRunc(version) != old {
			t.Errorf("runc %s: old %v, want %v", version, !old, old)
		}
	}
}

// TestWhy: what a runtime's log and status say about the start.
func TestWhy(t *testing.T) {
	byName := map[string]tool{}
	for _, x := range tools() {
		byName[x.name] = x
	}
	for _, c := range []struct {
		name, log  string
		code       int
		setup      bool
		wantCode   int
		wantSignal int
	}{
		{"crun", `{"msg":"no such file","level":"error"}`, 1, true, 1, 0},
		{"crun", `{"msg":"something old","level":"warning"}`, 1, false, 1, 0},
		{"crun", `{"msg":"no such file","level":"error"}`, 3, false, 3, 0},
		{"crun", ``, 139, false, -1, 11},
		{"crun", ``, 255, false, 255, 0},
		{"runc", `{"level":"error","msg":"runc run failed: no such file"}`, 1, true, 1, 0},
		{"runc", `{"level":"error","msg":"cannot remove its cgroup"}`, 1, false, 1, 0},
		{"runsc", "not json", 128, false, 128, 0},
		{"runsc", `{"msg":"creating container: no","level":"warning"}` + "\n" + `{"msg":"creating container: no","level":"error"}`, 128, true, 128, 0},
	} {
		x := byName[c.name]
		got := x.ended(sandbox.Exit{Code: c.code}, strings.NewReader(c.log))
		if (got.Setup != nil) != c.setup || got.Code != c.wantCode || got.Signal != c.wantSignal {
			t.Errorf("%s, status %d, log %s: %+v", c.name, c.code, c.log, got)
		}
	}
}

// TestAgain: a container whose first process was lost is started once more, and no
// other one is; the error says all that the runtime's log has.
func TestAgain(t *testing.T) {
	runc := tools()[slices.IndexFunc(tools(), func(x tool) bool { return x.name == "runc" })]
	lost := `{"level":"fatal","msg":"nsexec[7]: could not ensure we are a cloned binary: Cannot allocate memory"}` + "\n" +
		`{"level":"error","msg":"runc run failed: unable to start container process: waiting for init preliminary setup: read init-p: connection reset by peer"}`
	for log, starts := range map[string]int{
		lost: 2,
		`{"level":"error","msg":"runc run failed: unable to start container process: exec: \"/tool\": no such file"}`: 1,
	} {
		n := 0
		_, err := again(func() (runner.Result, error) {
			n++
			return runner.Result{}, fmt.Errorf("start of module: %w", runc.ended(sandbox.Exit{Code: 1}, strings.NewReader(log)).Setup)
		})
		if n != starts || fault.CodeOf(err) != sandbox.ErrSetup || strings.Contains(log, "nsexec") != strings.Contains(err.Error(), "Cannot allocate") {
			t.Errorf("%s: %d starts, want %d; %v", log, n, starts, err)
		}
	}
	n := 0
	if _, err := again(func() (runner.Result, error) {
		n++
		if n == 2 {
			return runner.Result{Outcome: runner.Answered}, nil
		}
		return runner.Result{}, runc.ended(sandbox.Exit{Code: 1}, strings.NewReader(lost)).Setup
	}); err != nil || n != 2 {
		t.Errorf("%d starts, %v", n, err)
	}
}

// poser writes a script that poses as a runtime.
func poser(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runtime")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPosers: what is no runtime, or one that does not do its work, is not used.
func TestPosers(t *testing.T) {
	h := host(t)
	for name, path := range map[string]string{
		"missing":           filepath.Join(t.TempDir(), "none"),
		"relative":          "crun",
		"a folder":          t.TempDir(),
		"another program":   poser(t, "echo hello", 0o755),
		"one that fails":    poser(t, "echo crun version 1.0; exit 1", 0o755),
		"open to everybody": poser(t, "echo crun version 1.0", 0o777),
	} {
		if r, err := Discover(t.Context(), h, path, t.TempDir()); fault.CodeOf(err) != ErrRuntime {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	// This one says yes to everything and confines nothing; as a script it cannot
	// even be started from its descriptor.
	path := poser(t, "echo crun version 9.9; exit 0", 0o755)
	found, err := Discover(t.Context(), h, path, t.TempDir())
	if err != nil || len(found) != 1 || found[0].Level != 0 || found[0].Detail == "" {
		t.Errorf("a runtime that runs nothing: %+v, %v", found, err)
	}
	r := open(t, options(t, path, nil))
	b := imageOf(t, layerOf(t, item{name: "tool", mode: 0o755, text: "#!x"}))
	if _, err := r.Run(t.Context(), call(b.module("tool"), "q")); fault.CodeOf(err) != ErrRuntime {
		t.Errorf("run with it: %v", err)
	}
}

// TestNoStart: a script whose interpreter is missing is no answer. Only what a
// runtime's own log says counts as not started: with crun and runc it is the
// container that complains here, where a module could too.
func TestNoStart(t *testing.T) {
	each(t, func(t *testing.T, on Runtime) {
		r := open(t, options(t, on.Path, nil))
		b := imageOf(t, layerOf(t, item{name: "tool", mode: 0o755, text: "#!/nothing"}))
		res, err := r.Run(t.Context(), call(b.module("tool"), "q"))
		if res.Outcome != runner.Exited && fault.CodeOf(err) != sandbox.ErrSetup {
			t.Errorf("%v (%s), log %s, %v", res.Outcome, res.Detail, res.Log, err)
		}
		dir := granted(t, "")
		if err := canaryTree(dir, sandbox.CanaryProgram()); err != nil {
			t.Fatal(err)
		}
		for entry, started := range map[string]bool{canaryAt: true, "/nothing": false} {
			x := box{entry: []string{entry}, env: environment(), limits: sandbox.Limits{Memory: memory, Pids: 32}}
			p, err := on.launch(t.Context(), host(t), &x, sandbox.Mount{Source: dir}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if exit := p.Wait(); (exit.Setup == nil) != started {
				t.Errorf("%s: %+v", entry, exit)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestReport: what mythos doctor prints.
func TestReport(t *testing.T) {
	each(t, func(t *testing.T, on Runtime) {
		want := sandbox.LevelFull
		if on.tool.ownKernel {
			want = runner.SandboxOwnKernel
		}
		if host(t).Level() < sandbox.LevelFull {
			want = sandbox.LevelNamespaces
		}
		if on.Level != want || on.Version == "" || !filepath.IsAbs(on.Path) || (on.Name == "runc" && oldRunc(on.Version)) != strings.Contains(on.Detail, "CVE") {
			t.Errorf("%+v, want level %d", on, want)
		}
		t.Logf("%s %s at %s: level %d %s", on.Name, on.Version, on.Path, on.Level, on.Detail)
	})
}
