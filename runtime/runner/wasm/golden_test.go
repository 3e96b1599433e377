package wasm

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

var updateGolden = flag.Bool("update", false, "write the golden counts instead of comparing with them")

const (
	guestsDir  = "testdata/guests"
	goldenFile = guestsDir + "/golden.json"
)

// goldenTable is golden.json, which the check against V8 reads too.
type goldenTable struct {
	Guests []goldenGuest `json:"guests"`
}

// goldenGuest is what one guest uses and leaves behind for one request. Hashes
// are SHA-256 in hex; memory hashes cover the whole linear memory.
type goldenGuest struct {
	Guest    string `json:"guest"`    // testdata/guests/GUEST.wasm, or built from Go
	Entry    string `json:"entry"`    // the export that is called
	Module   string `json:"module"`   // hash of the module as it is packed
	Request  string `json:"request"`  // in hex
	Fuel     uint64 `json:"fuel"`     // for all of the call, by schedule 1
	Response string `json:"response"` // hash
	Memory   string `json:"memory"`   // hash, at the end of the call
	// Where the module stops when the limit is less: the one thing in which the
	// two designs of fuel.Options.CheckEverySegment may differ.
	Lazy  goldenStops `json:"lazy"`
	Every goldenStops `json:"every_segment"`
}

// goldenStops are hashes of the memory where the module stopped.
type goldenStops struct {
	Short string `json:"short_memory"` // limit fuel-1
	Half  string `json:"half_memory"`  // limit fuel/2
}

// stops returns the stops of a design.
func (g *goldenGuest) stops(everySegment bool) *goldenStops {
	if everySegment {
		return &g.Every
	}
	return &g.Lazy
}

// goldenCase is a guest and what it is called with.
type goldenCase struct {
	guest, entry string
	payload      []byte
}

// goldenCases are all guests: a test compares them with the folder.
func goldenCases() []goldenCase {
	hello := can.AppendText(nil, "hello")
	some := make([]byte, 100)
	for i := range some {
		some[i] = byte(i*i*31 + 7)
	}
	work := can.AppendBytes(nil, some)
	return []goldenCase{
		{"assemblyscript/echo", "run", hello},
		{"assemblyscript/work", "run", work},
		{"c/echo", "run", hello},
		{"c/reactor", "run", work},
		{"c/work", startEntry, work},
		{"go/echo", "run", hello},
		{"go/work", startEntry, can.AppendBytes(nil, some[:12])},
		{"rust/echo", "run", hello},
		{"rust/work", startEntry, work},
		{"wat/echo", "run", hello},
		{"wat/work", "run", work},
	}
}

// goSources are the packages of the guests that the test builds itself.
var goSources = map[string]string{
	"go/echo": "tools/echo/go",
	"go/work": "runtime/runner/wasm/testdata/guests/go/work",
}

// bytes returns the guest's module.
func (c goldenCase) bytes(t *testing.T) []byte {
	t.Helper()
	source, ok := goSources[c.guest]
	if !ok {
		b, err := os.ReadFile(filepath.Join(guestsDir, c.guest+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	toolchain, err := os.ReadFile(filepath.Join(guestsDir, "go/toolchain"))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	mode := "-buildmode=exe"
	if c.entry != startEntry {
		mode = "-buildmode=c-shared"
	}
	cmd := exec.Command("go", "build", mode, "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, "./"+source)
	cmd.Dir = repoRoot
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+strings.TrimSpace(string(toolchain)),
		"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=", "GOFIPS140=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", source, err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goldenEngine is an engine that hashes the memory of an instance when it is
// closed, and can compile the design that checks every segment.
type goldenEngine struct {
	Engine
	original     []byte // the module that everySegment rewrites
	everySegment bool
	memory       cid.Hash // of the instance that was closed last
}

func (e *goldenEngine) Compile(ctx context.Context, m *fuel.Rewritten) (Program, error) {
	if e.everySegment {
		var err error
		m, err = fuel.Rewrite(e.original, fuel.Options{Schedule: fuel.Schedule1, Yield: true, Detach: true, CheckEverySegment: true})
		if err != nil {
			return nil, err
		}
	}
	p, err := e.Engine.Compile(ctx, m)
	return goldenProgram{p, e}, err
}

type goldenProgram struct {
	Program
	engine *goldenEngine
}

func (p goldenProgram) Instantiate(h *Host) (Instance, error) {
	i, err := p.Program.Instantiate(h)
	return goldenInstance{i, p.engine}, err
}

type goldenInstance struct {
	Instance
	engine *goldenEngine
}

func (i goldenInstance) Close() error {
	i.engine.memory = cid.Sum(i.Memory())
	return i.Instance.Close()
}

// goldenEnding is all that can be seen of a call.
type goldenEnding struct {
	Outcome  runner.Outcome
	Fuel     uint64
	Response string
	Memory   string
	Log      string
}

// goldenRun is a way to run one guest.
type goldenRun struct {
	name    string
	runner  *Runner
	engine  *goldenEngine
	module  runner.Module
	request []byte
}

// newGoldenRun returns a way to run a guest; code is its module.
func newGoldenRun(t *testing.T, c goldenCase, code []byte, interpreter, everySegment bool, d *disk) *goldenRun {
	t.Helper()
	e := &goldenEngine{Engine: newWazero(interpreter, d), original: code, everySegment: everySegment}
	request := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: c.payload, IdemID: cid.Sum([]byte("idem"))}
	g := &goldenRun{
		name:    fmt.Sprintf("%s, every segment %t, disk %t", e.Name(), everySegment, d != nil),
		runner:  open(t, Options{Engine: e}),
		engine:  e,
		module:  bind(code, runner.ABIHostcall),
		request: request.AppendCAN(nil),
	}
	g.module.Entry = []string{c.entry}
	g.module.Limits = runner.Limits{
		Timeout:     time.Hour,
		MemoryBytes: 64 << 20,
		MaxRequest:  1 << 20,
		MaxResponse: 1 << 20,
		MaxStderr:   1 << 16,
	}
	return g
}

// call runs the guest once under a limit of fuel, in slices of at most so much.
func (g *goldenRun) call(t *testing.T, limit uint64, slice int64) goldenEnding {
	t.Helper()
	g.runner.options.Slice = slice
	m := g.module
	m.Limits.Fuel = &limit
	res, err := g.runner.Run(context.Background(), runner.Call{Module: m, Request: g.request, RequestHash: cid.Sum(g.request)})
	if err != nil {
		t.Fatalf("%s: %v", g.name, err)
	}
	if res.FuelSchedule == nil || *res.FuelSchedule != fuel.Schedule1 || res.FuelUsed == nil {
		t.Fatalf("%s: fuel %v by schedule %v", g.name, res.FuelUsed, res.FuelSchedule)
	}
	return goldenEnding{
		Outcome:  res.Outcome,
		Fuel:     *res.FuelUsed,
		Response: cid.Sum(res.Response).Hex(),
		Memory:   g.engine.memory.Hex(),
		Log:      string(res.Log),
	}
}

// expect calls the guest and compares all of its ending but the log with the
// table's.
func (g *goldenRun) expect(t *testing.T, want *goldenGuest, slice int64, repeats int) {
	t.Helper()
	stops := want.stops(g.engine.everySegment)
	nothing := cid.Sum(nil).Hex()
	for _, c := range []struct {
		limit uint64
		want  goldenEnding
		times int
	}{
		{math.MaxInt64, goldenEnding{runner.Answered, want.Fuel, want.Response, want.Memory, ""}, repeats},
		{want.Fuel, goldenEnding{runner.Answered, want.Fuel, want.Response, want.Memory, ""}, 1},
		{want.Fuel - 1, goldenEnding{runner.FuelExhausted, want.Fuel - 1, nothing, stops.Short, ""}, 1},
		{want.Fuel / 2, goldenEnding{runner.FuelExhausted, want.Fuel / 2, nothing, stops.Half, ""}, 1},
	} {
		for n := range c.times {
			got := g.call(t, c.limit, slice)
			got.Log = ""
			if got != c.want {
				t.Fatalf("%s, limit %d, slices of %d, time %d (-table +got):\n%s", g.name, c.limit, slice, n+1, cmp.Diff(c.want, got))
			}
		}
	}
}

// measure returns a guest's row, from single calls of both designs.
func measure(t *testing.T, c goldenCase, lazy, every *goldenRun) goldenGuest {
	t.Helper()
	full := lazy.call(t, math.MaxInt64, defaultSlice)
	if full.Outcome != runner.Answered {
		t.Fatalf("%s: %+v", c.guest, full)
	}
	row := goldenGuest{
		Guest: c.guest, Entry: c.entry, Module: lazy.module.Digest.Hex(), Request: hex.EncodeToString(lazy.request),
		Fuel: full.Fuel, Response: full.Response, Memory: full.Memory,
	}
	for _, g := range []*goldenRun{lazy, every} {
		*row.stops(g.engine.everySegment) = goldenStops{
			Short: g.call(t, full.Fuel-1, defaultSlice).Memory,
			Half:  g.call(t, full.Fuel/2, defaultSlice).Memory,
		}
	}
	return row
}

// small says that a guest is quick enough for everything. wazero needs seconds
// to compile one of Go's, so that is done once.
func (c goldenCase) small() bool { return goSources[c.guest] == "" }

// checkGuest runs a guest in every way and compares with its row; with -update
// it returns the row anew.
func checkGuest(t *testing.T, c goldenCase, want goldenGuest) goldenGuest {
	code := c.bytes(t)
	dir := filepath.Join(t.TempDir(), "code")
	cached := func() *disk {
		d, err := openDisk(dir, bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	lazy := newGoldenRun(t, c, code, false, false, cached())
	every := newGoldenRun(t, c, code, true, true, nil)
	if *updateGolden {
		before := want
		want = measure(t, c, lazy, every)
		if want.Module == before.Module && want.Request == before.Request && want.Fuel != before.Fuel {
			t.Fatalf("the same module and request use %d instead of %d: a schedule does not change; "+
				"if the table was wrong, remove its row first", want.Fuel, before.Fuel)
		}
	}
	if got := cid.Sum(code).Hex(); got != want.Module || c.entry != want.Entry || hex.EncodeToString(lazy.request) != want.Request {
		t.Fatalf("the module is %s, called by %s; the table has %s, %s, or another request: "+
			"if the change is meant, write the table anew with -update", got, c.entry, want.Module, want.Entry)
	}

	repeats := map[int64]int{1: 4, 1_000: 32, defaultSlice: 32, math.MaxInt64: 32}
	if !c.small() {
		repeats = map[int64]int{20_000: 50, math.MaxInt64: 50}
	}
	for slice, n := range repeats { // 100 in all, in slices of these sizes
		lazy.expect(t, &want, slice, n)
	}
	newGoldenRun(t, c, code, false, false, cached()).expect(t, &want, defaultSlice, 2) // from disk
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files in the cache, want one (%v)", len(files), err)
	}
	anew := newGoldenRun(t, c, code, false, false, cached())
	anew.name += ", without an image"
	anew.runner.options.NoImage = true
	anew.expect(t, &want, defaultSlice, 2)
	newGoldenRun(t, c, code, true, false, nil).expect(t, &want, 10_000, 1)
	every.expect(t, &want, 10_000, 1)
	if c.small() {
		newGoldenRun(t, c, code, false, false, nil).expect(t, &want, defaultSlice, 2) // without a disk
		newGoldenRun(t, c, code, false, true, nil).expect(t, &want, defaultSlice, 2)
	}
	return want
}

// TestGolden: for every guest the fuel, the answer, and the memory where it
// stops are those of golden.json, whatever runs it (RFC-MYTHOS-0012 §10.3):
// repeated, in slices of any size, compiled, interpreted, from disk, with and
// without an image of the initialised module, in both designs. The exact budget is enough and one unit less is not.
func TestGolden(t *testing.T) {
	var table goldenTable
	if b, err := os.ReadFile(goldenFile); err == nil {
		if err := json.Unmarshal(b, &table); err != nil {
			t.Fatal(err)
		}
	} else if !*updateGolden {
		t.Fatal(err)
	}
	cases := goldenCases()
	rows := make([]goldenGuest, len(cases))
	t.Run("guests", func(t *testing.T) {
		for i, c := range cases {
			if j := slices.IndexFunc(table.Guests, func(g goldenGuest) bool { return g.Guest == c.guest }); j >= 0 {
				rows[i] = table.Guests[j]
			} else if !*updateGolden {
				t.Errorf("%s is not in %s", c.guest, goldenFile)
				continue
			}
			t.Run(c.guest, func(t *testing.T) {
				t.Parallel()
				rows[i] = checkGuest(t, c, rows[i])
			})
		}
	})
	if !*updateGolden {
		if len(table.Guests) != len(cases) {
			t.Errorf("%s has %d guests, want %d", goldenFile, len(table.Guests), len(cases))
		}
		return
	}
	if t.Failed() {
		t.Fatalf("%s was not written", goldenFile)
	}
	b, err := json.MarshalIndent(goldenTable{rows}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGoldenGuests: every guest that lies in the folder is in the table.
func TestGoldenGuests(t *testing.T) {
	built, err := filepath.Glob(guestsDir + "/*/*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, f := range built {
		f = filepath.ToSlash(f)
		got = append(got, path.Join(path.Base(path.Dir(f)), strings.TrimSuffix(path.Base(f), ".wasm")))
	}
	for _, c := range goldenCases() {
		if c.small() {
			want = append(want, c.guest)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("guests with goldens and without (-goldens +folder):\n%s", diff)
	}
}
