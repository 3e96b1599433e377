package sandbox

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlatten(t *testing.T) {
	s := Spec{
		Argv: []string{"/module/bin/x", "-c", "/module", "/modules", "/data/kv"}, Env: []string{"NET=/run/net.sock", "HOME=/tmp"}, Dir: "/module/sub",
		Mounts:  []Mount{{Source: "/store/1", Target: "/module"}, {Source: "/srv/kv", Target: "/data/kv", Writable: true}, {Source: "/store/2", Target: "/module/bin"}},
		Sockets: []Socket{{"/home/s.sock", "/run/net.sock"}},
	}
	got, err := s.flatten()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/store/2/x", "-c", "/store/1", "/modules", "/srv/kv"}, got.Argv); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"NET=/home/s.sock", "HOME=/tmp"}, got.Env); d != "" || got.Dir != "/store/1/sub" {
		t.Error(d, got.Dir)
	}
	if s.Argv[0] != "/module/bin/x" {
		t.Error("the caller's slice changed")
	}
	s.Mounts[0] = Mount{File: os.Stdin, Target: "/module"}
	if _, err := s.flatten(); !errors.Is(err, ErrSpec) {
		t.Errorf("a detached mount: %v", err)
	}
}

func TestFilled(t *testing.T) {
	got, err := Limits{Memory: 1, Pids: 1, NoFile: 1}.filled()
	want := Limits{Memory: MinMemory, Pids: MinPids, TmpBytes: 64 << 20, FileBytes: 64 << 20, NoFile: 16}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	again, err := got.filled()
	if again != got || err != nil {
		t.Errorf("filled twice: %+v, %v", again, err)
	}
	for _, l := range []Limits{{Memory: -1}, {Pids: -1}, {TmpBytes: maxSize + 1}, {NoFile: 1 << 30}, {CPU: 1 << 40}} {
		if _, err := l.filled(); !errors.Is(err, ErrSpec) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestReportLine(t *testing.T) {
	f := findings{}
	for _, n := range namespaces {
		f.pass(n.feature, "clone")
	}
	f.pass(FeatureRoot, "pivot_root")
	f.pass(FeatureSeccomp, "denylist-v1")
	f.pass(FeatureLandlock, "abi7")
	f.fail(FeatureProc, "mount: EPERM")
	f.fail(FeatureMemory, "no memory controller")
	r := f.report(Required, true)
	want := "sandbox: level=userns ns=user,pid,mnt,net,ipc,uts,cgroup proc=none landlock=abi7 seccomp=denylist-v1 cgroup=none"
	if r.String() != want || r.admit(Required) != nil {
		t.Errorf("%s\n%v", r, r.admit(Required))
	}
	f.fail(FeatureUser, "clone: EPERM")
	r = f.report(Required, false)
	err := r.admit(Required)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "user-namespace (clone: EPERM)") || !strings.Contains(err.Error(), "AppArmor") {
		t.Errorf("%v", err)
	}
	if r.Level != LevelLandlock || r.admit(BestEffort) != nil || r.admit(None) != nil {
		t.Errorf("%s", r)
	}
	b, err := json.Marshal(f.report(None, false))
	if err != nil || !strings.HasPrefix(string(b), `{"level":0,"name":"none","mode":"none"`) {
		t.Errorf("%s, %v", b, err)
	}
}
