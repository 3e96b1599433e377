package node

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/pack"
)

// packageMirror gives the objects of a packed folder or archive: its manifest,
// artifacts that are one object, and files of its trees. Of a large artifact it
// makes the chunks and nodes anew, once, when one of them is asked for.
type packageMirror struct {
	src      pack.Source
	manifest []byte
	flat     map[cid.Hash]blob.ArtifactID
	large    []blob.ArtifactID

	cutting sync.Mutex
	parts   map[cid.Hash]part // nil before somebody asked for one
}

// part is where the bytes of a chunk are; a node is kept whole.
type part struct {
	of   blob.ArtifactID
	off  int64
	size int64
	node []byte
}

func newPackageMirror(ctx context.Context, src pack.Source) (*packageMirror, error) {
	raw, err := src.Manifest(ctx, manifest.MaxBytes)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Decode(raw)
	if err != nil {
		return nil, err
	}
	p := &packageMirror{src: src, manifest: raw, flat: map[cid.Hash]blob.ArtifactID{}}
	for i := range m.Claims().Artifacts {
		a := &m.Claims().Artifacts[i]
		p.know(a.ID())
		if a.Kind == manifest.KindTree {
			if err := p.knowTree(ctx, a.ID()); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func (p *packageMirror) know(id blob.ArtifactID) {
	if id.Flat() {
		p.flat[id.CID] = id
	} else {
		p.large = append(p.large, id)
	}
}

func (p *packageMirror) knowTree(ctx context.Context, id blob.ArtifactID) error {
	r, err := p.src.Open(ctx, id)
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, manifest.MaxTreeEncoded))
	if err != nil {
		return err
	}
	t, err := manifest.DecodeTree(raw)
	if err != nil {
		return err
	}
	for i := range t.Entries {
		p.know(t.Entries[i].ID())
	}
	return nil
}

// Open implements cas.Source.
func (p *packageMirror) Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error) {
	if h == cid.Sum(p.manifest) {
		return io.NopCloser(bytes.NewReader(p.manifest)), int64(len(p.manifest)), nil
	}
	if id, ok := p.flat[h]; ok {
		r, err := p.src.Open(ctx, id)
		return r, int64(id.Size), err
	}
	if err := p.cutOnce(ctx); err != nil {
		return nil, 0, err
	}
	x, ok := p.parts[h]
	if !ok {
		return nil, 0, fault.New(cas.ErrNotFound, "is not of this package").About(h.String())
	}
	if x.node != nil {
		return io.NopCloser(bytes.NewReader(x.node)), int64(len(x.node)), nil
	}
	r, err := p.src.Open(ctx, x.of)
	if err != nil {
		return nil, 0, err
	}
	if err := skip(r, x.off); err != nil {
		_ = r.Close() // it was only read
		return nil, 0, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, x.size), r}, x.size, nil
}

// skip goes on at an offset.
func skip(r io.Reader, off int64) error {
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(off, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, off)
	return err
}

func isNode(h cid.Hash, b []byte) bool {
	_, _, err := merkle.OpenNode(h, b)
	return err == nil
}

// cutOnce finds the chunks of large artifacts, if nobody has. Several may ask for
// objects at a time.
func (p *packageMirror) cutOnce(ctx context.Context) error {
	p.cutting.Lock()
	defer p.cutting.Unlock()
	if p.parts != nil {
		return nil
	}
	if err := p.cut(ctx); err != nil {
		p.parts = nil
		return err
	}
	return nil
}

// cut finds where the chunks of large artifacts are.
func (p *packageMirror) cut(ctx context.Context) error {
	p.parts = map[cid.Hash]part{}
	for _, id := range p.large {
		r, err := p.src.Open(ctx, id)
		if err != nil {
			return err
		}
		off := int64(0)
		_, err = blob.WriteArtifact(r, func(h cid.Hash, b []byte) error {
			size := min(blob.FlatLimit, int64(id.Size)-off)
			if int64(len(b)) == size && size > 0 && !isNode(h, b) {
				p.parts[h] = part{of: id, off: off, size: size}
				off += size
				return nil
			}
			p.parts[h] = part{node: bytes.Clone(b)}
			return nil
		})
		_ = r.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return nil
}
