package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/runner"
)

// version is what the executors of the harness say they are.
const version = "0.1.0"

// identities are made from fixed seeds, so that every process has them.
type identities struct{ publisher, policy, authority, executor sig.Key }

func keys() identities {
	key := func(b byte, name string) sig.Key { return sig.NewKey([32]byte{'c', 'r', 'a', 's', 'h', b}, name) }
	return identities{key(1, "publisher"), key(2, "policy"), key(3, "authority"), key(4, "executor")}
}

// World is what all processes of one run of the harness share. It stands in
// world.json of its folder.
type World struct {
	Dir     string
	Light   string // packed package of the wasm tools
	Native  string // packed package of the native tools; "": none
	Counter string // URL at which wasm tools count
	Lax     bool   // negative control: the tools of class never say idempotent
}

func (w *World) counts() string { return filepath.Join(w.Dir, "native", "counts") }

// port is the counter's.
func (w *World) port() uint32 {
	u, err := url.Parse(w.Counter)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(u.Port(), 10, 16) // 0 if there is none, which no one can be granted
	return uint32(n)
}

// node is a local node in the world's folder; its ledger is not used.
func (w *World) node(clock func() time.Time) *node.Node {
	home := filepath.Join(w.Dir, "home")
	return node.New(node.Options{
		Paths: config.Paths{Config: filepath.Join(home, "config"), Data: filepath.Join(home, "data"), Cache: filepath.Join(home, "cache")},
		Clock: clock, Version: version,
	})
}

// makeWorld builds the packages below dir. tool is the native tool's executable,
// "" for none.
func makeWorld(ctx context.Context, dir, counter, tool string, lax bool) (*World, error) {
	w := &World{Dir: dir, Counter: counter, Lax: lax}
	if err := os.MkdirAll(filepath.Dir(w.counts()), 0o777); err != nil {
		return nil, err
	}
	if err := os.WriteFile(w.counts(), nil, 0o666); err != nil {
		return nil, err
	}
	var err error
	if w.Light, err = w.build(ctx, "light", map[string][]byte{
		"plain.wasm": plainGuest(), "counted.wasm": countedGuest(counter, false), "tripping.wasm": countedGuest(counter, true),
	}); err != nil {
		return nil, err
	}
	if tool != "" {
		raw, err := os.ReadFile(tool)
		if err != nil {
			return nil, err
		}
		if w.Native, err = w.build(ctx, "native", map[string][]byte{"tool": raw}); err != nil {
			return nil, err
		}
	}
	raw, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	return w, os.WriteFile(filepath.Join(dir, "world.json"), raw, 0o600)
}

func openWorld(dir string) (*World, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "world.json"))
	if err != nil {
		return nil, err
	}
	w := &World{}
	return w, json.Unmarshal(raw, w)
}

// build writes and packs the source folder of one package: for each of its tools
// one task with a caller's key and one without, whose names are those of the runs.
func (w *World) build(ctx context.Context, name string, modules map[string][]byte) (string, error) {
	source := filepath.Join(w.Dir, name)
	var ir strings.Builder
	var bindings, entries []any
	for _, t := range tools {
		if t.native() != (name == "native") {
			continue
		}
		fmt.Fprintf(&ir, "tool %s = %s interface 1 (any) -> any\n", t.code(), t.name())
		fmt.Fprintf(&ir, "func k%[1]s(any, any) -> any {\n  effect %[1]s, r0, r2, r3, r1\n  ret r2\n}\n", t.code())
		follows := 0
		if !t.native() {
			follows = 1
		}
		fmt.Fprintf(&ir, "func d%[1]s(any, any) -> any {\n  effect %[1]s, r0, r2, r3\n%[2]s  ret r2\n}\n",
			t.code(), strings.Repeat("  effect "+followingTool.code()+", r0, r4, r5\n", follows))
		fmt.Fprintf(&ir, "task %[1]sk = k%[1]s(0, 0) budget cpu_us=50000 io=1 writes=0\n", t.code())
		fmt.Fprintf(&ir, "task %[1]sd = d%[1]s(0, 0) budget cpu_us=50000 io=%[2]d writes=0\n", t.code(), 1+follows)
		for _, mode := range []string{"k", "d"} {
			entries = append(entries, map[string]any{"name": t.code() + mode, "ir": "main", "task": t.code() + mode})
		}
		bindings = append(bindings, w.binding(t))
	}
	if name == "light" {
		fmt.Fprintf(&ir, "func chain(any, any) -> any {\n%s  ret r2\n}\n", strings.Repeat("  effect pw, r0, r2, r3\n", chainLength))
		fmt.Fprintf(&ir, "task chain = chain(0, 0) budget cpu_us=50000 io=%d writes=0\n", chainLength)
		entries = append(entries, map[string]any{"name": "chain", "ir": "main", "task": "chain"})
	}
	src, err := json.Marshal(map[string]any{
		"name": "crash/" + name, "version": version, "ir": []any{map[string]any{"name": "main", "path": "main.mir"}},
		"entrypoints": entries, "modules": bindings,
	})
	if err != nil {
		return "", err
	}
	modules["main.mir"], modules["manifest.src.json"] = []byte(ir.String()), src
	if err := os.MkdirAll(source, 0o755); err != nil {
		return "", err
	}
	for file, content := range modules {
		if err := os.WriteFile(filepath.Join(source, file), content, 0o755); err != nil {
			return "", err
		}
	}
	built, err := pack.Build(ctx, pack.BuildOptions{
		Dir: source, Out: filepath.Join(w.Dir, "packed"), Signer: keys().publisher,
		Host: manifest.Host{Version: version, Codebooks: []cid.Hash{codebook.BaselineID()}},
	})
	if err != nil {
		return "", err
	}
	return built.Folder, nil
}

// chainLength is how many effects the entry point chain has, one after the other.
const chainLength = 11

func (w *World) binding(t tool) map[string]any {
	class := t.class
	if w.Lax && class == "never" {
		class = "idempotent"
	}
	m := map[string]any{
		"tool": map[string]any{"name": t.name(), "interface": 1, "request_type": "any", "response_type": "any"},
		"kind": "wasm", "abi": "hostcall", "retry": class, "limits": map[string]any{"timeout_us": moduleTimeout.Microseconds()},
	}
	connect := []any{map[string]any{"kind": "NetConnect", "hosts": []string{"127.0.0.1"}, "ports": []uint32{w.port()}, "methods": []string{"POST"}}}
	switch t.kind {
	case "wasm":
		m["path"] = "plain.wasm"
	case "http":
		m["path"], m["caps_required"] = "counted.wasm", connect
	case "trip":
		m["path"], m["caps_required"] = "tripping.wasm", connect
	case "native":
		delete(m, "abi")
		m["kind"], m["path"], m["platform"], m["entry"] = "native", "tool", platform, "tool"
		m["caps_required"] = []any{map[string]any{"kind": "FsWrite", "path": filepath.Dir(w.counts()), "max_bytes": 1 << 40}}
	}
	if class == "reconcile" {
		m["probe"] = []string{"probe"}
		if t.native() {
			m["probe"] = []string{"tool", "probe"}
		}
	}
	return m
}

// moduleTimeout is the wall clock limit of every tool; a lease is 10 s longer.
const moduleTimeout = 5 * time.Second

// load takes a package of the world through the gate.
func (w *World) load(ctx context.Context, dir string, level func(uint8) uint8) (*gate.Package, error) {
	k := keys()
	trust, err := gate.NewTrust([]gate.TrustEntry{
		{Role: sig.Publisher, Keys: []sig.AgentID{k.publisher.Agent()}}, {Role: sig.Policy, Keys: []sig.AgentID{k.policy.Agent()}},
	})
	if err != nil {
		return nil, err
	}
	policy := rings.Default(0)
	if _, err := rings.Sign(policy, k.policy); err != nil {
		return nil, err
	}
	src, err := pack.Open(ctx, dir, pack.OpenOptions{}) // open as long as the process
	if err != nil {
		return nil, err
	}
	return gate.Load(ctx, src, gate.Options{
		Host: manifest.Host{Version: version, Codebooks: []cid.Hash{codebook.BaselineID()}}, Trust: trust, Now: time.Now(),
		Kinds: []uint8{runner.KindWASM, runner.KindNative}, Policy: policy, Sandbox: level,
	})
}

// proofs are the powers that every run of a package has, for a hundred years both
// ways: executors here have strange clocks.
func (w *World) proofs(pkg *gate.Package) ([]*caps.Chain, error) {
	scopes := []caps.Scope{
		caps.ScopeOf(&caps.NetConnect{Hosts: []string{"127.0.0.1"}, Ports: []uint32{w.port()}, Methods: []string{"POST"}}),
		caps.ScopeOf(&caps.FsWrite{Path: filepath.Dir(w.counts()), MaxBytes: 1 << 40}),
	}
	for _, b := range pkg.Manifest().Modules {
		scopes = append(scopes, caps.ScopeOf(&caps.ToolCall{ToolID: b.ToolID, MaxCalls: 1<<32 - 1}))
	}
	const century = 100 * 365 * 24 * time.Hour
	start := time.Unix(1_800_000_000, 0) // the same for every process: capabilities are told apart by it
	var out []*caps.Chain
	for _, s := range scopes {
		raw, _, err := caps.Issue(caps.Capability{
			Subject: keys().executor.Agent(), Scope: s,
			NotBefore: start.Add(-century / 2).UnixMicro(), ExpiresAt: start.Add(century).UnixMicro(),
		}, keys().authority)
		if err != nil {
			return nil, err
		}
		p, err := caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// baseConfig is the executor's part that is the same in every process.
func baseConfig() executor.Config {
	k := keys()
	return executor.Config{
		Key: k.executor, Platform: platform, NoWait: true,
		Authority: func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) {
			return a.KeyID(), a.Equal(k.authority.Agent())
		},
		TrustedExecutor: k.executor.Agent().Equal,
	}
}
