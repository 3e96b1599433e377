package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Damage is one thing that is wrong in a store.
type Damage struct {
	CID      cid.Hash // the object; zero if nobody can tell which it was
	Path     string   // the file
	Offset   int64    // in a pack: of the frame
	Problem  string
	Repaired bool

	header bool // only the header is wrong: the object itself is whole
	index  bool // an index, which is written anew
	fetch  error
}

// Verified is what a store holds and what is wrong with it.
type Verified struct {
	Objects  int64 // sound copies
	Bytes    int64 // of those
	Packs    int64
	Damaged  []Damage
	Unended  int64 // packs with an unfinished end, of a write in progress or a crash
	Refs     []error
	Repaired int64
}

// VerifyOptions makes a verification repair as well.
type VerifyOptions struct {
	// Progress is called now and then with the bytes read; it may be nil.
	Progress func(bytes int64)
	// Repair takes good copies from here; nil to change nothing.
	Repair cas.Source
}

type verification struct {
	s    *Store
	o    VerifyOptions
	out  Verified
	read int64
}

// Verify reads everything that is stored and reports what is damaged. An error
// says that something could not be read, or that the repair could not be done;
// damage is no error.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (Verified, error) {
	v := &verification{s: s, o: o}
	err := v.files(ctx)
	if err == nil {
		err = v.packs(ctx)
	}
	if err == nil {
		err = v.refs()
	}
	if err == nil && o.Repair != nil {
		err = v.repair(ctx)
	}
	if err != nil && fault.CodeOf(err) == "" && ctx.Err() == nil {
		err = s.failed("verify", err).About(s.dir)
	}
	return v.out, err
}

func (v *verification) see(bytes int64) {
	v.read += bytes
	if v.o.Progress != nil {
		v.o.Progress(v.read)
	}
}

func (v *verification) damaged(d Damage) { v.out.Damaged = append(v.out.Damaged, d) }

func (v *verification) sound(bytes int64) {
	v.out.Objects++
	v.out.Bytes += bytes
}

func (v *verification) files(ctx context.Context) error {
	for _, dir := range fanout() {
		all, err := v.s.listDir(ctx, dir)
		if err != nil {
			return err
		}
		for _, h := range all {
			if err := v.file(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verification) file(ctx context.Context, h cid.Hash) error {
	f, size, err := v.s.openFile(ctx, h)
	if errors.Is(err, cas.ErrNotFound) {
		return nil // collected meanwhile
	}
	if err == nil {
		r := cas.Verify(&objectFile{File: f, s: v.s, ctx: ctx, h: h}, h, size)
		_, err = io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, windowSize))
		err = errors.Join(err, r.Close())
		v.see(size)
	}
	switch {
	case err == nil:
		v.sound(size)
	case errors.Is(err, cas.ErrCorrupt):
		v.damaged(Damage{CID: h, Path: v.s.path(h), Problem: "its bytes do not have its hash"})
	default:
		return err
	}
	return nil
}

func (v *verification) packs(ctx context.Context) error {
	names, err := v.s.packs.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.pack(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// pack reads one pack as it is on disk, whatever was known of it.
func (v *verification) pack(ctx context.Context, name string) error {
	path := filepath.Join(v.s.packs.dir, name+packSuffix)
	f, err := os.Open(path)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	v.out.Packs++
	p := &packCheck{v: v, f: f, path: path, marker: markerOf(name), named: map[int64]cid.Hash{}}
	p.head()
	if err := p.index(indexPath(v.s.packs.dir, name), info.Size()); err != nil {
		return err
	}
	last, _, err := lastGroup(f, p.marker, int64(len(packHead)), info.Size())
	if err != nil {
		return err
	}
	p.last = map[int64]bool{}
	for _, at := range last {
		p.last[at.off] = true
	}
	return p.frames(ctx, info.Size())
}

// packCheck is the verification of one pack.
type packCheck struct {
	v      *verification
	f      *os.File
	path   string
	marker marker
	named  map[int64]cid.Hash // what the index says is at an offset
	last   map[int64]bool     // frames that a crash may have torn
	unend  bool
}

func (p *packCheck) head() {
	b := make([]byte, len(packHead))
	if n, err := p.f.ReadAt(b, 0); (err == nil || n == len(b)) && string(b) != packHead {
		p.v.damaged(Damage{Path: p.path, Problem: "it does not begin as a pack", header: true})
	}
}

// index checks every byte of the index. One that is not whole is damage; a
// missing one is none.
func (p *packCheck) index(path string, packSize int64) error {
	f, err := os.Open(path)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	x, err := openIndex(f, info.Size(), packSize)
	if err == nil {
		err = x.each(-1, func(e entry) {
			if e.offset > 0 {
				p.named[int64(e.offset)] = e.hash
			}
		})
	}
	if err != nil {
		p.v.damaged(Damage{Path: path, Problem: "the index is not whole", index: true})
	}
	return nil
}

func (p *packCheck) frames(ctx context.Context, size int64) error {
	w := &window{r: p.f, size: size}
	s, err := walk(p.f, p.marker, int64(len(packHead)), size, func(off int64, x frame) error {
		p.v.see(x.size())
		if err := ctx.Err(); err != nil || x.kind != kindObject {
			return err
		}
		b, err := w.bytes(off+headerSize, int(x.length))
		if err != nil {
			return err
		}
		switch {
		case cid.Sum(b) == x.hash:
			p.v.sound(int64(len(b)))
		case p.last[off]:
			p.unend = true
		default:
			p.v.damaged(Damage{CID: x.hash, Path: p.path, Offset: off, Problem: "its bytes do not have its hash"})
		}
		return nil
	})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // cut meanwhile by whoever took it over
	}
	for _, off := range s.mended {
		p.header(w, off)
	}
	for _, r := range s.lost {
		p.lost(r)
	}
	if p.unend || s.torn != (region{}) {
		p.v.out.Unended++
	}
	return err
}

// header reports a header that was read in spite of a wrong bit or two.
func (p *packCheck) header(w *window, off int64) {
	d := Damage{Path: p.path, Offset: off, Problem: "the header of its frame is damaged", header: true}
	if x, ok := w.mend(off, p.marker); ok && x.kind == kindObject {
		d.CID = x.hash
	}
	p.v.damaged(d)
}

// lost reports bytes in which no frame begins. If the index does not know what
// was there, the bytes behind the header's place may still be the object.
func (p *packCheck) lost(r region) {
	d := Damage{CID: p.named[r.from], Path: p.path, Offset: r.from, Problem: "the header of its frame is lost"}
	b := make([]byte, min(r.to-r.from, headerSize+smallLimit))
	if n, err := p.f.ReadAt(b, r.from); err == nil && n > headerSize {
		h := cid.Sum(b[headerSize:])
		d.header = d.CID.IsZero() && !allZero(b[:headerSize]) || d.CID == h
		if d.CID.IsZero() && d.header {
			d.CID = h
		}
	}
	p.v.damaged(d)
}

func (v *verification) refs() error {
	_, err := v.s.Tags()
	if errors.Is(err, cas.ErrCorrupt) {
		v.out.Refs = append(v.out.Refs, err)
		err = nil
	}
	if err == nil {
		_, err = v.s.Quota()
	}
	return err
}
