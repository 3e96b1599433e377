package wasm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// specDir is the WebAssembly core test suite that wazero carries.
func specDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

// specCommand is one command of a script of the suite.
type specCommand struct {
	Type, Filename, Name, As, Text string
	Line                           int
	ModuleType                     string `json:"module_type"`
	Action                         struct {
		Type, Field, Module string
		Args                []specValue
	}
	Expected []specValue
}

type specValue struct {
	Type  string
	Value json.RawMessage
}

// bits returns the argument as the engine takes it.
func (v specValue) bits(t *testing.T) uint64 {
	t.Helper()
	text := strings.Trim(string(v.Value), `"`)
	switch {
	case text == "null":
		return 0
	case text == "nan:canonical" || text == "nan:arithmetic":
		if v.Type == "f32" {
			return 0x7fc00000
		}
		return 0x7ff8000000000000
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if v.Type == "externref" {
		n++
	}
	return n
}

// specSide is one of the two worlds that a script runs in.
type specSide struct {
	engine  *fuelEngine
	metered bool
	current api.Module
	named   map[string]api.Module
}

// specRun runs one script in both worlds.
type specRun struct {
	t      *testing.T
	dir    string
	sides  [2]*specSide
	totals *specTotals
}

type specTotals struct{ compared, refused, invalid, skipped int }

// TestFuelSpecification runs the WebAssembly core test suite unmetered and
// metered and compares every result and the memory after it; and every module
// that the suite calls malformed or invalid is refused.
func TestFuelSpecification(t *testing.T) {
	dir := filepath.Join(specDir(t), "v2", "testdata")
	scripts, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(scripts) < 80 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	var totals specTotals
	for _, path := range scripts {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if strings.HasPrefix(name, "simd_") {
			continue
		}
		t.Run(name, func(t *testing.T) { runSpec(t, dir, path, &totals) })
	}
	t.Logf("%+v", totals)
	if totals.compared < 19_000 || totals.invalid < 1_500 || totals.skipped > 1_500 {
		t.Errorf("too little was compared: %+v", totals)
	}
}

func runSpec(t *testing.T, dir, path string, totals *specTotals) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []specCommand }
	if err := json.Unmarshal(text, &script); err != nil {
		t.Fatal(err)
	}
	host, err := os.ReadFile(filepath.Join(specDir(t), "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	r := &specRun{t: t, dir: dir, totals: totals}
	for i := range r.sides {
		e := newFuelEngine(t, i == 1 && strings.HasPrefix(filepath.Base(path), "b"))
		r.sides[i] = &specSide{engine: e, metered: i == 1, named: map[string]api.Module{}}
		if _, err := e.runtime.InstantiateWithConfig(context.Background(), host, wazero.NewModuleConfig().WithName("spectest")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range script.Commands {
		r.command(c)
	}
}

func (r *specRun) command(c specCommand) {
	switch c.Type {
	case "module":
		r.module(c)
	case "assert_invalid", "assert_malformed":
		if c.ModuleType != "binary" {
			return
		}
		if _, err := fuel.Rewrite(r.read(c), fuel.Options{Schedule: fuel.Schedule1}); err == nil {
			r.t.Errorf("line %d: accepted, want %s", c.Line, c.Text)
		}
		r.totals.invalid++
	case "assert_return", "assert_trap", "assert_exhaustion", "action":
		r.action(c)
	}
}

func (r *specRun) read(c specCommand) []byte {
	b, err := os.ReadFile(filepath.Join(r.dir, c.Filename))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// module makes a module current in both worlds, or in none.
func (r *specRun) module(c specCommand) {
	code := r.read(c)
	out, err := fuel.Rewrite(code, fuel.Options{Schedule: fuel.Schedule1, Yield: true})
	if err != nil {
		var refused *fault.Error
		if errors.As(err, &refused) && refused.Code == fuel.ErrImport {
			r.totals.refused++
		} else {
			r.t.Errorf("line %d: %v", c.Line, err)
		}
	}
	var errs [2]error
	for i, s := range r.sides {
		s.current = nil
		if out == nil {
			continue
		}
		config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
		if s.metered {
			code = out.Wasm
		}
		s.current, errs[i] = s.engine.runtime.InstantiateWithConfig(context.Background(), code, config)
		if errs[i] != nil {
			s.current = nil
		} else if s.metered && out.StartExport != "" {
			s.engine.call(s.current, 1<<40, 1000, out.StartExport)
		}
		if c.Name != "" {
			s.named[c.Name] = s.current
		}
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		r.t.Errorf("line %d: unmetered %v, metered %v", c.Line, errs[0], errs[1])
		r.sides[0].current, r.sides[1].current = nil, nil
	}
}

func (r *specRun) action(c specCommand) {
	var got [2]ending
	for i, s := range r.sides {
		m := s.current
		if c.Action.Module != "" {
			m = s.named[c.Action.Module]
		}
		if m == nil {
			r.totals.skipped++
			return
		}
		if c.Action.Type == "get" {
			got[i].results = fmt.Sprint(m.ExportedGlobal(c.Action.Field).Get())
			continue
		}
		var args []uint64
		for _, a := range c.Action.Args {
			args = append(args, a.bits(r.t))
		}
		if s.metered {
			got[i] = s.engine.call(m, 1<<40, 1000, c.Action.Field, args...)
			got[i].used = 0
		} else {
			got[i] = plainCall(m, c.Action.Field, args...)
		}
		if len(c.Expected) == 1 {
			got[i].results = oneNaN(got[i].results, c.Expected[0].Type)
		}
		if len(c.Expected) == 1 && strings.HasSuffix(c.Expected[0].Type, "ref") && got[i].results != "[0] " {
			got[i].results = "a reference"
		}
	}
	if c.Type == "assert_exhaustion" {
		got[0].fault = strings.Replace(got[0].fault, "stack overflow", "unreachable", 1)
		got[0].memory, got[1].memory = "", "" // wazero's stack and ours end elsewhere
	}
	r.totals.compared++
	if got[0] != got[1] {
		r.t.Errorf("line %d, %s: unmetered %v, metered %v", c.Line, c.Action.Field, got[0], got[1])
	}
}

// oneNaN writes every NaN in the same way: the unmetered module's may be any.
func oneNaN(results, kind string) string {
	n, err := strconv.ParseUint(strings.Trim(results, "[] "), 16, 64)
	if err != nil {
		return results
	}
	if kind == "f32" && math.IsNaN(float64(math.Float32frombits(uint32(n)))) || kind == "f64" && math.IsNaN(math.Float64frombits(n)) {
		return "NaN"
	}
	return results
}
