package main

import (
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// rootNode adds a proof whose only node, the root, is raw: the root names it, so
// that nothing but the node is wrong.
func rootNode(s *suite, what, doc string, raw []byte, code string, flags ...string) {
	c := chain{[][]byte{raw}, []uint64{0}}
	proof := any(c.proof())
	if len(raw) > 4096 {
		proof, flags = s.p.file("proof", c.proof()), append(flags, "large")
	}
	refusedProof(s, what, doc, c.root(), proof, code, flags...)
}

// nodeForm are roots that are no node of a list.
func nodeForm(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §1"
	values := rawM(rawF(1, rawHs([]cid.Hash{h("a"), h("b")})))
	inner := rawM(rawF(1, rawHs([]cid.Hash{h("a"), h("b")})), rawF(2, rawU(1025)))
	for _, v := range []uint64{0, 2, 255} {
		rootNode(s, "node-version", fmt.Sprintf("version %d", v), node(v, 1, values), "merkle_version")
	}
	rootNode(s, "node-version", "version 256", node(256, 1, values), "can_range")
	rootNode(s, "node-version", "another version and an unknown kind: the version is looked at first", node(2, 9, values), "merkle_version")
	for _, k := range []uint64{0, 5, 255} {
		rootNode(s, "node-kind", fmt.Sprintf("kind %d", k), node(1, k, values), "merkle_kind")
	}
	chunks := rawM(rawF(1, rawU(4)), rawF(2, rawL(rawM(rawF(1, rawH(h("a"))), rawF(2, rawU(4))))), rawF(3, rawU(4)))
	rootNode(s, "node-kind", "kind 3, the leaf of a chunked blob", node(1, 3, chunks), "merkle_kind")
	rootNode(s, "node-kind", "kind 4, an internal node of a chunked blob",
		node(1, 4, rawM(rawF(1, rawU(4)), rawF(2, rawHs([]cid.Hash{h("a"), h("b")})), rawF(3, rawU(4100)), rawF(4, rawU(1025)))), "merkle_kind")
	rootNode(s, "node-kind", "the payload of a leaf as kind 2", node(1, 2, values), "can_missing")
	rootNode(s, "node-kind", "the payload of an internal node as kind 1", node(1, 1, inner), "merkle_shape", "shape")
	rootNode(s, "node-kind", "kind 256", node(1, 256, values), "can_range")

	rootNode(s, "node-unknown-field", "field 4 of a node", rawM(rawF(1, rawU(1)), rawF(2, rawU(1)), rawF(3, rawB(values)), rawF(4, rawU(0))), "merkle_shape", "shape")
	rootNode(s, "node-unknown-field", "field 127 of a node", rawM(rawF(1, rawU(1)), rawF(2, rawU(1)), rawF(3, rawB(values)), rawF(127, []byte{0})), "merkle_shape", "shape")
	rootNode(s, "node-unknown-field", "field 2 of a leaf", node(1, 1, rawM(rawF(1, rawHs([]cid.Hash{h("a")})), rawF(2, rawU(1)))), "merkle_shape", "shape")
	rootNode(s, "node-unknown-field", "field 3 of an internal node", node(1, 2, rawM(rawF(1, rawHs([]cid.Hash{h("a"), h("b")})), rawF(2, rawU(1025)), rawF(3, []byte{0}))), "merkle_shape", "shape")
	rootNode(s, "node-unknown-field", "an unknown field and a wrong version: the field is looked at first", rawM(rawF(1, rawU(2)), rawF(2, rawU(1)), rawF(3, rawB(values)), rawF(4, rawU(0))), "merkle_shape", "shape")

	bad := func(doc string, raw []byte, code string) { rootNode(s, "node-encoding", doc, raw, code) }
	bad("no payload", rawM(rawF(1, rawU(1)), rawF(2, rawU(1))), "can_missing")
	bad("an empty payload", node(1, 1, nil), "can_truncated")
	bad("a byte after the payload's value", node(1, 1, join(values, []byte{0})), "can_trailing")
	bad("a byte after the node", join(node(1, 1, values), []byte{0}), "can_trailing")
	bad("no byte at all", nil, "can_truncated")
	bad("a hash of algorithm 2", node(1, 1, rawM(rawF(1, rawL(rawM(rawF(1, rawU(2)), rawF(2, rawB(make([]byte, 32)))))))), "hash_alg")
	bad("a hash of 31 bytes", node(1, 1, rawM(rawF(1, rawL(rawM(rawF(1, rawU(1)), rawF(2, rawB(make([]byte, 31)))))))), "can_length")
	bad("a hash with a third field", node(1, 1, rawM(rawF(1, rawL(rawM(rawF(1, rawU(1)), rawF(2, rawB(make([]byte, 32))), rawF(3, rawU(0))))))), "can_unknown_field")
	bad("the values as a MAP", node(1, 1, rawM(rawF(1, rawM()))), "can_type")
	bad("the count as an IVARINT", node(1, 2, rawM(rawF(1, rawHs([]cid.Hash{h("a"), h("b")})), rawF(2, []byte{4, 4}))), "can_type")
	rootNode(s, "node-oversize", "65,536 bytes, the most that a node may have: it is decoded", make([]byte, 65536), "can_type", "boundary")
	rootNode(s, "node-oversize", "65,537 bytes, one more than a node may have", make([]byte, 65537), "merkle_shape", "boundary")
}

// nodeShape are roots that say of themselves what no root can say.
func nodeShape(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §4"
	hashes := func(n int) []cid.Hash {
		var out []cid.Hash
		for i := range n {
			out = append(out, h(fmt.Sprint("child ", i)))
		}
		return out
	}
	bad := func(what, doc string, raw []byte, flags ...string) {
		rootNode(s, what, doc, raw, "merkle_shape", append(flags, "shape")...)
	}
	bad("node-empty", "a leaf without values", listLeaf())
	bad("node-empty", "an internal node without children over nothing", listInternal(0))
	bad("node-empty", "an internal node without children over 1025 values", listInternal(1025))
	bad("node-empty", "two children over nothing", listInternal(0, hashes(2)...))
	bad("node-fanout", "a leaf of 1025 values", listLeaf(hashes(1025)...), "boundary")
	bad("node-fanout", "1025 children", listInternal(1<<20+1024, hashes(1025)...), "boundary")
	for _, c := range []struct {
		n        uint64
		children int
	}{{1, 1}, {1024, 1}, {1024, 2}, {2, 2}, {1025, 1}, {1025, 3}, {2048, 3}, {2049, 2}, {1 << 20, 1023}} {
		bad("node-count", fmt.Sprintf("%d children over %d values", c.children, c.n), listInternal(c.n, hashes(c.children)...))
	}
	for _, c := range []struct {
		n        uint64
		children int
	}{{1<<20 + 1, 1}, {1<<20 + 1, 3}, {1<<20 + 1, 1025}, {1<<40 + 1, 2}, {1<<41 - 1, 2}, {1<<64 - 1, 2}, {1<<40 - 1, 1023}, {1 << 63, 1024}, {1<<30 + 1, 1024}} {
		bad("node-count-large", fmt.Sprintf("%d children over %d values", c.children, c.n), listInternal(c.n, hashes(c.children)...), "boundary")
	}
	single := listLeaf(h("only"))
	bad("group-of-one", "a root over the one leaf that is the root itself", listInternal(1, cid.Sum(single)))
	bad("group-of-one", "a root over the one full leaf", listInternal(1024, h("full")), "boundary")
	bad("group-of-one", "a root over the one full internal node", listInternal(1<<20, h("full")), "boundary")
}

// under is a proof of the last item of a list of n values, whose last node has
// been replaced by others, from the root down; the parents name what there is.
func under(n uint64, nodes ...[]byte) chain {
	w := spine(n, n-1)
	keep := len(w.nodes) - 1
	c := chain{slices.Clone(w.nodes[:keep]), slices.Clone(w.at[:keep])}
	for _, raw := range nodes {
		c.nodes, c.at = append(c.nodes, raw), append(c.at, 0)
	}
	for i := keep - 1; i >= 0; i-- {
		c.nodes[i] = relink(c.nodes[i], cid.Sum(w.nodes[i+1]), cid.Sum(c.nodes[i+1]))
	}
	return c
}

// relink replaces a hash in a node.
func relink(raw []byte, old, now cid.Hash) []byte {
	at := slices.Index(windows(raw, 32), string(old[:]))
	return join(raw[:at], now[:], raw[at+32:])
}

// windows are the strings of n bytes in b.
func windows(b []byte, n int) []string {
	var out []string
	for i := 0; i+n <= len(b); i++ {
		out = append(out, string(b[i:i+n]))
	}
	return out
}

// childShape are nodes below the root that are not what their place calls for.
func childShape(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §4"
	bad := func(what, doc string, c chain, code string) {
		refusedProof(s, what, doc, c.root(), c.proof(), code, "shape")
	}
	short, tall := uint64(1025), uint64(1<<20+1025)
	bad("child-count", "the last leaf has two values, one is left", under(short, listLeaf(h("a"), h("b"))), "merkle_shape")
	bad("child-count", "the last leaf has no values, one is left", under(short, listLeaf()), "merkle_shape")
	bad("child-count", "the last leaf has two values, three are left", under(1027, listLeaf(h("a"), h("b"))), "merkle_shape")
	one := listLeaf(h("a"))
	inner := func(n uint64) []byte { return listInternal(n, h("beside 0"), cid.Sum(one)) }
	lie := func(n uint64) chain {
		mid := inner(n)
		return chain{[][]byte{listInternal(tall, h("beside 0"), cid.Sum(mid)), mid, one}, []uint64{1, 1, 0}}
	}
	for _, n := range []uint64{1024, 1026, 1 << 20, 1<<20 + 1025, 0, 1<<64 - 1} {
		bad("child-count", fmt.Sprintf("the second child says that %d values are under it, 1025 are", n), lie(n), "merkle_shape")
	}
	flat := chain{[][]byte{listInternal(tall, h("beside 0"), cid.Sum(one)), one}, []uint64{1, 0}}
	bad("child-kind", "a leaf of one value where an internal node over 1025 is due", flat, "merkle_shape")
	bad("child-kind", "an internal node where a leaf is due", under(short, listInternal(1, h("a"), h("b"))), "merkle_shape")
	bad("child-kind", "a leaf of the other tree", under(short, node(1, 3, rawM(rawF(1, rawU(4)), rawF(2, rawL(rawM(rawF(1, rawH(h("a"))), rawF(2, rawU(4))))), rawF(3, rawU(4))))), "merkle_kind")
	bad("child-kind", "an unknown kind", under(short, node(1, 7, one)), "merkle_kind")
	bad("child-version", "version 2 below the root", under(short, node(2, 1, rawM(rawF(1, rawHs([]cid.Hash{h("a")}))))), "merkle_version")
	bad("child-unknown-field", "a leaf with a field more", under(short, node(1, 1, rawM(rawF(1, rawHs([]cid.Hash{h("a")})), rawF(2, rawU(1))))), "merkle_shape")
	bad("child-group-of-one", "the last group of one was not passed up", under(1<<20+1, listInternal(1, cid.Sum(one)), one), "merkle_shape")
	bad("child-group-of-one", "nor was one of 1024 values", under(1<<20+1024, listInternal(1024, h("full")), one), "merkle_shape")
	fanout := chain{[][]byte{listInternal(1025, h("beside 0"), h("beside 1"), cid.Sum(one)), one}, []uint64{2, 0}}
	bad("child-fanout", "leaves of 512, 512 and 1", fanout, "merkle_shape")
	early := chain{[][]byte{listInternal(1026, cid.Sum(one), h("beside 1")), one}, []uint64{0, 0}}
	bad("child-fanout", "the first leaf is the one that is not full", early, "merkle_shape")
}

// listRanges are range proofs that hold.
func listRanges(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §5.2"
	span := func(what, doc string, root cid.Hash, proof any, first, n uint64, values []cid.Hash, flags ...string) {
		s.valid(what, "merkle.range", doc, in{"root": root, "proof": proof},
			out{"values": values, "first": dec(first), "count": dec(n)}, flags...)
	}
	leaf := spine(4, 0)
	all := []cid.Hash{h("value 0"), h("value 1"), h("value 2"), h("value 3")}
	for _, c := range []struct{ first, count uint64 }{{0, 4}, {0, 1}, {1, 2}, {3, 1}, {0, 3}} {
		span("range-leaf", fmt.Sprintf("%d values from %d on, of 4", c.count, c.first), leaf.root(),
			ranged(c.first, c.count, leaf.nodes[0]), c.first, 4, all[c.first:c.first+c.count])
	}
	for _, n := range []uint64{1025, 1<<20 + 1, 1<<20 + 1025, 1<<30 + 1<<20 + 1025} {
		w := spine(n, n-1)
		span("range-last", fmt.Sprintf("the last of %d values", n), w.root(), ranged(n-1, 1, w.nodes...), n-1, n, all[:1], "boundary")
	}
	values := listValues(1026, "mythos")
	t := newTree(values)
	a, b := listLeaf(values[:1024]...), listLeaf(values[1024:]...)
	for _, c := range []struct{ first, count uint64 }{{1023, 2}, {0, 1026}, {1022, 3}, {0, 1024}} {
		nodes := [][]byte{t.nodes[t.root], a}
		if c.first+c.count > 1024 {
			nodes = append(nodes, b)
		}
		span("range-leaves", fmt.Sprintf("%d values from %d on, of 1026", c.count, c.first), t.root,
			s.p.file("proof", ranged(c.first, c.count, nodes...)), c.first, 1026, values[c.first:c.first+c.count], "boundary", "large")
	}
	span("range-leaves", "the two values of the second leaf", t.root, ranged(1024, 2, t.nodes[t.root], b), 1024, 1026, values[1024:], "boundary")
}

// rangesRefused are range proofs that do not hold.
func rangesRefused(s *suite) {
	bad := func(what, doc string, root cid.Hash, proof any, code string, flags ...string) {
		s.invalid(what, "merkle.range", doc, in{"root": root, "proof": proof}, code, flags...)
	}
	leaf := spine(4, 0)
	root, one := leaf.root(), leaf.nodes[0]
	for _, c := range []struct{ first, count uint64 }{{4, 1}, {0, 5}, {3, 2}, {0, 0}, {4, 0}, {5, 0}, {1<<64 - 1, 2}, {1, 1<<64 - 1}, {1 << 63, 1 << 63}} {
		bad("range-outside", fmt.Sprintf("%d values from %d on, of 4", c.count, c.first), root, ranged(c.first, c.count, one), "merkle_range", "boundary")
	}
	n := uint64(1<<20 + 1025)
	w := spine(n, n-1)
	nodes := func(i ...int) [][]byte {
		var picked [][]byte
		for _, k := range i {
			picked = append(picked, w.nodes[k])
		}
		return picked
	}
	for _, c := range []struct {
		what, doc string
		nodes     []int
		code      string
	}{
		{"range-dropped", "no nodes", nil, "merkle_proof"},
		{"range-dropped", "the root alone", []int{0}, "merkle_proof"},
		{"range-dropped", "no leaf", []int{0, 1}, "merkle_proof"},
		{"range-dropped", "no root", []int{1, 2}, "merkle_hash"},
		{"range-dropped", "no second node", []int{0, 2}, "merkle_hash"},
		{"range-extended", "the leaf twice", []int{0, 1, 2, 2}, "merkle_proof"},
		{"range-extended", "the root again at the end", []int{0, 1, 2, 0}, "merkle_proof"},
		{"range-extended", "the root twice", []int{0, 0, 1, 2}, "merkle_hash"},
		{"range-extended", "the second node twice", []int{0, 1, 1, 2}, "merkle_hash"},
		{"range-reordered", "the leaf before its parent", []int{0, 2, 1}, "merkle_hash"},
		{"range-reordered", "from the leaf up", []int{2, 1, 0}, "merkle_hash"},
		{"range-reordered", "the second node first", []int{1, 0, 2}, "merkle_hash"},
	} {
		bad(c.what, c.doc, w.root(), ranged(n-1, 1, nodes(c.nodes...)...), c.code, "proof-form")
	}
	bad("range-position", "the proof of the last value, said to be of the one before", w.root(), ranged(n-2, 1, w.nodes...), "merkle_hash")
	bad("range-position", "the proof of the last value, said to be of the first", w.root(), ranged(0, 1, w.nodes...), "merkle_hash")
	bad("range-position", "the proof of one value, said to be of two", w.root(), ranged(n-2, 2, w.nodes...), "merkle_hash")
	bad("range-root", "another root", h("root"), ranged(n-1, 1, w.nodes...), "merkle_hash")
	bad("range-leaf-swapped", "a leaf of another list", w.root(), ranged(n-1, 1, w.nodes[0], w.nodes[1], listLeaf(h("stolen"))), "merkle_hash")
	lie := under(1<<20+1, listLeaf(h("a"), h("b")))
	bad("range-shape", "a leaf of two values where one is left", lie.root(), ranged(1<<20, 1, lie.nodes...), "merkle_shape", "shape")
	rangeLeaves(s, bad)
	rangeForm(s, root, one)
}

// rangeLeaves changes a proof with two leaves.
func rangeLeaves(s *suite, bad func(what, doc string, root cid.Hash, proof any, code string, flags ...string)) {
	values := listValues(1026, "mythos")
	t := newTree(values)
	top, a, b := t.nodes[t.root], listLeaf(values[:1024]...), listLeaf(values[1024:]...)
	bad("range-leaves-reordered", "the second leaf before the first", t.root, s.p.file("proof", ranged(1023, 2, top, b, a)), "merkle_hash", "large")
	bad("range-leaves-dropped", "the first leaf is not there", t.root, ranged(1023, 2, top, b), "merkle_hash")
	bad("range-leaves-dropped", "the second leaf is not there", t.root, s.p.file("proof", ranged(1023, 2, top, a)), "merkle_proof", "large")
	bad("range-leaves-extended", "a leaf that the range does not need", t.root, s.p.file("proof", ranged(1022, 2, top, a, b)), "merkle_proof", "large")
}

// rangeForm changes the proof's own struct.
func rangeForm(s *suite, root cid.Hash, leaf []byte) {
	schema, nodes := rawF(1, rawT("mythos.merkle.range")), rawF(4, rawL(rawB(leaf)))
	form := func(what, doc, code string, fields ...[]byte) {
		s.invalid(what, "merkle.range", doc, in{"root": root, "proof": rawM(fields...)}, code)
	}
	form("range-schema", "the schema of an inclusion proof", "schema_mismatch", rawF(1, rawT("mythos.merkle.proof")), rawF(2, rawU(0)), rawF(3, rawU(1)), nodes)
	form("range-schema", "no schema", "can_missing", rawF(2, rawU(0)), rawF(3, rawU(1)), nodes)
	form("range-field", "a field that a closed struct does not have", "can_unknown_field", schema, rawF(2, rawU(0)), rawF(3, rawU(1)), nodes, rawF(5, rawU(0)))
	form("range-field", "no count", "can_missing", schema, rawF(2, rawU(0)), nodes)
	form("range-field", "no first", "can_missing", schema, rawF(3, rawU(1)), nodes)
	form("range-field", "no nodes", "can_missing", schema, rawF(2, rawU(0)), rawF(3, rawU(1)))
	form("range-field", "a node that is no BYTES", "can_type", schema, rawF(2, rawU(0)), rawF(3, rawU(1)), rawF(4, rawL(leaf)))
	form("range-field", "first as an IVARINT", "can_type", schema, rawF(2, []byte{4, 0}), rawF(3, rawU(1)), nodes)
	inclusion := chain{[][]byte{leaf}, []uint64{0}}
	s.invalid("range-kind", "merkle.range", "an inclusion proof where a range proof is due", in{"root": root, "proof": inclusion.proof()}, "schema_mismatch")
	s.invalid("range-kind", "merkle.verify", "a range proof where an inclusion proof is due", in{"root": root, "proof": ranged(0, 1, leaf)}, "schema_mismatch")
	raw := ranged(0, 1, leaf)
	s.invalidAt("range-trailing", "merkle.range", "a byte after the proof", in{"root": root, "proof": join(raw, []byte{0})}, "can_trailing", len(raw))
	s.invalid("range-truncated", "merkle.range", "the last byte is not there", in{"root": root, "proof": raw[:len(raw)-1]}, "can_bounds")
	s.invalid("range-truncated", "merkle.range", "no byte at all", in{"root": root, "proof": []byte{}}, "can_truncated")
}
