package node_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// at returns a node whose files are all below home.
func at(t *testing.T, home string) *node.Node {
	t.Helper()
	n := node.New(node.Options{
		Paths: config.Paths{Config: home, Data: home, Cache: filepath.Join(home, "cache")},
		Clock: time.Now, Version: "0.1.0",
	})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return n
}

// packHere packs a package with the node's dev key and returns its folder.
func packHere(t *testing.T, n *node.Node, s packtest.Spec) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	packtest.WriteSource(t, source, s)
	built, _, err := n.Pack(t.Context(), node.PackOptions{Dir: source, Out: filepath.Join(dir, "out")})
	if err != nil {
		t.Fatal(err)
	}
	return built.Folder
}

// trust adds an entry to the node's trust file.
func trust(t *testing.T, n *node.Node, role sig.Role, key sig.AgentID) {
	t.Helper()
	old, err := n.Trust()
	if err != nil {
		t.Fatal(err)
	}
	more, err := old.With(gate.TrustEntry{Role: role, Keys: []sig.AgentID{key}})
	if err != nil {
		t.Fatal(err)
	}
	if err := more.Save(n.TrustPath()); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

// tree lists what is below dir but for the cache, with the files' hashes.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "cache" {
				return fs.SkipDir
			}
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantUnchanged(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("%s was changed:\n%s", dir, diff)
	}
}

func TestFirstUse(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	n := at(t, home)
	pkg := packHere(t, n, packtest.Spec{})
	r, err := n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(r.Result.Outcome.Value, can.AppendText(nil, "hello")) {
		t.Errorf("result %x", r.Result.Outcome.Value)
	}
	var kinds []string
	for _, e := range r.Entries {
		kinds = append(kinds, e.Kind.String())
	}
	if !cmp.Equal(kinds, []string{"register", "commit"}) {
		t.Errorf("entries %v", kinds)
	}
	if left := time.Until(r.DevUntil); left <= 59*time.Minute || left > time.Hour {
		t.Errorf("the dev authority's power lasts %v", left)
	}
	for _, name := range []string{"keys/dev.key", "keys/executor.key", "ring0.policy", "ledger/ledger.db", "keys", "ledger"} {
		info, err := os.Stat(filepath.Join(home, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	dev, err := n.DevKey()
	if err != nil {
		t.Fatal(err)
	}
	exec, err := n.ExecutorKey()
	if err != nil || exec.Agent().Equal(dev.Agent()) {
		t.Errorf("the executor's key is the dev key, %v", err)
	}
	policy, err := n.Policy(0)
	if err != nil || !policy.Signer.Equal(dev.Agent()) {
		t.Fatalf("the policy is by %s, %v", policy.Signer.KeyID(), err)
	}
	again, err := at(t, home).Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r"})
	if err != nil || !again.Result.Effects[0].Replayed || again.Result.Seal != r.Result.Seal {
		t.Errorf("the run does not replay: %v", err)
	}
	if same, err := at(t, home).Policy(0); err != nil || same.PolicyID != policy.PolicyID {
		t.Errorf("a second use made another policy: %v", err)
	}
}

// TestRefusedRunsWriteNothing: whatever is wrong with a package or a request, an
// empty home stays as it is.
func TestRefusedRunsWriteNothing(t *testing.T) {
	sound := packtest.Build(t, packtest.Spec{})
	greedy := packtest.Build(t, packtest.Spec{IR: strings.Replace(packtest.HelloIR, "cpu_us=50000", "cpu_us=10000001", 1)})
	stranger := packtest.Build(t, packtest.Spec{Signer: sig.NewKey([32]byte{0x5}, "stranger")})
	native := packtest.Build(t, packtest.Spec{Edit: func(m *manifest.Manifest) {
		m.Modules[0].Module.Kind, m.Modules[0].Module.ABI, m.Modules[0].Module.Platform = manifest.ModuleNative, 2, "linux/amd64"
		m.Modules[0].Module.Limits.Fuel = nil
	}})
	notNative := fault.Code("module_native_invalid")
	if runtime.GOOS != "linux" {
		notNative = rings.ErrModuleKind
	}
	damaged := packtest.Build(t, packtest.Spec{})
	flip(t, filepath.Join(damaged.Dir, "manifest.bin"))
	for name, c := range map[string]struct {
		o    node.RunOptions
		code fault.Code
	}{
		"stranger":      {node.RunOptions{Package: stranger.Dir, RunID: "r"}, manifest.ErrSignerUnknown},
		"budget":        {node.RunOptions{Package: greedy.Dir, RunID: "r"}, rings.ErrBudget},
		"native module": {node.RunOptions{Package: native.Dir, RunID: "r"}, notNative},
		"ring":          {node.RunOptions{Package: sound.Dir, RunID: "r", Ring: 1}, rings.ErrRing},
		"run id":        {node.RunOptions{Package: sound.Dir, RunID: "a/b"}, ledger.ErrRunID},
		"entry point":   {node.RunOptions{Package: sound.Dir, RunID: "r", Entrypoint: "nope"}, gate.ErrEntryUnknown},
		"variant":       {node.RunOptions{Package: sound.Dir, RunID: "r", Variants: []string{"echo=nope"}}, gate.ErrVariantUnknown},
		"inputs":        {node.RunOptions{Package: sound.Dir, RunID: "r", Inputs: []byte{0}}, ir.ErrInputs},
		"proof, no key": {node.RunOptions{Package: sound.Dir, RunID: "r", Proofs: []string{"x"}}, node.ErrNotHolder},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			n := at(t, home)
			trust(t, n, sig.Publisher, packtest.Key().Agent())
			before := tree(t, home)
			_, err := n.Run(t.Context(), c.o)
			wantCode(t, err, c.code)
			wantUnchanged(t, home, before)
		})
	}
	home := t.TempDir()
	n := at(t, home)
	if _, err := n.Run(t.Context(), node.RunOptions{Package: damaged.Dir, RunID: "r"}); fault.CodeOf(err) == "" {
		t.Errorf("a damaged manifest: %v", err)
	}
	wantUnchanged(t, home, map[string]string{})
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyLeavesNoTrace: verifying adds no key, no trust and no file, not even
// compiled code.
func TestVerifyLeavesNoTrace(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	p := packtest.Build(t, packtest.Spec{})
	n := at(t, home)
	report, err := n.Verify(t.Context(), p.Dir)
	if err != nil || report.OK() || report.Failures[0].Code != manifest.ErrSignerUnknown {
		t.Fatalf("a stranger's package: %+v, %v", report, err)
	}
	if _, err := os.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("verifying made the home: %v", err)
	}
	trust(t, n, sig.Publisher, packtest.Key().Agent())
	report, err = n.Verify(t.Context(), p.Dir)
	if err != nil || !report.OK() {
		t.Errorf("a trusted publisher's package: %+v, %v", report, err)
	}
	if _, err := os.Stat(filepath.Join(home, "cache")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("verifying left compiled code: %v", err)
	}
	refused := packtest.Build(t, packtest.Spec{Modules: []packtest.Module{{Wasm: packtest.ImportWasm("mythos_v1", "nope")}}})
	if report, err = n.Verify(t.Context(), refused.Dir); err != nil || report.OK() {
		t.Errorf("a module that no runner accepts: %+v, %v", report, err)
	}
}

func TestPolicyOfAStranger(t *testing.T) {
	home := t.TempDir()
	n := at(t, home)
	trust(t, n, sig.Publisher, packtest.Key().Agent())
	p := packtest.Build(t, packtest.Spec{})
	other := sig.NewKey([32]byte{0x6}, "")
	raw, err := rings.Sign(rings.Default(0), other)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "ring0.policy")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, home)
	run := func() error {
		_, err := n.Run(t.Context(), node.RunOptions{Package: p.Dir, RunID: "r"})
		return err
	}
	wantCode(t, run(), rings.ErrRing)
	wantUnchanged(t, home, before)
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, run(), sig.ErrInvalid)
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	trust(t, n, sig.Policy, other.Agent())
	if err := run(); err != nil {
		t.Errorf("a policy of a trusted signer: %v", err)
	}
}

// TestDevKeyOfAnotherHome: the dev key is a publisher for what was packed under
// its own home, and for nothing else.
func TestDevKeyOfAnotherHome(t *testing.T) {
	theirs, ours := t.TempDir(), t.TempDir()
	pkg := packHere(t, at(t, theirs), packtest.Spec{})
	n := at(t, ours)
	if _, err := n.DevKey(); err != nil {
		t.Fatal(err)
	}
	run := func() error {
		_, err := n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r"})
		return err
	}
	wantCode(t, run(), manifest.ErrSignerUnknown)
	key, err := os.ReadFile(filepath.Join(theirs, "keys", "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ours, "keys", "dev.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, ours)
	wantCode(t, run(), manifest.ErrSignerUnknown)
	wantUnchanged(t, ours, before)
}

// TestWithoutDevAuthority: a run that may not use it has no capability and makes
// no dev key, if a policy is there.
func TestWithoutDevAuthority(t *testing.T) {
	home := t.TempDir()
	n := at(t, home)
	policy := sig.NewKey([32]byte{0x6}, "")
	trust(t, n, sig.Publisher, packtest.Key().Agent())
	trust(t, n, sig.Policy, policy.Agent())
	raw, err := rings.Sign(rings.Default(0), policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "ring0.policy"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = n.Run(t.Context(), node.RunOptions{Package: packtest.Build(t, packtest.Spec{}).Dir, RunID: "r", NoDevAuthority: true})
	wantCode(t, err, executor.ErrCapMissing)
	if _, err := os.Stat(filepath.Join(home, "keys", "dev.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dev key was made: %v", err)
	}
}
