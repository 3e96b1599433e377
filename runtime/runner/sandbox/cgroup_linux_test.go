package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeGroups is a folder that looks like a pure version 2 hierarchy: folders made
// in it get the files that the kernel would put there.
func fakeGroups(t *testing.T) (*hierarchy, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "cgroup")
	mkdir := func(p string) error {
		if err := os.Mkdir(p, 0o755); err != nil {
			return err
		}
		for _, f := range []string{"memory.max", "memory.swap.max", "pids.max", "cgroup.procs", "cgroup.kill", "cgroup.subtree_control", "memory.events"} {
			if err := os.WriteFile(filepath.Join(p, f), nil, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(mkdir(root), mkdir(filepath.Join(root, "service"))); err != nil {
		t.Fatal(err)
	}
	mounts := "30 24 0:26 / " + root + " rw,nosuid - cgroup2 cgroup2 rw\n"
	h := findCgroups(mounts, "0::/service\n", "mythos-1-2-x")
	h.mkdir = mkdir
	return h, filepath.Join(root, "service")
}

func TestPureV2(t *testing.T) {
	h, base := fakeGroups(t)
	if !h.pure || h.unified != base || h.memory != base || h.pids != base {
		t.Fatalf("%+v, want all in %s", h, base)
	}
	if err := h.delegate(7); err != nil {
		t.Fatal(err)
	}
	g, err := h.create(Limits{Memory: 99 << 20, Pids: 33})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.enter(), g.kill(), g.leave()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range []string{"memory.max", "memory.swap.max", "pids.max", "cgroup.kill"} {
		b, err := os.ReadFile(filepath.Join(g.dirs[0], f))
		if err != nil {
			t.Fatal(err)
		}
		got[f] = string(b)
	}
	b, err := os.ReadFile(filepath.Join(base, "cgroup.subtree_control"))
	if err != nil {
		t.Fatal(err)
	}
	got["control"] = string(b)
	want := map[string]string{"memory.max": "103809024", "memory.swap.max": "0", "pids.max": "33", "cgroup.kill": "1", "control": "+memory +pids"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for text, oom := range map[string]bool{"low 0\noom 1\noom_kill 0\n": false, "oom_kill 2\noom_group_kill 0\n": true, "": false} {
		if err := os.WriteFile(filepath.Join(g.dirs[0], "memory.events"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if g.oom() != oom {
			t.Errorf("%q: oom %v", text, g.oom())
		}
	}
	if err := g.fd.Close(); err != nil {
		t.Error(err)
	}
}

func TestFindCgroups(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"memory/own", "pids", "unified/own"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mounts := strings.ReplaceAll("1 0 0:1 / D/memory rw - cgroup cgroup rw,memory\n"+
		"2 0 0:2 /pod D/pids rw shared:4 - cgroup cgroup rw,pids,misc\n"+
		"3 0 0:3 / D/unified rw - cgroup2 cgroup2 rw\nbroken line\n", "D", dir)
	h := findCgroups(mounts, "4:memory:/own\n8:pids:/elsewhere\n0::/own\n", "p")
	got := []string{h.unified, h.memory, h.pids}
	if d := cmp.Diff([]string{dir + "/unified/own", dir + "/memory/own", dir + "/pids"}, got); d != "" || h.pure {
		t.Errorf("pure %v: %s", h.pure, d)
	}
	if h := findCgroups("", "", "p"); h.unified != "" || h.memory != "" || h.pure {
		t.Errorf("without mounts: %+v", h)
	}
}

func TestSweep(t *testing.T) {
	h, base := fakeGroups(t)
	for _, d := range []string{"mythos-1-10-a1", "mythos-1-11-b1", "mythos-2-10-c1", "mythos-1-x"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.sweep("1", func(pid int) bool { return pid == 11 })
	left, err := filepath.Glob(filepath.Join(base, "mythos-*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if !slices.Equal(left, []string{"mythos-1-11-b1", "mythos-1-x", "mythos-2-10-c1"}) {
		t.Errorf("left: %v", left)
	}
}

func TestPickID(t *testing.T) {
	for text, want := range map[string]uint32{
		"         0          0 4294967295\n":                preferredID,
		"         0     100000      65536\n":                65533,
		"0 1000 1\n":                                        0,
		"0 1000 1\n1 100000 65536\n":                        65534,
		"x y z\n":                                           0,
		"0 18446744073709551615 18446744073709551615\n":     preferredID,
		"4000000000 0 294967295\n0 300000000 70000\nrest\n": 4294967292,
	} {
		if got, _ := pickID(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// TestFilter runs the filter as the kernel does, without installing it.
func TestFilter(t *testing.T) {
	p := denylist()
	if len(p) == 0 || auditArch == 0 {
		t.Fatal("no filter")
	}
	run := func(arch, number, arg0, arg1 uint32) uint32 {
		data := map[uint32]uint32{offNumber: number, offArch: arch, offArg0: arg0, offArg1: arg1}
		var a uint32
		for pc := 0; ; pc++ {
			i := p[pc]
			yes := false
			switch i.Code {
			case 0x20:
				a = data[i.K]
				continue
			case 0x06:
				return i.K
			case jumpEqual:
				yes = a == i.K
			case jumpFrom:
				yes = a >= i.K
			case jumpBits:
				yes = a&i.K != 0
			}
			if yes {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
	}
	for _, n := range denied {
		if got := run(auditArch, n, 0, 0); got != retEPERM {
			t.Errorf("call %d: %#x", n, got)
		}
		if got := run(0x40000003, n, 0, 0); got != retKill {
			t.Errorf("i386 call %d: %#x", n, got)
		}
	}
	for _, h := range hostile {
		if got := run(auditArch, uint32(h.number), uint32(h.args[0]), uint32(h.args[1])); got == retAllow || got == retKill {
			t.Errorf("%s: %#x", h.name, got)
		}
	}
	for n := range uint32(600) {
		got := run(auditArch, n, 1, 0) // AF_UNIX, no flags, no request
		if want := slices.Contains(denied, n); want != (got == retEPERM) {
			t.Errorf("call %d: %#x", n, got)
		}
	}
	if x32Bit != 0 && run(auditArch, x32Bit|39, 0, 0) != retKill {
		t.Error("x32 passes")
	}
}
