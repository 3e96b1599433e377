package main

import (
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/dataset"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// dsWorld is the world of the suite, made again.
func (p *pack) dsWorld() *dsGen {
	g := &dsGen{p.again("dataset"), map[cid.Hash][]byte{}, map[cid.Hash][]byte{}, nil, map[cid.Hash]string{}}
	ok, bad := g.receipt("echo", 200), g.receipt("rm", 500)
	for i := range 10 {
		g.episode(fmt.Sprint(i), []string{"red", "green", "blue"}[i%3], int64(i)*10, [][]cid.Hash{nil, {ok}, {ok, bad}}[i%3]...)
	}
	return g
}

// literalForms are operands that are no literal: each kind without its own field,
// and with another's.
func (g *dsGen) literalForms() {
	g.spec = "RFC-MYTHOS-0003 §3"
	u, i, id := dsU(1).U64, dsI(1).I64, dsH(h("x")).Hash
	for _, c := range []struct {
		doc string
		o   ir.Operand
	}{
		{"an IVARINT without one", ir.Operand{Kind: ir.KindI64}},
		{"a hash without one", ir.Operand{Kind: ir.KindHash}},
		{"a number that is a hash", ir.Operand{Kind: ir.KindU64, Hash: id}},
		{"a number that is an IVARINT", ir.Operand{Kind: ir.KindU64, I64: i}},
		{"an IVARINT that is a number", ir.Operand{Kind: ir.KindI64, U64: u}},
		{"an IVARINT that is a hash", ir.Operand{Kind: ir.KindI64, Hash: id}},
		{"a hash that is a number", ir.Operand{Kind: ir.KindHash, U64: u}},
		{"a hash that is an IVARINT", ir.Operand{Kind: ir.KindHash, I64: i}},
		{"an IVARINT and a hash", ir.Operand{Kind: ir.KindI64, I64: i, Hash: id}},
		{"a hash and a number", ir.Operand{Kind: ir.KindHash, Hash: id, U64: u}},
	} {
		d := dsDef(dataset.ModeAll, nil, g.ids)
		d.Query.Predicate = dsCompare(ir.ExprEQ, &c.o, 5)
		g.refuseDef("predicate-literal-form", c.doc, g.sealed(d), "dataset_predicate")
	}
}

// dsBounds are definitions exactly at a bound.
func (g *dsGen) dsBounds() {
	g.spec = "RFC-MYTHOS-0003 §2"
	wide := func(n int) ir.Expr { return dsJoin(ir.ExprAnd, slices.Repeat([]ir.Expr{dsTrue()}, n)...) }
	deep := dsTrue()
	for range 11 {
		deep = dsJoin(ir.ExprNot, deep)
	}
	for _, c := range []struct {
		doc  string
		x    ir.Expr
		want bool // of each episode
	}{
		{"12 levels", deep, false},
		{"1,024 arguments", wide(1024), true},
		{"4,096 expressions", dsJoin(ir.ExprAnd, wide(1024), wide(1024), wide(1024), wide(1019)), true},
		{"a set of 1,024", ir.Expr{Op: ir.ExprInSet, Path: dsPath(1), Set: slices.Repeat([]ir.Operand{*dsI(1)}, 1024)}, false},
		{"64 segments", dsCompare(ir.ExprNE, dsU(1), make([]uint32, 64)...), true},
		{"OR of two", dsJoin(ir.ExprOr, dsTrue(), dsTrue()), true},
	} {
		d := dsDef(dataset.ModeAll, nil, g.ids)
		d.Query.Predicate = c.x
		want := g.ids
		if !c.want {
			want = nil
		}
		g.valid("at-bound", "dataset.select", c.doc, g.over(g.sealed(d), g.ids), dsChosen(want))
	}
	path := dsStratified(dsDef(dataset.ModeAll, nil, g.ids), 99, make([]uint32, 64)...)
	g.valid("at-bound", "dataset.select", "a key_path of 64 segments", g.over(g.sealed(path), g.ids), dsChosen(g.ids))
	many := dsDef(dataset.ModeAll, nil)
	many.CorpusRoots = slices.Repeat([]cid.Hash{cid.Sum(nil)}, 1024)
	g.valid("at-bound", "dataset.select", "1,024 empty corpora", g.over(g.sealed(many)), dsChosen(nil))
}

// unsigned compares a number of every episode, which is 1, with 0, 1 and 2.
func (g *dsGen) unsigned() {
	g.spec = "RFC-MYTHOS-0003 §3"
	for _, op := range []struct {
		op    uint8
		name  string
		holds func(order int) bool
	}{
		{ir.ExprEQ, "EQ", func(o int) bool { return o == 0 }},
		{ir.ExprNE, "NE", func(o int) bool { return o != 0 }},
		{ir.ExprLT, "LT", func(o int) bool { return o < 0 }},
		{ir.ExprLE, "LE", func(o int) bool { return o <= 0 }},
		{ir.ExprGT, "GT", func(o int) bool { return o > 0 }},
		{ir.ExprGE, "GE", func(o int) bool { return o >= 0 }},
	} {
		for lit := range 3 {
			d := dsDef(dataset.ModeAll, nil, g.ids)
			d.Query.Predicate = dsCompare(op.op, dsU(uint64(lit)), 2, 1, 2)
			var want []cid.Hash
			if op.holds(1 - lit) {
				want = g.ids
			}
			g.valid("predicate-number", "dataset.select", fmt.Sprintf("the trace's size, which is 1: %s %d", op.name, lit), g.over(g.sealed(d), g.ids), dsChosen(want))
		}
	}
}
