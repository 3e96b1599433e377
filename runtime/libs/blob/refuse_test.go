package blob

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// leafOf and internalOf store nodes that no builder makes.
func leafOf(s *store, change func(x *ChunkLeaf), lens ...uint32) cid.Hash {
	x := ChunkLeaf{ChunkSize: 4}
	for _, n := range lens {
		b := content(int(n))
		s.m[cid.Sum(b)] = b
		x.Chunks = append(x.Chunks, Chunk{cid.Sum(b), n})
		x.TotalSize += uint64(n)
	}
	if change != nil {
		change(&x)
	}
	id, raw := merkle.CloseNode(merkle.KindChunkLeaf, x.AppendCAN(nil))
	s.m[id] = raw
	return id
}

func internalOf(s *store, chunkSize uint32, total, count uint64, children ...cid.Hash) cid.Hash {
	x := ChunkInternal{chunkSize, children, total, count}
	id, raw := merkle.CloseNode(merkle.KindChunkInternal, x.AppendCAN(nil))
	s.m[id] = raw
	return id
}

func full() []uint32 { return slices.Repeat([]uint32{4}, 1024) }

func TestWrongTrees(t *testing.T) {
	for name, c := range map[string]struct {
		root func(s *store) cid.Hash
		want fault.Code
	}{
		"no chunks":           {func(s *store) cid.Hash { return leafOf(s, nil) }, merkle.ErrShape},
		"chunk size 0":        {func(s *store) cid.Hash { return leafOf(s, func(x *ChunkLeaf) { x.ChunkSize = 0 }, 4) }, merkle.ErrShape},
		"short chunk first":   {func(s *store) cid.Hash { return leafOf(s, nil, 3, 4) }, merkle.ErrShape},
		"two short chunks":    {func(s *store) cid.Hash { return leafOf(s, nil, 4, 3, 3) }, merkle.ErrShape},
		"chunk too long":      {func(s *store) cid.Hash { return leafOf(s, nil, 4, 5) }, merkle.ErrShape},
		"empty chunk":         {func(s *store) cid.Hash { return leafOf(s, nil, 4, 0) }, merkle.ErrShape},
		"total too low":       {func(s *store) cid.Hash { return leafOf(s, func(x *ChunkLeaf) { x.TotalSize-- }, 4, 4) }, merkle.ErrShape},
		"total too high":      {func(s *store) cid.Hash { return leafOf(s, func(x *ChunkLeaf) { x.TotalSize++ }, 4, 4) }, merkle.ErrShape},
		"total of all ones":   {func(s *store) cid.Hash { return leafOf(s, func(x *ChunkLeaf) { x.TotalSize = 1<<64 - 1 }, 4, 4) }, merkle.ErrShape},
		"overfull leaf":       {func(s *store) cid.Hash { return leafOf(s, nil, append(full(), 4)...) }, merkle.ErrShape},
		"internal for a leaf": {func(s *store) cid.Hash { return internalOf(s, 4, 8, 2, leafOf(s, nil, 4), leafOf(s, nil, 4)) }, merkle.ErrShape},
		"count too low": {func(s *store) cid.Hash {
			return internalOf(s, 4, 4104, 1025, leafOf(s, nil, full()...), leafOf(s, nil, 4, 4))
		}, merkle.ErrShape},
		"count too high": {func(s *store) cid.Hash {
			return internalOf(s, 4, 4104, 1027, leafOf(s, nil, full()...), leafOf(s, nil, 4, 4))
		}, merkle.ErrShape},
		"internal total too low": {func(s *store) cid.Hash {
			return internalOf(s, 4, 4103, 1026, leafOf(s, nil, full()...), leafOf(s, nil, 4, 4))
		}, merkle.ErrShape},
		"beyond 2^40 bytes": {func(s *store) cid.Hash {
			return internalOf(s, 1<<31, 1<<42, 1<<11, leafOf(s, nil, 4), leafOf(s, nil, 4))
		}, merkle.ErrShape},
		"count overflows": {func(s *store) cid.Hash {
			return internalOf(s, 1, 1<<64-1, 1<<64-1, leafOf(s, nil, 4), leafOf(s, nil, 4))
		}, merkle.ErrShape},
		"chunk size changes": {func(s *store) cid.Hash {
			return internalOf(s, 5, 5125, 1025, leafOf(s, nil, full()...), leafOf(s, nil, 4))
		}, merkle.ErrShape},
		"child chunk size": {func(s *store) cid.Hash { return sized(s) }, merkle.ErrShape},
		"short leaf first": {func(s *store) cid.Hash {
			return internalOf(s, 4, 4100, 1025, leafOf(s, nil, 4), leafOf(s, nil, full()...))
		}, merkle.ErrShape},
		"child too many":          {func(s *store) cid.Hash { return extra(s) }, merkle.ErrShape},
		"a list":                  {func(s *store) cid.Hash { return listOf(s) }, merkle.ErrKind},
		"unknown field":           {func(s *store) cid.Hash { return extended(s) }, merkle.ErrShape},
		"wrong child, right size": {func(s *store) cid.Hash { return swapped(s) }, merkle.ErrHash},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			b, err := Open(c.root(s), s.get)
			if err == nil {
				_, err = io.Copy(io.Discard, b.Reader())
			}
			wantCode(t, err, c.want)
		})
	}
}

// TestGreatestSize checks that the root alone decides on 2^40 bytes.
func TestGreatestSize(t *testing.T) {
	const gib = 1 << 30
	leaf := func(last uint32) ChunkLeaf {
		x := ChunkLeaf{ChunkSize: gib}
		for range 1024 {
			x.Chunks = append(x.Chunks, Chunk{Len: gib})
		}
		x.Chunks[1023].Len = last
		x.TotalSize = 1023*gib + uint64(last)
		return x
	}
	give := func(kind uint8, payload []byte) error {
		id, raw := merkle.CloseNode(kind, payload)
		return NewVerifier(id).Give(raw)
	}
	for _, last := range []uint32{1, gib - 1, gib} {
		x := leaf(last)
		if err := give(merkle.KindChunkLeaf, x.AppendCAN(nil)); err != nil {
			t.Errorf("a last chunk of %d: %v", last, err)
		}
	}
	x := leaf(gib)
	x.ChunkSize++
	wantCode(t, give(merkle.KindChunkLeaf, x.AppendCAN(nil)), merkle.ErrShape)
	y := ChunkInternal{gib, make([]cid.Hash, 2), MaxSize + 1, 1025}
	wantCode(t, give(merkle.KindChunkInternal, y.AppendCAN(nil)), merkle.ErrShape)
	y = ChunkInternal{gib / 2, make([]cid.Hash, 2), MaxSize, 2048}
	if err := give(merkle.KindChunkInternal, y.AppendCAN(nil)); err != nil {
		t.Errorf("2^40 bytes in 2048 chunks: %v", err)
	}
}

func sized(s *store) cid.Hash {
	return internalOf(s, 4, 4100, 1025, leafOf(s, nil, full()...), leafOf(s, func(x *ChunkLeaf) { x.ChunkSize = 8 }, 4))
}

func extra(s *store) cid.Hash {
	last := leafOf(s, nil, 4)
	return internalOf(s, 4, 4100, 1025, leafOf(s, nil, full()...), last, last)
}

func listOf(s *store) cid.Hash {
	x := merkle.ListLeaf{Values: []cid.Hash{cid.Sum(nil)}}
	id, raw := merkle.CloseNode(merkle.KindListLeaf, x.AppendCAN(nil))
	s.m[id] = raw
	return id
}

func extended(s *store) cid.Hash {
	x := ChunkLeaf{ChunkSize: 4, Chunks: []Chunk{{cid.Sum(content(4)), 4}}, TotalSize: 4}
	payload := x.AppendCAN(nil)
	payload[1]++
	id, raw := merkle.CloseNode(merkle.KindChunkLeaf, append(payload, can.Uint, 9, can.True))
	s.m[id] = raw
	return id
}

func swapped(s *store) cid.Hash {
	a, b := leafOf(s, nil, full()...), leafOf(s, nil, 4)
	root := internalOf(s, 4, 4100, 1025, a, b)
	s.m[a] = s.m[b]
	return root
}

func TestProofRefuses(t *testing.T) {
	data := content(3000)
	s, tree := cut(t, data, 2) // 1500 chunks, two leaves
	b := open(t, s, tree)
	raw, err := b.Prove(1499)
	if err != nil {
		t.Fatal(err)
	}
	p, err := merkle.DecodeProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	in, err := Check(tree.CID(), raw)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, in.Chunk.Check(data[2996:2998]), ErrChunk)
	wantCode(t, in.Chunk.Check(data[2997:3000]), ErrChunk)
	p.Parents[0].Position = 0
	_, err = Check(tree.CID(), p.AppendCAN(nil))
	wantCode(t, err, merkle.ErrHash)
	_, err = Check(cid.Sum(nil), raw)
	wantCode(t, err, merkle.ErrHash)
	_, err = merkle.Check(tree.CID(), raw)
	wantCode(t, err, merkle.ErrKind)

	proof, err := b.ProveRange(2000, 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]uint64{{2000, 502}, {1998, 502}, {2002, 498}, {2000, 1}} {
		_, err = CheckRange(tree.CID(), c[0], c[1], proof)
		wantCode(t, err, merkle.ErrProof)
	}
	_, err = CheckRange(tree.CID(), 2000, 1001, proof)
	wantCode(t, err, ErrRange)
	_, err = CheckRange(cid.Sum(nil), 2000, 500, proof)
	wantCode(t, err, merkle.ErrHash)

	slice, err := CheckRange(tree.CID(), 2000, 500, proof)
	if err != nil {
		t.Fatal(err)
	}
	s.m[cid.Sum(data[2100:2102])] = []byte("no")
	got, err := io.ReadAll(slice.Reader(s.get))
	wantCode(t, err, ErrChunk)
	if !bytes.Equal(got, data[2000:2100]) {
		t.Errorf("%d bytes were handed on, want 100", len(got))
	}
}

func TestRefs(t *testing.T) {
	s, tree := cut(t, content(10), 4)
	ref, err := tree.Ref("application/octet-stream", CodecRaw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeRef(ref.AppendCAN(nil))
	if err != nil {
		t.Fatal(err)
	}
	r, err := again.Open(s.get)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content(10)) {
		t.Errorf("got %x, %v", got, err)
	}
	flat := FlatRef([]byte("flat"), "text/plain", CodecRaw)
	s.m[flat.CID] = []byte("flat")
	if r, err = flat.Open(s.get); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "flat" {
		t.Errorf("got %q, %v", got, err)
	}
	empty, err := Tree{ChunkSize: 4}.Ref("text/plain", CodecRaw)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = empty.Open(s.get); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || len(got) != 0 {
		t.Errorf("got %x, %v", got, err)
	}
	_, err = Tree{Chunks: 1 << 32}.Ref("", 0)
	wantCode(t, err, ErrSize)
	for name, c := range map[string]struct {
		change func(x *Ref)
		want   error
	}{
		"size too low":          {func(x *Ref) { x.Size-- }, ErrSize},
		"size too high":         {func(x *Ref) { x.Size++ }, ErrSize},
		"size beyond 2^40":      {func(x *Ref) { x.Size = MaxSize + 1 }, ErrSize},
		"chunks too many":       {func(x *Ref) { x.Chunks++ }, ErrSize},
		"more chunks than size": {func(x *Ref) { x.Chunks = 11 }, ErrSize},
		"flat but chunked":      {func(x *Ref) { x.Chunks = 0 }, errLimit},
		"flat and huge":         {func(x *Ref) { x.Chunks, x.Size = 0, MaxChunkSize+1 }, ErrSize},
		"empty of another id":   {func(x *Ref) { x.Size, x.Chunks = 0, 0 }, ErrHash},
		"root of another":       {func(x *Ref) { x.CID = flat.CID }, can.ErrTag},
	} {
		t.Run(name, func(t *testing.T) {
			x := ref
			c.change(&x)
			if _, err := x.Open(s.get); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	x := flat
	x.Size = 5
	_, err = x.Open(s.get)
	wantCode(t, err, ErrSize)
	s.m[flat.CID] = []byte("flut")
	_, err = flat.Open(s.get)
	wantCode(t, err, ErrHash)
}

func TestDecodeRef(t *testing.T) {
	for name, c := range map[string]struct {
		ref  Ref
		want error
	}{
		"greatest size":     {Ref{Size: MaxSize}, nil},
		"beyond 2^40":       {Ref{Size: MaxSize + 1}, ErrSize},
		"one byte, a chunk": {Ref{Size: 1, Chunks: 1}, nil},
		"one byte, two":     {Ref{Size: 1, Chunks: 2}, ErrSize},
		"empty":             {Ref{CID: cid.Sum(nil)}, nil},
		"empty, wrong id":   {Ref{CID: cid.Sum([]byte{0})}, ErrHash},
		"empty, a chunk":    {Ref{CID: cid.Sum(nil), Chunks: 1}, ErrSize},
	} {
		if _, err := DecodeRef(c.ref.AppendCAN(nil)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	x := FlatRef(nil, "", 0)
	raw := x.AppendCAN(nil)
	_, err := DecodeRef(raw[:len(raw)-1])
	wantCode(t, err, can.ErrTruncated)
	_, err = DecodeRef(append(raw, 0))
	wantCode(t, err, can.ErrTrailing)
}

func FuzzNode(f *testing.F) {
	s, tree := cut(f, content(1025), 1)
	f.Add(s.m[tree.CID()])
	for _, size := range []uint32{1, 4, 5, 16} {
		s, tree := cut(f, content(5), size)
		f.Add(s.m[tree.CID()])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := NewVerifier(cid.Sum(raw))
		if err := v.Give(raw); err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if v.ChunkSize() == 0 || v.Size() == 0 || v.Size() > MaxSize || (v.Size()-1)/uint64(v.ChunkSize())+1 != v.Chunks() {
			t.Fatalf("accepted %d bytes in %d chunks of %d", v.Size(), v.Chunks(), v.ChunkSize())
		}
		if w, ok := v.Want(); !ok || w.Index != 0 {
			t.Fatalf("the first thing wanted is %+v", w)
		}
	})
}

func FuzzProof(f *testing.F) {
	data := content(1025)
	s, tree := cut(f, data, 1)
	b := open(f, s, tree)
	one, err := b.Prove(1024) // short: the leaf has one chunk
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	run, err := b.ProveRange(1024, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(run)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if in, err := Check(tree.CID(), raw); err == nil {
			if err := in.Chunk.Check(data[in.Index : in.Index+1]); err != nil {
				t.Fatal(err)
			}
		}
		slice, err := CheckRange(tree.CID(), 1024, 1, raw)
		if err != nil {
			return
		}
		if err := slice.Chunks[0].Check(data[1024:]); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRef(f *testing.F) {
	flat := FlatRef([]byte("flat"), "text/plain", CodecRaw)
	f.Add(flat.AppendCAN(nil))
	plain, observed := cid.Sum([]byte("plain")), int64(-1)
	flat.Encryption = &EncryptRef{Scheme: 1, KeyHandle: "k", Nonce: []byte{1}, AAD: []byte{2}, PlainHash: &plain}
	flat.Provenance = &ProvenanceRef{Parents: []cid.Hash{plain}, Transform: "t", Params: map[string]string{"a": "b"}, TimeObserved: &observed}
	f.Add(flat.AppendCAN(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := DecodeRef(raw)
		if err != nil {
			return
		}
		y, err := DecodeRef(x.AppendCAN(nil))
		if err != nil || !cmp.Equal(x, y, cmpopts.EquateEmpty()) {
			t.Fatalf("%v: %s", err, cmp.Diff(x, y))
		}
	})
}
