package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// emptySum is the SHA-256 of no bytes.
const emptySum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// chunk is a Chunk as a ChunkLeaf has it.
type chunk struct {
	hash cid.Hash
	size uint64
}

// view is the chunk in an output.
func (c chunk) view() out { return out{"hash": c.hash, "len": c.size} }

// cut is the chunks of b.
func cut(b []byte, size int) []chunk {
	var chunks []chunk
	for part := range slices.Chunk(b, size) {
		chunks = append(chunks, chunk{cid.Sum(part), uint64(len(part))})
	}
	return chunks
}

func chunkLeaf(chunkSize, total uint64, chunks ...chunk) []byte {
	var items [][]byte
	for _, c := range chunks {
		items = append(items, rawM(rawF(1, rawH(c.hash)), rawF(2, rawU(c.size))))
	}
	return node(1, 3, rawM(rawF(1, rawU(chunkSize)), rawF(2, rawL(items...)), rawF(3, rawU(total))))
}

func chunkInternal(chunkSize, total, count uint64, children ...cid.Hash) []byte {
	return node(1, 4, rawM(rawF(1, rawU(chunkSize)), rawF(2, rawHs(children)), rawF(3, rawU(total)), rawF(4, rawU(count))))
}

// chunkSpine is the way to chunk i of a blob of size bytes; what stands beside
// the way is no tree. Every chunk's bytes are h("chunk") up to its length.
func chunkSpine(size, chunkSize, i uint64) chain {
	return chunkSubtree(size, chunkSize, (size+chunkSize-1)/chunkSize, i)
}

func chunkSubtree(size, chunkSize, n, i uint64) chain {
	if n <= 1024 {
		var chunks []chunk
		for j := range n {
			chunks = append(chunks, spineChunk(min(chunkSize, size-j*chunkSize)))
		}
		return chain{[][]byte{chunkLeaf(chunkSize, size, chunks...)}, []uint64{i}}
	}
	w := width(n)
	at := i / w
	below := chunkSubtree(min(w*chunkSize, size-at*w*chunkSize), chunkSize, min(w, n-at*w), i%w)
	var children []cid.Hash
	for j := range (n + w - 1) / w {
		children = append(children, h(fmt.Sprint("beside ", j)))
	}
	children[at] = below.root()
	return chain{append([][]byte{chunkInternal(chunkSize, size, n, children...)}, below.nodes...), append([]uint64{at}, below.at...)}
}

// spineChunk is the chunk of size bytes in a chunkSpine.
func spineChunk(size uint64) chunk { return chunk{cid.Sum(spineBytes(size)), size} }

func spineBytes(size uint64) []byte {
	if size > 1<<20 {
		size = 1 << 20 // a chunk that nobody has to show
	}
	return bytes.Repeat([]byte{0xc4}, int(size))
}

func blobSuite(p *pack) {
	s := p.suite("blob", "RFC-MYTHOS-0004", "Chunked blobs: roots, proofs, streams, references and the ids of artifacts.")
	s.flag("content", "the tree is good and the bytes are not those that it names")
	blobRoots(s)
	blobArtifacts(s)
	blobProofs(s)
	blobSteps(s)
	blobNodes(s)
	blobSizes(s)
	blobRanges(s)
	blobStreams(s)
	blobRefs(s)
}

// payload is a payload formula.
func payload(size uint64, seed string) in {
	return in{"size": dec(size), "seed": []byte(seed)}
}

// blobRoots are roots for sizes at which shapes change.
func blobRoots(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §3"
	root := func(doc string, input in, root string, chunks uint64, flat cid.Hash) {
		o := out{"chunks": dec(chunks), "flat": flat}
		if root != "" {
			o["root"] = "sha256:" + root
		}
		s.valid("root-hex", "blob.root", doc, input, o, "boundary")
	}
	ten := []byte("abcdefghij")
	root("the worked example: ten bytes in chunks of four", in{"hex": ten, "chunk_size": 4},
		"e46a1faf3c7497d50d869f87f9aee8d2f1f4b196cc7b84a2c4965e8db2b70c27", 3, cid.Sum(ten))
	var mod []byte
	for i := range 1025 {
		mod = append(mod, byte(i%251))
	}
	root("the second example: 1025 bytes in chunks of one", in{"hex": mod, "chunk_size": 1},
		"044ed1cdd14306bedde0ac9c665d00890ac0c87f9e907224153cbf5d0cd2ed99", 1025, cid.Sum(mod))
	root("no bytes have no node", in{"hex": []byte{}, "chunk_size": 4}, "", 0, cid.Sum(nil))
	for _, size := range []int{1, 2, 3, 4, 5, 10, 1 << 20} {
		raw := chunkLeaf(uint64(size), 10, cut(ten, size)...)
		root(fmt.Sprintf("ten bytes in chunks of %d", size), in{"hex": ten, "chunk_size": size}, cid.Sum(raw).Hex(), uint64(10+size-1)/uint64(size), cid.Sum(ten))
	}
	for _, c := range []struct{ size, chunk uint64 }{
		{0, 262144},
		{1, 262144},
		{262143, 262144},
		{262144, 262144},
		{262145, 262144},
		{524288, 262144},
		{1023, 1},
		{1024, 1},
		{1025, 1},
		{2048, 1},
		{2049, 1},
		{1025*3 - 1, 3},
		{1048576, 1},
		{1048577, 1},
		{1048577*2 - 1, 2},
	} {
		flags := []string{"boundary"}
		if c.size > 1<<20 && c.chunk < 3 {
			flags = append(flags, "large")
		}
		s.computed("root-formula", "blob.root", fmt.Sprintf("%d bytes in chunks of %d", c.size, c.chunk),
			in{"formula": payload(c.size, "blob"), "chunk_size": c.chunk}, flags...)
	}
	s.invalid("chunk-size", "blob.root", "chunks of no bytes", in{"hex": ten, "chunk_size": 0}, "blob_chunk_size")
	writers := func(chunk uint64) in { return in{"formula": payload(300000, "blob"), "chunk_size": chunk} }
	for _, size := range []uint64{1, 4, 65536, 262143, 16777217, 1<<32 - 1} {
		s.invalid("write-chunk-size", "blob.write", fmt.Sprintf("a writer that chooses chunks of %d bytes", size), writers(size), "blob_chunk_size", "boundary")
	}
	for _, size := range []uint64{0, 262144, 4194304, 16777216} {
		s.computed("write", "blob.write", fmt.Sprintf("a writer that chooses chunks of %d bytes", size), writers(size), "boundary")
	}
}

// blobArtifacts are ids by the rule of artifacts: flat up to 4 MiB.
func blobArtifacts(s *suite) {
	s.spec = "RFC-MYTHOS-0002 §6"
	const limit = 4 << 20
	small := []byte("an artifact")
	id := cid.Sum(small)
	is := func(c cid.Hash, size uint64, sum cid.Hash) out {
		return out{"cid": c, "size": dec(size), "sha256": sum}
	}
	s.valid("artifact", "blob.artifact", "up to 4 MiB the id is the SHA-256 of the bytes", in{"hex": small}, is(id, 11, id))
	s.valid("artifact", "blob.artifact", "of no bytes, too", in{"hex": []byte{}}, out{"cid": emptySum, "size": "0", "sha256": emptySum}, "boundary")
	for _, size := range []uint64{limit - 1, limit, limit + 1, 2*limit + 1} {
		s.computed("artifact", "blob.artifact", fmt.Sprintf("%d bytes", size), in{"formula": payload(size, "artifact")}, "boundary", "large")
	}
	s.valid("artifact-is", "blob.artifact", "bytes that are what they are said to be", in{"hex": small, "is": is(id, 11, id)}, is(id, 11, id))
	no := func(what, doc string, said out, code string) {
		s.invalid(what, "blob.artifact", doc, in{"hex": small, "is": said}, code, "content")
	}
	no("artifact-size", "one byte less is said", is(id, 10, id), "blob_size")
	no("artifact-size", "one byte more is said", is(id, 12, id), "blob_size")
	no("artifact-size", "no bytes are said", is(id, 0, id), "blob_size")
	no("artifact-size", "more than 2^40 bytes are said", is(id, 1<<40+1, id), "blob_size")
	no("artifact-size", "a size above the limit of flat artifacts is said", is(id, limit+1, id), "blob_size")
	no("artifact-hash", "another SHA-256", is(id, 11, h("x")), "blob_hash")
	no("artifact-hash", "another id", is(h("x"), 11, id), "blob_hash")
	flat := cid.Sum(chunkLeaf(limit, 11, chunk{id, 11}))
	no("artifact-hash", "the root of a chunked blob although the bytes are few", is(flat, 11, id), "blob_hash")
	artifactsRead(s, is)
	big := payloadBytes(limit+1, "artifact")
	root, sum := cid.Sum(chunkLeaf(limit, limit+1, cut(big, limit)...)), cid.Sum(big)
	above := func(c, sum cid.Hash) in {
		return in{"formula": payload(limit+1, "artifact"), "is": is(c, limit+1, sum)}
	}
	s.valid("artifact-is", "blob.artifact", "one byte above the limit: the root of chunks of 4 MiB", above(root, sum), is(root, limit+1, sum), "boundary", "large")
	s.invalid("artifact-flat", "blob.artifact", "the SHA-256 of the bytes although they are above the limit", above(sum, sum), "blob_hash", "boundary", "large")
	s.invalid("artifact-flat", "blob.artifact", "the root twice", above(root, root), "blob_hash", "boundary", "large")
	half := cid.Sum(chunkLeaf(limit/2, limit+1, cut(big, limit/2)...))
	s.invalid("artifact-flat", "blob.artifact", "chunks of 2 MiB, which an artifact does not have", above(half, sum), "blob_hash", "large")
}

// artifactsRead are artifacts that are read from a source which nobody trusts.
func artifactsRead(s *suite, is func(c cid.Hash, size uint64, sum cid.Hash) out) {
	const limit = 4 << 20
	small := []byte("an artifact")
	id := cid.Sum(small)
	read := func(said out, parts ...any) in { return in{"parts": parts, "is": said} }
	s.valid("artifact-read", "blob.artifact", "one object", read(is(id, 11, id), small), is(id, 11, id))
	full, more := h("a full chunk"), h("a byte more")
	leaf := chunkLeaf(limit, limit+1, chunk{full, limit}, chunk{more, 1})
	root, sum := cid.Sum(leaf), h("all bytes")
	bad := func(doc, code string, said out, parts ...any) {
		s.invalid("artifact-source", "blob.artifact", doc, read(said, parts...), code, "content")
	}
	bad("other bytes of the same length", "blob_hash", is(id, 11, id), []byte("an artifacT"))
	bad("a byte less", "blob_hash", is(id, 11, id), small[:10])
	bad("the bytes, of which one less is said", "blob_size", is(id, 10, id), small)
	bad("one object whose SHA-256 is not its id", "blob_hash", is(id, 11, h("x")), small)
	bad("the tree has fewer bytes than are said", "blob_size", is(root, limit+2, sum), leaf)
	longer := chunkLeaf(limit, limit+2, chunk{full, limit}, chunk{more, 2})
	bad("the tree has more bytes than are said", "blob_size", is(cid.Sum(longer), limit+1, sum), longer)
	two := chunkLeaf(limit+1, limit+1, chunk{sum, limit + 1})
	bad("the tree has another chunk size", "blob_size", is(cid.Sum(two), limit+1, sum), two)
	bad("the object itself where a tree is due", "merkle_hash", is(root, limit+1, sum), small)
	bad("another chunk", "blob_chunk", is(root, limit+1, sum), leaf, small)
	s.invalid("artifact-limit", "blob.artifact", "4 MiB are said, so one object is due", read(is(id, limit, id), leaf), "blob_hash", "boundary")
	s.invalid("artifact-limit", "blob.artifact", "a byte more is said, so a tree is due", read(is(id, limit+1, id), leaf), "merkle_hash", "boundary")
}

// payloadBytes are the bytes of a payload formula.
func payloadBytes(size uint64, seed string) []byte {
	b := make([]byte, size)
	f := conformance.PayloadFormula{Size: conformance.U64(size), Seed: []byte(seed)}
	if _, err := f.Reader().Read(b); err != nil {
		panic(err) // a formula has as many bytes as it says
	}
	return b
}

// blobProofs are inclusion proofs that hold.
func blobProofs(s *suite) {
	s.spec = "RFC-MYTHOS-0004 §5.1"
	verify := func(what, doc string, c chain, proof any, size, chunkSize, i uint64, flags ...string) {
		last := spineChunk(min(chunkSize, size-i*chunkSize))
		s.valid(what, "blob.verify", doc, in{"root": c.root(), "proof": proof},
			out{"chunk": last.view(), "index": dec(i), "size": dec(size), "chunk_size": chunkSize}, flags...)
	}
	for _, c := range []struct{ size, chunk, i uint64 }{
		{1, 1, 0}, {1, 1<<32 - 1, 0}, {10, 4, 0}, {10, 4, 1}, {10, 4, 2}, {8, 4, 1}, {262144, 262144, 0}, {262145, 262144, 1}, {524288, 262144, 1},
	} {
		w := chunkSpine(c.size, c.chunk, c.i)
		verify("proof-leaf", fmt.Sprintf("chunk %d of %d bytes in chunks of %d", c.i, c.size, c.chunk), w, w.proof(), c.size, c.chunk, c.i, "boundary")
	}
	for _, c := range []struct{ size, chunk uint64 }{
		{1025, 1},
		{1025 * 4, 4},
		{1024*4 + 1, 4},
		{2049, 1},
		{1<<20 + 1, 1},
		{1<<20 + 1025, 1},
		{4 * (1<<20 + 1025), 4},
		{1<<30 + 1<<20 + 1025, 1},
		{1025 * 262144, 262144},
		{1<<30*4 + 1, 4},
		{1<<40 - 1023, 1024},
	} {
		n := (c.size + c.chunk - 1) / c.chunk
		w := chunkSpine(c.size, c.chunk, n-1)
		flags := []string{"boundary"}
		proof := any(w.proof())
		if len(w.proof()) > 4096 {
			proof, flags = s.p.file("proof", w.proof()), append(flags, "large")
		}
		verify("proof-last", fmt.Sprintf("the last of %d chunks of %d, %d bytes in all", n, c.chunk, c.size), w, proof, c.size, c.chunk, n-1, flags...)
	}
	w := chunkSpine(1025, 1, 1023)
	verify("proof-long", "chunk 1023 of 1025", w, s.p.file("proof", w.proof()), 1025, 1, 1023, "boundary", "large")
	w = chunkSpine(10, 4, 2)
	full := func(c chain, b []byte) in { return in{"root": c.root(), "proof": c.proof(), "chunk": b} }
	s.valid("proof-chunk", "blob.verify", "the proof and the chunk's bytes", full(w, spineBytes(2)),
		out{"chunk": spineChunk(2).view(), "index": "2", "size": "10", "chunk_size": 4})
	bad := func(doc string, b []byte) {
		s.invalid("proof-chunk-bytes", "blob.verify", doc, full(w, b), "blob_chunk", "content")
	}
	bad("no bytes", []byte{})
	bad("a byte less", spineBytes(1))
	bad("a byte more", spineBytes(3))
	bad("the bytes of a full chunk", spineBytes(4))
	bad("one bit is another", []byte{0xc4, 0xc5})
}
