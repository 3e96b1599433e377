package process

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// lesser opens a sandbox on a machine that lacks something.
func lesser(t *testing.T, mode sandbox.Mode, lacks ...sandbox.Feature) *sandbox.Host {
	t.Helper()
	host(t)
	h, err := sandbox.Open(t.Context(), sandbox.Options{Mode: mode, Disable: lacks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the sandbox host: %v", err)
		}
	})
	return h
}

// TestLevels: on machines that enforce less, modules are called in the same way
// and end in the same way; results say which level it was.
func TestLevels(t *testing.T) {
	for name, c := range map[string]struct {
		level uint8
		lacks []sandbox.Feature
	}{
		"userns":   {sandbox.LevelNamespaces, []sandbox.Feature{sandbox.FeatureMemory, sandbox.FeaturePids, sandbox.FeatureKill}},
		"landlock": {sandbox.LevelLandlock, []sandbox.Feature{sandbox.FeatureUser}},
	} {
		t.Run(name, func(t *testing.T) {
			h := lesser(t, sandbox.BestEffort, c.lacks...)
			if h.Level() != c.level {
				missing(t, "without %v the level is %d, want %d", c.lacks, h.Level(), c.level)
			}
			r := start(t, runner.KindProcess, func(o *Options) { o.Sandbox, o.Parked = h, 1 })
			n := start(t, runner.KindNative, func(o *Options) { o.Sandbox = h })
			dir := folder(t, "granted")
			// Without mounts a module finds its tree where it is, in a private folder
			// that root's modules, who are another user, cannot enter.
			barred := c.level < sandbox.LevelNamespaces && os.Geteuid() == 0
			for how, want := range map[string]runner.Outcome{
				"echo": runner.Answered, "exit": runner.Exited, "trap": runner.Trapped, "claim": runner.ResponseTooLarge,
				"flood": runner.Answered, "daemon": runner.Answered, "loop": runner.TimedOut,
			} {
				for _, each := range []runner.Call{call(python(t, how), "q"), call(native(t, how), "q")} {
					if barred && each.Module.Kind == runner.KindProcess {
						continue
					}
					of := r
					if each.Module.Kind == runner.KindNative {
						of = n
					}
					if how == "loop" {
						each.Module.Limits.Timeout = 2 * time.Second
					}
					res := run(t, of, each)
					if res.Outcome != want || res.SandboxLevel != c.level {
						t.Errorf("kind %d, %s: %v (%s), level %d, log %s; want %v", of.Kind(), how, res.Outcome, res.Detail, res.SandboxLevel, res.Log, want)
					}
				}
			}
			if barred {
				if _, err := r.Run(t.Context(), call(python(t, "echo"), "q")); !errors.Is(err, sandbox.ErrSetup) {
					t.Errorf("behind a private folder: %v, want %v", err, sandbox.ErrSetup)
				}
				return
			}
			look := call(python(t, "look", "read:"+dir+"/file", "write:"+dir+"/new=10"), "q")
			look.Grants.Write = []runner.FsWrite{{Path: dir, MaxBytes: 100}}
			if got := answer(t, r, look); !strings.HasPrefix(got, "granted\n") {
				t.Errorf("a grant: %q", got)
			}
			if got := counted(t, r, call(reuse(t), "q")); got != "1" {
				t.Errorf("a worker: %q", got)
			}
		})
	}
}

// TestRequired: a machine without user namespaces runs nothing, and says why
// when a module is loaded.
func TestRequired(t *testing.T) {
	h := lesser(t, sandbox.Required, sandbox.FeatureUser)
	r := start(t, runner.KindProcess, func(o *Options) { o.Sandbox = h })
	m := python(t, "echo")
	if err := r.Check(t.Context(), m); !errors.Is(err, sandbox.ErrUnavailable) || !strings.Contains(err.Error(), "user") {
		t.Errorf("Check: %v", err)
	}
	if _, err := r.Run(t.Context(), call(m, "q")); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("Run: %v", err)
	}
}
