package ir

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// script answers what a program asks of its host: the same for the same seed,
// however often and by whom it is asked. It keeps all that it saw.
type script struct {
	b    *Bundle
	seed uint64
	log  []hostCall
}

// hostCall is what a host saw of one EFFECT, BLOB op or REQUIRE_CAP.
type hostCall struct {
	Cap                      uint64
	Scope                    string
	Ordinal                  uint64
	Tool                     cid.Hash
	Name, Payload, Key, Blob string
	RequestLen               int
	HasKey, KeyText          bool
}

var errDenied = fault.New("cap_denied", "no")

func (s *script) RequireCap(_ context.Context, kind uint64, scope []byte) error {
	s.log = append(s.log, hostCall{Cap: kind + 1, Scope: string(scope)})
	if (s.seed+kind)%7 == 0 {
		return errDenied
	}
	return nil
}

func (s *script) Effect(_ context.Context, c EffectCall) (EffectResult, error) {
	s.log = append(s.log, hostCall{
		Ordinal: c.Ordinal, Tool: c.Tool, Name: c.Name, Payload: string(c.Payload), Key: string(c.Key), Blob: string(c.Blob),
		RequestLen: c.RequestLen, HasKey: c.Key != nil, KeyText: c.KeyText,
	})
	g := &seeded{state: s.seed + c.Ordinal<<32}
	resp := abi.Response{Status: 200, Payload: []byte{0}}
	switch g.n(0, 15) {
	case 0:
		return EffectResult{}, errDenied
	case 1, 2:
		resp.Status, resp.Error = 500, &abi.Error{Code: "gen_bad", Message: "no"}
	case 3:
		resp.Status = uint16(g.n(100, 599))
	case 4:
		resp.Payload = refEncode(s.value(g, refAny, 0))
	default:
		resp.Payload = refEncode(s.answer(g, c))
	}
	raw := resp.AppendCAN(nil)
	out := EffectResult{Status: resp.Status, Payload: resp.Payload, ResponseHash: cid.Sum(raw), ResponseLen: len(raw)}
	if resp.Error != nil {
		out.ErrorCode = resp.Error.Code
	}
	return out, nil
}

// answer is a payload that may conform to the tool's response type.
func (s *script) answer(g *seeded, c EffectCall) any {
	if c.Tool == abi.BlobPutID {
		return refMap{{uint64(1), refHash(c.Tool)}, {uint64(2), uint64(len(c.Blob))}, {uint64(3), refText("x/y")}, {uint64(4), uint64(0)}, {uint64(5), uint64(0)}}
	}
	for i := range s.b.Tools.Tools {
		if t := &s.b.Tools.Tools[i]; t.ToolID == c.Tool {
			return s.value(g, t.ResponseTypeID, 0)
		}
	}
	return s.value(g, refAny, 0)
}

// value is a value of a type.
func (s *script) value(g *seeded, typ [32]byte, level int) any {
	kind := refBuiltins[typ]
	if kind == "any" {
		kind = []string{"null", "bool", "u64", "i64", "bytes", "text", "list", "map"}[g.n(0, 7-min(level, 3)/2*2)]
	}
	switch kind {
	case "null":
		return nil
	case "bool":
		return g.n(0, 1) == 0
	case "u64":
		return (&gen{source: g}).edge()
	case "i64":
		return int64((&gen{source: g}).edge())
	case "bytes":
		return refBytes(make([]byte, g.n(0, 3)*g.n(0, 100)))
	case "text":
		return refText(bytes.Repeat([]byte("x"), g.n(0, 3)*g.n(0, 100)))
	case "list":
		list := make(refList, g.n(0, 4))
		for i := range list {
			list[i] = s.value(g, refAny, level+1)
		}
		return list
	case "map":
		m := refMap{}
		for i := range g.n(0, 4) {
			m = append(m, refPair{[]any{uint64(0), uint64(1), uint64(129), refText("x")}[i], s.value(g, refAny, level+1)})
		}
		return refSorted(m)
	}
	t := refType(s.b, typ)
	if t.Kind == 2 {
		return uint64(g.n(0, len(t.EnumTags)-1))
	}
	fields := map[uint64]any{}
	for _, f := range t.Fields {
		if f.Required || g.n(0, 1) == 0 {
			fields[uint64(f.FieldID)] = s.value(g, f.FieldTypeID, level+1)
		}
	}
	m := refMapOf(fields)
	switch g.n(0, 15) { // what no record has
	case 0:
		m = append(m, refPair{uint64(1 << 20), uint64(1)})
	case 1:
		if len(m) > 0 {
			m[0].v = nil
		}
	}
	return refSorted(m)
}

// end is how a run ended, by whichever interpreter.
type end struct {
	Value, Hash      string
	Trap, Stop       fault.Code
	Fuel, IO, Writes uint64
	Log              []hostCall
}

// trial is one task that both interpreters run.
type trial struct {
	p          *Program
	b          *Bundle
	task       int
	inputs     []byte
	seed       uint64
	maxRequest uint64
}

func (x *trial) fast(purse uint64) end {
	host := &script{b: x.b, seed: x.seed}
	t := &x.p.tasks[x.task]
	opt := RunOptions{Task: t.def.TaskID, MaxRequest: func(cid.Hash) uint64 { return x.maxRequest }}
	inputs, err := x.p.Inputs(t.def.TaskID, x.inputs)
	if err != nil {
		return end{Stop: fault.CodeOf(err)}
	}
	m := newMachine(x.p, t, &opt, host)
	m.limit, m.fuel, m.poll = purse, purse, purse
	m.start(inputs)
	res, err := m.finish(context.Background())
	if err != nil {
		return end{Stop: fault.CodeOf(err), Log: host.log}
	}
	e := end{Value: string(res.Value), Trap: res.ErrorCode, Fuel: res.FuelUsed, IO: res.IOUsed, Writes: res.StateWrites, Log: host.log}
	if !res.ResultHash.IsZero() {
		e.Hash = res.ResultHash.Hex()
	}
	return e
}

func (x *trial) plain(purse uint64) end {
	host := &script{b: x.b, seed: x.seed}
	res := refRun(x.b, &x.b.Tasks.Tasks[x.task], x.inputs, purse, host, func() uint64 { return x.maxRequest })
	if res.stop != nil {
		return end{Stop: fault.CodeOf(res.stop), Log: host.log}
	}
	e := end{Value: string(res.value), Trap: res.code, Fuel: res.fuel, IO: res.io, Writes: res.writes, Log: host.log}
	if res.code == "" {
		e.Hash = fmt.Sprintf("%x", refSum(res.value))
	}
	return e
}

// agree runs a task by both with one purse.
func (x *trial) agree(purse uint64) (end, error) {
	a, b := x.fast(purse), x.plain(purse)
	if !reflect.DeepEqual(a, b) { // cmp.Diff alone would take most of the time
		return a, fmt.Errorf("a purse of %d (- reference, + interpreter):\n%s", purse, cmp.Diff(b, a))
	}
	return a, nil
}

// try runs a task with a purse, then with exactly what it used and with one
// less, and with some purses between.
func (x *trial) try(g source, purse uint64) (end, error) {
	first, err := x.agree(purse)
	if err != nil || first.Stop != "" || first.Trap == TrapFuel || first.Fuel == 0 {
		return first, err
	}
	exact, err := x.agree(first.Fuel)
	if err != nil {
		return first, err
	}
	if !reflect.DeepEqual(first, exact) {
		return first, fmt.Errorf("with exactly %d fuel the run differs:\n%s", first.Fuel, cmp.Diff(first, exact))
	}
	for i, less := range []uint64{first.Fuel - 1, g.wide() % first.Fuel, g.wide() % first.Fuel} {
		got, err := x.agree(less)
		if err != nil {
			return first, err
		}
		// A stop may come before the fuel ends, but not in a run that ended.
		if got.Trap != TrapFuel || i == 0 && got.Fuel > less {
			return first, fmt.Errorf("with %d of %d fuel the run ends in %q", less, first.Fuel, got.Trap)
		}
	}
	return first, nil
}

// differ generates the program of some bytes and tries it.
func differ(seed []byte) (end, string, error) {
	g := newGen(newSeeded(seed))
	purse := uint64(0)
	switch g.n(0, 9) {
	case 0:
		purse = uint64(g.n(0, 60))
	case 1, 2, 3:
		purse = uint64(g.n(0, 60) * g.n(0, 50))
	case 4:
		g.straight = true
		purse = 200_000
	default:
		purse = 1000 * uint64(g.n(1, 9))
	}
	src := g.program()
	bundle, err := Assemble([]byte(src))
	if err != nil {
		return end{}, src, err
	}
	x := trial{b: new(Bundle), seed: g.wide(), maxRequest: MaxRequest}
	if x.p, err = Load(bundle); err != nil {
		return end{}, src, err
	}
	if x.b, err = decode(bundle); err != nil {
		return end{}, src, err
	}
	if g.n(0, 9) == 0 {
		x.maxRequest = uint64(g.n(110, 200))
	}
	if g.n(0, 2) == 0 {
		items := refList{}
		fn := &x.p.funcs[x.p.tasks[0].fn]
		count := len(fn.args)
		if g.n(0, 4) == 0 {
			count = g.n(0, 3)
		}
		for range count {
			items = append(items, (&script{b: x.b}).value(newSeeded(binary.BigEndian.AppendUint64(nil, g.wide())), refAny, 0))
		}
		x.inputs = refEncode(items)
	}
	e, err := x.try(g, purse)
	return e, src, err
}

// spread turns a number into bytes that have nothing to do with its neighbours'.
func spread(i uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, (&seeded{state: i << 32}).wide())
}

// TestDifferential: on generated programs the interpreter and the reference
// agree on the result, its hash, the trap, fuel, counters, and all that the
// host sees; with every purse.
func TestDifferential(t *testing.T) {
	ends := make([]map[string]int, 4)
	t.Run("programs", func(t *testing.T) {
		for part := range ends {
			ends[part] = map[string]int{}
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for i := part; i < programs; i += len(ends) {
					e, src, err := differ(spread(uint64(i)))
					if err != nil {
						t.Fatalf("seed %d: %v\n%s", i, err, src)
					}
					ends[part][string(e.Trap+e.Stop)]++
				}
			})
		}
	})
	all := map[string]int{}
	for _, part := range ends {
		for code, n := range part {
			all[code] += n
		}
	}
	t.Log(all)
	for _, code := range []fault.Code{
		"", TrapType, TrapContract, TrapFuel, TrapIO, TrapWrites, TrapDepth, TrapKey, TrapRequest, TrapOverflow, TrapIndex, "cap_denied", ErrInputs,
	} {
		if all[string(code)] < programs/2000 {
			t.Errorf("only %d programs end in %q", all[string(code)], code)
		}
	}
}

// TestDifferentialTable: the interpreter and the reference agree on every row
// of the op table, so the reference too is held against figures worked out by
// hand; on what goes to a limit; and on node bombs.
func TestDifferentialTable(t *testing.T) {
	sources := map[string]string{}
	for _, o := range append(opTests(), corners()...) {
		sources[o.name] = o.source()
	}
	for nodes, leaf := range map[int]string{13: "k", 25: "k", 32: "r1, r2, r3", 33: "k"} {
		sources[fmt.Sprintf("%d nodes", nodes)] = doubling(nodes, leaf) +
			fmt.Sprintf("func main() -> any {\nmake n%d, r0\nret r0\n}\ntask t = main() budget cpu_us=18446744073709551 io=0 writes=0\n", nodes-1)
	}
	for name, src := range sources {
		x := trial{seed: uint64(len(name)), maxRequest: MaxRequest}
		bundle, err := Assemble([]byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if x.p, err = Load(bundle); err != nil {
			t.Fatal(err)
		}
		if x.b, err = decode(bundle); err != nil {
			t.Fatal(err)
		}
		budget := x.p.tasks[0].def.Budget.CPUMicros * 1000
		if _, err := x.try(newSeeded([]byte(name)), budget); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDifferential is TestDifferential on whatever the fuzzer thinks of.
func FuzzDifferential(f *testing.F) {
	for i := range 16 {
		f.Add(spread(uint64(i)))
	}
	f.Add([]byte("the first choices are taken from these bytes, one for each"))
	f.Fuzz(func(t *testing.T, seed []byte) {
		if _, src, err := differ(seed); err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
	})
}
