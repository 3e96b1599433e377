package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/dataset"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

func dsU(n uint64) *ir.Operand { return &ir.Operand{Kind: ir.KindU64, U64: &n} }
func dsI(n int64) *ir.Operand  { return &ir.Operand{Kind: ir.KindI64, I64: &n} }

func dsH(x cid.Hash) *ir.Operand { return &ir.Operand{Kind: ir.KindHash, Hash: &x} }

func dsPath(segments ...uint32) *ir.ExprPath {
	return &ir.ExprPath{Root: ir.RootEpisode, Segments: segments}
}

// dsCompare compares what is at a path of the episode with a literal.
func dsCompare(op uint8, lit *ir.Operand, segments ...uint32) ir.Expr {
	return ir.Expr{Op: op, Path: dsPath(segments...), Lit: lit}
}

func dsJoin(op uint8, args ...ir.Expr) ir.Expr { return ir.Expr{Op: op, Args: args} }

func dsTrue() ir.Expr { return ir.Expr{Op: ir.ExprTrue} }

// predicates are expressions over ten episodes: number i was observed at i x 10,
// its context is red, green or blue as i mod 3 is 0, 1 or 2; green ones have one
// receipt (echo, 200), blue ones another behind it (rm, 500).
func (g *dsGen) predicates() {
	g.spec = "RFC-MYTHOS-0003 §3"
	red, green := dsH(h("red")), dsH(h("green"))
	tool := func(name string) ir.Expr { return ir.Expr{Op: ir.ExprHasTool, Lit: dsH(h(name))} }
	status := func(n uint64) ir.Expr { return ir.Expr{Op: ir.ExprHasStatus, Lit: dsU(n)} }
	no := ir.Expr{Op: ir.ExprFalse}
	every := func(int) bool { return true }
	none := func(int) bool { return false }
	for _, c := range []struct {
		doc  string
		x    ir.Expr
		want func(i int) bool
	}{
		{"FALSE", no, none},
		{"EQ of the time", dsCompare(ir.ExprEQ, dsI(50), 5), func(i int) bool { return i == 5 }},
		{"EQ of a number of another type", dsCompare(ir.ExprEQ, dsU(50), 5), none},
		{"NE of the time", dsCompare(ir.ExprNE, dsI(50), 5), func(i int) bool { return i != 5 }},
		{"NE of a number of another type", dsCompare(ir.ExprNE, dsU(50), 5), none},
		{"NE of what is missing", dsCompare(ir.ExprNE, dsI(50), 6), every},
		{"EQ of what is missing", dsCompare(ir.ExprEQ, dsI(50), 6), none},
		{"LT", dsCompare(ir.ExprLT, dsI(50), 5), func(i int) bool { return i < 5 }},
		{"LE", dsCompare(ir.ExprLE, dsI(50), 5), func(i int) bool { return i <= 5 }},
		{"GT", dsCompare(ir.ExprGT, dsI(50), 5), func(i int) bool { return i > 5 }},
		{"GE", dsCompare(ir.ExprGE, dsI(50), 5), func(i int) bool { return i >= 5 }},
		{"LE of hashes: they have no order", dsCompare(ir.ExprLE, red, 3), none},
		{"EQ of the context", dsCompare(ir.ExprEQ, red, 3), func(i int) bool { return i%3 == 0 }},
		{"IN_SET", ir.Expr{Op: ir.ExprInSet, Path: dsPath(3), Set: []ir.Operand{*dsU(3), *green, *red}}, func(i int) bool { return i%3 != 2 }},
		{"AND", dsJoin(ir.ExprAnd, dsCompare(ir.ExprEQ, red, 3), dsCompare(ir.ExprGT, dsI(0), 5)), func(i int) bool { return i%3 == 0 && i > 0 }},
		{"OR", dsJoin(ir.ExprOr, no, dsCompare(ir.ExprEQ, red, 3), no), func(i int) bool { return i%3 == 0 }},
		{"NOT", dsJoin(ir.ExprNot, dsCompare(ir.ExprEQ, red, 3)), func(i int) bool { return i%3 != 0 }},
		{"HAS_TOOL", tool("rm"), func(i int) bool { return i%3 == 2 }},
		{"HAS_TOOL of a tool that nobody called", tool("cp"), none},
		{"HAS_STATUS", status(200), func(i int) bool { return i%3 != 0 }},
		{"HAS_STATUS deep inside", dsJoin(ir.ExprNot, dsJoin(ir.ExprOr, status(200), no)), func(i int) bool { return i%3 == 0 }},
		{"the subject is not there", ir.Expr{Op: ir.ExprEQ, Path: &ir.ExprPath{Root: ir.RootSubject}, Lit: dsU(1)}, none},
		{"the inputs are not there", ir.Expr{Op: ir.ExprNE, Path: &ir.ExprPath{Root: ir.RootInputs}, Lit: dsU(1)}, every},
		{"inside a hash", dsCompare(ir.ExprEQ, dsU(1), 3, 1), every},
		{"an item of a LIST", dsCompare(ir.ExprNE, dsH(h("nothing")), 2, 2, 1), every},
		{"past the end of a LIST", dsCompare(ir.ExprEQ, dsH(h("nothing")), 2, 2, 2), none},
	} {
		d := dsDef(dataset.ModeAll, nil, g.ids)
		d.Query.Predicate = c.x
		var want []cid.Hash
		for i, id := range g.ids {
			if c.want(i) {
				want = append(want, id)
			}
		}
		g.valid("predicate", "dataset.select", c.doc, g.over(g.sealed(d), g.ids), dsChosen(want))
	}
}

// refuseDef is a definition that must be refused before any corpus is read.
func (g *dsGen) refuseDef(what, doc string, def []byte, code string) {
	g.invalid(what, "dataset.select", doc, in{"def": def, "corpora": []any{}, "objects": []any{}}, code)
}

// definitions are definitions that break their rules.
func (g *dsGen) definitions() {
	g.spec = "RFC-MYTHOS-0003 §2"
	all := func() dataset.Def { return dsDef(dataset.ModeAll, nil, g.ids) }
	for _, c := range []struct {
		what, doc string
		edit      func(*dataset.Def)
	}{
		{"mode", "mode 0", func(d *dataset.Def) { d.Sampling.Mode = 0 }},
		{"mode", "mode 4", func(d *dataset.Def) { d.Sampling.Mode, d.Sampling.N = 4, dsN(1) }},
		{"mode", "mode 255", func(d *dataset.Def) { d.Sampling.Mode = 255 }},
		{"mode", "ALL with n", func(d *dataset.Def) { d.Sampling.N = dsN(1) }},
		{"mode", "ALL with n 0", func(d *dataset.Def) { d.Sampling.N = dsN(0) }},
		{"mode", "FIRST_N without n", func(d *dataset.Def) { d.Sampling.Mode = dataset.ModeFirstN }},
		{"mode", "HASH_N without n", func(d *dataset.Def) { d.Sampling.Mode = dataset.ModeHashN }},
		{"count", "n of 2^40+1", func(d *dataset.Def) { d.Sampling.Mode, d.Sampling.N = dataset.ModeHashN, dsN(1<<40+1) }},
		{"count", "n of 2^64-1", func(d *dataset.Def) { d.Sampling.Mode, d.Sampling.N = dataset.ModeFirstN, dsN(1<<64-1) }},
		{"count", "per_bucket_n of 2^40+1", func(d *dataset.Def) { *d = dsStratified(*d, 1<<40+1, 3) }},
		{"count", "1,025 corpora", func(d *dataset.Def) { d.CorpusRoots = make([]cid.Hash, 1025) }},
		{"key-path", "a key of the subject", func(d *dataset.Def) { *d = dsStratified(*d, 1, 3); d.Stratify.KeyPath.Root = 0 }},
		{"key-path", "a key of the inputs", func(d *dataset.Def) { *d = dsStratified(*d, 1, 3); d.Stratify.KeyPath.Root = 1 }},
		{"key-path", "a key of root 3", func(d *dataset.Def) { *d = dsStratified(*d, 1, 3); d.Stratify.KeyPath.Root = 3 }},
		{"key-path", "65 segments", func(d *dataset.Def) { *d = dsStratified(*d, 1, make([]uint32, 65)...) }},
	} {
		d := all()
		c.edit(&d)
		g.refuseDef(c.what, c.doc, g.sealed(d), "dataset_definition")
	}
	good := g.sealed(dsStratified(dsDef(dataset.ModeHashN, dsN(3), g.ids), 2, 3))
	for _, c := range []struct {
		doc string
		at  []byte // what stands before the byte that is changed
	}{
		{"a bit of dataset_def_id", x("0301 0802 0301 0301 0302 0520")},
		{"a bit of query_id", x("0303 0802 0301 0802 0301 0301 0302 0520")},
		{"another n", x("0302 03")},
		{"a bit of the seed", x("0303 0802 0301 0301 0302 0520")},
	} {
		at := bytes.Index(good, c.at) + len(c.at)
		g.refuseDef("tampered", c.doc, flipped(good, 8*at), "dataset_definition")
	}
	d := all()
	d.Query.QueryID = h("other")
	var err error
	if d.DatasetDefID, err = cid.Without(d.AppendCAN(nil), 1); err != nil {
		g.p.fail("a definition: %w", err)
	}
	g.refuseDef("tampered", "another query_id, which dataset_def_id covers", d.AppendCAN(nil), "dataset_definition")
	g.refuseDef("unknown-field", "a field that no version knows, which the id covers", dsGrown(g.sealed(all())), "dataset_definition")
	g.refuseDef("form", "nothing", nil, "can_truncated")
	g.refuseDef("form", "a byte behind", join(good, x("00")), "can_trailing")
	g.refuseDef("form", "cut in the middle", good[:len(good)/2], "can_bounds")
	g.refuseDef("form", "a LIST", x("0700"), "can_type")
	g.refuseDef("form", "an empty MAP", x("0800"), "can_missing")
	var e dataset.Episode
	g.refuseDef("form", "an episode", e.AppendCAN(nil), "can_type")
}

// dsGrown adds field 6 to a definition, and makes its id right.
func dsGrown(raw []byte) []byte {
	more := join(raw, x("03 06 00"))
	more[1]++
	id, err := cid.Without(more, 1)
	if err != nil {
		panic(err) // a mistake in this program
	}
	copy(more[bytes.Index(more, x("05 20"))+2:], id[:])
	return more
}

// badPredicates are expressions that a dataset does not have.
func (g *dsGen) badPredicates() {
	deep := dsTrue()
	for range 12 {
		deep = dsJoin(ir.ExprNot, deep)
	}
	wide := func(n int) ir.Expr { return dsJoin(ir.ExprAnd, slices.Repeat([]ir.Expr{dsTrue()}, n)...) }
	two := *dsU(1)
	two.I64 = dsI(1).I64
	index, reg := uint32(0), uint64(0)
	for _, c := range []struct {
		what, doc string
		x         ir.Expr
	}{
		{"op", "op 0", ir.Expr{}},
		{"op", "op 3", ir.Expr{Op: 3}},
		{"op", "op 255, further down", dsJoin(ir.ExprOr, dsTrue(), ir.Expr{Op: 255})},
		{"fields", "TRUE with a path", ir.Expr{Op: ir.ExprTrue, Path: dsPath()}},
		{"fields", "EQ without a path", ir.Expr{Op: ir.ExprEQ, Lit: dsU(1)}},
		{"fields", "EQ without a literal", ir.Expr{Op: ir.ExprEQ, Path: dsPath()}},
		{"fields", "EQ with a set", ir.Expr{Op: ir.ExprEQ, Path: dsPath(), Lit: dsU(1), Set: []ir.Operand{*dsU(1)}}},
		{"fields", "IN_SET with a literal", ir.Expr{Op: ir.ExprInSet, Path: dsPath(), Lit: dsU(1), Set: []ir.Operand{*dsU(1)}}},
		{"fields", "AND with a path", ir.Expr{Op: ir.ExprAnd, Args: []ir.Expr{dsTrue(), dsTrue()}, Path: dsPath()}},
		{"arguments", "NOT of two", dsJoin(ir.ExprNot, dsTrue(), dsTrue())},
		{"arguments", "NOT of nothing", ir.Expr{Op: ir.ExprNot}},
		{"arguments", "AND of one", dsJoin(ir.ExprAnd, dsTrue())},
		{"arguments", "OR of none", ir.Expr{Op: ir.ExprOr}},
		{"bounds", "13 levels", deep},
		{"bounds", "1,025 arguments", wide(1025)},
		{"bounds", "4,097 expressions", dsJoin(ir.ExprAnd, wide(1024), wide(1024), wide(1024), wide(1020))},
		{"bounds", "a set of 1,025", ir.Expr{Op: ir.ExprInSet, Path: dsPath(5), Set: slices.Repeat([]ir.Operand{*dsI(1)}, 1025)}},
		{"bounds", "65 segments", dsCompare(ir.ExprEQ, dsU(1), make([]uint32, 65)...)},
		{"bounds", "root 3", ir.Expr{Op: ir.ExprEQ, Path: &ir.ExprPath{Root: 3}, Lit: dsU(1)}},
		{"literal", "a constant: there is no pool", dsCompare(ir.ExprEQ, &ir.Operand{Kind: ir.KindConst, ConstRef: &index}, 5)},
		{"literal", "a register", dsCompare(ir.ExprEQ, &ir.Operand{Kind: ir.KindReg, U64: &reg}, 5)},
		{"literal", "a node", dsCompare(ir.ExprEQ, &ir.Operand{Kind: ir.KindNode, NodeRef: &index}, 5)},
		{"literal", "a number without one", dsCompare(ir.ExprEQ, &ir.Operand{Kind: ir.KindU64}, 5)},
		{"literal", "a number in two fields", dsCompare(ir.ExprEQ, &two, 5)},
		{"literal", "kind 7", dsCompare(ir.ExprEQ, &ir.Operand{Kind: 7}, 5)},
		{"literal", "a tool by a number", ir.Expr{Op: ir.ExprHasTool, Lit: dsU(1)}},
		{"literal", "a status by a hash", ir.Expr{Op: ir.ExprHasStatus, Lit: dsH(h("x"))}},
		{"literal", "a status by an IVARINT", ir.Expr{Op: ir.ExprHasStatus, Lit: dsI(200)}},
	} {
		d := dsDef(dataset.ModeAll, nil, g.ids)
		d.Query.Predicate = c.x
		g.refuseDef("predicate-"+c.what, c.doc, g.sealed(d), "dataset_predicate")
	}
}

// sources are sources that answer something else.
func (g *dsGen) sources() {
	g.spec = "RFC-MYTHOS-0003 §3"
	one := g.ids[2] // it has two receipts
	corpus := []cid.Hash{one}
	look := dsDef(dataset.ModeAll, nil, corpus)
	look.Query.Predicate = ir.Expr{Op: ir.ExprHasStatus, Lit: dsU(500)}
	plainDef, lookDef := g.sealed(dsDef(dataset.ModeAll, nil, corpus)), g.sealed(look)
	no := func(what, doc string, def []byte, id cid.Hash, answer []byte, code string) {
		i := g.over(def, corpus)
		i["objects"] = append(i["objects"].([]any), in{"id": id, "hex": answer})
		g.invalid(what, "dataset.select", doc, i, code)
	}
	raw := g.raw[one]
	no("episode", "another episode", plainDef, one, g.raw[g.ids[1]], "dataset_episode")
	no("episode", "a bit of its context", plainDef, one, flipped(raw, 8*(bytes.Index(raw, x("0303 0802 0301 0301 0302 0520"))+12)), "dataset_episode")
	no("episode", "its receipts are left out", plainDef, one, g.bare(one), "dataset_episode")
	no("episode", "a bit of its episode_id", plainDef, one, flipped(raw, 8*(bytes.Index(raw, x("05 20"))+2)), "dataset_episode")
	no("episode", "a byte behind", plainDef, one, join(raw, x("00")), "can_trailing")
	no("episode", "cut", plainDef, one, raw[:len(raw)-1], "can_truncated")
	no("episode", "a receipt", plainDef, one, g.receipts[dsReceipt(g, 0)], "can_type")
	no("receipt", "another receipt", lookDef, dsReceipt(g, 0), g.receipts[dsReceipt(g, 1)], "dataset_episode")
	no("receipt", "a byte behind", lookDef, dsReceipt(g, 1), join(g.receipts[dsReceipt(g, 1)], x("00")), "can_trailing")
	no("receipt", "an episode", lookDef, dsReceipt(g, 1), raw, "can_type")
	no("corpus", "another corpus under its root", plainDef, dsRoot(corpus), listLeaf(g.ids[0]), "merkle_hash")
	no("corpus", "a blob's leaf for a list's", plainDef, dsRoot(corpus), chunkLeaf(1, 1, chunk{one, 1}), "merkle_hash")
	blobRoot := dsDef(dataset.ModeAll, nil)
	leaf := chunkLeaf(1, 1, chunk{one, 1})
	blobRoot.CorpusRoots = []cid.Hash{cid.Sum(leaf)}
	no("corpus", "a blob's root for a corpus", g.sealed(blobRoot), cid.Sum(leaf), leaf, "merkle_kind")
	blobRoot.CorpusRoots = []cid.Hash{cid.Sum(listLeaf())}
	no("corpus", "a leaf without ids", g.sealed(blobRoot), cid.Sum(listLeaf()), listLeaf(), "merkle_shape")
	grown := join(raw, x("03 06 03 07"))
	grown[1]++
	id, err := cid.Without(grown, 1)
	if err != nil {
		g.p.fail("an episode: %w", err)
	}
	copy(grown[bytes.Index(grown, x("05 20"))+2:], id[:])
	later := []cid.Hash{id}
	d := dsDef(dataset.ModeAll, nil, later)
	d.Query.Predicate = dsCompare(ir.ExprEQ, dsU(7), 6)
	g.valid("episode-grown", "dataset.select", "a field of an episode that a later document may define, and a predicate that reaches it",
		in{"def": g.sealed(d), "corpora": []any{later}, "objects": []any{in{"id": id, "hex": grown}}}, dsChosen(later))
}

// bare is an episode without its receipts, under its old id.
func (g *dsGen) bare(id cid.Hash) []byte {
	raw := g.raw[id]
	at := bytes.Index(raw, x("0302 07 02"))
	if at < 0 {
		g.p.fail("episode %s has no two receipts", id)
		return raw
	}
	return join(raw[:at], x("0302 07 00"), raw[at+4+2*42:])
}

// dsReceipt is the first or second receipt of the blue episodes.
func dsReceipt(g *dsGen, i int) cid.Hash {
	for id := range g.receipts {
		raw := g.receipts[id]
		if second := bytes.Contains(raw, join(x("0520"), func() []byte { t := h("rm"); return t[:] }())); second == (i == 1) {
			return id
		}
	}
	panic(fmt.Sprintf("no receipt %d", i)) // a mistake in this program
}
