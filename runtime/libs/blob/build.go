package blob

import (
	"crypto/sha256"
	"errors"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// Options of a writer.
type Options struct {
	// ChunkSize is the length of every chunk but the last, in bytes, from
	// MinChunkSize to MaxChunkSize; 0 is DefaultChunkSize.
	ChunkSize uint32
}

// chunkSize returns the chunk size that o asks for.
func (o Options) chunkSize() (uint32, error) {
	switch {
	case o.ChunkSize == 0:
		return DefaultChunkSize, nil
	case o.ChunkSize < MinChunkSize || o.ChunkSize > MaxChunkSize:
		return 0, fault.New(ErrChunkSize, "chunk size %d, want %d to %d", o.ChunkSize, MinChunkSize, MaxChunkSize)
	}
	return o.ChunkSize, nil
}

// Builder builds a chunked blob from chunks that come one by one. It holds at
// most 1024 chunk hashes and 1024 nodes of each of four layers, and no chunk.
type Builder struct {
	put    merkle.Put
	tree   Tree
	leaf   []Chunk
	layers *merkle.Layers
	short  bool  // the last chunk was short: the blob has ended
	err    error // sticky
}

// NewBuilder returns a Builder that hands every chunk and node to put, children
// before parents. A nil put computes the root alone.
func NewBuilder(o Options, put merkle.Put) (*Builder, error) {
	size, err := o.chunkSize()
	if err != nil {
		return nil, err
	}
	return newBuilder(size, put), nil
}

func newBuilder(chunkSize uint32, put merkle.Put) *Builder {
	b := &Builder{put: put, tree: Tree{ChunkSize: chunkSize}}
	b.layers = merkle.NewLayers(b.join)
	return b
}

// Add appends a chunk of exactly the chunk size, or a shorter one, not empty,
// which ends the blob. After an error, which may be put's own, the Builder only
// repeats it.
func (b *Builder) Add(chunk []byte) error {
	if b.err != nil {
		return b.err
	}
	if uint64(len(chunk)) > uint64(b.tree.ChunkSize) {
		b.err = fault.New(ErrChunkSize, "chunk %d has %d bytes, at most %d", b.tree.Chunks, len(chunk), b.tree.ChunkSize)
		return b.err
	}
	id := cid.Sum(chunk)
	if b.put != nil && len(chunk) > 0 {
		if b.err = b.put(id, chunk); b.err != nil {
			return b.err
		}
	}
	return b.AddHashed(Chunk{Hash: id, Len: uint32(len(chunk))})
}

// AddHashed is Add for a chunk that the caller has hashed, and stored if it is
// to be stored.
func (b *Builder) AddHashed(c Chunk) error {
	switch {
	case b.err != nil:
		return b.err
	case c.Len == 0 || c.Len > b.tree.ChunkSize || b.short:
		b.err = fault.New(ErrChunkSize, "chunk %d has %d bytes; all but the last have %d", b.tree.Chunks, c.Len, b.tree.ChunkSize)
		return b.err
	case b.tree.Size+uint64(c.Len) > MaxSize:
		b.err = fault.New(ErrRange, "a blob has at most %d bytes", uint64(MaxSize))
		return b.err
	}
	b.short = c.Len < b.tree.ChunkSize
	b.tree.Size += uint64(c.Len)
	b.tree.Chunks++
	b.leaf = append(b.leaf, c)
	if len(b.leaf) < merkle.Fanout {
		return nil
	}
	leaf, err := b.closeLeaf()
	if err == nil {
		err = b.layers.Add(leaf)
	}
	b.leaf = b.leaf[:0]
	b.err = err
	return err
}

// Tree returns the tree over the chunks so far.
func (b *Builder) Tree() (Tree, error) {
	var last merkle.Subtree
	if b.err == nil && len(b.leaf) > 0 {
		last, b.err = b.closeLeaf()
	}
	if b.err != nil || b.tree.Chunks == 0 {
		return b.tree, b.err
	}
	root, err := b.layers.Root(last)
	if err != nil {
		b.err = err
		return b.tree, err
	}
	t := b.tree
	t.Root = &root.ID
	return t, nil
}

func (b *Builder) closeLeaf() (merkle.Subtree, error) {
	x := ChunkLeaf{ChunkSize: b.tree.ChunkSize, Chunks: b.leaf}
	for _, c := range b.leaf {
		x.TotalSize += uint64(c.Len)
	}
	id, err := b.emit(merkle.KindChunkLeaf, x.AppendCAN(nil))
	return merkle.Subtree{ID: id, Count: uint64(len(b.leaf)), Size: x.TotalSize}, err
}

func (b *Builder) join(children []merkle.Subtree) (merkle.Subtree, error) {
	x := ChunkInternal{ChunkSize: b.tree.ChunkSize, Children: make([]cid.Hash, len(children))}
	for i, c := range children {
		x.Children[i] = c.ID
		x.TotalSize += c.Size
		x.ChunkCount += c.Count
	}
	id, err := b.emit(merkle.KindChunkInternal, x.AppendCAN(nil))
	return merkle.Subtree{ID: id, Count: x.ChunkCount, Size: x.TotalSize}, err
}

func (b *Builder) emit(kind uint8, payload []byte) (cid.Hash, error) {
	id, raw := merkle.CloseNode(kind, payload)
	if b.put == nil {
		return id, nil
	}
	return id, b.put(id, raw)
}

// Write cuts everything that r yields into chunks and hands them and their
// nodes to put, children before parents. It holds one chunk.
func Write(r io.Reader, o Options, put merkle.Put) (Tree, error) {
	b, err := NewBuilder(o, put)
	if err != nil {
		return Tree{}, err
	}
	return fill(b, r, make([]byte, b.tree.ChunkSize))
}

// fill adds everything that r yields to b, by way of buf, which holds a chunk.
func fill(b *Builder, r io.Reader, buf []byte) (Tree, error) {
	for {
		n, err := io.ReadFull(r, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return Tree{}, err
		}
		if n > 0 {
			if err := b.Add(buf[:n]); err != nil {
				return Tree{}, err
			}
		}
		if err != nil {
			return b.Tree()
		}
	}
}

// TreeOf computes the tree of everything that r yields for any chunk size of at
// least 1, as readers must who recompute what someone else has cut. It stores
// nothing and holds no chunk.
func TreeOf(r io.Reader, chunkSize uint32) (Tree, error) {
	if chunkSize == 0 {
		return Tree{}, fault.New(ErrChunkSize, "chunk size 0")
	}
	b := newBuilder(chunkSize, nil)
	h := sha256.New()
	for {
		h.Reset()
		n, err := io.CopyN(h, r, int64(chunkSize))
		if err != nil && !errors.Is(err, io.EOF) {
			return Tree{}, err
		}
		if n > 0 {
			if err := b.AddHashed(Chunk{Hash: cid.Hash(h.Sum(nil)), Len: uint32(n)}); err != nil {
				return Tree{}, err
			}
		}
		if err != nil {
			return b.Tree()
		}
	}
}
