package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
)

func load(raw []byte) (loader, cid.Hash) {
	return func(context.Context) ([]byte, error) { return raw, nil }, cid.Sum(raw)
}

func TestDiscover(t *testing.T) {
	found, err := Discover(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		missing(t, "neither node nor python3 below /usr")
	}
	for _, i := range found {
		raw, err := os.ReadFile(i.Path)
		if err != nil || cid.Sum(raw) != i.SHA256 {
			t.Errorf("%s: digest %v, %v", i.Path, i.SHA256, err)
		}
		if number, ok := parseNumber(i.Version); !ok || len(number) < 2 {
			t.Errorf("%s: version %q", i.Path, i.Version)
		}
		if len(i.Needs) == 0 {
			t.Errorf("%s needs nothing", i.Path)
		}
		for _, n := range i.Needs {
			if n.Target == "/usr" || n.Target == "/" || strings.HasSuffix(n.Target, "/bin") {
				t.Errorf("%s shows %s to modules", i.Path, n.Target)
			}
		}
	}
}

func TestDiscoverConfigured(t *testing.T) {
	i := interpreter(t, "python3")
	link := filepath.Join(t.TempDir(), "python3")
	if err := os.Symlink(i.Path, link); err != nil {
		t.Fatal(err)
	}
	found, err := Discover(t.Context(), map[string]string{"python3": link}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !has(found, i.Path) {
		t.Errorf("found %v, want %s", found, i.Path)
	}
	script := filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec node\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("\x7fELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, configured := range map[string]map[string]string{
		"script":         {"node": script},
		"not executable": {"node": plain},
		"relative":       {"node": "node"},
		"missing":        {"node": "/nowhere/node"},
		"folder":         {"node": "/usr/bin"},
		"unknown name":   {"ruby": "/usr/bin/ruby"},
		"another":        {"node": i.Path},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Discover(t.Context(), configured, nil)
			if !errors.Is(err, ErrRuntime) {
				t.Errorf("%v, %v; want %v", found, err, ErrRuntime)
			}
		})
	}
}

// TestRuntimeRefused: a module whose interpreter is not here, or is of another
// version, is refused when it is loaded, and the error says what is here.
func TestRuntimeRefused(t *testing.T) {
	i := interpreter(t, "python3")
	with := start(t, runner.KindProcess, func(o *Options) { o.Interpreters = []Interpreter{i} })
	without := start(t, runner.KindProcess, func(o *Options) { o.Interpreters = nil })
	for name, c := range map[string]struct {
		r       *Runner
		name    string
		version string
		want    error
		says    string
	}{
		"none here":        {without, "python3", "", ErrRuntimeMissing, "no interpreter is"},
		"another here":     {with, "node", ">=20", ErrRuntimeMissing, i.Path},
		"too old":          {with, "python3", ">=99", ErrRuntimeVersion, i.Version + " at " + i.Path},
		"exclusive":        {with, "python3", ">=3 <3", ErrRuntimeVersion, i.Version},
		"not a constraint": {with, "python3", "latest", ErrRuntimeVersion, i.Version},
		"fits":             {with, "python3", ">=3 <4", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := python(t, "echo")
			m.Runtime = runner.Runtime{Name: c.name, Version: c.version}
			err := c.r.Check(t.Context(), m)
			if !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Check: %v, want %v with %q", err, c.want, c.says)
			}
			if _, err := c.r.Run(t.Context(), call(m, "q")); !errors.Is(err, c.want) {
				t.Errorf("Run: %v, want %v", err, c.want)
			}
		})
	}
}

func TestEntryRefused(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	for name, entry := range map[string][]string{
		"missing": {"main.py"}, "none": nil, "folder": {"lib"}, "outside": {"../guest.py"}, "absolute": {"/module/guest.py"},
	} {
		m := python(t)
		m.Entry = entry
		if err := r.Check(t.Context(), m); !errors.Is(err, manifest.ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := python(t)
	m.Load, m.Digest = load([]byte("no tree"))
	if err := r.Check(t.Context(), m); err == nil {
		t.Error("bytes that are no tree were accepted")
	}
	if list, err := os.ReadDir(r.trees.dir); err != nil || len(list) != 1 {
		t.Errorf("Check left %v, %v", list, err)
	}
}

// TestUpgradedInterpreter: evidence names what ran, also after an upgrade.
func TestUpgradedInterpreter(t *testing.T) {
	i := interpreter(t, "python3")
	dir := folder(t, "")
	copied := filepath.Join(dir, "python3")
	raw, err := os.ReadFile(i.Path)
	if err != nil {
		t.Fatal(err)
	}
	install := func(raw []byte) {
		if err := os.WriteFile(copied+".new", raw, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(copied+".new", copied); err != nil {
			t.Fatal(err)
		}
	}
	install(raw)
	mine, err := Inspect(t.Context(), "python3", copied)
	if err != nil {
		missing(t, "a copied python3 does not find its library: %v", err)
	}
	r := start(t, runner.KindProcess, func(o *Options) { o.Interpreters = []Interpreter{mine} })
	m := python(t, "echo")
	if res := run(t, r, call(m, "q")); res.Outcome != runner.Answered || *res.Interpreter != i.SHA256 {
		t.Fatalf("%v (%s) %s", res.Outcome, res.Detail, res.Log)
	}
	other := append(raw, 0)
	install(other)
	if res := run(t, r, call(m, "q")); res.Outcome != runner.Answered || *res.Interpreter != cid.Sum(other) {
		t.Errorf("after an upgrade: %v (%s), interpreter %v", res.Outcome, res.Detail, res.Interpreter)
	}
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(t.Context(), m); !errors.Is(err, ErrRuntimeMissing) {
		t.Errorf("after its removal: %v", err)
	}
}

// TestHiddenPackages: what is installed beside the standard library is not there.
func TestHiddenPackages(t *testing.T) {
	r := start(t, runner.KindProcess, nil)
	got := answer(t, r, call(python(t, "look", "path:", "import:pip", "import:json"), "q"))
	if !strings.HasSuffix(got, "\nModuleNotFoundError\nimported") {
		t.Errorf("got %q", got)
	}
}
