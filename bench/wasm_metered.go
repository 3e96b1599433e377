package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// fuelSlice is how much fuel the metered copy is given at a time, as by default
// in the runner.
const fuelSlice = 500_000

// worker is one instance of a module that works without a request, in a runtime
// of its own: wazero would share the code of equal modules. A metered one differs
// by the rewriting, its purse and its yields, and in nothing else.
type worker struct {
	runtime wazero.Runtime
	module  api.Module
	exports map[string]api.Function
	fuel    api.MutableGlobal // nil: unmetered
	purse   fuel.Purse
	used    uint64 // by the last call
}

func newWorker(ctx context.Context, code []byte, metered bool) (*worker, error) {
	x := &worker{runtime: wazero.NewRuntime(ctx), exports: map[string]api.Function{}}
	if err := x.prepare(ctx, code, metered); err != nil {
		return nil, errors.Join(err, x.Close(ctx))
	}
	return x, nil
}

func (x *worker) Close(ctx context.Context) error { return x.runtime.Close(ctx) }

func (x *worker) prepare(ctx context.Context, code []byte, metered bool) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, x.runtime); err != nil {
		return err
	}
	if metered {
		out, err := fuel.Rewrite(code, fuel.Options{Schedule: fuel.Schedule1, Yield: true})
		if err != nil {
			return err
		}
		code = out.Wasm
		_, err = x.runtime.NewHostModuleBuilder(fuel.HostModule).NewFunctionBuilder().
			WithGoFunction(api.GoFunc(func(context.Context, []uint64) { x.yield() }), nil, nil).Export(fuel.YieldImport).
			Instantiate(ctx)
		if err != nil {
			return err
		}
	}
	compiled, err := x.runtime.CompileModule(ctx, code)
	if err != nil {
		return err
	}
	x.module, err = x.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return err
	}
	if metered {
		x.fuel = x.module.ExportedGlobal(fuel.FuelExport).(api.MutableGlobal)
	}
	if x.module.ExportedFunction("_initialize") != nil { // a reactor
		return x.run(ctx, "_initialize")
	}
	return nil
}

// yield is what the runner does between slices: it settles. That it is Go code
// gives Go's scheduler and collector their turn.
func (x *worker) yield() {
	next, ok := x.purse.Settle(int64(x.fuel.Get()))
	if !ok {
		panic("the fuel is used up")
	}
	x.fuel.Set(uint64(next))
}

// run calls an export () -> ().
func (x *worker) run(ctx context.Context, export string) error {
	f := x.exports[export]
	if f == nil {
		if f = x.module.ExportedFunction(export); f == nil {
			return fmt.Errorf("no export %q", export)
		}
		x.exports[export] = f
	}
	if x.fuel != nil {
		var first int64
		x.purse, first = fuel.NewPurse(math.MaxInt64, fuelSlice)
		x.fuel.Set(uint64(first))
	}
	err := f.CallWithStack(ctx, nil)
	if x.fuel != nil {
		next, _ := x.purse.Settle(int64(x.fuel.Get()))
		x.used = x.purse.Used(next)
	}
	return err
}

// result is what the last kernel left, 0 for modules without such a place.
func (x *worker) result() uint32 {
	at := x.module.ExportedGlobal("result")
	if at == nil {
		return 0
	}
	b, ok := x.module.Memory().Read(uint32(at.Get()), 4)
	if !ok {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}
