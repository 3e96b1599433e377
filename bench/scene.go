package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/runner"
)

// demo is the package whose tool is measured.
const demo = "../packages/demo-001"

// scene is a node in a folder of its own with a package that calls demo-001's
// echo many times, and an executor that reports its steps.
type scene struct {
	*closers
	dir    string
	node   *node.Node
	key    sig.Key
	pkg    *gate.Package
	ledger ledger.Log
	engine runner.Runner
	exec   *executor.Executor
	proof  *caps.Chain
	devKey sig.Key

	steps []step
	runs  int
}

// step is when the executor began a step of its pipeline.
type step struct {
	name string
	at   time.Time
}

// closers closes in reverse order.
type closers struct{ all []func() error }

func (c *closers) later(f func() error) { c.all = append(c.all, f) }

func (c *closers) Close() error {
	var errs []error
	for i := len(c.all) - 1; i >= 0; i-- {
		errs = append(errs, c.all[i]())
	}
	return errors.Join(errs...)
}

// newScene prepares a node under dir whose program performs that many effects.
func newScene(ctx context.Context, dir string, effects int) (*scene, error) {
	program := "const greeting = text \"hello\"\ntool echo = demo/echo interface 1 (any) -> any\n" +
		"func main() -> any {\n  const greeting, r0\n" + strings.Repeat("  effect echo, r0, r1, r2\n", effects) + "  ret r1\n}\n" +
		fmt.Sprintf("task main = main() budget cpu_us=1000000 io=%d writes=0 max_depth=16\n", effects)
	s, err := newProgram(ctx, dir, program)
	if err != nil {
		return s, err
	}
	if s.ledger, err = s.node.Ledger(ctx, node.LedgerOptions{}); err != nil {
		return s, errors.Join(err, s.Close())
	}
	s.later(s.ledger.Close)
	if err := s.prepare(effects); err != nil {
		return s, errors.Join(err, s.Close())
	}
	return s, nil
}

// newProgram prepares a node under dir with a package of that program, which may
// call demo/echo.
func newProgram(ctx context.Context, dir, program string) (s *scene, err error) {
	home := filepath.Join(dir, "home")
	s = &scene{closers: &closers{}, dir: dir}
	s.node = node.New(node.Options{
		Paths: config.Paths{Config: filepath.Join(home, "config"), Data: filepath.Join(home, "data"), Cache: filepath.Join(home, "cache")},
		Clock: time.Now, Version: "0.2.0",
	})
	s.later(s.node.Close)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	built, err := s.pack(ctx, program)
	if err != nil {
		return s, err
	}
	src, err := s.node.OpenPackage(ctx, built.Folder)
	if err != nil {
		return s, err
	}
	s.later(src.Close)
	if s.pkg, err = s.node.Load(ctx, src, 0); err != nil {
		return s, err
	}
	return s, s.keys()
}

// keys takes the keys of a first run, and the engine.
func (s *scene) keys() (err error) {
	if s.devKey, err = s.node.DevKey(); err != nil {
		return err
	}
	if s.key, err = s.node.ExecutorKey(); err != nil {
		return err
	}
	s.engine, err = s.node.Engine()
	return err
}

// pack packs demo-001, and then its module with another program.
func (s *scene) pack(ctx context.Context, program string) (*pack.Built, error) {
	out := filepath.Join(s.dir, "dist")
	first, _, err := s.node.Pack(ctx, node.PackOptions{Dir: demo, Out: out})
	if err != nil {
		return nil, err
	}
	source := filepath.Join(s.dir, "source")
	if err := writeSource(source, first.Folder, program); err != nil {
		return nil, err
	}
	built, _, err := s.node.Pack(ctx, node.PackOptions{Dir: source, Out: out})
	return built, err
}

// writeSource writes a package source with demo-001's module, taken from its
// packed folder, and a program.
func writeSource(dir, packed, program string) error {
	raw, err := os.ReadFile(filepath.Join(demo, "manifest.src.json"))
	if err != nil {
		return err
	}
	var src struct {
		Name        string           `json:"name"`
		Version     string           `json:"version"`
		IR          json.RawMessage  `json:"ir"`
		Entrypoints json.RawMessage  `json:"entrypoints"`
		Modules     []map[string]any `json:"modules"`
	}
	if err := json.Unmarshal(raw, &src); err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(packed, "modules", "*"))
	if err != nil || len(modules) != 1 || len(src.Modules) != 1 {
		return fmt.Errorf("want demo-001 to have one module, got %d: %w", len(modules), err)
	}
	wasm, err := os.ReadFile(modules[0])
	if err != nil {
		return err
	}
	src.Name = "bench-effects"
	delete(src.Modules[0], "build")
	src.Modules[0]["path"] = "echo.wasm"
	if raw, err = json.Marshal(src); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "ir"), 0o755); err != nil {
		return err
	}
	for name, b := range map[string][]byte{"manifest.src.json": raw, "ir/hello.mir": []byte(program), "echo.wasm": wasm} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the capability and the executor, as package node does for a
// first run, with a watch on the steps.
func (s *scene) prepare(effects int) error {
	var err error
	if s.proof, err = s.issue(uint32(effects) * maxRuns); err != nil {
		return err
	}
	c, err := s.config(s.ledger, s.engine)
	if err != nil {
		return err
	}
	c.Step = func(name string) { s.steps = append(s.steps, step{name, time.Now()}) }
	s.exec, err = executor.New(c)
	return err
}

// config is that of an executor on some ledger.
func (s *scene) config(l ledger.Store, on runner.Runner) (executor.Config, error) {
	objects, err := s.node.Objects()
	dev := s.devKey.Agent()
	return executor.Config{
		Ledger: l, Objects: objects, Runners: []runner.Runner{on}, Key: s.key, Clock: time.Now,
		Platform:        runtime.GOOS + "/" + runtime.GOARCH,
		Authority:       func(a sig.AgentID, _ *gate.Package) (cid.Hash, bool) { return dev.KeyID(), a.Equal(dev) },
		TrustedExecutor: func(a sig.AgentID) bool { return a.Equal(s.key.Agent()) },
	}, err
}

// issue makes the dev authority's capability for that many calls of the package's
// tool.
func (s *scene) issue(calls uint32) (*caps.Chain, error) {
	scope := caps.ToolCall{
		ToolID: s.pkg.Manifest().Modules[0].ToolID, MaxCalls: calls,
		Constraints: map[string]string{caps.ConstraintPackage: s.pkg.ID().String(), caps.ConstraintRingMax: "0"},
	}
	now := time.Now()
	raw, _, err := caps.Issue(caps.Capability{
		Subject: s.key.Agent(), Scope: caps.Scope{Kind: caps.KindToolCall, Payload: scope.AppendCAN(nil)},
		NotBefore: now.UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
	}, s.devKey)
	if err != nil {
		return nil, err
	}
	return caps.DecodeProof(caps.EncodeProof([][]byte{raw}))
}

// run performs the program under a fresh run id and returns its result; s.steps
// then holds its steps.
func (s *scene) run(ctx context.Context) (*executor.Result, error) {
	s.runs++
	s.steps = s.steps[:0]
	return s.exec.Run(ctx, s.pkg, executor.Request{
		RunID: fmt.Sprintf("bench-%d", s.runs), Proofs: []*caps.Chain{s.proof},
	})
}
