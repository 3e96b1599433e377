package fuel

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// bombs are small modules that would keep an engine's compiler busy for minutes,
// or take gigabytes, if they came to it.
func bombs() map[string]sectionsOf {
	repeat := func(n int, parts ...any) []byte { return bytes.Repeat(join(parts...), n) }
	locals := func(n uint32, code ...any) sectionsOf {
		groups := join(1, appendU32(nil, n), i32)
		return single("", "").with(sectionsOf{10: vec(bodyOf(groups, code...))})
	}
	reads := func(n int) (b []byte) {
		for i := range n {
			b = append(op(b, opLocalGet, uint32(i)), 0x1a)
		}
		return b
	}
	functions := func(n int, body []byte) sectionsOf {
		return sectionsOf{
			3:  append(appendU32(nil, uint32(n)), make([]byte, n)...),
			10: append(appendU32(nil, uint32(n)), bytes.Repeat(body, n)...),
		}
	}
	wide := strings.Repeat(sI, maxSignature)
	push := repeat(maxSignature, 0x41, 0)
	values := func(code ...any) sectionsOf {
		return single(wide, wide).with(sectionsOf{10: vec(bodyOf(noLocals, push, join(code...)))})
	}
	globals := func(n uint32) []byte { return append(appendU32(nil, n), repeat(int(n), i32, 1, 0x41, 0, 0x0b)...) }
	return map[string]sectionsOf{
		"ifs":                  locals(1, repeat(40_000, 0x41, 0, 0x04, 0x40, 0x0b), reads(1)),
		"elses":                locals(1, repeat(9_000, 0x41, 0, 0x04, 0x40, 0x05, 0x0b), reads(1)),
		"blocks":               locals(0, repeat(18_000, 0x02, 0x40, 0x0b)),
		"returns":              locals(0, repeat(18_000, 0x0f)),
		"nested loops":         locals(4000, repeat(4000, 0x03, 0x40), reads(4000), repeat(4000, 0x0b)),
		"loops in a row":       locals(1000, repeat(4000, 0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b), reads(1000)),
		"globals used":         locals(0, repeat(1000, 0x23, 0, 0x1a, 0x02, 0x40, 0x0b)).with(sectionsOf{6: globals(2100), 10: vec(bodyOf(noLocals, usesOf(2100), repeat(1000, 0x02, 0x40, 0x0b)))}),
		"operands and loops":   locals(1, repeat(1000, 0x20, 0, 0x28, 2, 0), repeat(1000, 0x03, 0x40, 0x0b), repeat(999, 0x6a), 0x1a),
		"operands and targets": locals(1, repeat(1000, 0x20, 0, 0x28, 2, 0), 0x02, 0x40, 0x41, 0, 0x0e, appendU32(nil, 3000), make([]byte, 3001), 0x0b, repeat(999, 0x6a), 0x1a),
		"wide calls":           values(repeat(4000, 0x10, 0)),
		"wide indirect":        values(repeat(4000, 0x41, 0, 0x11, 0, 0)),
		"wide br_table":        values(0x41, 0, 0x0e, appendU32(nil, 60_000), make([]byte, 60_001)),
		"wide br_if":           values(repeat(4000, 0x41, 0, 0x0d, 0)),
		"wide blocks":          values(repeat(4000, 0x02, 0, 0x0b)),
		"wide returns":         values(repeat(3000, 0x0f)),
		"wide dead code":       values(0x00, repeat(9000, 0x02, 0, 0x0b)),
		"targets":              locals(0, 0x41, 0, 0x0e, appendU32(nil, 50_000), make([]byte, 50_001)),
		"bulk operations":      locals(0, repeat(20_000, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0)),
		"loads":                locals(1, repeat(201_000, 0x20, 0, 0x28, 2, 0, 0x1a)),
		"divisions":            locals(1, repeat(201_000, 0x20, 0, 0x20, 0, 0x6d, 0x1a)),
		"truncations":          locals(1, repeat(201_000, 0x20, 0, 0xb2, 0xa8, 0x1a)),
		"indirect calls":       locals(1, repeat(67_000, 0x41, 0, 0x11, 0, 0)),
		"table.get and set":    locals(1, repeat(51_000, 0x41, 0, 0x41, 0, 0x25, 0, 0x26, 0)),
		"calls":                locals(1, repeat(201_000, 0x10, 0)).with(sectionsOf{6: {0}}),
		"references":           locals(1, repeat(201_000, 0xd2, 0, 0x1a)).with(sectionsOf{7: vec(join(1, "f", 0, 0))}),
		"accesses and joins":   locals(1, repeat(4000, 0x20, 0, 0x28, 2, 0, 0x1a), repeat(4500, 0x02, 0x40, 0x41, 0, 0x0d, 0, 0x0b)),
		"accesses and calls":   locals(1, repeat(60_000, 0x20, 0, 0x28, 2, 0, 0x1a), repeat(60_000, 0x10, 0)),
		"accesses in blocks":   locals(1, repeat(4500, 0x02, 0x40, 0x20, 0, 0x28, 2, 0, 0x1a, 0x41, 0, 0x0d, 0, 0x0b), repeat(4500, 0x03, 0x40, 0x20, 0, 0x28, 2, 0, 0x1a, 0x0b)),
		"calls that forget the globals": single("", "").with(sectionsOf{
			6: globals(10_000), 10: vec(bodyOf(noLocals, repeat(1000, 0x10, 0))),
		}),
		"loops that forget the globals": single("", "").with(sectionsOf{
			6: globals(10_000), 10: vec(bodyOf(noLocals, repeat(1000, 0x03, 0x40, 0x0b))),
		}),
		"globals and functions": single("", "").with(sectionsOf{6: globals(20_000)}).with(functions(100_000, bodyOf(noLocals))),
		"types and functions": single("", "").with(sectionsOf{
			1: append(appendU32(nil, 20_000), repeat(20_000, 0x60, 0, 0)...),
		}).with(functions(100_000, bodyOf(noLocals))),
		"many of them": single("", "").with(functions(100, bodyOf([]byte{1, 1, i32}, repeat(8000, 0x02, 0x40, 0x41, 0, 0x0d, 0, 0x0b)))),
	}
}

// usesOf reads so many globals.
func usesOf(n uint32) (b []byte) {
	for i := range n {
		b = append(op(b, opGlobalGet, i), 0x1a)
	}
	return b
}

// loads reads the memory n times.
func loads(n int) []byte { return bytes.Repeat([]byte{0x41, 0, 0x28, 2, 0, 0x1a}, n) }

func TestBombs(t *testing.T) {
	for name, m := range bombs() {
		for _, o := range []Options{schedule1(), {Schedule: Schedule1, Yield: true}} {
			if _, err := Rewrite(m.wasm(), o); !errors.Is(err, ErrWork) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestWork: the work that is reckoned, and that what is accepted does not depend
// on options.
func TestWork(t *testing.T) {
	for name, c := range map[string]struct {
		m    sectionsOf
		want uint64
	}{
		// 3 joins and 5 values that live; 4 for either item, a type and a global.
		"nothing":     {single("", ""), 9 + 160*3*5 + 4*2},
		"a block":     {single("", "", 0x02, 0x40, 0x0b), 16 + 160*4*5 + 4*2},
		"a loop":      {single("", "", 0x03, 0x40, 0x0b), 49 + 160*7*5 + 160 + 4*2},
		"an operand":  {single("", "", 0x41, 0, 0x02, 0x40, 0x0b, 0x1a), 16 + 160*4*5 + 160 + 4*2},
		"a local":     {single(sI, "", 0x20, 0, 0x20, 0, 0x1a, 0x1a), 9 + 160*3*6 + 4*2},
		"a load":      {single("", "", loads(1)), 9 + 160*3*5 + 200*1 + 4*2},
		"load, block": {single("", "", loads(1), 0x02, 0x40, 0x0b), 16 + 160*4*5 + 10*1 + 200*1 + 4*2},
		// The if and its else are joins after 1 load; then 2 and 3 lead to its end, and after that is the block.
		"load, if":    {single("", "", loads(1), 0x41, 0, 0x04, 0x40, loads(1), 0x05, loads(2), 0x0b, 0x02, 0x40, 0x0b), 36 + 160*6*5 + 160 + 10*(1+2+2) + 200*4 + 4*2},
		"br, load":    {single("", "", loads(1), 0x02, 0x40, 0x41, 0, 0x0d, 0, loads(4), 0x0b, 0x02, 0x40, 0x0b), 36 + 160*6*5 + 10*3 + 200*5 + 4*2},
		"if, load":    {single("", "", loads(1), 0x41, 0, 0x04, 0x40, loads(4), 0x0b, 0x02, 0x40, 0x0b), 25 + 160*5*5 + 160 + 10*2 + 200*5 + 4*2},
		"dead":        {single("", "", loads(3), 0x02, 0x40, 0x0c, 0, loads(4), 0x02, 0x40, 0x0b, 0x0b, 0x02, 0x40, 0x0b), 49 + 160*7*5 + 10*(3+3+3) + 200*3 + 4*2},
		"a division":  {single("", "", 0x41, 1, 0x41, 1, 0x6d, 0x1a), 9 + 160*3*5 + 200*1 + 4*2},
		"table.get":   {single("", "", 0x41, 0, 0x25, 0, 0x1a), 9 + 160*3*5 + 200*2 + 4*2},
		"indirect":    {single("", "", 0x41, 0, 0x11, 0, 0), 9 + 160*3*5 + 160 + 200*3 + 4*2},
		"load, calls": {single("", "", loads(8), bytes.Repeat([]byte{0x10, 0}, 3)), 9 + 160*3*5 + 160*3 + 3 + 200*11 + 4*2},
		"31 calls":    {single("", "", bytes.Repeat([]byte{0x10, 0}, 31)), 9 + 160*3*5 + 160*31 + 200*31 + 4*2},
		"looks back":  {single("", "", bytes.Repeat([]byte{0x10, 0}, 32)), 16 + 160*4*5 + 160*33 + 200*32 + 4*2},
		"one set":     {single(sI, "", 0x41, 0, 0x22, 0, 0x20, 0, 0x1a, 0x1a), 9 + 160*3*5 + 4*2},
		"set before":  {single(sI, "", 0x41, 0, 0x21, 0, 0x03, 0x40, 0x20, 0, 0x1a, 0x0b), 49 + 160*7*6 + 160 + 4*2},
		"a global":    {single("", "", 0x23, 0, 0x24, 0), 9 + 160*3*6 + 4*2},
		"br_table":    {single("", "", 0x41, 0, 0x0e, 1, 0, 0), 25 + 160*5*5 + 4*2},
		"a call":      {single(sI, sI, 0x20, 0, 0x10, 0), 9 + 160*3*6 + 160*4 + 200*1 + 4*2}, // a global, an operand, and two results
		"memory.grow": {single("", "", 0x41, 0, 0x40, 0, 0x1a), 16 + 160*4*5 + 160*4 + 4*2},
		"memory.fill": {single("", "", 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0), 16 + 160*4*5 + 160*7 + 4*2},
	} {
		for _, o := range []Options{schedule1(), {Schedule: Schedule1, Yield: true}} {
			out, err := Rewrite(c.m.wasm(), o)
			if err != nil || out.Stats.Work != c.want || out.Stats.FunctionWork != c.want {
				t.Errorf("%s, %+v: %v, %+v, want %d", name, o, err, out.Stats, c.want)
			}
		}
	}
}
