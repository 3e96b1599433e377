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

// FuzzFuelMeaning: a generated module, of floats or of everything, does metered
// on the compiler what it does unmetered on the interpreter, and needs all the
// fuel that it used.
func FuzzFuelMeaning(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, seed, uint32(5), uint16(100))
	}
	engines := bothEngines(f)
	f.Fuzz(func(t *testing.T, seed, arg uint64, second uint32, slice uint16) {
		program := generateAs
		if seed%4 == 0 {
			program = generateFloats
		}
		plain := engines[1].instantiate(t, program(seed, true).bytes())
		want := plainCall(plain, "f", arg, uint64(second))
		_ = plain.Close(context.Background())
		out := rewritten(t, program(seed, false).bytes(), fuel.Options{Yield: true})
		run := func(limit uint64) ending {
			m := engines[0].instantiate(t, out.Wasm)
			defer func() { _ = m.Close(context.Background()) }()
			return engines[0].call(m, limit, int64(slice), "f", arg, uint64(second))
		}
		got := run(1 << 40)
		used := got.used
		if got.used = 0; got != want {
			t.Fatalf("%v, unmetered %v", got, want)
		}
		if exact := run(used); exact.fault != want.fault || exact.used != used {
			t.Fatalf("with a limit of %d: %v, want %v", used, exact, want)
		}
		if short := run(max(used, 1) - 1); used > 0 && short.fault != errExhausted.Error() {
			t.Fatalf("with a limit of %d: %v", used-1, short)
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
