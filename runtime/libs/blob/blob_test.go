package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// store is a map of objects for tests; it counts what is read.
type store struct {
	m    map[cid.Hash][]byte
	read []cid.Hash
}

func newStore() *store { return &store{m: map[cid.Hash][]byte{}} }

func (s *store) put(id cid.Hash, b []byte) error {
	s.m[id] = bytes.Clone(b)
	return nil
}

func (s *store) get(id cid.Hash, limit int64) ([]byte, error) {
	b, ok := s.m[id]
	if !ok {
		return nil, errMissing
	}
	if int64(len(b)) > limit {
		return nil, errLimit
	}
	s.read = append(s.read, id)
	return b, nil
}

var (
	errMissing = errors.New("missing")
	errLimit   = errors.New("over the limit")
)

// content returns n bytes of a formula.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// cut stores b in chunks of any size.
func cut(t testing.TB, b []byte, chunkSize uint32) (*store, Tree) {
	t.Helper()
	s := newStore()
	tree, err := fill(newBuilder(chunkSize, s.put), bytes.NewReader(b), make([]byte, chunkSize))
	if err != nil {
		t.Fatal(err)
	}
	return s, tree
}

func open(t testing.TB, s *store, tree Tree) *Blob {
	t.Helper()
	b, err := Open(tree.CID(), s.get)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantCode(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRoots(t *testing.T) {
	// The worked examples of RFC-MYTHOS-0004 §3.
	for _, c := range []struct {
		data  []byte
		chunk uint32
		want  string
	}{
		{[]byte("abcdefghij"), 4, "e46a1faf3c7497d50d869f87f9aee8d2f1f4b196cc7b84a2c4965e8db2b70c27"},
		{content(1025), 1, "044ed1cdd14306bedde0ac9c665d00890ac0c87f9e907224153cbf5d0cd2ed99"},
		{nil, 4, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	} {
		tree, err := TreeOf(bytes.NewReader(c.data), c.chunk)
		if err != nil || tree.CID().Hex() != c.want {
			t.Errorf("%d bytes in chunks of %d: got %s, %v, want %s", len(c.data), c.chunk, tree.CID(), err, c.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	const k = 16
	for _, n := range []int{1, k - 1, k, k + 1, 2 * k, 1023 * k, 1024*k - 1, 1024 * k, 1024*k + 1, 1025 * k, 3000*k + 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			data := content(n)
			s, tree := cut(t, data, k)
			if again, err := TreeOf(iotest.HalfReader(bytes.NewReader(data)), k); err != nil || !cmp.Equal(again, tree) {
				t.Errorf("TreeOf: got %+v, %v, want %+v", again, err, tree)
			}
			b := open(t, s, tree)
			if !cmp.Equal(b.Tree(), tree) || b.Size() != uint64(n) {
				t.Errorf("opened %+v, want %+v", b.Tree(), tree)
			}
			if err := iotest.TestReader(b.Reader(), data); err != nil {
				t.Error(err)
			}
			var got bytes.Buffer
			if m, err := b.Reader().WriteTo(&got); err != nil || m != int64(n) || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("WriteTo: %d bytes, %v", m, err)
			}
			for i := range tree.Chunks {
				if i%509 != 0 && i < tree.Chunks-2 {
					continue
				}
				want := data[i*k : min(int(i+1)*k, n)]
				if chunk, err := b.Chunk(i); err != nil || !bytes.Equal(chunk, want) {
					t.Errorf("chunk %d: %x, %v", i, chunk, err)
				}
				proof, err := b.Prove(i)
				if err != nil {
					t.Fatal(err)
				}
				in, err := Check(tree.CID(), proof)
				if err != nil || in.Index != i || in.Size != uint64(n) || in.ChunkSize != k {
					t.Errorf("proof of %d: %+v, %v", i, in, err)
				}
				if err := in.Chunk.Check(want); err != nil {
					t.Error(err)
				}
			}
			if _, err := b.Chunk(tree.Chunks); !errors.Is(err, ErrRange) {
				t.Errorf("chunk %d: %v", tree.Chunks, err)
			}
		})
	}
}

func TestThirdLevel(t *testing.T) {
	const n = 1024*1024 + 1
	data := content(n)
	s, tree := cut(t, data, 1)
	b := open(t, s, tree)
	if tree.Chunks != n {
		t.Fatalf("got %d chunks", tree.Chunks)
	}
	r, err := b.Range(1024*1024-3, 4)
	if err != nil {
		t.Fatal(err)
	}
	s.read = nil
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data[n-4:]) {
		t.Errorf("got %x, %v", got, err)
	}
	// Two internal nodes, two leaves less the root in memory, four chunks.
	if len(s.read) != 7 {
		t.Errorf("%d objects were read, want 7", len(s.read))
	}
	proof, err := b.Prove(n - 1)
	if err != nil {
		t.Fatal(err)
	}
	if in, err := Check(tree.CID(), proof); err != nil || in.Index != n-1 {
		t.Errorf("got %+v, %v", in, err)
	}
}

func TestRangesProperty(t *testing.T) {
	data := content(50_000)
	s, tree := cut(t, data, 23)
	b := open(t, s, tree)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.Uint64Range(0, uint64(len(data))-1).Draw(t, "off")
		n := rapid.Uint64Range(1, uint64(len(data))-off).Draw(t, "n")
		r, err := b.Range(off, n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[off:off+n]) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		proof, err := b.ProveRange(off, n)
		if err != nil {
			t.Fatal(err)
		}
		slice, err := CheckRange(tree.CID(), off, n, proof)
		if err != nil {
			t.Fatal(err)
		}
		got, err = io.ReadAll(slice.Reader(s.get))
		if err != nil || !bytes.Equal(got, data[off:off+n]) {
			t.Fatalf("proved: %d bytes, %v", len(got), err)
		}
	})
	for _, c := range [][2]uint64{{50_000, 1}, {49_999, 2}, {0, 50_001}, {1, 1<<64 - 1}, {1<<64 - 1, 2}, {50_001, 0}} {
		_, err := b.Range(c[0], c[1])
		wantCode(t, err, ErrRange)
		_, err = b.ProveRange(c[0], c[1])
		wantCode(t, err, ErrRange)
	}
	if r, err := b.Range(50_000, 0); err != nil || iotest.TestReader(r, nil) != nil {
		t.Errorf("the empty range at the end: %v", err)
	}
}

func TestChunks(t *testing.T) {
	data := content(30_000)
	s, tree := cut(t, data, 10)
	b := open(t, s, tree)
	s.read = nil
	i := 0
	for c, err := range b.Chunks() {
		if err != nil || c.Check(data[i*10:i*10+10]) != nil {
			t.Fatalf("chunk %d: %+v, %v", i, c, err)
		}
		i++
	}
	if i != 3000 || len(s.read) != 3 {
		t.Errorf("%d chunks, %d objects read; want 3000 and the three leaves", i, len(s.read))
	}
}

func TestBuilderRefuses(t *testing.T) {
	for _, size := range []uint32{1, MinChunkSize - 1, MaxChunkSize + 1} {
		_, err := NewBuilder(Options{ChunkSize: size}, nil)
		wantCode(t, err, ErrChunkSize)
		_, err = Write(bytes.NewReader(nil), Options{ChunkSize: size}, nil)
		wantCode(t, err, ErrChunkSize)
	}
	for size, want := range map[uint32]uint32{0: DefaultChunkSize, MinChunkSize: MinChunkSize, MaxChunkSize: MaxChunkSize} {
		if b, err := NewBuilder(Options{ChunkSize: size}, nil); err != nil || b.tree.ChunkSize != want {
			t.Errorf("chunk size %d: got %+v, %v", size, b, err)
		}
	}
	for name, chunks := range map[string][]int{
		"empty chunk":       {0},
		"too long":          {4, 5},
		"after a short one": {4, 3, 4},
		"two short ones":    {3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(4, nil)
			var err error
			for _, n := range chunks {
				err = b.Add(make([]byte, n))
			}
			wantCode(t, err, ErrChunkSize)
			wantCode(t, b.Add(make([]byte, 1)), ErrChunkSize)
			_, err = b.Tree()
			wantCode(t, err, ErrChunkSize)
		})
	}
	b := newBuilder(1<<31, nil)
	b.tree.Size = MaxSize - 1<<31 + 1
	wantCode(t, b.AddHashed(Chunk{Len: 1 << 31}), ErrRange)
	_, err := TreeOf(bytes.NewReader(nil), 0)
	wantCode(t, err, ErrChunkSize)
}

func TestErrorsPassThrough(t *testing.T) {
	fail := errors.New("cable pulled")
	bad := io.MultiReader(bytes.NewReader(content(10)), iotest.ErrReader(fail))
	if _, err := TreeOf(bad, 4); !errors.Is(err, fail) {
		t.Errorf("TreeOf: %v", err)
	}
	bad = io.MultiReader(bytes.NewReader(content(10)), iotest.ErrReader(fail))
	if _, err := Write(bad, Options{}, nil); !errors.Is(err, fail) {
		t.Errorf("Write: %v", err)
	}
	if _, err := Write(bytes.NewReader(content(10)), Options{}, func(cid.Hash, []byte) error { return fail }); !errors.Is(err, fail) {
		t.Errorf("Write with a failing put: %v", err)
	}
	if _, err := WriteArtifact(iotest.ErrReader(fail), nil); !errors.Is(err, fail) {
		t.Errorf("WriteArtifact: %v", err)
	}
	// A source's EOF is not the blob's end.
	s, tree := cut(t, content(10), 4)
	b, err := Open(tree.CID(), func(id cid.Hash, limit int64) ([]byte, error) {
		if id != tree.CID() {
			return nil, io.EOF
		}
		return s.get(id, limit)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b.Reader()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(cid.Sum(nil), s.get); !errors.Is(err, errMissing) {
		t.Errorf("got %v", err)
	}
}

// TestVerifier pushes a blob through a Verifier in order, with a wrong copy of
// every part first.
func TestVerifier(t *testing.T) {
	data := content(3000)
	s, tree := cut(t, data, 2)
	v := NewVerifier(tree.CID())
	wantCode(t, v.Seek(0, 1), ErrRange)
	var got []byte
	for {
		w, ok := v.Want()
		if !ok {
			break
		}
		part, err := s.get(w.ID, w.Limit)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(part)
		bad[len(bad)-1] ^= 1
		want := ErrChunk
		if w.Node {
			want = merkle.ErrHash
			wantCode(t, v.Skip(), merkle.ErrProof)
		}
		wantCode(t, v.Give(bad), want)
		wantCode(t, v.Give(part[:len(part)-1]), want)
		wantCode(t, v.Give(append(bad, 0)), want)
		if err := v.Give(part); err != nil {
			t.Fatal(err)
		}
		if !w.Node {
			got = append(got, part...)
		}
	}
	if !bytes.Equal(got, data) || v.Size() != 3000 || v.Chunks() != 1500 || v.ChunkSize() != 2 {
		t.Errorf("got %d bytes of %d", len(got), v.Size())
	}
	wantCode(t, v.Give(nil), merkle.ErrProof)
	wantCode(t, v.Skip(), merkle.ErrProof)
}

func TestReaderStopsAtWrongChunk(t *testing.T) {
	data := content(100)
	s, tree := cut(t, data, 10)
	s.m[cid.Sum(data[50:60])] = data[40:50]
	got, err := io.ReadAll(open(t, s, tree).Reader())
	wantCode(t, err, ErrChunk)
	if !bytes.Equal(got, data[:50]) {
		t.Errorf("%d bytes were handed on, want the 50 before the fault", len(got))
	}
	r := open(t, s, tree).Reader()
	if n, err := r.WriteTo(io.Discard); n != 50 || !errors.Is(err, ErrChunk) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrChunk) {
		t.Errorf("the error did not stick: %v", err)
	}
	delete(s.m, cid.Sum(data[:10]))
	r = open(t, s, tree).Reader()
	for range 2 {
		if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errMissing) {
			t.Errorf("a missing first chunk: %d bytes, %v", n, err)
		}
	}
	if _, err := open(t, s, tree).Chunk(0); !errors.Is(err, errMissing) {
		t.Errorf("Chunk: %v", err)
	}
}
