package wasm_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// FuzzFuelCompiles: what the rewriter accepts, in any variant, wazero compiles;
// and it accepts nothing that wazero would not have accepted before.
func FuzzFuelCompiles(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(generate(seed).bytes())
	}
	for _, c := range costCases() {
		f.Add(c.mod.bytes())
	}
	suite, err := filepath.Glob(filepath.Join(specDir(f), "v2", "testdata", "[a-r]*.wasm"))
	if err != nil || len(suite) < 500 {
		f.Fatalf("%d modules of the suite, %v", len(suite), err)
	}
	for i, path := range suite {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if i%4 == 0 && len(b) < 2_000 {
			f.Add(b)
		}
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(coreFeatures))
	f.Cleanup(func() { _ = rt.Close(ctx) })
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) > 1<<16 {
			return
		}
		for name, o := range variants {
			o.Schedule = fuel.Schedule1
			out, err := fuel.Rewrite(code, o)
			if err != nil {
				return
			}
			compiled, err := rt.CompileModule(ctx, out.Wasm)
			if err != nil {
				t.Fatalf("%s: %v\n% x", name, err, out.Wasm)
			}
			_ = compiled.Close(ctx)
		}
		compiled, err := rt.CompileModule(ctx, withoutCustom(code))
		if err == nil {
			_ = compiled.Close(ctx)
			return
		}
		// wazero refuses an instruction's number in more bytes than it needs.
		if !strings.Contains(err.Error(), "misc") {
			t.Fatalf("only the rewritten module is valid: %v", err)
		}
	})
}

// withoutCustom drops the custom sections of a module that was accepted: what
// wazero reads in them has nothing to do with validity.
func withoutCustom(code []byte) []byte {
	out := append([]byte{}, code[:8]...)
	for rest := code[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		end := 1 + n + int(size)
		if rest[0] != 0 {
			out = append(out, rest[:end]...)
		}
		rest = rest[end:]
	}
	return out
}
