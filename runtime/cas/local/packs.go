package local

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

const packsDir = "packs"

// packs is the set of a store's packs, as far as this process has seen it.
type packs struct {
	dir string

	mu     sync.RWMutex
	opened bool
	closed bool
	list   []*packFile // ascending by name
}

// copyOf is one copy of an object. The holder calls release.
type copyOf struct {
	p *packFile
	entry
}

func (c copyOf) release() { c.p.release() }

// found is what is known of an object in packs.
type found struct {
	copies []copyOf
	time   int64 // its generation, seconds since 1970
}

func (x found) release() {
	for _, c := range x.copies {
		c.release()
	}
}

// look returns what this process knows of h. It may not know of what others
// wrote since the last refresh.
func (s *packs) look(h cid.Hash) (found, error) {
	s.mu.RLock()
	x, bad, err := s.lookLocked(h)
	s.mu.RUnlock()
	if bad == nil {
		return x, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for bad != nil {
		x.release()
		if err := bad.rebuild(); err != nil {
			return found{}, err
		}
		x, bad, err = s.lookLocked(h)
	}
	return x, err
}

// lookLocked returns a pack whose index is damaged, if there is one.
func (s *packs) lookLocked(h cid.Hash) (x found, bad *packFile, err error) {
	for _, p := range s.list {
		err := p.find(h, func(e entry) {
			x.time = max(x.time, e.time)
			if e.offset > 0 {
				p.refs.Add(1)
				x.copies = append(x.copies, copyOf{p, e})
			}
		})
		if errors.Is(err, errIndex) {
			return x, p, nil
		}
		if err != nil {
			x.release()
			return found{}, nil, err
		}
	}
	return x, nil, nil
}

// hashes returns the hashes that begin with first, ascending, each once.
func (s *packs) hashes(first byte) ([]cid.Hash, error) {
	var all []cid.Hash
	err := s.each(int(first), func(e entry) { all = append(all, e.hash) })
	slices.SortFunc(all, cid.Hash.Compare)
	return slices.Compact(all), err
}

// each calls see for the objects whose hash begins with first, once for each copy
// and again for some if an index turns out to be damaged.
func (s *packs) each(first int, see func(entry)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	object := func(e entry) {
		if e.offset > 0 {
			see(e)
		}
	}
	for _, p := range s.list {
		err := p.each(first, object)
		if errors.Is(err, errIndex) {
			if err = p.rebuild(); err == nil {
				err = p.each(first, object)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refresh takes in what other processes did: new packs, frames and packs that
// are gone.
func (s *packs) refresh() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refreshLocked(names)
}

func (s *packs) refreshLocked(names []string) error {
	if s.closed {
		return fs.ErrClosed
	}
	s.opened = true
	old := map[string]*packFile{}
	for _, p := range s.list {
		old[p.name] = p
	}
	var list []*packFile
	var errs []error
	for _, name := range names {
		p := old[name]
		delete(old, name)
		if p == nil {
			var err error
			if p, err = openPack(s.dir, name); err != nil || p == nil {
				errs = append(errs, err)
				continue
			}
		}
		list = append(list, p)
		errs = append(errs, p.refresh())
	}
	for _, p := range old {
		if p.own { // its directory entry came after names was read
			list = append(list, p)
			continue
		}
		p.release()
	}
	slices.SortFunc(list, func(a, b *packFile) int { return strings.Compare(a.name, b.name) })
	s.list = list
	return errors.Join(errs...)
}

// prepare is the first refresh.
func (s *packs) prepare() error {
	s.mu.RLock()
	opened := s.opened
	s.mu.RUnlock()
	if opened {
		return nil
	}
	return s.refresh()
}

// names lists the packs in the folder, ascending.
func (s *packs) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), packSuffix); ok && packName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// packName reports whether name is one that this package gives: rand.Text.
func packName(name string) bool {
	return len(name) == 26 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// close forgets all packs for good; nobody appends any more.
func (s *packs) close() {
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// drop forgets all packs until the next refresh.
func (s *packs) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.list {
		p.release()
	}
	s.list, s.opened = nil, false
}

// reread reads the packs again that hold h, in case they changed under this
// process, and looks again.
func (s *packs) reread(h cid.Hash) (found, error) {
	s.mu.Lock()
	for _, p := range s.list {
		moved := false
		err := p.find(h, func(e entry) { moved = moved || e.offset > 0 && !p.frameAt(e) })
		if err == nil && moved {
			err = p.rebuild()
		}
		if err != nil && !errors.Is(err, errIndex) {
			s.mu.Unlock()
			return found{}, err
		}
	}
	s.mu.Unlock()
	return s.look(h)
}
