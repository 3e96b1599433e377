package fuel

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
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
	for name, c := range map[string]struct {
		m    sectionsOf
		o    Options
		want []string
	}{
		"nothing is charged for nothing": {single("", ""), Options{}, []string{"000b"}},
		"a segment that is checked": {
			single("", "", 0x41, 1, 0x1a),
			Options{},
			[]string{"01017e" + "2301" + "4202" + "7d" + "2200" + "2401" + "2000" + "42005304400" + "00b" + "41011a" + "0b"},
		},
		"the same, yielding": {
			single("", "", 0x41, 1, 0x1a),
			Options{Yield: true},
			[]string{"01017e" + "2301" + "4202" + "7d" + "2200" + "2401" + "2000" + "420053044010000b" + "41011a" + "0b"},
		},
		"the worked example": {
			single(sI, "", loop...),
			Options{},
			[]string{"01017e" + "0340" + "2301" + "4205" + "7d" + "2201" + "2401" + "2001" + "42005304400" + "00b" +
				"200041016b2200" + "0d00" + "0b" + "0b"},
		},
		"a segment that is not checked": {
			single(sI, "", 0x20, 0, 0x04, 0x40, 0x41, 1, 0x1a, 0x0b),
			Options{},
			[]string{"01017e" + "2301" + "4202" + "7d" + "2201" + "2401" + "2001" + "42005304400" + "00b" +
				"20000440" + "230142027d2401" + "41011a" + "0b" + "0b"},
		},
		"a frame": {
			single("", "", 0x10, 0),
			Options{},
			[]string{"02017e017f" + "230241016b22012402200141004804400" + "00b" + "0240" +
				"2301" + "4201" + "7d" + "2200" + "2401" + "2000" + "42005304400" + "00b" + "1000" + "0b" + "230241016a2402" + "0b"},
		},
		"a bulk operation": {
			single("", "", 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0),
			Options{},
			[]string{
				"02017f017e" + "2301" + "4204" + "7d" + "2201" + "2401" + "2001" + "42005304400" + "00b" +
					"410041004100" + "2200" + "2000" + "1001" + "fc0b00" + "0b",
				"01017e" + "2301" + "2000ad" + "420388" + "7d" + "2201" + "2401" + "2001" + "42005304400" + "00b" + "0b",
			},
		},
		"dead code is left alone": {
			single("", "", 0x00, 0x41, 1, 0x1a, 0x03, 0x40, 0x41, 1, 0x1a, 0x0b), Options{}, []string{"000041011a034041011a0b0b"},
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

// TestRewritten: what is told about a module.
func TestRewritten(t *testing.T) {
	s := single("", "").with(sectionsOf{
		1: vec(funcType(sI+sD, sL), funcType("", "")),
		2: join(1, 1, "m", 1, "n", 0, 0),
		3: {1, 1},
		8: {1},
	})
	out, err := Rewrite(s.wasm(), Options{Schedule: Schedule1, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	in := out.Imports
	if len(in) != 1 || in[0].Module != "m" || in[0].Name != "n" || string(in[0].Params) != sI+sD || string(in[0].Results) != sL {
		t.Errorf("imports %+v", in)
	}
	if !out.HasMemory || out.MinPages != 1 || out.StartExport != StartExport || out.UsesFloat ||
		out.FuelGlobal != FuelExport || out.DepthGlobal != DepthExport || out.Stats.Functions != 1 {
		t.Errorf("%+v", out)
	}
	out, err = Rewrite(single("", "", 0x43, 0, 0, 0, 0, 0x91, 0x1a).wasm(), schedule1())
	if err != nil || !out.UsesFloat || out.StartExport != "" {
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
		if err := m.checkData(); err != nil {
			t.Fatal(err)
		}
		after, n := m.mergedData()
		if n == 0 {
			after = []byte{0}
		}
		want, ok := apply(t, before)
		got, still := apply(t, after)
		if ok != still || len(want) != len(got) || n > len(items) {
			t.Fatalf("%d segments, trap %v: %v; %d segments, trap %v: %v", len(items), !ok, want, n, !still, got)
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
		"out of range":  {[]segmentData{s(8, "ab"), s(100, ""), s(99, "xx")}, []segmentData{s(8, "ab"), s(100, ""), s(99, "xx")}},
	} {
		memory := uint64(100)
		got := merge(c.in, memory)
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
