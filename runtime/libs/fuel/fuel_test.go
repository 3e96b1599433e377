package fuel

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// code returns the bodies of a rewritten module's code section in hex.
func code(t *testing.T, wasm []byte) []string {
	t.Helper()
	m := &module{}
	if err := m.split(wasm); err != nil {
		t.Fatal(err)
	}
	c := &m.section[secCode]
	var out []string
	for n := c.u32(); n > 0; n-- {
		out = append(out, hex.EncodeToString(c.take(uint64(c.u32()))))
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	return out
}

// TestGolden fixes what is written, byte by byte, for the shapes of code. The
// fuel is global 1, the depth global 2; yield is function 0 where it is there.
func TestGolden(t *testing.T) {
	loop := []any{0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b}
	charge := func(cost string) string { return "230142" + cost + "7d2401" }
	const (
		below  = "2301420053" // the fuel is below zero
		look   = below + "0440000b"
		yield  = below + "044010000b"
		helper = "2301" + "2000ad" + "420388" + "7d2401"
	)
	canonical := func(scratch string) string {
		return "22" + scratch + "bd4280808080808080fcff00" + "20" + scratch + "20" + scratch + "611bbf"
	}
	for name, c := range map[string]struct {
		m    sectionsOf
		o    Options
		want []string
	}{
		"nothing is charged for nothing": {single("", ""), Options{}, []string{"000b"}},
		"a segment that is checked": {
			single("", "", 0x41, 1, 0x1a), Options{}, []string{"00" + charge("02") + look + "41011a" + "0b"},
		},
		"the same, yielding": {
			single("", "", 0x41, 1, 0x1a), Options{Yield: true}, []string{"00" + charge("02") + yield + "41011a" + "0b"},
		},
		"the worked example": {
			single(sI, "", loop...),
			Options{},
			[]string{"00" + "0340" + look + charge("05") + "200041016b2200" + "0d00" + "0b" + "0b"},
		},
		"the worked example, yielding": {
			single(sI, "", loop...),
			Options{Yield: true},
			[]string{"00" + "0340" + yield + "0340" + below + "04400c020b" + charge("05") + "200041016b2200" + "0d00" + "0b0b" + "0b"},
		},
		"branches out of loops": {
			single("", "", 0x02, 0x40, 0x03, 0x40, 0x03, 0x40, 0x0c, 2, 0x0b, 0x41, 0, 0x0e, 2, 0, 1, 2, 0x0b, 0x0b),
			Options{Yield: true},
			[]string{"00" + "0240" + "0340" + yield + "0340" + below + "04400c020b" +
				"0340" + yield + "0340" + below + "04400c020b" + charge("01") + "0c04" + "0b0b" +
				"4100" + "0e02000203" + "0b0b" + "0b" + "0b"},
		},
		"a loop that is not reached": {
			single("", "", 0x00, 0x03, 0x40, 0x0c, 1, 0x0b), Options{Yield: true}, []string{"00" + "00" + "0340" + "0c01" + "0b" + "0b"},
		},
		"a segment that is not checked": {
			single(sI, "", 0x20, 0, 0x04, 0x40, 0x41, 1, 0x1a, 0x0b),
			Options{},
			[]string{"00" + charge("02") + look + "20000440" + charge("02") + "41011a" + "0b" + "0b"},
		},
		"a frame": {
			single("", "", 0x10, 0),
			Options{},
			[]string{"01017f" + "230241016b22002402200041004804400" + "00b" + "0240" +
				charge("01") + look + "1000" + "0b" + "230241016a2402" + "0b"},
		},
		"a bulk operation": {
			single("", "", 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0),
			Options{},
			[]string{
				"01017f" + charge("04") + look + "410041004100" + "2200" + "2000" + "1001" + "fc0b00" + "0b",
				"00" + helper + look + "0b",
			},
		},
		"a bulk operation, its number in too many bytes": {
			single("", "", 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x8b, 0, 0),
			Options{Yield: true},
			[]string{"00" + charge("04") + yield + "410041004100" + "1002" + "0b", code(t, fillHelper(t))[1]},
		},
		"dead code is left alone": {
			single("", "", 0x00, 0x41, 1, 0x1a, 0x03, 0x40, 0x41, 1, 0x1a, 0x0b), Options{}, []string{"000041011a034041011a0b0b"},
		},
		"a sum that is seen": {
			single(sD, sD, 0x20, 0, 0x20, 0, 0xa0),
			Options{},
			[]string{"01017c" + charge("03") + look + "20002000a0" + canonical("01") + "0b"},
		},
		"a sum that is compared": {
			single(sD, sI, 0x20, 0, 0x20, 0, 0xa0, 0x20, 0, 0x61), Options{}, []string{"00" + charge("05") + look + "20002000a0200061" + "0b"},
		},
		"a sum around a loop": {
			single("", sD, 0x03, 0x40, 0x20, 0, 0x20, 0, 0xa0, 0x21, 0, 0x0b, 0x20, 0).with(sectionsOf{
				10: vec(bodyOf([]byte{1, 1, f64}, 0x03, 0x40, 0x20, 0, 0x20, 0, 0xa0, 0x21, 0, 0x0b, 0x20, 0)),
			}),
			Options{},
			[]string{"0201" + "7c" + "017c" + "0340" + look + charge("05") + "20002000a02100" + "0b" + "2000" + canonical("01") + "0b"},
		},
	} {
		c.o.Schedule = Schedule1
		out, err := Rewrite(c.m.wasm(), c.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := code(t, out.Wasm); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// fillHelper is a module that has the function which fills in pieces.
func fillHelper(t *testing.T) []byte {
	t.Helper()
	out, err := Rewrite(single("", "", 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0).wasm(), Options{Schedule: Schedule1, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	return out.Wasm
}

// TestRewritten: what is told about a module.
func TestRewritten(t *testing.T) {
	s := single("", "").with(sectionsOf{
		1: vec(funcType(sI+sD, sL), funcType("", "")),
		2: join(1, 1, "m", 1, "n", 0, 0),
		3: {1, 1},
		7: join(3, 1, "f", 0, 1, 1, "m", 2, 0, 1, "n", 0, 0),
		8: {1},
	})
	wasm := s.wasm()
	out, err := Rewrite(wasm, Options{Schedule: Schedule1, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	clear(wasm) // nothing of it is kept
	if e := out.Exports; len(e) != 2 || e[0].Name != "f" || len(e[0].Params)+len(e[0].Results) > 0 ||
		e[1].Name != "n" || string(e[1].Params) != sI+sD || string(e[1].Results) != sL {
		t.Errorf("exports %+v", e)
	}
	in := out.Imports
	if len(in) != 1 || in[0].Module != "m" || in[0].Name != "n" || string(in[0].Params) != sI+sD || string(in[0].Results) != sL {
		t.Errorf("imports %+v", in)
	}
	if !out.HasMemory || out.MinPages != 1 || out.StartExport != StartExport || out.Stats.Functions != 1 {
		t.Errorf("%+v", out)
	}
	out, err = Rewrite(single("", "", 0x43, 0, 0, 0, 0, 0x91, 0x1a).wasm(), schedule1())
	if err != nil || out.StartExport != "" {
		t.Errorf("a square root: %+v, %v", out, err)
	}
}

// dataItem is a data section's item: active at an address, or passive.
func dataItem(at int32, b []byte) []byte {
	return join(0, 0x41, appendS64(nil, int64(at)), 0x0b, sized(b))
}

// apply writes active segments in order; it returns false where that traps.
func apply(t interface{ Fatal(...any) }, section []byte) (map[uint32]byte, bool) {
	c := &cursor{b: section}
	out := map[uint32]byte{}
	for n := c.u32(); n > 0; n-- {
		if flags := c.u32(); flags != 0 {
			continue
		}
		c.byte()
		at := uint32(c.signed(32))
		c.byte()
		b := c.take(uint64(c.u32()))
		if uint64(at)+uint64(len(b)) > pageSize {
			return nil, false
		}
		for i, v := range b {
			out[at+uint32(i)] = v
			if v == 0 {
				delete(out, at+uint32(i))
			}
		}
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	return out, true
}

// TestMergeKeepsMemory: merging changes neither the memory nor whether
// instantiation traps, whatever overlaps.
func TestMergeKeepsMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items [][]byte
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			at := rapid.OneOf(rapid.Int32Range(0, 400), rapid.Int32Range(pageSize-40, pageSize+2), rapid.Just(int32(-1))).Draw(t, "at")
			if len(items) > 0 && rapid.IntRange(0, 3).Draw(t, "far") > 0 {
				at &= 0x1ff
			}
			items = append(items, dataItem(at, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")))
		}
		before := vec(items...)
		m := &module{options: schedule1()}
		if err := m.decode(single("", "").with(sectionsOf{11: before}).wasm()); err != nil {
			t.Fatal(err)
		}
		want, ok := apply(t, before)
		if err := m.checkData(); ok != (err == nil) || err != nil && fault.CodeOf(err) != ErrSegment {
			t.Fatalf("fits: %v; %v", ok, err)
		}
		if !ok {
			return
		}
		after, n := m.mergedData()
		if n == 0 {
			after = []byte{0}
		}
		got, still := apply(t, after)
		if !still || len(want) != len(got) || n > len(items) {
			t.Fatalf("%d segments: %v; %d segments, trap %v: %v", len(items), want, n, !still, got)
		}
		for at, v := range want {
			if got[at] != v {
				t.Fatalf("byte %d is %d, want %d", at, got[at], v)
			}
		}
	})
}

// TestMerge: what becomes one segment and what does not.
func TestMerge(t *testing.T) {
	s := func(at uint32, text string) segmentData { return segmentData{true, at, []byte(text)} }
	for name, c := range map[string]struct{ in, want []segmentData }{
		"touching":      {[]segmentData{s(8, "ab"), s(10, "cd")}, []segmentData{s(8, "abcd")}},
		"a gap":         {[]segmentData{s(8, "ab"), s(11, "cd")}, []segmentData{s(8, "ab\x00cd")}},
		"descending":    {[]segmentData{s(11, "cd"), s(8, "ab")}, []segmentData{s(8, "ab\x00cd")}},
		"far apart":     {[]segmentData{s(8, "ab"), s(75, "cd")}, []segmentData{s(8, "ab"), s(75, "cd")}},
		"overlapping":   {[]segmentData{s(8, "abcd"), s(9, "XY")}, []segmentData{s(8, "aXYd")}},
		"before it":     {[]segmentData{s(9, "XY"), s(8, "ab")}, []segmentData{s(9, "XY"), s(8, "ab")}},
		"no gap filled": {[]segmentData{s(12, "zz"), s(8, "ab"), s(13, "cd")}, []segmentData{s(12, "zz"), s(8, "ab"), s(13, "cd")}},
		"empty":         {[]segmentData{s(8, ""), {false, 0, []byte("p")}}, nil},
	} {
		got := merge(c.in)
		if !slices.EqualFunc(got, c.want, func(a, b segmentData) bool { return a.at == b.at && bytes.Equal(a.bytes, b.bytes) }) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestNamedDataIsKept: where an instruction names a segment, all stay as they
// are, and so does the data count section.
func TestNamedDataIsKept(t *testing.T) {
	data := vec(dataItem(0, []byte("a")), dataItem(1, []byte("b")), join(1, 2, "pp"))
	s := single("", "", 0xfc, 9, 2).with(sectionsOf{12: {3}, 11: data})
	out, err := Rewrite(s.wasm(), schedule1())
	if err != nil {
		t.Fatal(err)
	}
	m := &module{}
	if err := m.split(out.Wasm); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.section[secDataCount].b, []byte{3}) || !bytes.Equal(m.section[secData].b, data) {
		t.Errorf("data count % x, data % x", m.section[secDataCount].b, m.section[secData].b)
	}
	out, err = Rewrite(single("", "").with(sectionsOf{12: {3}, 11: data}).wasm(), schedule1())
	if err != nil || out.Stats.DataMerged != 1 || bytes.Contains(out.Wasm, []byte("pp")) {
		t.Errorf("segments nobody names: %+v, %v", out.Stats, err)
	}
}

// TestPurse: what a module can use does not depend on slices, and a purse gives
// no more than its limit.
func TestPurse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64Range(0, 500).Draw(t, "limit")
		costs := rapid.SliceOfN(rapid.Int64Range(0, 90), 0, 20).Draw(t, "costs")
		var total uint64
		survived := true
		p, global := NewPurse(limit, rapid.Int64Range(0, 60).Draw(t, "slice"))
		for _, c := range costs {
			total += uint64(c)
			global -= c
			if rapid.Bool().Draw(t, "look") {
				if global, survived = p.Settle(global); !survived {
					break
				}
			}
		}
		if survived {
			global, survived = p.Settle(global)
		}
		if want := total <= limit; survived != want || p.Used(global) != min(total, limit) {
			t.Fatalf("limit %d, costs %v: survived %v, used %d", limit, costs, survived, p.Used(global))
		}
	})
}

func TestPurseExtremes(t *testing.T) {
	p, first := NewPurse(math.MaxUint64, 0)
	if first != math.MaxInt64 || p.Used(first) != 0 {
		t.Errorf("first %d", first)
	}
	if _, ok := p.Settle(math.MinInt64); ok || p.Used(math.MinInt64) != math.MaxInt64 {
		t.Errorf("a purse gave more than its limit, used %d", p.Used(math.MinInt64))
	}
	p, _ = NewPurse(math.MaxInt64, 1)
	if next, ok := p.Settle(-1 << 62); !ok || next != 1 || p.Used(next) != 1<<62+1 {
		t.Errorf("next %d, %v, used %d", next, ok, p.Used(next))
	}
}

// FuzzRewrite: it never panics, does not touch its input, gives the same again,
// and what it wrote is not taken for an original.
func FuzzRewrite(f *testing.F) {
	f.Add(single("", "").wasm())
	f.Add(single(sI, "", 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b).wasm())
	f.Add(single("", "", 0x10, 0, 0x41, 1, 0x40, 0, 0x1a, 0x41, 0, 0x0e, 1, 0, 0).wasm())
	f.Add(single("", "", 0x43, 0, 0, 0, 0, 0x91, 0x1a, 0x02, 0x40, 0x0c, 0, 0x05, 0x0b).wasm())
	f.Add(single("", "", 0xfc, 9, 2).with(sectionsOf{12: {1}, 11: {1, 1, 2, 'p', 'p'}}).wasm())
	f.Add(single("", "").with(sectionsOf{7: {1, 1, 'x', 0, 0}, 9: {1, 0, 0x41, 0, 0x0b, 1, 0}, 8: {0}, 0: {1, 'n'}}).wasm())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		before := bytes.Clone(wasm)
		for _, o := range []Options{schedule1(), {Schedule: Schedule1, Yield: true, CheckEverySegment: true}} {
			out, err := Rewrite(wasm, o)
			if !bytes.Equal(wasm, before) {
				t.Fatal("the input was changed")
			}
			if err != nil {
				continue
			}
			again, err := Rewrite(wasm, o)
			if err != nil || !bytes.Equal(out.Wasm, again.Wasm) {
				t.Fatalf("another result the second time: %v", err)
			}
			if _, err := Rewrite(out.Wasm, o); err == nil {
				t.Fatal("a rewritten module was rewritten again")
			}
		}
	})
}

// TestDetach: the host gets the data and every global that can change, unless
// there is more to the state.
func TestDetach(t *testing.T) {
	data := vec(dataItem(9, []byte("b")), dataItem(8, []byte("a")))
	globals := vec(join(0x7f, 0, 0x41, 1, 0x0b), join(0x7e, 1, 0x42, 2, 0x0b), join(0x7d, 1, 0x43, "\x00\x00\x00\x00", 0x0b))
	o := schedule1()
	o.Detach = true
	out, err := Rewrite(single("", "").with(sectionsOf{6: globals, 11: data}).wasm(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []Data{{8, []byte("ab")}}
	if !out.Detached || !slices.Equal(out.Globals, []string{"mythos:global:1", "mythos:global:2"}) ||
		!slices.EqualFunc(out.Data, want, func(a, b Data) bool { return a.Offset == b.Offset && bytes.Equal(a.Bytes, b.Bytes) }) {
		t.Errorf("detached %v, globals %v, data %v", out.Detached, out.Globals, out.Data)
	}
	m := &module{}
	if err := m.split(out.Wasm); err != nil || m.section[secData].base != 0 {
		t.Errorf("the data section is there: %v", err)
	}
	for name, s := range map[string]sectionsOf{
		"a named segment":    single("", "", 0xfc, 9, 1).with(sectionsOf{12: {2}, 11: data}),
		"a changing table":   single("", "", 0x41, 0, 0xd0, 0x70, 0x26, 0),
		"a growing table":    single("", "", 0xd0, 0x70, 0x41, 0, 0xfc, 15, 0, 0x1a),
		"a reference global": single("", "").with(sectionsOf{6: vec(join(0x70, 1, 0xd0, 0x70, 0x0b))}),
	} {
		out, err := Rewrite(s.wasm(), o)
		if err != nil || out.Detached || out.Globals != nil {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}
