package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Canonical bytes by hand: what the product's encoders would never write.

func rawU(v uint64) []byte   { return canon.AppendUint(nil, v) }
func rawB(b []byte) []byte   { return canon.AppendBytes(nil, b) }
func rawT(s string) []byte   { return canon.AppendText(nil, s) }
func rawH(h cid.Hash) []byte { return h.AppendCAN(nil) }

func rawL(items ...[]byte) []byte { return join(canon.AppendList(nil, len(items)), join(items...)) }

// rawM is a struct of fields, each made by rawF.
func rawM(fields ...[]byte) []byte { return join(canon.AppendMap(nil, len(fields)), join(fields...)) }

func rawF(num uint8, value []byte) []byte { return join(canon.AppendField(nil, num), value) }

// rawHs is a LIST of hashes.
func rawHs(hashes []cid.Hash) []byte {
	var items [][]byte
	for _, h := range hashes {
		items = append(items, rawH(h))
	}
	return rawL(items...)
}

// h is the SHA-256 of a text: a hash that has nothing to do with anything else.
func h(text string) cid.Hash { return cid.Sum([]byte(text)) }

// dec is a u64 in an input or output.
func dec(n uint64) string { return fmt.Sprint(n) }

// listValues are the values of a list formula.
func listValues(count uint64, seed string) []cid.Hash {
	var out []cid.Hash
	for i := range count {
		out = append(out, cid.Sum(binary.BigEndian.AppendUint64([]byte(seed), i)))
	}
	return out
}

// node is a MerkleNode as it is.
func node(version, kind uint64, payload []byte) []byte {
	return rawM(rawF(1, rawU(version)), rawF(2, rawU(kind)), rawF(3, rawB(payload)))
}

func listLeaf(values ...cid.Hash) []byte { return node(1, 1, rawM(rawF(1, rawHs(values)))) }

func listInternal(count uint64, children ...cid.Hash) []byte {
	return node(1, 2, rawM(rawF(1, rawHs(children)), rawF(2, rawU(count))))
}

// chain is an inclusion proof in parts, from the root down.
type chain struct {
	nodes [][]byte
	at    []uint64
}

func (c chain) root() cid.Hash { return cid.Sum(c.nodes[0]) }

func (c chain) clone() chain { return chain{slices.Clone(c.nodes), slices.Clone(c.at)} }

// proof is the MerkleProof.
func (c chain) proof() []byte {
	last := len(c.nodes) - 1
	var parents [][]byte
	for i := last - 1; i >= 0; i-- {
		parents = append(parents, rawM(rawF(1, rawB(c.nodes[i])), rawF(2, rawU(c.at[i]))))
	}
	fields := [][]byte{rawF(1, rawT("mythos.merkle.proof")), rawF(2, rawB(c.nodes[last])), rawF(3, rawU(c.at[last]))}
	if len(parents) > 0 {
		fields = append(fields, rawF(4, rawL(parents...)))
	}
	return rawM(fields...)
}

// ranged is the MerkleRangeProof of the chain's nodes.
func ranged(first, count uint64, nodes ...[]byte) []byte {
	var items [][]byte
	for _, n := range nodes {
		items = append(items, rawB(n))
	}
	return rawM(rawF(1, rawT("mythos.merkle.range")), rawF(2, rawU(first)), rawF(3, rawU(count)), rawF(4, rawL(items...)))
}

// width is how many items stand under each child but the last of a node over n.
func width(n uint64) uint64 {
	w := uint64(1)
	for w*1024 < n {
		w *= 1024
	}
	return w
}

// spine is the way to item i of a list of n values, of which value j is
// h("value j"). What stands beside the way is no tree: a proof cannot show it.
func spine(n, i uint64) chain {
	if n <= 1024 {
		var values []cid.Hash
		for j := range n {
			values = append(values, h(fmt.Sprint("value ", j)))
		}
		return chain{[][]byte{listLeaf(values...)}, []uint64{i}}
	}
	w := width(n)
	at, count := i/w, (n+w-1)/w
	below := spine(min(w, n-at*w), i%w)
	var children []cid.Hash
	for j := range count {
		children = append(children, h(fmt.Sprint("beside ", j)))
	}
	children[at] = below.root()
	return chain{append([][]byte{listInternal(n, children...)}, below.nodes...), append([]uint64{at}, below.at...)}
}

// tree is a list with all its nodes.
type tree struct {
	root  cid.Hash
	nodes map[cid.Hash][]byte
}

func newTree(values []cid.Hash) tree {
	t := tree{nodes: map[cid.Hash][]byte{}}
	b := merkle.NewBuilder(func(id cid.Hash, raw []byte) error {
		t.nodes[id] = slices.Clone(raw)
		return nil
	})
	for _, v := range values {
		if err := b.Add(v); err != nil {
			panic(err) // put never fails
		}
	}
	root, err := b.Root()
	if err != nil {
		panic(err)
	}
	t.root = *root
	return t
}

func merkleSuite(p *pack) {
	s := p.suite("merkle", "RFC-MYTHOS-0004", "Roots of lists, inclusion proofs and range proofs, and the nodes that no list has.")
	s.flag("boundary", "a number at which the shape of a tree changes, or the last one that is allowed")
	s.flag("large", "a long input or computation")
	s.flag("shape", "every hash matches, but the tree is not the one that its number of items has")
	s.flag("proof-form", "a proof has one form: no part more or less, none elsewhere")
	listRoots(s)
	listProofs(s)
	proofSteps(s)
	proofForm(s)
	nodeForm(s)
	nodeShape(s)
	childShape(s)
	listRanges(s)
	rangesRefused(s)
}

// listRoots are roots: those that the specification prints, then those around
// the sizes at which shapes change.
func listRoots(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §2"
	three := []cid.Hash{cid.Sum([]byte{0}), cid.Sum([]byte{1}), cid.Sum([]byte{2})}
	s.valid("root-values", "merkle.root", "the worked example: three values", in{"values": three},
		out{"root": "sha256:3a150c58e6015019576c40e117423658f0cf01f8c3ad524dd8866a73b9b7edd5", "nodes": 1})
	slices.Reverse(three)
	s.computed("root-values", "merkle.root", "the same three values in another order", in{"values": three})
	s.computed("root-values", "merkle.root", "one value three times", in{"values": []cid.Hash{three[0], three[0], three[0]}})
	formula := func(count uint64, seed string) in {
		return in{"formula": in{"count": dec(count), "seed": []byte(seed)}}
	}
	s.valid("root-formula", "merkle.root", "the empty list has no node", formula(0, ""), out{"nodes": 0}, "boundary")
	for _, c := range []struct {
		count uint64
		root  string
		nodes int
	}{
		{1, "f7926cff799fef6f5dec319c054cc36fb708e5fdbd2cec40b30859590e89405b", 1},
		{1024, "399ec11bf5e45f2184ffb0d6d2f65c2dabe13fb77cd60e0ef804b1ee789ccd3e", 1},
		{1025, "0886d928f93585d7c4bd1085caaf01a1c24273bcee1d1eebcd1366bd6dd68dc9", 3},
		{2048, "e3cdf4e4270b88cbccc1af54701f31322975cc35b36ceb023cdcf02b88256dc5", 3},
		{1048577, "43bb00f6df9cbd328ce04a325b47e9d519d397aeb235c6ee41f506060265297f", 1027},
	} {
		s.valid("root-formula", "merkle.root", fmt.Sprintf("%d values, printed in the specification", c.count),
			formula(c.count, ""), out{"root": "sha256:" + c.root, "nodes": c.nodes}, "boundary")
	}
	for _, n := range []uint64{2, 1023, 1026, 2047, 2049, 3072} {
		s.computed("root-formula", "merkle.root", fmt.Sprintf("%d values with a seed", n), formula(n, "mythos"), "boundary")
	}
}

// included adds a proof that holds.
func included(s *suite, what, doc string, c chain, proof any, value cid.Hash, index, count uint64, flags ...string) {
	s.valid(what, "merkle.verify", doc, in{"root": c.root(), "proof": proof},
		out{"value": value, "index": dec(index), "count": dec(count)}, flags...)
}

// listProofs are inclusion proofs that hold.
func listProofs(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §5.1"
	for _, c := range []struct{ n, i uint64 }{{1, 0}, {2, 0}, {2, 1}, {3, 0}, {3, 1}, {3, 2}, {16, 15}} {
		w := spine(c.n, c.i)
		included(s, "proof-leaf", fmt.Sprintf("value %d of %d: the leaf is the root", c.i, c.n), w, w.proof(), h(fmt.Sprint("value ", c.i)), c.i, c.n)
	}
	for _, n := range []uint64{
		1025, 2049, 1 << 20, 1<<20 + 1, 1<<20 + 1024, 1<<20 + 1025, 1<<21 + 1, 1<<30 + 1, 1<<30 + 1025,
		1<<30 + 1<<20 + 1, 1<<30 + 1<<20 + 1025,
	} {
		w := spine(n, n-1)
		proof, value, flags := any(w.proof()), h("value 0"), []string{"boundary"}
		if len(w.proof()) > 4096 {
			proof, value, flags = s.p.file("proof", w.proof()), h("value 1023"), append(flags, "large")
		}
		included(s, "proof-last", fmt.Sprintf("the last of %d values, %d nodes from the root", n, len(w.nodes)), w, proof, value, n-1, n, flags...)
	}
	for _, c := range []struct{ n, i uint64 }{{1024, 1023}, {1025, 0}, {1025, 1023}, {2049, 1024}, {1 << 40, 1<<40 - 1}} {
		w := spine(c.n, c.i)
		included(s, "proof-long", fmt.Sprintf("value %d of %d", c.i, c.n), w, s.p.file("proof", w.proof()),
			h(fmt.Sprint("value ", c.i%1024)), c.i, c.n, "boundary", "large")
	}
	t := newTree(listValues(1025, ""))
	w := chain{[][]byte{t.nodes[t.root], listLeaf(listValues(1025, "")[1024])}, []uint64{1, 0}}
	included(s, "proof-example", "the worked example: value 1024 of 1025, 218 bytes", w, w.proof(), listValues(1025, "")[1024], 1024, 1025)
	x := spine(3, 0)
	x.at[0] = 2
	included(s, "proof-position", "another position proves another value", x, x.proof(), h("value 2"), 2, 3)
}

// refusedProof adds a proof that does not hold.
func refusedProof(s *suite, what, doc string, root cid.Hash, proof any, code string, flags ...string) {
	s.invalid(what, "merkle.verify", doc, in{"root": root, "proof": proof}, code, flags...)
}

// proofSteps change the steps of a proof; every node is one of a good tree.
func proofSteps(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §5.1"
	good := spine(1<<30+1<<20+1025, 1<<30+1<<20+1024)
	root := good.root()
	cut := func(i int) chain {
		return chain{slices.Delete(slices.Clone(good.nodes), i, i+1), slices.Delete(slices.Clone(good.at), i, i+1)}
	}
	names := []string{"the root", "the second node", "the third node", "the leaf"}
	for i, code := range []string{"merkle_hash", "merkle_hash", "merkle_hash", "merkle_proof"} {
		refusedProof(s, "step-dropped", names[i]+" is not there", root, cut(i).proof(), code, "proof-form")
	}
	alone := chain{good.nodes[3:], good.at[3:]}
	refusedProof(s, "step-dropped", "the leaf alone", root, alone.proof(), "merkle_hash", "proof-form")
	first := chain{good.nodes[:1], good.at[:1]}
	refusedProof(s, "step-dropped", "the root alone, in the place of the leaf", root, first.proof(), "merkle_proof", "proof-form")

	short := spine(1<<20+1025, 1<<20+1024)
	for i := range short.nodes {
		c := chain{slices.Insert(slices.Clone(short.nodes), i, short.nodes[i]), slices.Insert(slices.Clone(short.at), i, short.at[i])}
		code := "merkle_hash"
		if i == 2 {
			code = "merkle_proof" // the first of the two is a leaf, and more follows
		}
		refusedProof(s, "step-doubled", fmt.Sprintf("node %d stands twice", i), short.root(), c.proof(), code, "proof-form")
	}
	inner := listLeaf(h("hidden"))
	outer := chain{[][]byte{listLeaf(cid.Sum(inner)), inner}, []uint64{0, 0}}
	refusedProof(s, "step-below", "a value is the cid of a node: the tree ends at the leaf all the same", outer.root(), outer.proof(), "merkle_proof", "proof-form")
	five := chain{append([][]byte{short.nodes[0], short.nodes[0]}, short.nodes...), append([]uint64{1, 1}, short.at...)}
	refusedProof(s, "step-many", "four parents, three are the most", root, five.proof(), "merkle_proof", "proof-form", "boundary")
	refusedProof(s, "proof-oversize", "262,401 bytes, one more than a proof may have", root, s.p.file("proof", make([]byte, 262401)), "merkle_proof", "large", "boundary")

	for _, swap := range [][2]int{{0, 1}, {1, 2}, {2, 3}, {0, 3}, {0, 2}} {
		c := good.clone()
		i, j := swap[0], swap[1]
		c.nodes[i], c.nodes[j], c.at[i], c.at[j] = c.nodes[j], c.nodes[i], c.at[j], c.at[i]
		code := "merkle_hash"
		refusedProof(s, "step-swapped", names[i]+" and "+names[j]+" have changed places", root, c.proof(), code, "proof-form")
	}
	for i := range good.nodes {
		c := good.clone()
		c.at[i] = 2
		if i == 3 {
			c.at[i] = 1
		}
		refusedProof(s, "position-outside", fmt.Sprintf("position %d at %s, which has fewer", c.at[i], names[i]), root, c.proof(), "merkle_proof")
	}
	for i := range 3 {
		c := good.clone()
		c.at[i] = 0
		refusedProof(s, "position-other", "the position at "+names[i]+" leads to another node", root, c.proof(), "merkle_hash")
	}
	stolen(s, good, names)
}

// stolen are proofs with parts of other trees.
func stolen(s *suite, good chain, names []string) {
	refusedProof(s, "root-other", "the root is that of another list", h("root"), good.proof(), "merkle_hash")
	refusedProof(s, "root-other", "the root is the last value's hash", h("value 0"), good.proof(), "merkle_hash")
	refusedProof(s, "root-other", "the root is that of the child", cid.Sum(good.nodes[1]), good.proof(), "merkle_hash")
	for i := range good.nodes {
		c := good.clone()
		c.nodes[i] = slices.Clone(c.nodes[i])
		at := strings.Index(string(c.nodes[i]), "\x05\x20") + 2 // the first hash
		c.nodes[i][at+31] ^= 1
		refusedProof(s, "node-bit", "one bit of a hash in "+names[i]+" is another", good.root(), c.proof(), "merkle_hash")
	}
	c := good.clone()
	c.nodes[3] = listLeaf(h("stolen"))
	refusedProof(s, "leaf-swapped", "the leaf of another list with as many values", good.root(), c.proof(), "merkle_hash")
	c.nodes[3] = listLeaf()
	refusedProof(s, "leaf-swapped", "a leaf without values", good.root(), c.proof(), "merkle_hash")
}

// proofForm changes the proof's own struct.
func proofForm(s *suite) {
	good := spine(1<<20+1, 1<<20)
	root, raw := good.root(), good.proof()
	leaf, top := good.nodes[1], rawM(rawF(1, rawB(good.nodes[0])), rawF(2, rawU(1)))
	schema := rawF(1, rawT("mythos.merkle.proof"))
	form := func(what, doc, code string, fields ...[]byte) {
		refusedProof(s, what, doc, root, rawM(fields...), code)
	}
	at := func(cut int, code string, offset int) {
		s.invalidAt("proof-truncated", "merkle.verify", fmt.Sprintf("the first %d of %d bytes", cut, len(raw)),
			in{"root": root, "proof": raw[:cut]}, code, offset)
	}
	at(0, "can_truncated", 0)
	at(1, "can_truncated", 0)
	at(2, "can_bounds", 0)
	at(10, "can_bounds", 4)
	at(40, "can_bounds", 27)
	at(len(raw)-1, "can_truncated", len(raw)-2)
	at(len(raw)-2, "can_truncated", len(raw)-2)
	s.invalidAt("proof-trailing", "merkle.verify", "a byte after the proof", in{"root": root, "proof": join(raw, []byte{0})}, "can_trailing", len(raw))
	form("proof-schema", "the schema of a range proof", "schema_mismatch", rawF(1, rawT("mythos.merkle.range")), rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(top)))
	form("proof-schema", "the empty schema", "schema_mismatch", rawF(1, rawT("")), rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(top)))
	form("proof-schema", "no schema", "can_missing", rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(top)))
	form("proof-field", "a field that a closed struct does not have", "can_unknown_field", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(top)), rawF(5, rawU(0)))
	form("proof-field", "no leaf", "can_missing", schema, rawF(3, rawU(0)), rawF(4, rawL(top)))
	form("proof-field", "no position", "can_missing", schema, rawF(2, rawB(leaf)), rawF(4, rawL(top)))
	form("proof-field", "parents that are there and empty", "can_empty", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL()))
	form("proof-field", "the leaf as TEXT", "can_type", schema, rawF(2, rawT("leaf")), rawF(3, rawU(0)), rawF(4, rawL(top)))
	form("proof-field", "parents before the position", "can_missing", schema, rawF(2, rawB(leaf)), rawF(4, rawL(top)), rawF(3, rawU(0)))
	form("proof-field", "the position again at the end", "can_key_order", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(top)), rawF(3, rawU(0)))
	form("proof-field", "the position twice", "can_key_duplicate", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(3, rawU(0)))
	form("proof-position", "a position of 65,536", "can_range", schema, rawF(2, rawB(leaf)), rawF(3, rawU(65536)), rawF(4, rawL(top)))
	form("proof-position", "a parent's position of 65,536", "can_range", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(rawM(rawF(1, rawB(good.nodes[0])), rawF(2, rawU(65536))))))
	form("proof-step", "a step with a field more", "can_unknown_field", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(rawM(rawF(1, rawB(good.nodes[0])), rawF(2, rawU(1)), rawF(3, rawU(0))))))
	form("proof-step", "a step without its position", "can_missing", schema, rawF(2, rawB(leaf)), rawF(3, rawU(0)), rawF(4, rawL(rawM(rawF(1, rawB(good.nodes[0]))))))
}
