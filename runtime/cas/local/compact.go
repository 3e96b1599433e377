package local

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// sorted is what collection finds in a pack.
type sorted struct {
	end     int64
	keep    []located // objects, each once, and renewals that still count
	remove  []located // objects
	garbage int64     // bytes of frames that are not kept
	damaged bool
}

// pack collects one pack, unless somebody appends to it or it is damaged.
func (c *collector) pack(name string) error {
	path := filepath.Join(c.s.packs.dir, name+packSuffix)
	f, err := lockPack(path)
	if err != nil {
		return err
	}
	if f == nil {
		c.done.Busy++
		return nil
	}
	defer f.Close()
	end, err := recoverPack(f, name, c.s.packs.dir)
	if err != nil {
		return err
	}
	if err := c.s.packs.refresh(); err != nil {
		return err
	}
	p := c.s.packs.named(name)
	if p == nil {
		return nil
	}
	defer p.release()
	x, err := c.sort(p, f, end)
	if err != nil {
		return err
	}
	c.see(end)
	if x.damaged {
		c.done.Damaged++
		return nil
	}
	return c.compact(p, f, x)
}

// named returns a pack of the list, which the caller releases; nil for none.
func (s *packs) named(name string) *packFile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.list {
		if p.name == name {
			p.refs.Add(1)
			return p
		}
	}
	return nil
}

func (c *collector) sort(p *packFile, f *os.File, end int64) (*sorted, error) {
	x := &sorted{end: end}
	seen := map[cid.Hash]bool{}
	s, err := walk(f, p.marker, int64(len(packHead)), end, func(off int64, fr frame) error {
		at := located{off, fr}
		switch {
		case fr.kind == kindRenewal && fr.time >= c.cutoff.Unix():
			x.keep = append(x.keep, at)
			return nil
		case fr.kind != kindObject || seen[fr.hash]:
		default:
			seen[fr.hash] = true
			old, err := c.oldPacked(fr.hash)
			if err != nil {
				return err
			}
			if !old {
				x.keep = append(x.keep, at)
				return nil
			}
			x.remove = append(x.remove, at)
		}
		x.garbage += fr.size()
		return nil
	})
	x.damaged = len(s.mended)+len(s.lost) > 0
	return x, err
}

// oldPacked reports whether an object in a pack may go.
func (c *collector) oldPacked(h cid.Hash) (bool, error) {
	if c.live[h] {
		return false, nil
	}
	x, err := c.s.packs.look(h)
	x.release()
	return x.time < c.cutoff.Unix(), err
}

// compact writes what is kept into a new pack and swaps the two. What somebody
// renewed meanwhile is taken along.
func (c *collector) compact(p *packFile, f *os.File, x *sorted) error {
	for _, at := range x.keep {
		switch {
		case at.kind != kindObject:
		case c.live[at.hash]:
			c.done.Kept++
		default:
			c.done.Young++
		}
	}
	if x.garbage < x.end/4 && (len(x.remove) == 0 || x.end > compactAlways) {
		c.done.Waiting += int64(len(x.remove))
		return nil
	}
	if c.o.DryRun {
		c.done.Removed += int64(len(x.remove))
		c.done.Freed += x.garbage
		return nil
	}
	r, err := c.s.newRewriter()
	if err != nil {
		return err
	}
	if err := c.copyFrames(r, f, x.keep); err != nil {
		return errors.Join(err, r.drop())
	}
	if err := r.sync(); err != nil {
		return errors.Join(err, r.drop())
	}
	return c.swap(r, p, f, x)
}

func (c *collector) copyFrames(r *rewriter, f *os.File, list []located) error {
	for _, at := range list {
		b := make([]byte, at.length)
		if _, err := f.ReadAt(b, at.off+headerSize); err != nil && len(b) > 0 {
			return err
		}
		if err := r.add(at.frame, b); err != nil {
			return err
		}
	}
	return nil
}

// swap looks again while no writer can renew, and replaces the pack.
func (c *collector) swap(r *rewriter, p *packFile, f *os.File, x *sorted) error {
	unlock, err := c.s.lockStore(true)
	if err != nil {
		return errors.Join(err, r.drop())
	}
	defer unlock()
	if err := c.s.packs.refresh(); err != nil {
		return errors.Join(err, r.drop())
	}
	removed, freed := int64(0), x.end
	for _, at := range x.remove {
		old, err := c.oldPacked(at.hash)
		if err == nil && !old {
			c.done.Young++
			err = c.copyFrames(r, f, []located{at})
		}
		if err != nil {
			return errors.Join(err, r.drop())
		}
		if old {
			removed++
		}
	}
	if err := r.swap(p); err != nil {
		return err
	}
	if len(r.entries) > 0 {
		freed -= r.end
	}
	c.done.Removed += removed
	c.done.Freed += freed
	return c.s.packs.refresh()
}
