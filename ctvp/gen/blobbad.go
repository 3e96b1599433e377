package main

import (
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// refusedChunk adds a proof of a chunk that does not hold.
func refusedChunk(s *suite, what, doc string, root cid.Hash, proof any, code string, flags ...string) {
	s.invalid(what, "blob.verify", doc, in{"root": root, "proof": proof}, code, flags...)
}

// blobSteps change the steps of a proof; every node is one of a good tree.
func blobSteps(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §5.1"
	good := chunkSpine(4*(1<<20+1025), 4, 1<<20+1024)
	root := good.root()
	names := []string{"the root", "the second node", "the leaf"}
	for i, code := range []string{"merkle_hash", "merkle_hash", "merkle_proof"} {
		c := chain{slices.Delete(slices.Clone(good.nodes), i, i+1), slices.Delete(slices.Clone(good.at), i, i+1)}
		refusedChunk(s, "step-dropped", names[i]+" is not there", root, c.proof(), code, "proof-form")
		d := chain{slices.Insert(slices.Clone(good.nodes), i, good.nodes[i]), slices.Insert(slices.Clone(good.at), i, good.at[i])}
		code = "merkle_hash"
		if i == 2 {
			code = "merkle_proof"
		}
		refusedChunk(s, "step-doubled", names[i]+" stands twice", root, d.proof(), code, "proof-form")
		e := good.clone()
		e.at[i] = 2 - uint64(i/2)
		refusedChunk(s, "position-outside", fmt.Sprintf("position %d at %s, which has fewer", e.at[i], names[i]), root, e.proof(), "merkle_proof")
	}
	for _, swap := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
		c := good.clone()
		c.nodes[swap[0]], c.nodes[swap[1]] = c.nodes[swap[1]], c.nodes[swap[0]]
		refusedChunk(s, "step-swapped", names[swap[0]]+" and "+names[swap[1]]+" have changed places", root, c.proof(), "merkle_hash", "proof-form")
	}
	for i := range 2 {
		c := good.clone()
		c.at[i] = 0
		refusedChunk(s, "position-other", "the position at "+names[i]+" leads to another node", root, c.proof(), "merkle_hash")
	}
	c := good.clone()
	c.nodes[2] = chunkLeaf(4, 4, chunk{h("stolen"), 4})
	refusedChunk(s, "leaf-swapped", "the leaf of another blob with as many bytes", root, c.proof(), "merkle_hash")
	refusedChunk(s, "root-other", "another root", h("root"), good.proof(), "merkle_hash")
	refusedChunk(s, "root-other", "the SHA-256 of a chunk's bytes", cid.Sum(spineBytes(4)), good.proof(), "merkle_hash")
	raw := good.proof()
	refusedChunk(s, "proof-truncated", "the last byte is not there", root, raw[:len(raw)-1], "can_truncated")
	refusedChunk(s, "proof-truncated", "the first half", root, raw[:len(raw)/2], "can_bounds")
	refusedChunk(s, "proof-trailing", "a byte after the proof", root, join(raw, []byte{0}), "can_trailing")
	list := spine(1025, 1024)
	refusedChunk(s, "other-tree", "the proof of a list", list.root(), list.proof(), "merkle_kind")
	s.invalid("other-tree", "merkle.verify", "the proof of a chunked blob, as that of a list", in{"root": root, "proof": raw}, "merkle_kind")
	mixed := chain{[][]byte{chunkInternal(1, 1025, 1025, h("beside"), cid.Sum(listLeaf(h("a")))), listLeaf(h("a"))}, []uint64{1, 0}}
	refusedChunk(s, "other-tree", "the leaf of a list below the root of a blob", mixed.root(), mixed.proof(), "merkle_kind")
}

// blobNodes are roots that no blob has, and nodes below them.
func blobNodes(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §4"
	bad := func(what, doc, code string, nodes ...[]byte) {
		c := chain{nodes, make([]uint64, len(nodes))}
		for i := range len(nodes) - 1 {
			c.at[i] = 1
		}
		proof, flags := any(c.proof()), []string{"shape"}
		if len(c.proof()) > 4096 {
			proof, flags = s.p.file("proof", c.proof()), append(flags, "large")
		}
		refusedChunk(s, what, doc, c.root(), proof, code, flags...)
	}
	a, b := chunk{h("a"), 4}, chunk{h("b"), 4}
	last := chunk{h("b"), 2}
	bad("leaf-length", "the first chunk is short", "merkle_shape", chunkLeaf(4, 6, chunk{h("a"), 2}, b))
	bad("leaf-length", "the last chunk is longer than the rest of total_size", "merkle_shape", chunkLeaf(4, 6, a, b))
	bad("leaf-length", "the last chunk is shorter than the rest of total_size", "merkle_shape", chunkLeaf(4, 6, a, chunk{h("b"), 1}))
	bad("leaf-length", "a chunk of no bytes", "merkle_shape", chunkLeaf(4, 6, a, chunk{h("b"), 0}))
	bad("leaf-length", "a chunk longer than chunk_size", "merkle_shape", chunkLeaf(4, 7, a, chunk{h("b"), 5}))
	bad("leaf-length", "a single chunk whose len is not total_size", "merkle_shape", chunkLeaf(4, 3, a))
	bad("leaf-length", "a middle chunk is short", "merkle_shape", chunkLeaf(4, 10, a, chunk{h("x"), 3}, last))
	bad("leaf-total", "total_size 0", "merkle_shape", chunkLeaf(4, 0, a))
	bad("leaf-total", "total_size 0 and no chunks", "merkle_shape", chunkLeaf(4, 0))
	bad("leaf-total", "no chunks", "merkle_shape", chunkLeaf(4, 6))
	bad("leaf-total", "total_size for one chunk more", "merkle_shape", chunkLeaf(4, 9, a, b))
	bad("leaf-total", "total_size for one chunk less", "merkle_shape", chunkLeaf(4, 4, a, b))
	bad("leaf-total", "total_size 2^64-1", "merkle_shape", chunkLeaf(4, 1<<64-1, a, b))
	chunkSizes(bad, a, b, last)
	blobChildren(bad)
	blobNodeForms(bad, a)
}

// chunkSizes are chunk sizes and fanouts that are wrong.
func chunkSizes(bad func(what, doc, code string, nodes ...[]byte), a, b, last chunk) {
	bad("chunk-size", "chunk_size 0", "merkle_shape", chunkLeaf(0, 6, a, last))
	bad("chunk-size", "chunk_size 0 and nothing", "merkle_shape", chunkLeaf(0, 0))
	bad("chunk-size", "chunk_size 2^32", "can_range", chunkLeaf(1<<32, 6, chunk{h("a"), 6}))
	bad("chunk-size", "chunk_size 3 for chunks of 4", "merkle_shape", chunkLeaf(3, 6, a, last))
	bad("chunk-size", "chunk_size 6 for chunks of 4", "merkle_shape", chunkLeaf(6, 8, a, b))
	bad("chunk-len", "a len of 2^32", "can_range", chunkLeaf(4, 6, a, chunk{h("b"), 1 << 32}))
	var many []chunk
	for i := range 1025 {
		many = append(many, chunk{h(fmt.Sprint(i)), 1})
	}
	bad("node-fanout", "a leaf of 1025 chunks", "merkle_shape", chunkLeaf(1, 1025, many...))
	var children []cid.Hash
	for _, c := range many {
		children = append(children, c.hash)
	}
	bad("node-fanout", "1025 children", "merkle_shape", chunkInternal(1, 1<<20+1024, 1<<20+1024, children...))
}

// blobNodeForms are nodes that do not decode, or not to what they are.
func blobNodeForms(bad func(what, doc, code string, nodes ...[]byte), a chunk) {
	children := []cid.Hash{h("0"), h("1")}
	extra := rawM(rawF(1, rawU(4)), rawF(2, rawL(rawM(rawF(1, rawH(a.hash)), rawF(2, rawU(4))))), rawF(3, rawU(4)), rawF(4, rawU(1)))
	bad("node-unknown-field", "field 4 of a leaf", "merkle_shape", node(1, 3, extra))
	field := rawM(rawF(1, rawU(4)), rawF(2, rawL(rawM(rawF(1, rawH(a.hash)), rawF(2, rawU(4)), rawF(3, rawU(0))))), rawF(3, rawU(4)))
	bad("node-unknown-field", "field 3 of a chunk", "merkle_shape", node(1, 3, field))
	bad("node-unknown-field", "field 5 of an internal node", "merkle_shape",
		node(1, 4, rawM(rawF(1, rawU(1)), rawF(2, rawHs(children)), rawF(3, rawU(1025)), rawF(4, rawU(1025)), rawF(5, rawU(0)))))
	leaf := rawM(rawF(1, rawU(4)), rawF(2, rawL(rawM(rawF(1, rawH(a.hash)), rawF(2, rawU(4))))), rawF(3, rawU(4)))
	bad("node-kind", "the payload of a leaf as kind 4", "can_type", node(1, 4, leaf))
	bad("node-kind", "the payload of a leaf as kind 1", "merkle_kind", node(1, 1, rawM(rawF(1, rawHs(children[:1])))))
	bad("node-kind", "the payload of a leaf as kind 5", "merkle_kind", node(1, 5, leaf))
	bad("node-version", "version 2", "merkle_version", node(2, 3, leaf))
	bad("node-version", "version 0", "merkle_version", node(0, 3, leaf))
	bad("node-encoding", "a leaf without total_size", "can_missing", node(1, 3, rawM(rawF(1, rawU(4)), rawF(2, rawL()))))
	bad("node-encoding", "an internal node without chunk_count", "can_missing", node(1, 4, rawM(rawF(1, rawU(1)), rawF(2, rawHs(children)), rawF(3, rawU(1025)))))
	bad("node-encoding", "a chunk without len", "can_missing", node(1, 3, rawM(rawF(1, rawU(4)), rawF(2, rawL(rawM(rawF(1, rawH(a.hash))))), rawF(3, rawU(4)))))
	bad("node-encoding", "a byte after the payload's value", "can_trailing", node(1, 3, join(leaf, []byte{0})))
}

// blobChildren are internal nodes and what stands under them.
func blobChildren(bad func(what, doc, code string, nodes ...[]byte)) {
	two := []cid.Hash{h("0"), h("1")}
	bad("root-count", "chunk_count 0", "merkle_shape", chunkInternal(1, 0, 0, two...))
	bad("root-count", "chunk_count one more than total_size has", "merkle_shape", chunkInternal(1, 1025, 1026, two...))
	bad("root-count", "chunk_count one less than total_size has", "merkle_shape", chunkInternal(1, 1026, 1025, two...))
	bad("root-count", "1024 chunks are a leaf", "merkle_shape", chunkInternal(1, 1024, 1024, two...))
	bad("root-count", "three children over 1025 chunks", "merkle_shape", chunkInternal(1, 1025, 1025, h("0"), h("1"), h("2")))
	bad("root-count", "one child over 1025 chunks", "merkle_shape", chunkInternal(1, 1025, 1025, h("0")))
	bad("root-count", "one child over one chunk", "merkle_shape", chunkInternal(1, 1, 1, h("0")))
	bad("root-size", "2^40+1 bytes", "merkle_shape", chunkInternal(1<<30, 1<<40+1, 1025, two...))
	bad("root-size", "2^64-1 bytes in 2^32-1 chunks", "merkle_shape", chunkInternal(1<<32-1, 1<<64-1, 1<<32+1, two...))
	bad("root-size", "chunk_size 0", "merkle_shape", chunkInternal(0, 1025, 1025, two...))
	bad("root-size", "chunk_size 4 with the sizes of chunks of 1", "merkle_shape", chunkInternal(4, 1025, 1025, two...))
	one := func(chunkSize, total, size uint64) []byte { return chunkLeaf(chunkSize, total, chunk{h("c"), size}) }
	under := func(what, doc, code string, chunkSize, total, count uint64, child []byte) {
		bad(what, doc, code, chunkInternal(chunkSize, total, count, h("beside"), cid.Sum(child)), child)
	}
	under("child-size", "the last leaf has another chunk_size", "merkle_shape", 4, 4100, 1025, one(5, 4, 4))
	under("child-size", "the last leaf's total_size is less than what is left", "merkle_shape", 4, 4100, 1025, one(4, 3, 3))
	under("child-size", "the last leaf's total_size is more than what is left", "merkle_shape", 4, 4099, 1025, one(4, 4, 4))
	under("child-size", "the last leaf's chunk is longer than what is left", "merkle_shape", 4, 4099, 1025, one(4, 3, 4))
	under("child-size", "the last leaf has total_size 0", "merkle_shape", 4, 4099, 1025, one(4, 0, 3))
	under("child-size", "the last leaf has a chunk of no bytes", "merkle_shape", 4, 4099, 1025, one(4, 3, 0))
	under("child-count", "the last leaf has two chunks, one is left", "merkle_shape", 4, 4100, 1025, chunkLeaf(4, 4, chunk{h("c"), 4}, chunk{h("d"), 4}))
	under("child-count", "the last leaf has no chunks", "merkle_shape", 4, 4100, 1025, chunkLeaf(4, 4))
	tall := uint64(1<<20 + 1025)
	leaf := one(1, 1, 1)
	for _, c := range []struct {
		doc          string
		total, count uint64
		size         uint64
	}{
		{"says one chunk more", 1025, 1026, 1},
		{"says one byte more", 1026, 1025, 1},
		{"says one byte less", 1024, 1025, 1},
		{"says the whole blob's size", tall, 1025, 1},
		{"says the whole blob's count", 1025, tall, 1},
		{"has another chunk_size", 1025, 1025, 2},
	} {
		mid := chunkInternal(c.size, c.total, c.count, h("beside"), cid.Sum(leaf))
		bad("child-lies", "the second node "+c.doc, "merkle_shape", chunkInternal(1, tall, tall, h("beside"), cid.Sum(mid)), mid, leaf)
	}
	single := chunkInternal(1, 1, 1, cid.Sum(leaf))
	bad("child-group-of-one", "the last group of one was not passed up", "merkle_shape", chunkInternal(1, 1<<20+1, 1<<20+1, h("beside"), cid.Sum(single)), single, leaf)
}

// blobSizes are proofs whose sizes are extreme and right.
func blobSizes(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §7"
	const most = 1<<32 - 1
	sum := h("a chunk that nobody has to show")
	for _, c := range []struct {
		doc           string
		size, last, n uint64
		chunkSize     uint64
	}{
		{"one chunk of 2^32-1 bytes", most, most, 1, most},
		{"a byte in a chunk that could have 2^32-1", 1, 1, 1, most},
	} {
		raw := chunkLeaf(c.chunkSize, c.size, chunk{sum, c.last})
		w := chain{[][]byte{raw}, []uint64{0}}
		s.valid("size-extreme", "blob.verify", c.doc, in{"root": w.root(), "proof": w.proof()},
			out{"chunk": chunk{sum, c.last}.view(), "index": "0", "size": dec(c.size), "chunk_size": c.chunkSize}, "boundary")
	}
	leaf := chunkLeaf(1<<30-1, 1024, chunk{sum, 1024})
	top := chunkInternal(1<<30-1, 1<<40, 1025, h("beside"), cid.Sum(leaf))
	w := chain{[][]byte{top, leaf}, []uint64{1, 0}}
	s.valid("size-extreme", "blob.verify", "2^40 bytes, the most", in{"root": w.root(), "proof": w.proof()},
		out{"chunk": chunk{sum, 1024}.view(), "index": "1024", "size": dec(1 << 40), "chunk_size": 1<<30 - 1}, "boundary")
}

// blobRanges are range proofs.
func blobRanges(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §5.2"
	ten := []byte("abcdefghij")
	chunks := cut(ten, 4)
	leaf := chunkLeaf(4, 10, chunks...)
	root := cid.Sum(leaf)
	ask := func(offset, length uint64, proof []byte) in {
		return in{"root": root, "proof": proof, "offset": dec(offset), "length": dec(length)}
	}
	for _, c := range []struct{ offset, length, first, count uint64 }{
		{0, 10, 0, 3}, {0, 1, 0, 1}, {3, 1, 0, 1}, {3, 2, 0, 2}, {4, 4, 1, 1}, {4, 5, 1, 2}, {8, 2, 2, 1}, {9, 1, 2, 1}, {0, 8, 0, 2}, {0, 9, 0, 3},
	} {
		var views []out
		for _, x := range chunks[c.first : c.first+c.count] {
			views = append(views, x.view())
		}
		s.valid("range", "blob.range", fmt.Sprintf("%d bytes from %d on, of ten in chunks of four", c.length, c.offset),
			ask(c.offset, c.length, ranged(c.first, c.count, leaf)),
			out{"chunks": views, "first": dec(c.first), "size": "10", "chunk_size": 4}, "boundary")
	}
	tall := chunkSpine(1025*4-1, 4, 1024)
	s.valid("range-last", "blob.range", "the last bytes of 1025 chunks",
		in{"root": tall.root(), "proof": ranged(1024, 1, tall.nodes...), "offset": "4097", "length": "2"},
		out{"chunks": []out{spineChunk(3).view()}, "first": "1024", "size": "4099", "chunk_size": 4}, "boundary")
	for _, c := range []struct{ offset, length, first, count uint64 }{
		{0, 0, 0, 1}, {10, 1, 2, 1}, {9, 2, 2, 1}, {0, 11, 0, 3}, {11, 0, 2, 1}, {10, 0, 2, 1}, {1<<64 - 1, 2, 0, 1}, {1, 1<<64 - 1, 0, 3},
	} {
		s.invalid("range-outside", "blob.range", fmt.Sprintf("%d bytes from %d on, of ten", c.length, c.offset),
			ask(c.offset, c.length, ranged(c.first, c.count, leaf)), "blob_range", "boundary")
	}
	for _, c := range []struct{ offset, length, first, count uint64 }{
		{0, 4, 0, 2}, {0, 5, 0, 1}, {4, 4, 0, 1}, {4, 4, 2, 1}, {8, 2, 1, 2}, {3, 2, 1, 1}, {3, 2, 0, 3}, {9, 1, 0, 1},
	} {
		s.invalid("range-other", "blob.range", fmt.Sprintf("%d chunks from %d on, for %d bytes from %d on", c.count, c.first, c.length, c.offset),
			ask(c.offset, c.length, ranged(c.first, c.count, leaf)), "merkle_proof", "proof-form")
	}
	bad := func(what, doc string, proof []byte, code string) {
		s.invalid(what, "blob.range", doc, ask(0, 10, proof), code)
	}
	bad("range-chunks-outside", "chunks that the blob does not have", ranged(0, 4, leaf), "merkle_range")
	bad("range-chunks-outside", "no chunks", ranged(0, 0, leaf), "merkle_range")
	bad("range-chunks-outside", "the chunk after the last", ranged(3, 1, leaf), "merkle_range")
	bad("range-nodes", "no nodes", ranged(0, 3), "merkle_proof")
	bad("range-nodes", "the leaf twice", ranged(0, 3, leaf, leaf), "merkle_proof")
	bad("range-nodes", "the leaf of another blob", ranged(0, 3, chunkLeaf(4, 10, cut([]byte("abcdefghiJ"), 4)...)), "merkle_hash")
	bad("range-nodes", "an inclusion proof", chain{[][]byte{leaf}, []uint64{0}}.proof(), "schema_mismatch")
	list := listLeaf(h("a"), h("b"), h("c"))
	s.invalid("range-nodes", "blob.range", "the nodes of a list", in{"root": cid.Sum(list), "proof": ranged(0, 3, list), "offset": "0", "length": "1"}, "merkle_kind")
}

// blobStreams are nodes and chunks as a source that nobody trusts sends them.
func blobStreams(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §6"
	ten := []byte("abcdefghij")
	leaf := chunkLeaf(4, 10, cut(ten, 4)...)
	root := cid.Sum(leaf)
	a, b, c := ten[:4], ten[4:8], ten[8:]
	parts := func(list ...[]byte) []any {
		all := []any{}
		for _, p := range list {
			all = append(all, p)
		}
		return all
	}
	all := func(list ...[]byte) in { return in{"root": root, "offset": "0", "parts": parts(list...)} }
	some := func(offset, length uint64, list ...[]byte) in {
		return in{"root": root, "offset": dec(offset), "length": dec(length), "parts": parts(list...)}
	}
	s.valid("stream", "blob.stream", "the leaf and its three chunks", all(leaf, a, b, c), out{"bytes": ten})
	s.valid("stream", "blob.stream", "two bytes across two chunks", some(3, 2, leaf, a, b), out{"bytes": []byte("de")})
	s.valid("stream", "blob.stream", "the last byte", some(9, 1, leaf, c), out{"bytes": []byte("j")})
	s.valid("stream", "blob.stream", "exactly the second chunk", some(4, 4, leaf, b), out{"bytes": b})
	flat := func(size int) []byte {
		return chunkLeaf(262144, uint64(size), cut(payloadBytes(uint64(size), "stream"), 262144)...)
	}
	s.valid("stream", "blob.stream", "a chunk of one byte", in{"root": cid.Sum(flat(1)), "offset": "0", "parts": parts(flat(1), payloadBytes(1, "stream"))}, out{"bytes": payloadBytes(1, "stream")})
	last := chunkLeaf(1, 1, chunk{cid.Sum([]byte("z")), 1})
	top := chunkInternal(1, 1025, 1025, h("beside"), cid.Sum(last))
	s.valid("stream", "blob.stream", "the last byte of 1025 chunks of one",
		in{"root": cid.Sum(top), "offset": "1024", "length": "1", "parts": parts(top, last, []byte("z"))}, out{"bytes": []byte("z")}, "boundary")

	bad := func(what, doc, code string, input in) { s.invalid(what, "blob.stream", doc, input, code, "content") }
	bad("stream-chunk", "a bit of the second chunk is another", "blob_chunk", all(leaf, a, []byte("efgH"), c))
	bad("stream-chunk", "the last chunk is cut", "blob_chunk", all(leaf, a, b, c[:1]))
	bad("stream-chunk", "the last chunk has a byte more", "blob_chunk", all(leaf, a, b, ten[7:]))
	bad("stream-chunk", "an empty chunk", "blob_chunk", all(leaf, a, []byte{}, c))
	bad("stream-order", "the second chunk before the first", "blob_chunk", all(leaf, b, a, c))
	bad("stream-order", "the last chunk in the middle", "blob_chunk", all(leaf, a, c, b))
	bad("stream-order", "a chunk before its leaf", "merkle_hash", all(a, leaf, b, c))
	bad("stream-order", "a chunk of the range after the range", "merkle_proof", some(3, 2, leaf, a, b, c))
	bad("stream-end", "the last chunk does not come", "merkle_proof", all(leaf, a, b))
	bad("stream-end", "no chunk comes", "merkle_proof", all(leaf))
	bad("stream-end", "nothing comes", "merkle_proof", all())
	bad("stream-end", "a chunk comes after the last", "merkle_proof", all(leaf, a, b, c, c))
	bad("stream-end", "the first chunk of a range does not come", "blob_chunk", some(3, 2, leaf, b))
	bad("stream-node", "the leaf of another blob", "merkle_hash", all(chunkLeaf(4, 10, cut([]byte("abcdefghiJ"), 4)...), a, b, c))
	bad("stream-node", "the leaf twice", "blob_chunk", all(leaf, leaf, a, b, c))
	bad("stream-node", "the list's leaf", "merkle_kind", in{"root": cid.Sum(listLeaf(h("a"))), "offset": "0", "parts": parts(listLeaf(h("a")), a)})
	bad("stream-node", "the bytes themselves for the node", "merkle_hash", all(ten))
	bad("stream-node", "65,537 bytes for a node", "merkle_shape", all(make([]byte, 65537)))
	bad("stream-range", "a byte after the last", "blob_range", some(10, 1, leaf))
	bad("stream-range", "no bytes", "blob_range", some(0, 0, leaf))
	bad("stream-range", "a length that overflows", "blob_range", some(1, 1<<64-1, leaf))
	lie := chunkLeaf(4, 10, chunk{cid.Sum(a), 4}, chunk{cid.Sum(b), 4}, chunk{cid.Sum(ten[7:]), 3})
	bad("stream-shape", "the leaf says three bytes where two are left", "merkle_shape", in{"root": cid.Sum(lie), "offset": "0", "parts": parts(lie, a, b, ten[7:])})
}

// blobRefs are references: what they say of a blob must be true.
func blobRefs(s *suite) {
	s.spec = "RFC-MYTHOS-0002 §2.7"
	ten := []byte("abcdefghij")
	leaf := chunkLeaf(4, 10, cut(ten, 4)...)
	ref := func(id cid.Hash, size, codec, chunks uint64, more ...[]byte) []byte {
		fields := [][]byte{rawF(1, rawH(id)), rawF(2, rawU(size)), rawF(3, rawT("text/plain")), rawF(4, rawU(codec)), rawF(5, rawU(chunks))}
		return rawM(append(fields, more...)...)
	}
	view := func(id cid.Hash, size, codec, chunks uint64) out {
		return out{"cid": id, "size": dec(size), "codec": codec, "chunks": chunks}
	}
	flat, root, none := cid.Sum(ten), cid.Sum(leaf), cid.Sum(nil)
	for codec := range uint64(7) {
		s.valid("ref-codec", "blob.ref", fmt.Sprintf("codec %d", codec), in{"hex": ref(flat, 10, codec, 0)}, view(flat, 10, codec, 0))
	}
	s.valid("ref", "blob.ref", "the most bytes and chunks", in{"hex": ref(root, 1<<40, 0, 1<<32-1)}, view(root, 1<<40, 0, 1<<32-1), "boundary")
	s.valid("ref", "blob.ref", "the empty blob", in{"hex": ref(none, 0, 0, 0)}, view(none, 0, 0, 0), "boundary")
	s.valid("ref", "blob.ref", "as many chunks as bytes", in{"hex": ref(root, 3, 0, 3)}, view(root, 3, 0, 3), "boundary")
	s.valid("ref", "blob.ref", "a field that a later document may define", in{"hex": ref(flat, 10, 0, 0, rawF(9, rawU(1)))}, view(flat, 10, 0, 0))
	read := func(id cid.Hash, size, chunks uint64, list ...[]byte) in {
		all := []any{}
		for _, p := range list {
			all = append(all, p)
		}
		return in{"hex": ref(id, size, 0, chunks), "parts": all}
	}
	whole := view(flat, 10, 0, 0)
	whole["bytes"] = ten
	s.valid("ref-read", "blob.ref", "a blob of one object", read(flat, 10, 0, ten), whole)
	tree := view(root, 10, 0, 3)
	tree["bytes"] = ten
	s.valid("ref-read", "blob.ref", "a chunked blob", read(root, 10, 3, leaf, ten[:4], ten[4:8], ten[8:]), tree)
	empty := view(none, 0, 0, 0)
	empty["bytes"] = []byte{}
	s.valid("ref-read", "blob.ref", "the empty blob: nothing is asked for", read(none, 0, 0), empty, "boundary")

	bad := func(what, doc, code string, input in) { s.invalid(what, "blob.ref", doc, input, code) }
	bad("ref-size", "2^40+1 bytes", "blob_size", in{"hex": ref(root, 1<<40+1, 0, 1)})
	bad("ref-size", "2^64-1 bytes", "blob_size", in{"hex": ref(root, 1<<64-1, 0, 1)})
	bad("ref-size", "more chunks than bytes", "blob_size", in{"hex": ref(root, 2, 0, 3)})
	bad("ref-size", "no bytes in one chunk", "blob_size", in{"hex": ref(none, 0, 0, 1)})
	bad("ref-empty", "no bytes under another id than that of no bytes", "blob_hash", in{"hex": ref(root, 0, 0, 0)})
	bad("ref-chunks", "2^32 chunks", "can_range", in{"hex": ref(root, 1<<40, 0, 1<<32)})
	bad("ref-codec-range", "codec 256", "can_range", in{"hex": ref(root, 10, 256, 1)})
	bad("ref-field", "no chunks field", "can_missing", in{"hex": rawM(rawF(1, rawH(flat)), rawF(2, rawU(10)), rawF(3, rawT("x")), rawF(4, rawU(0)))})
	bad("ref-field", "a byte after the reference", "can_trailing", in{"hex": join(ref(flat, 10, 0, 0), []byte{0})})
	bad("ref-lies", "one object of another size than is said: less", "blob_size", read(flat, 11, 0, ten))
	bad("ref-lies", "one object of another size than is said: more", "blob_size", read(flat, 9, 0, ten))
	bad("ref-lies", "the tree has another size: less", "blob_size", read(root, 11, 3, leaf))
	bad("ref-lies", "the tree has another size: more", "blob_size", read(root, 9, 3, leaf))
	bad("ref-lies", "the tree has another number of chunks: less", "blob_size", read(root, 10, 4, leaf))
	bad("ref-lies", "the tree has another number of chunks: more", "blob_size", read(root, 10, 2, leaf))
	bad("ref-lies", "one object of more than 16 MiB is said", "blob_size", read(flat, 16<<20+1, 0, ten))
	bad("ref-bytes", "other bytes of the same length", "blob_hash", read(flat, 10, 0, []byte("abcdefghiJ")))
	bad("ref-bytes", "the root of the tree for the bytes of one object", "blob_hash", read(root, 10, 0, ten))
	bad("ref-bytes", "the bytes for the root of the tree", "merkle_hash", read(root, 10, 3, ten))
	bad("ref-bytes", "a chunk with another bit", "blob_chunk", read(root, 10, 3, leaf, ten[:4], []byte("efgH"), ten[8:]))
	bad("ref-bytes", "the id of the bytes with the number of chunks of the tree", "merkle_hash", read(flat, 10, 3, leaf, ten[:4], ten[4:8], ten[8:]))
}
