//go:build cgo

package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/bytecodealliance/wasmtime-go/v39"
)

// wasmtimeMissing says why there is no wasmtime; here there is.
const wasmtimeMissing = ""

// wasmtimeEcho is wasmtime with its own fuel: one engine and one compiled
// module, and as much of mythos_v1 as an echo needs.
type wasmtimeEcho struct {
	engine *wasmtime.Engine
	linker *wasmtime.Linker
	module *wasmtime.Module
	entry  string
	now    exchange // of the call that runs
}

func newWasmtime(g guest) (*wasmtimeEcho, error) {
	config := wasmtime.NewConfig()
	config.SetConsumeFuel(true)
	w := &wasmtimeEcho{engine: wasmtime.NewEngineWithConfig(config), entry: g.entry}
	w.linker = wasmtime.NewLinker(w.engine)
	err := errors.Join(w.linker.DefineWasi(), w.link())
	if err == nil {
		w.module, err = wasmtime.NewModule(w.engine, g.code)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (w *wasmtimeEcho) Close() {
	if w.module != nil {
		w.module.Close()
	}
	w.linker.Close()
	w.engine.Close()
}

// link defines mythos_v1 with FuncNew, which is faster than its reflecting kin.
func (w *wasmtimeEcho) link() error {
	i32 := wasmtime.NewValType(wasmtime.KindI32)
	for _, f := range []struct {
		name    string
		params  int
		results int
		call    func(memory func() []byte, v []wasmtime.Val) (int32, bool)
	}{
		{"request_len", 0, 1, func(func() []byte, []wasmtime.Val) (int32, bool) { return int32(len(w.now.request)), true }},
		{"request_read", 3, 1, w.read},
		{"response_write", 2, 1, w.write},
		{"log", 3, 0, func(func() []byte, []wasmtime.Val) (int32, bool) { return 0, true }},
	} {
		kind := wasmtime.NewFuncType([]*wasmtime.ValType{i32, i32, i32}[:f.params], []*wasmtime.ValType{i32}[:f.results])
		host := func(c *wasmtime.Caller, v []wasmtime.Val) ([]wasmtime.Val, *wasmtime.Trap) {
			n, ok := f.call(func() []byte { return c.GetExport("memory").Memory().UnsafeData(c) }, v)
			switch {
			case !ok:
				return nil, wasmtime.NewTrap(f.name + ": out of range")
			case f.results == 0:
				return nil, nil
			}
			return []wasmtime.Val{wasmtime.ValI32(n)}, nil
		}
		if err := w.linker.FuncNew("mythos_v1", f.name, kind, host); err != nil {
			return err
		}
	}
	return nil
}

func (w *wasmtimeEcho) read(memory func() []byte, v []wasmtime.Val) (int32, bool) {
	from := min(int(uint32(v[1].I32())), len(w.now.request))
	dst, ok := span(memory(), v[0], v[2])
	return int32(copy(dst, w.now.request[from:])), ok
}

func (w *wasmtimeEcho) write(memory func() []byte, v []wasmtime.Val) (int32, bool) {
	src, ok := span(memory(), v[0], v[1])
	w.now.response = append(w.now.response, src...)
	return int32(len(src)), ok
}

func span(b []byte, at, n wasmtime.Val) ([]byte, bool) {
	from, to := uint64(uint32(at.I32())), uint64(uint32(at.I32()))+uint64(uint32(n.I32()))
	if to > uint64(len(b)) {
		return nil, false
	}
	return b[from:to], true
}

// call is a new store with fuel, a fresh instance in it, the call, and its end.
func (w *wasmtimeEcho) call(request []byte) ([]byte, error) {
	w.now = exchange{request: request}
	store := wasmtime.NewStore(w.engine)
	defer store.Close()
	store.SetWasi(wasmtime.NewWasiConfig()) // without it a WASI call ends the process
	if err := store.SetFuel(math.MaxInt64); err != nil {
		return nil, err
	}
	instance, err := w.linker.Instantiate(store, w.module)
	if err != nil {
		return nil, err
	}
	entry := instance.GetFunc(store, w.entry)
	if entry == nil {
		return nil, fmt.Errorf("wasmtime: no export %q", w.entry)
	}
	if init := instance.GetFunc(store, "_initialize"); init != nil {
		_, err = init.Call(store)
	}
	if err == nil {
		_, err = entry.Call(store)
	}
	var end *wasmtime.Error
	if errors.As(err, &end) {
		if status, ok := end.ExitStatus(); ok && status == 0 {
			err = nil
		}
	}
	return w.now.response, err
}
