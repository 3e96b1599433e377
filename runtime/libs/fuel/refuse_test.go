package fuel

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// TestRefused: each kind of bad input has its own code.
func TestRefused(t *testing.T) {
	empty := single("", "")
	code := func(parts ...any) []byte { return single("", "", parts...).wasm() }
	locals := func(groups ...any) []byte {
		return empty.with(sectionsOf{10: vec(bodyOf(join(groups...)))}).wasm()
	}
	many := func(n uint32, item ...byte) []byte { return append(appendU32(nil, n), bytes.Repeat(item, int(n))...) }
	for name, c := range map[string]struct {
		wasm []byte
		want fault.Code
	}{
		"nothing":         {nil, ErrMalformed},
		"not wasm":        {[]byte("#!/bin/sh\n"), ErrMalformed},
		"another version": {[]byte("\x00asm\x02\x00\x00\x00"), ErrMalformed},
		"a component":     {[]byte("\x00asm\x0d\x00\x01\x00"), ErrComponent},
		"a section cut":   {empty.wasm()[:12], ErrMalformed},
		"a section twice": {append(sectionsOf{1: {0}}.wasm(), 1, 1, 0), ErrMalformed},
		"sections out of order": {
			append(sectionsOf{3: {0}}.wasm(), 1, 1, 0), ErrMalformed,
		},
		"an unknown section":   {append(sectionsOf{}.wasm(), 14, 0), ErrMalformed},
		"bytes left":           {sectionsOf{1: {0, 0}}.wasm(), ErrMalformed},
		"an unknown type":      {sectionsOf{1: {1, 0x60, 1, 0x01, 0}}.wasm(), ErrMalformed},
		"more than 32 bits":    {sectionsOf{1: {0xff, 0xff, 0xff, 0xff, 0x1f}}.wasm(), ErrMalformed},
		"functions, no bodies": {sectionsOf{1: vec(funcType("", "")), 3: {1, 0}}.wasm(), ErrMalformed},
		"a name that is not UTF-8": {
			empty.with(sectionsOf{7: {1, 1, 0xff, 0, 0}}).wasm(), ErrMalformed,
		},
		"a struct type":           {sectionsOf{1: {1, 0x5f, 0}}.wasm(), ErrGC},
		"struct.new":              {code(0xfb, 0), ErrGC},
		"v128 as a type":          {sectionsOf{1: vec(funcType("\x7b", ""))}.wasm(), ErrSIMD},
		"v128 as a local":         {locals(1, 1, 0x7b), ErrSIMD},
		"v128 as a block's type":  {code(0x02, 0x7b, 0x0b), ErrSIMD},
		"v128.load":               {code(0xfd, 0, 0, 0), ErrSIMD},
		"f32x4.add":               {code(0xfd, 0xe4, 0x01), ErrSIMD},
		"i8x16.relaxed_swizzle":   {code(0xfd, 0x80, 0x02), ErrRelaxedSIMD},
		"memory.atomic.notify":    {code(0xfe, 0, 0, 0), ErrThreads},
		"a shared memory":         {empty.with(sectionsOf{5: {1, 3, 1, 1}}).wasm(), ErrThreads},
		"a 64-bit memory":         {empty.with(sectionsOf{5: {1, 4, 1}}).wasm(), ErrMemory64},
		"a 64-bit table":          {empty.with(sectionsOf{4: {1, 0x70, 4, 1}}).wasm(), ErrMemory64},
		"its own page size":       {empty.with(sectionsOf{5: {1, 8, 1, 0}}).wasm(), ErrPageSize},
		"two memories":            {empty.with(sectionsOf{5: {2, 0, 1, 0, 1}}).wasm(), ErrMultiMemory},
		"a memory index":          {code(0x41, 0, 0x28, 0x42, 1, 0), ErrMultiMemory},
		"memory.size of memory 1": {code(0x3f, 1, 0x1a), ErrMultiMemory},
		"return_call":             {code(0x12, 0), ErrTailCalls},
		"return_call_indirect":    {code(0x13, 0, 0), ErrTailCalls},
		"try":                     {code(0x06, 0x40, 0x0b), ErrExceptions},
		"throw":                   {code(0x08, 0), ErrExceptions},
		"try_table":               {code(0x1f, 0x40, 0, 0x0b), ErrExceptions},
		"a tag":                   {sectionsOf{1: vec(funcType("", "")), 13: {1, 0, 0}}.wasm(), ErrExceptions},
		"call_ref":                {code(0x14, 0), ErrReferences},
		"ref.as_non_null":         {code(0xd4), ErrReferences},
		"a typed reference":       {locals(1, 1, 0x63, 0), ErrReferences},
		"a sum as a constant":     {empty.with(sectionsOf{6: {1, i32, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b}}).wasm(), ErrConst},
		"i64.add128":              {code(0xfc, 19), ErrArithmetic},
		"no instruction":          {code(0xff), ErrOpcode},
		"no bulk instruction":     {code(0xfc, 18), ErrOpcode},
		"an imported memory":      {sectionsOf{2: join(1, 1, "m", 1, "n", 2, 0, 1)}.wasm(), ErrImport},
		"an imported global":      {sectionsOf{2: join(1, 1, "m", 1, "n", 3, i32, 0)}.wasm(), ErrImport},
		"a reserved export":       {empty.with(sectionsOf{7: join(1, 11, FuelExport, 0, 0)}).wasm(), ErrReserved},
		"a reserved export of any kind": {
			empty.with(sectionsOf{7: join(1, 9, "mythos:xy", 2, 0)}).wasm(), ErrReserved,
		},
		"a reserved import": {
			sectionsOf{1: vec(funcType("", "")), 2: join(1, 11, HostModule, 5, YieldImport, 0, 0)}.wasm(), ErrReserved,
		},

		"an operand too few":     {code(0x1a), ErrInvalid},
		"an operand too many":    {code(0x41, 0), ErrInvalid},
		"the wrong type":         {code(0x42, 0, 0x45, 0x1a), ErrInvalid},
		"no such local":          {code(0x20, 0, 0x1a), ErrInvalid},
		"the fuel":               {code(0x23, 1, 0x1a), ErrInvalid},
		"setting the fuel":       {code(0x42, 0, 0x24, 1), ErrInvalid},
		"the depth":              {code(0x23, 2, 0x1a), ErrInvalid},
		"the yield function":     {code(0x10, 1), ErrInvalid},
		"exporting the fuel":     {empty.with(sectionsOf{7: {1, 1, 'x', 3, 1}}).wasm(), ErrInvalid},
		"exporting a helper":     {empty.with(sectionsOf{7: {1, 1, 'x', 0, 1}}).wasm(), ErrInvalid},
		"an element of a helper": {empty.with(sectionsOf{9: {1, 0, 0x41, 0, 0x0b, 1, 1}}).wasm(), ErrInvalid},
		"no such label":          {code(0x0c, 1), ErrInvalid},
		"no such type":           {code(0x41, 0, 0x11, 1, 0), ErrInvalid},
		"no such table":          {code(0x41, 0, 0x11, 0, 1), ErrInvalid},
		"a function not declared": {
			code(0xd2, 0, 0x1a), ErrInvalid,
		},
		"an alignment too large":  {code(0x41, 0, 0x28, 3, 0, 0x1a), ErrInvalid},
		"two exports of a name":   {empty.with(sectionsOf{7: {2, 1, 'x', 0, 0, 1, 'x', 0, 0}}).wasm(), ErrInvalid},
		"a start with parameters": {single(sI, "").with(sectionsOf{8: {0}}).wasm(), ErrInvalid},
		"data without a memory":   {sectionsOf{11: {1, 0, 0x41, 0, 0x0b, 0}}.wasm(), ErrInvalid},
		"data not announced":      {code(0xfc, 9, 0), ErrMalformed},
		"data miscounted":         {empty.with(sectionsOf{12: {1}, 11: {0}}).wasm(), ErrMalformed},
		"too large a memory":      {empty.with(sectionsOf{5: {1, 0, 0x81, 0x80, 0x04}}).wasm(), ErrInvalid},

		"too many functions":     {sectionsOf{1: vec(funcType("", "")), 3: many(maxFunctions+1, 0)}.wasm(), ErrFunctions},
		"too many locals":        {locals(1, appendU32(nil, maxLocals+1), i32), ErrLocals},
		"locals that overflow":   {locals(2, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, i32, 1, i32), ErrLocals},
		"too many types":         {sectionsOf{1: many(maxTypes+1, 0x60, 0, 0)}.wasm(), ErrTooLarge},
		"too large a table":      {empty.with(sectionsOf{4: {1, 0x70, 0, 0xc1, 0x84, 0x3d}}).wasm(), ErrTooLarge},
		"a huge br_table":        {code(0x41, 0, 0x0e, many(maxTargets+1, 0), 0), ErrTargets},
		"deep nesting":           {code(bytes.Repeat([]byte{0x02, 0x40}, maxNesting+1), bytes.Repeat([]byte{0x0b}, maxNesting+1)), ErrNesting},
		"many operands":          {code(bytes.Repeat([]byte{0x41, 0}, maxOperands+1), 0x00), ErrOperands},
		"a body that is large":   {code(bytes.Repeat([]byte{0x01}, maxBody)), ErrBody},
		"a module that is large": {make([]byte, maxModule+1), ErrTooLarge},
	} {
		for _, o := range []Options{schedule1(), {Schedule: Schedule1, Yield: true}} {
			if out, err := Rewrite(c.wasm, o); out != nil || !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
	}
}

// TestManyLocals: 81 functions of 50,000 locals are over the module's total.
func TestManyLocals(t *testing.T) {
	one := bodyOf(join(1, appendU32(nil, maxLocals), i32))
	m := func(n int) []byte {
		bodies := make([][]byte, n)
		for i := range bodies {
			bodies[i] = one
		}
		return sectionsOf{1: vec(funcType("", "")), 3: append(appendU32(nil, uint32(n)), make([]byte, n)...), 10: vec(bodies...)}.wasm()
	}
	if _, err := Rewrite(m(80), schedule1()); err != nil {
		t.Error(err)
	}
	if _, err := Rewrite(m(81), schedule1()); !errors.Is(err, ErrLocals) {
		t.Error(err)
	}
}

// TestSchedule: only schedules that exist can be named, and 0 is none.
func TestSchedule(t *testing.T) {
	for _, n := range []uint16{0, 2, 65535} {
		if _, err := Rewrite(single("", "").wasm(), Options{Schedule: n}); !errors.Is(err, ErrSchedule) {
			t.Errorf("schedule %d: %v", n, err)
		}
	}
}

// TestAtTheBounds: what is just within a bound is accepted.
func TestAtTheBounds(t *testing.T) {
	for name, m := range map[string]sectionsOf{
		"functions": {
			1: vec(funcType("", "")), 3: append(appendU32(nil, 50_000), make([]byte, 50_000)...),
			10: append(appendU32(nil, 50_000), bytes.Repeat([]byte{2, 0, 0x0b}, 50_000)...),
		},
		"nesting":  single("", "", bytes.Repeat([]byte{0x02, 0x40}, maxNesting), bytes.Repeat([]byte{0x0b}, maxNesting)),
		"br_table": single("", "", 0x41, 0, 0x0e, appendU32(nil, 17_000), make([]byte, 17_001)),
		"operands": single("", "", bytes.Repeat([]byte{0x41, 0}, maxOperands), bytes.Repeat([]byte{0x1a}, maxOperands)),
	} {
		if _, err := Rewrite(m.wasm(), schedule1()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
