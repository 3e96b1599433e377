package main

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// exchange is what one call reads and writes.
type exchange struct{ request, response []byte }

// bare is wazero as it comes: a runtime with default settings, its own WASI, and
// as much of mythos_v1 as an echo needs. It counts nothing and limits nothing.
type bare struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	entry    string
	now      exchange // of the call that runs
	parked   func()   // if set, called in response_write: the guest is then alive
}

func newBare(ctx context.Context, g guest) (*bare, error) {
	b := &bare{runtime: wazero.NewRuntime(ctx), entry: g.entry}
	_, err := wasi_snapshot_preview1.Instantiate(ctx, b.runtime)
	if err == nil {
		err = b.link(ctx)
	}
	if err == nil {
		b.compiled, err = b.runtime.CompileModule(ctx, g.code)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	return b, nil
}

func (b *bare) Close(ctx context.Context) error { return b.runtime.Close(ctx) }

// link makes mythos_v1 importable.
func (b *bare) link(ctx context.Context) error {
	const i32 = api.ValueTypeI32
	builder := b.runtime.NewHostModuleBuilder("mythos_v1")
	for _, f := range []struct {
		name    string
		params  int
		results int
		call    api.GoModuleFunc
	}{
		{"request_len", 0, 1, func(_ context.Context, _ api.Module, s []uint64) { s[0] = uint64(len(b.now.request)) }},
		{"request_read", 3, 1, b.read},
		{"response_write", 2, 1, b.write},
		{"log", 3, 0, func(context.Context, api.Module, []uint64) {}},
	} {
		params, results := []api.ValueType{i32, i32, i32}[:f.params], []api.ValueType{i32}[:f.results]
		builder.NewFunctionBuilder().WithGoModuleFunction(f.call, params, results).Export(f.name)
	}
	_, err := builder.Instantiate(ctx)
	return err
}

func (b *bare) read(_ context.Context, m api.Module, s []uint64) {
	from := min(int(uint32(s[1])), len(b.now.request))
	dst, ok := m.Memory().Read(uint32(s[0]), uint32(s[2]))
	if !ok {
		panic("request_read: out of range")
	}
	s[0] = uint64(copy(dst, b.now.request[from:]))
}

func (b *bare) write(_ context.Context, m api.Module, s []uint64) {
	src, ok := m.Memory().Read(uint32(s[0]), uint32(s[1]))
	if !ok {
		panic("response_write: out of range")
	}
	b.now.response = append(b.now.response, src...)
	s[0] = s[1]
	if b.parked != nil {
		b.parked()
	}
}

// instantiate makes an instance without a name, so that there can be many.
func (b *bare) instantiate(ctx context.Context) (api.Module, error) {
	return b.runtime.InstantiateModule(ctx, b.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
}

// call is a fresh instance, the call, and its end.
func (b *bare) call(ctx context.Context, request []byte) ([]byte, error) {
	b.now = exchange{request: request}
	m, err := b.instantiate(ctx)
	if err != nil {
		return nil, err
	}
	if init := m.ExportedFunction("_initialize"); init != nil {
		_, err = init.Call(ctx)
	}
	if err == nil {
		_, err = m.ExportedFunction(b.entry).Call(ctx)
	}
	return b.now.response, errors.Join(exited(err), m.Close(ctx))
}

// exited drops the error that stands for proc_exit(0).
func exited(err error) error {
	var end *sys.ExitError
	if errors.As(err, &end) && end.ExitCode() == 0 {
		return nil
	}
	return err
}
