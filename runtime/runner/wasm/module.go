package wasm

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

// startEntry is the entry of a WASI command, initEntry what a WASI reactor
// exports to be called once before any other export.
const (
	startEntry = "_start"
	initEntry  = "_initialize"
)

const (
	pageSize = 65_536
	// maxPages is one less than can be addressed: an engine that keeps a memory's
	// size in 32 bits, as wazero's compiler does, takes the last page for none.
	maxPages = 65_535
)

// module is one module, metered, and what acceptance depends on.
type module struct {
	program    Program
	detached   bool
	first      *image // what an instance holds at first
	ready      *image // what it holds when _initialize has run; nil: to be run
	start      string // the metered start function's export, "" without one
	minPages   uint32
	initialize bool
	entries    map[string]bool // exported functions; true: of type () -> ()
	stdio      error           // why the module cannot have the stdio abi
	granted    []granted       // imports that only a capability grants
}

// granted is an imported hostcall and the kind of capability it needs.
type granted struct {
	name  importName
	needs uint8
	wrong error // its type is not the contract's
}

// meterModule validates a module, rewrites it to count its fuel, and checks it
// as far as that does not depend on a binding.
func meterModule(b []byte) (*module, *fuel.Rewritten, error) {
	out, err := fuel.Rewrite(b, fuel.Options{Schedule: fuel.Schedule1, Yield: true, Detach: true})
	if err != nil {
		return nil, nil, err
	}
	m := &module{
		start:    out.StartExport,
		minPages: out.MinPages,
		entries:  map[string]bool{},
		detached: out.Detached,
		first:    &image{},
	}
	for _, d := range out.Data { // so that the module's file is not kept for them
		m.first.parts = append(m.first.parts, fuel.Data{Offset: d.Offset, Bytes: bytes.Clone(d.Bytes)})
	}
	for _, f := range out.Exports {
		m.entries[f.Name] = len(f.Params) == 0 && len(f.Results) == 0
	}
	m.initialize = m.entries[initEntry]
	return m, out, m.checkImports(out.Imports)
}

// checkImports refuses what the contract does not have and notes what a binding
// may lack.
func (m *module) checkImports(imports []fuel.Import) error {
	for _, i := range imports {
		n := importName{i.Module, i.Name}
		f, ok := contract()[n]
		if !ok {
			return fault.New(ErrImportUnknown, "imports %s, which is not part of the contract", n)
		}
		if f.hostcall {
			m.stdio = fault.New(ErrImportUnknown, "imports %s, which is not part of the stdio abi", n)
		}
		var wrong error
		if !slices.Equal(f.Params, i.Params) || !slices.Equal(f.Results, i.Results) {
			wrong = fault.New(ErrImportUnknown, "imports %s as %s, the contract has %s", n,
				signature(i.Params, i.Results), signature(f.Params, f.Results))
		}
		switch {
		case f.needs != 0:
			m.granted = append(m.granted, granted{n, f.needs, wrong})
		case wrong != nil:
			return wrong
		}
	}
	return nil
}

// mayImport reports an import for which a binding asks no capability.
func (m *module) mayImport(b runner.Module) error {
	for _, g := range m.granted {
		if !slices.Contains(b.Caps, g.needs) {
			return fault.New(ErrImportUngranted, "imports %s, which needs a capability of kind %d in caps_required", g.name, g.needs)
		}
		if g.wrong != nil {
			return g.wrong
		}
	}
	return nil
}

// accepts reports why the module cannot serve a binding.
func (m *module) accepts(b runner.Module) error {
	if err := m.mayImport(b); err != nil {
		return err
	}
	if b.ABI == runner.ABIStdio && m.stdio != nil {
		return m.stdio
	}
	name, err := entryName(b)
	if err != nil {
		return err
	}
	plain, ok := m.entries[name]
	if !ok {
		return fault.New(ErrEntryMissing, "exports no function %q", clip(name))
	}
	initPlain, hasInit := m.entries[initEntry]
	if !plain || (name != startEntry && hasInit && !initPlain) {
		return fault.New(ErrEntryMissing, "%q and %s, if exported, must take and return nothing", clip(name), initEntry)
	}
	if need := uint64(m.minPages) * pageSize; need > b.Limits.MemoryBytes {
		return fault.New(ErrMemoryLimit, "the module begins with %d bytes of memory, its limit is %d", need, b.Limits.MemoryBytes)
	}
	return nil
}

// Check reports why a Runner with its default limits would refuse the module.
// It compiles nothing and leaves nothing behind.
func Check(ctx context.Context, b runner.Module) error {
	limits := Options{}.withDefaults()
	if err := limits.admits(b); err != nil {
		return err
	}
	raw, err := limits.load(ctx, b.Digest, b.Load)
	if err != nil {
		return err
	}
	m, _, err := meterModule(raw)
	if err != nil {
		return err
	}
	return m.accepts(b)
}

// admits reports a binding that no module can serve here.
func (o *Options) admits(b runner.Module) error {
	if b.Kind != runner.KindWASM || (b.ABI != runner.ABIHostcall && b.ABI != runner.ABIStdio) {
		return fault.New(runner.ErrKind, "kind %d with abi %d is not a wasm module", b.Kind, b.ABI)
	}
	if err := b.Limits.Check(); err != nil {
		return err
	}
	if err := checkCaps(b.Caps); err != nil {
		return err
	}
	if b.Limits.MemoryBytes > o.MaxMemoryBytes {
		return fault.New(runner.ErrLimits, "memory_bytes is %d, at most %d here", b.Limits.MemoryBytes, o.MaxMemoryBytes)
	}
	return nil
}

// loader is runner.Module.Load.
type loader = func(context.Context) ([]byte, error)

// load returns a module's bytes if they are those of its digest.
func (o *Options) load(ctx context.Context, digest cid.Hash, load loader) ([]byte, error) {
	if load == nil {
		return nil, fault.New(runner.ErrDigest, "module %s is not compiled and cannot be loaded", digest)
	}
	b, err := load(ctx)
	if ctx.Err() != nil {
		return nil, fault.New(runner.ErrClosed, "the wasm runner was closed while it loaded module %s", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("load module %s: %w", digest, err)
	}
	if uint64(len(b)) > o.MaxModuleBytes {
		return nil, fault.New(fuel.ErrTooLarge, "the module has %d bytes, at most %d", len(b), o.MaxModuleBytes)
	}
	if got := cid.Sum(b); got != digest {
		return nil, fault.New(runner.ErrDigest, "the loaded bytes are %s, want %s", got, digest)
	}
	return b, nil
}

// entryName returns the export that a call invokes.
func entryName(m runner.Module) (string, error) {
	switch len(m.Entry) {
	case 0:
		return startEntry, nil
	case 1:
		return m.Entry[0], nil
	}
	return "", fault.New(ErrEntryMissing, "a wasm entry is one export name, got %d", len(m.Entry))
}

func (n importName) String() string {
	return fmt.Sprintf("%q %q", clip(n.module), clip(n.name))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

func signature(params, results []byte) string {
	kinds := map[byte]string{0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64", 0x70: "funcref", 0x6f: "externref"}
	names := func(ts []byte) string {
		out := "("
		for i, t := range ts {
			if i > 0 {
				out += " "
			}
			if i == 8 {
				out += "..."
				break
			}
			out += kinds[t]
		}
		return out + ")"
	}
	return names(params) + " -> " + names(results)
}
