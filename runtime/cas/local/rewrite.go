package local

import (
	"bufio"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
)

// rewriter makes a new pack that replaces an old one. Nobody sees it before swap.
type rewriter struct {
	s       *Store
	name    string
	marker  marker
	f       *os.File
	w       *bufio.Writer
	end     int64
	entries []entry
}

func (s *Store) newRewriter() (*rewriter, error) {
	f, err := s.session.create()
	if err != nil {
		return nil, err
	}
	name := rand.Text()
	r := &rewriter{s: s, name: name, marker: markerOf(name), f: f, w: bufio.NewWriterSize(f, windowSize), end: int64(len(packHead))}
	if _, err := r.w.WriteString(packHead); err != nil {
		return nil, errors.Join(err, r.drop())
	}
	return r, nil
}

// add appends a frame, of an object or a renewal.
func (r *rewriter) add(x frame, data []byte) error {
	x.length, x.group = uint32(len(data)), 1
	if _, err := r.w.Write(x.append(nil, r.marker)); err != nil {
		return err
	}
	if _, err := r.w.Write(data); err != nil {
		return err
	}
	e := entry{x.hash, uint32(r.end), x.length, x.time}
	if x.kind == kindRenewal {
		e.offset = 0
	}
	r.entries = append(r.entries, e)
	r.end += x.size()
	return nil
}

// sync makes what was added durable.
func (r *rewriter) sync() error {
	if err := r.w.Flush(); err != nil {
		return err
	}
	return r.f.Sync()
}

// swap puts the new pack in the place of the old one, whose readers keep their
// open file. The caller holds the store's lock alone. An empty pack just goes.
func (r *rewriter) swap(old *packFile) error {
	if len(r.entries) > 0 {
		if err := r.publish(); err != nil {
			return errors.Join(err, r.drop())
		}
	} else if err := r.drop(); err != nil {
		return err
	}
	if err := os.Remove(old.path); err != nil {
		return err
	}
	return removeIfThere(indexPath(r.s.packs.dir, old.name))
}

// publish makes the new pack visible and durable.
func (r *rewriter) publish() error {
	end := frame{kind: kindEnd, group: 2, time: r.s.now().Unix()}
	if _, err := r.w.Write(end.append(nil, r.marker)); err != nil {
		return err
	}
	r.end += headerSize
	if err := r.sync(); err != nil {
		return err
	}
	dir := r.s.packs.dir
	if len(r.entries) > indexAfter {
		if err := r.s.putFile(indexPath(dir, r.name), encodeIndex(r.end, end.group, r.entries)); err != nil {
			return err
		}
	}
	if err := os.Rename(r.f.Name(), filepath.Join(dir, r.name+packSuffix)); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	return r.f.Close()
}

// drop gives the new pack up.
func (r *rewriter) drop() error {
	return errors.Join(r.f.Close(), removeIfThere(r.f.Name()))
}
