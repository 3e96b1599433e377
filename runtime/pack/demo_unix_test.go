//go:build unix

package pack_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// TestDemo packs demo-001 with the Go tool from two copies of the sources: the
// second has a space in its path and other file times, and is packed under
// another umask, time zone and locale. Both give the same bytes, and the module
// in them answers.
func TestDemo(t *testing.T) {
	r, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	one, first := packDemo(t, r, "one")
	t.Setenv("TZ", "Asia/Kathmandu")
	t.Setenv("LC_ALL", "tr_TR.UTF-8")
	t.Setenv("GOFLAGS", "-tags=unused")
	defer syscall.Umask(syscall.Umask(0o077))
	two, second := packDemo(t, r, "two of/a kind")
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two packs differ (-first +second):\n%s", diff)
	}
	if one.PackageID != two.PackageID || one.ManifestCID != two.ManifestCID || one.ArchiveSHA256 != two.ArchiveSHA256 {
		t.Errorf("two packs differ: %+v, %+v", one, two)
	}
	echo(t, r, two)
}

// packDemo copies what demo-001 is built from to a folder called place, and
// packs it.
func packDemo(t *testing.T, r *wasm.Runner, place string) (*pack.Built, map[string]string) {
	t.Helper()
	base := t.TempDir()
	project := filepath.Join(base, place)
	for _, part := range []string{"sdk/go", "tools/echo/go", "packages/demo-001/ir"} {
		if err := os.CopyFS(filepath.Join(project, part), os.DirFS(filepath.Join("../..", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "packages/demo-001/manifest.src.json"} {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(project, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	changeTimes(t, project)
	opt := options(filepath.Join(project, "packages/demo-001"), filepath.Join(base, "out"))
	opt.Kinds, opt.CheckModule = []uint8{manifest.ModuleWasm}, func(ctx context.Context, b *manifest.ModuleBinding, m gate.ModuleContent) error {
		return r.Check(ctx, moduleOf(b, m))
	}
	built, err := pack.Build(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return built, contents(t, opt.Out)
}

func moduleOf(b *manifest.ModuleBinding, m gate.ModuleContent) runner.Module {
	l := b.Module.Limits
	return runner.Module{
		Digest: m.SHA256, Kind: b.Module.Kind, ABI: b.Module.ABI, Entry: b.Module.Entry, Load: m.Load,
		Limits: runner.Limits{
			Timeout: time.Duration(l.TimeoutMicros) * time.Microsecond, MemoryBytes: l.MemoryBytes, Fuel: l.Fuel,
			MaxRequest: l.MaxRequestBytes, MaxResponse: l.MaxResponseBytes, MaxStderr: l.MaxStderrBytes, MaxIOCalls: l.MaxIOCalls,
		},
	}
}

// echo calls the packed module once.
func echo(t *testing.T, r *wasm.Runner, built *pack.Built) {
	t.Helper()
	b := &built.Bindings[0]
	code, err := os.ReadFile(filepath.Join(built.Folder, "modules", "demo__echo.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if b.Module.CID != cid.Sum(code) {
		t.Errorf("the copy of the module is %s, want %s", cid.Sum(code), b.Module.CID)
	}
	q := abi.Request{ToolID: b.ToolID, Payload: can.AppendText(nil, "hello")}
	raw := q.AppendCAN(nil)
	res, err := r.Run(context.Background(), runner.Call{
		Module: moduleOf(b, gate.ModuleContent{
			SHA256: cid.Sum(code),
			Load:   func(context.Context) ([]byte, error) { return code, nil },
		}),
		Request: raw, RequestHash: cid.Sum(raw),
	})
	if err != nil || res.Outcome != runner.Answered {
		t.Fatalf("%v %s, %v", res.Outcome, res.Detail, err)
	}
	if got, err := abi.DecodeResponse(res.Response); err != nil || got.Status != 200 || !bytes.Equal(got.Payload, q.Payload) {
		t.Errorf("answered %+v, %v", got, err)
	}
	if bytes.Count(res.Log, []byte("\n")) != 1 {
		t.Errorf("logged %q, want one line", res.Log)
	}
}
