package main

import (
	"context"
	"fmt"
	"os"

	extism "github.com/extism/go-sdk"
)

// plugin is Extism's echo: its own guest, for its interface is its own.
type plugin struct{ compiled *extism.CompiledPlugin }

func newPlugin(ctx context.Context) (*plugin, error) {
	code, err := os.ReadFile("guests/extism.wasm")
	if err != nil {
		return nil, err
	}
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: code}}}
	p, err := extism.NewCompiledPlugin(ctx, manifest, extism.PluginConfig{}, nil)
	return &plugin{p}, err
}

func (p *plugin) Close(ctx context.Context) error { return p.compiled.Close(ctx) }

// call is a fresh instance of a compiled plugin, the call, and its end.
func (p *plugin) call(ctx context.Context, input []byte) ([]byte, error) {
	one, err := p.compiled.Instance(ctx, extism.PluginInstanceConfig{})
	if err != nil {
		return nil, err
	}
	status, out, err := one.CallWithContext(ctx, "echo", input)
	if err == nil && status != 0 {
		err = fmt.Errorf("the plugin returned %d", status)
	}
	out = append([]byte(nil), out...) // it lies in the instance's memory
	if end := one.CloseWithContext(ctx); err == nil {
		err = end
	}
	return out, err
}
