package local

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

const (
	packSuffix  = ".pack"
	indexSuffix = ".index"
)

// packFile is one pack as this process has seen it. Its fields but refs are
// guarded by packs.mu.
type packFile struct {
	name   string
	path   string
	marker marker
	f      *os.File

	index   *index // of the beginning; nil for none
	indexF  *os.File
	tail    [256]tail // frames behind the index, by the first byte of the hash
	frames  int       // frames behind the index
	scanned int64     // offset up to which frames are known
	group   uint32    // highest group seen
	flushed uint32    // groups up to this one are known to be durable
	synced  int64     // objects before this offset are known to be durable
	own     bool      // this process appends to it

	refs atomic.Int64 // readers, and one for the list
}

// tail is what an index would say. A renewal has offset 0; several copies of an
// object are possible.
type tail map[cid.Hash][]entry

// note adds an entry to the tail; of renewals it keeps the last.
func (p *packFile) note(e entry) {
	t := p.tail[e.hash[0]]
	if t == nil {
		t = tail{}
		p.tail[e.hash[0]] = t
	}
	list := t[e.hash]
	for i := range list {
		if e.offset == 0 && list[i].offset == 0 {
			list[i].time = max(list[i].time, e.time)
			return
		}
	}
	t[e.hash] = append(list, e)
}

// openPack opens a pack and its index. A nil pack without an error is gone.
func openPack(dir, name string) (*packFile, error) {
	path := filepath.Join(dir, name+packSuffix)
	f, err := os.Open(path)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	p := &packFile{name: name, path: path, marker: markerOf(name), f: f}
	p.refs.Store(1)
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p.reset()
	p.load(info.Size())
	return p, nil
}

// reset forgets everything that was read.
func (p *packFile) reset() {
	p.closeIndex()
	clear(p.tail[:])
	p.frames, p.scanned, p.group, p.flushed, p.synced = 0, int64(len(packHead)), 0, 0, 0
}

// load takes the index, if there is a sound one.
func (p *packFile) load(size int64) {
	x, f := loadIndex(strings.TrimSuffix(p.path, packSuffix)+indexSuffix, size)
	if x == nil {
		return
	}
	p.index, p.indexF = x, f
	p.scanned, p.group, p.flushed = x.covered, x.group, x.group
}

func (p *packFile) closeIndex() {
	if p.indexF != nil {
		_ = p.indexF.Close() // it was only read
	}
	p.index, p.indexF = nil, nil
}

// release ends one use; the last one closes the file.
func (p *packFile) release() {
	if p.refs.Add(-1) == 0 {
		_ = p.f.Close() // it was only read
		p.closeIndex()
	}
}

// refresh reads the frames that came since, and starts over if the pack became
// shorter.
func (p *packFile) refresh() error {
	if p.own {
		return nil
	}
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size < p.scanned {
		p.reset()
		p.load(size)
	}
	if size == p.scanned {
		return nil
	}
	_, err = p.read(size)
	return err
}

// read takes in the frames up to size.
func (p *packFile) read(size int64) (scan, error) {
	s, err := walk(p.f, p.marker, p.scanned, size, func(off int64, x frame) error {
		p.add(off, x)
		return nil
	})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // cut by whoever recovers it; what is left is read next time
	}
	for _, r := range s.lost {
		p.salvage(r)
	}
	p.scanned = s.end
	return s, err
}

// salvage takes in an object whose header is damaged: its bytes name it.
func (p *packFile) salvage(r region) {
	b := make([]byte, min(r.to-r.from, headerSize+smallLimit))
	n, err := p.f.ReadAt(b, r.from)
	if err != nil || n <= headerSize || allZero(b[:headerSize]) {
		return // a page that a crash kept from the disk, or nothing to name
	}
	h := cid.Sum(b[headerSize:])
	p.note(entry{h, uint32(r.from), uint32(n - headerSize), maxTime})
}

// maxTime is the generation of what has lost its own: it is not collected.
const maxTime = 1<<63 - 1

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// add takes in one frame.
func (p *packFile) add(off int64, x frame) {
	if x.group > p.group {
		p.group, p.flushed, p.synced = x.group, x.group-1, off // a group begins when the objects before it are durable
	}
	p.frames++
	switch x.kind {
	case kindObject:
		p.note(entry{x.hash, uint32(off), x.length, x.time})
	case kindRenewal:
		p.note(entry{hash: x.hash, time: x.time})
	case kindEnd:
		p.flushed = max(p.flushed, x.group)
	}
}

// find calls see for each copy of h and each renewal of it, these with offset 0.
// If the index turns out to be damaged the pack is read instead.
func (p *packFile) find(h cid.Hash, see func(entry)) error {
	if p.index != nil {
		if err := p.index.find(h, see); err != nil {
			return err
		}
	}
	for _, e := range p.tail[h[0]][h] {
		see(e)
	}
	return nil
}

// each calls see for the entries whose hash begins with first, all if it is
// negative.
func (p *packFile) each(first int, see func(entry)) error {
	if p.index != nil {
		if err := p.index.each(first, see); err != nil {
			return err
		}
	}
	for i, t := range p.tail {
		if first >= 0 && i != first {
			continue
		}
		for _, list := range t {
			for _, e := range list {
				see(e)
			}
		}
	}
	return nil
}

// rebuild reads the whole pack because its index is damaged.
func (p *packFile) rebuild() error {
	p.closeIndex()
	own, group, flushed, synced := p.own, p.group, p.flushed, p.synced
	p.reset()
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	_, err = p.read(info.Size())
	if own {
		p.group, p.flushed, p.synced = group, flushed, synced
	}
	return err
}

// entries returns everything that is known, for an index.
func (p *packFile) entries() ([]entry, error) {
	var all []entry
	err := p.each(-1, func(e entry) { all = append(all, e) })
	return all, err
}

// data reads the bytes of an entry, unchecked.
func (p *packFile) data(e entry) ([]byte, error) {
	b := make([]byte, e.length)
	if len(b) == 0 {
		return b, nil
	}
	_, err := p.f.ReadAt(b, int64(e.offset)+headerSize)
	return b, err
}

// frameAt reports whether the header of an entry's frame is where it was.
func (p *packFile) frameAt(e entry) bool {
	b := make([]byte, headerSize)
	if _, err := p.f.ReadAt(b, int64(e.offset)); err != nil {
		return false
	}
	x, ok := decodeFrame(b, p.marker)
	return ok && x.kind == kindObject && x.hash == e.hash && x.length == e.length
}

// durable reports whether the entry is known to be on the disk.
func (p *packFile) durable(e entry) bool {
	if int64(e.offset) < p.synced || p.index != nil && int64(e.offset) < p.index.covered {
		return true
	}
	// It is of the last group.
	return p.flushed >= p.group
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
