package differ

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// nodes are the nodes of a tree by id.
type nodes map[cid.Hash][]byte

func (n nodes) put(id cid.Hash, b []byte) error {
	n[id] = slices.Clone(b)
	return nil
}

func (n nodes) get(id cid.Hash, _ int64) ([]byte, error) {
	if b, ok := n[id]; ok {
		return b, nil
	}
	return nil, fault.New(merkle.ErrProof, "the tree has no node %s", id)
}

// list is a Merkle list.
type list struct {
	nodes
	root  cid.Hash
	count uint64
}

// chunked is a blob of small chunks.
type chunked struct {
	nodes
	*blob.Blob
	root      cid.Hash
	chunks    [][]byte
	size      uint64
	chunkSize uint64
}

// small is how many of the trees have one node; the others are asked for less
// often.
const small = 5

func makeLists() ([]list, error) {
	var all []list
	for _, n := range []uint64{1, 2, 3, 9, 40, 1024, 1025, 2050} {
		l := list{nodes{}, cid.Hash{}, n}
		b := merkle.NewBuilder(l.put)
		for i := range n {
			if err := b.Add(cid.Sum(binary.BigEndian.AppendUint64(nil, i))); err != nil {
				return nil, err
			}
		}
		root, err := b.Root()
		if err != nil {
			return nil, err
		}
		l.root = *root
		all = append(all, l)
	}
	return all, nil
}

// makeBlobs makes blobs whose chunks are smaller than writers choose them.
func makeBlobs() ([]chunked, error) {
	var all []chunked
	for _, shape := range [][2]uint64{{1, 4}, {4, 4}, {10, 4}, {33, 8}, {100, 7}, {2048, 2}, {2049, 2}} {
		b := chunked{nodes: nodes{}, size: shape[0], chunkSize: shape[1]}
		var ids []cid.Hash
		var pieces []blob.Chunk
		for at := uint64(0); at < b.size; at += b.chunkSize {
			part := bytes.Repeat([]byte{byte(at), byte(at >> 8)}, int(b.chunkSize))[:min(b.chunkSize, b.size-at)]
			b.chunks = append(b.chunks, part)
			pieces = append(pieces, blob.Chunk{Hash: cid.Sum(part), Len: uint32(len(part))})
		}
		for group := range slices.Chunk(pieces, merkle.Fanout) {
			x := blob.ChunkLeaf{ChunkSize: uint32(b.chunkSize), Chunks: group}
			for _, c := range group {
				x.TotalSize += uint64(c.Len)
			}
			ids = append(ids, b.close(merkle.KindChunkLeaf, x.AppendCAN(nil)))
		}
		b.root = ids[0]
		if len(ids) > 1 {
			x := blob.ChunkInternal{ChunkSize: uint32(b.chunkSize), Children: ids, TotalSize: b.size, ChunkCount: uint64(len(b.chunks))}
			b.root = b.close(merkle.KindChunkInternal, x.AppendCAN(nil))
		}
		var err error
		if b.Blob, err = blob.Open(b.root, b.get); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func (n nodes) close(kind uint8, payload []byte) cid.Hash {
	id, raw := merkle.CloseNode(kind, payload)
	n[id] = raw
	return id
}

// pick is any of the trees, rarely a large one.
func pick[T any](r *rand.Rand, all []T) *T {
	if r.IntN(12) > 0 {
		return &all[r.IntN(small)]
	}
	return &all[r.IntN(len(all))]
}

// proof is a proof and the op that checks it.
type proof struct {
	op   string
	in   in
	root cid.Hash
	raw  []byte
	typ  string
}

func (p *proof) input() (string, any) {
	p.in["root"], p.in["proof"] = p.root, p.raw
	return p.op, p.in
}

// proof makes an honest proof. That the product's own prover fails on its own
// tree is a fault of this program.
func (g *Generator) proof(r *rand.Rand) *proof {
	p := &proof{in: in{}, typ: "MerkleProof"}
	var err error
	switch r.IntN(4) {
	case 0:
		l := pick(r, g.lists)
		p.op, p.root = "merkle.verify", l.root
		p.raw, err = merkle.ProveIn(merkle.ListForm{}, l.root, l.get, r.Uint64N(l.count))
	case 1:
		l := pick(r, g.lists)
		first := r.Uint64N(l.count)
		p.op, p.root, p.typ = "merkle.range", l.root, "MerkleRangeProof"
		p.raw, err = merkle.ProveRangeIn(merkle.ListForm{}, l.root, l.get, merkle.Span{First: first, Count: 1 + r.Uint64N(l.count-first)})
	case 2:
		b := pick(r, g.blobs)
		i := r.Uint64N(uint64(len(b.chunks)))
		p.op, p.root = "blob.verify", b.root
		p.raw, err = b.Prove(i)
		if r.IntN(2) == 0 {
			p.in["chunk"] = b.chunks[i]
		}
	default:
		b := pick(r, g.blobs)
		off := r.Uint64N(b.size)
		n := 1 + r.Uint64N(b.size-off)
		p.op, p.root, p.typ = "blob.range", b.root, "MerkleRangeProof"
		p.raw, err = b.ProveRange(off, n)
		p.in["offset"], p.in["length"] = decimal(off), decimal(n)
	}
	if err != nil {
		panic(err)
	}
	return p
}

func treeClasses() []class {
	return []class{
		{name: "merkle/root", share: 8, oneSide: true, make: func(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
			if r.IntN(20) == 0 {
				return "merkle.root", in{"formula": in{"count": decimal(1000 + r.Uint64N(2000)), "seed": octets(r, 8, false)}}
			}
			values := []any{}
			for range 1 + r.IntN(20) {
				values = append(values, hashDigits(digest(r)))
			}
			return "merkle.root", in{"values": values}
		}},
		{name: "blob/root", share: 8, make: blobRoot},
		{name: "blob/stream", share: 12, make: blobStream},
		{name: "proof/honest", share: 15, oneSide: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			return g.proof(r).input()
		}},
		{name: "proof/form", share: 25, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			p := g.proof(r)
			p.raw = g.schema.mutated(r, oneMutation(r), rawOf(g.schema, p.raw, p.typ))
			return p.input()
		}},
		{name: "proof/number", share: 15, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			p := g.proof(r)
			root := rawOf(g.schema, p.raw, p.typ)
			if n, ok := p.in["offset"]; ok && r.IntN(2) == 0 {
				p.in["offset"] = decimal(integer(r, 12))
				if r.IntN(2) == 0 {
					p.in["offset"], p.in["length"] = n, decimal(integer(r, 12))
				}
				return p.input()
			}
			nudge(r, root)
			p.raw = root.bytes()
			return p.input()
		}},
		{name: "proof/relinked", share: 35, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			p := g.proof(r)
			g.relinked(r, p)
			return p.input()
		}},
	}
}

// nudge changes an integer a little, or altogether.
func nudge(r *rand.Rand, root *value) {
	v := root.some(r, func(v *value) bool { return v.raw == nil && v.tag == can.Uint && v.typ != nil })
	if v == nil {
		return
	}
	switch r.IntN(3) {
	case 0:
		v.num++
	case 1:
		v.num--
	default:
		v.num = integer(r, 64)
	}
}

// relinked changes a node of a proof and then every hash above it, so that the
// hashes hold and the shape decides.
func (g *Generator) relinked(r *rand.Rand, p *proof) {
	root := rawOf(g.schema, p.raw, p.typ)
	list := root.all(func(v *value) bool { return v.tag == can.Bytes && v.typ != nil && v.typ.Kind == "bytes" })
	i := r.IntN(len(list))
	node := rawOf(g.schema, list[i].data, "MerkleNode")
	kinds := []string{"MerkleListLeaf", "MerkleListInternal", "ChunkLeaf", "ChunkInternal"}
	payload := rawOf(g.schema, node.field(3).data, kinds[node.field(2).num-1])
	switch r.IntN(6) {
	case 0:
		oneMutation(r).do(g.schema, r, node)
	case 1:
		nudge(r, payload)
	case 2:
		node.field(headField(r)).num ^= 1 + r.Uint64N(3)
	case 3:
		if l := payload.some(r, func(v *value) bool { return v.tag == can.List }); l != nil && len(l.kids) > 0 {
			at := r.IntN(len(l.kids))
			l.kids = slices.Insert(slices.Clone(l.kids), at, l.kids[at].clone())
		}
	default:
		oneMutation(r).do(g.schema, r, payload)
	}
	if x := node.field(3); x != nil && x.raw == nil && x.tag == can.Bytes {
		x.data = payload.bytes()
	}
	p.root = relink(list, i, node.bytes())
	p.raw = root.bytes()
}

// headField is the number of a field in front of a node's payload.
func headField(r *rand.Rand) uint8 { return uint8(1 + r.IntN(2)) }

// relink replaces node i and the hashes that lead to it, and returns the root.
func relink(list []*value, i int, now []byte) cid.Hash {
	old, id := cid.Sum(list[i].data), cid.Sum(now)
	list[i].data = now
	for j, other := range list {
		if j != i && bytes.Contains(other.data, old[:]) {
			return relink(list, j, bytes.ReplaceAll(other.data, old[:], id[:]))
		}
	}
	return id
}

// blobRoot is a payload with a chunk size, which writers may or may not choose.
func blobRoot(_ *Generator, r *rand.Rand, _ uint64) (string, any) {
	op := "blob.root"
	input := in{"hex": octets(r, 300, false), "chunk_size": 1 + r.IntN(40)}
	switch r.IntN(4) {
	case 0:
		op, input["chunk_size"] = "blob.write", []int{0, 1, 262143, 262144, 300000, 16777216, 16777217}[r.IntN(7)]
	case 1:
		delete(input, "hex")
		input["formula"] = in{"size": decimal(r.Uint64N(4000)), "seed": octets(r, 8, false)}
	case 2:
		input["chunk_size"] = 0
	}
	return op, input
}

// blobStream is a small blob, whole or in part, as it is or not.
func blobStream(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	b := &g.blobs[r.IntN(small)]
	input := in{"root": b.root, "offset": "0"}
	parts := [][]byte{b.nodes[b.root]}
	first, last := uint64(0), uint64(len(b.chunks))
	if r.IntN(2) == 0 {
		off := r.Uint64N(b.size)
		n := 1 + r.Uint64N(b.size-off)
		input["offset"], input["length"] = decimal(off), decimal(n)
		first, last = off/b.chunkSize, (off+n+b.chunkSize-1)/b.chunkSize
	}
	parts = append(parts, b.chunks[first:last]...)
	i := r.IntN(len(parts))
	switch r.IntN(8) {
	case 0:
		parts = slices.Delete(slices.Clone(parts), i, i+1)
	case 1:
		parts = slices.Insert(slices.Clone(parts), i, parts[i])
	case 2:
		parts[i] = spoilt(r, parts[i])
	case 3:
		j := r.IntN(len(parts))
		parts[i], parts[j] = parts[j], parts[i]
	}
	input["parts"] = parts
	return "blob.stream", input
}
