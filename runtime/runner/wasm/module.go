package wasm

import (
	"context"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// startEntry is the entry of a WASI command, initEntry what a WASI reactor
// exports to be called once before any other export.
const (
	startEntry = "_start"
	initEntry  = "_initialize"
)

// module is one compiled module and what acceptance depends on.
type module struct {
	compiled   wazero.CompiledModule
	hasMemory  bool
	minPages   uint32
	initialize bool
	entries    map[string]bool // exported functions; true: of type () -> ()
	stdio      error           // why the module cannot have the stdio abi
	ungranted  error           // a hostcall that only a capability grants
}

// compileModule scans a module, compiles it, and checks it as far as that does
// not depend on a binding. It runs nothing.
func compileModule(ctx context.Context, b []byte, compile func(context.Context, []byte) (wazero.CompiledModule, error)) (*module, error) {
	s, err := scan(b)
	if err != nil {
		return nil, err
	}
	m := &module{hasMemory: s.hasMemory, minPages: s.minPages, entries: map[string]bool{}}
	if err := m.checkImports(s.imports); err != nil {
		return nil, err
	}
	m.compiled, err = compile(ctx, s.code)
	if err != nil {
		return nil, err
	}
	if err := checkTypes(m.compiled.ImportedFunctions()); err != nil {
		_ = m.compiled.Close(ctx) // frees memory only
		return nil, err
	}
	for name, f := range m.compiled.ExportedFunctions() {
		m.entries[name] = len(f.ParamTypes()) == 0 && len(f.ResultTypes()) == 0
	}
	m.initialize = m.entries[initEntry]
	return m, nil
}

// checkImports refuses unknown names and notes those that a binding may lack.
func (m *module) checkImports(imports []importName) error {
	for _, n := range imports {
		f, ok := contract()[n]
		switch {
		case !ok:
			return fault.New(ErrImportUnknown, "imports %s, which is not part of the contract", n)
		case f.granted && m.ungranted == nil:
			m.ungranted = fault.New(ErrImportUngranted, "imports %s, which only a capability can grant, and none can yet", n)
		case f.hostcall && m.stdio == nil:
			m.stdio = fault.New(ErrImportUnknown, "imports %s, which is not part of the stdio abi", n)
		}
	}
	return nil
}

func checkTypes(imports []api.FunctionDefinition) error {
	for _, d := range imports {
		mod, name, _ := d.Import()
		n := importName{mod, name}
		f := contract()[n]
		if f.granted { // refused by its name
			continue
		}
		if !slices.Equal(f.params, d.ParamTypes()) || !slices.Equal(f.results, d.ResultTypes()) {
			return fault.New(ErrImportUnknown, "imports %s as %s, the contract has %s", n,
				signature(d.ParamTypes(), d.ResultTypes()), signature(f.params, f.results))
		}
	}
	return nil
}

// accepts reports why the module cannot serve a binding.
func (m *module) accepts(b runner.Module) error {
	if m.ungranted != nil {
		return m.ungranted
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

func (n importName) String() string {
	return fmt.Sprintf("%q %q", clip(n.module), clip(n.name))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

func signature(params, results []api.ValueType) string {
	names := func(ts []api.ValueType) string {
		out := "("
		for i, t := range ts {
			if i > 0 {
				out += " "
			}
			if i == 8 {
				out += "..."
				break
			}
			out += api.ValueTypeName(t)
		}
		return out + ")"
	}
	return names(params) + " -> " + names(results)
}
