package local

import (
	"context"
	"os"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Stat says what a store holds.
type Stat struct {
	Files      int64 // objects that are files
	FileBytes  int64
	Packed     int64 // objects in packs
	PackedData int64 // bytes of those
	Packs      int64
	PackBytes  int64 // of the files
	Waste      int64 // bytes of packs that hold no object: frames, renewals, further copies
	Pins       int64
	Tags       int64
	Quota      int64 // bytes; 0 for none
}

// Bytes returns what counts against the quota.
func (x Stat) Bytes() int64 { return x.FileBytes + x.PackBytes }

// Stat counts what is stored, without reading it.
func (s *Store) Stat(ctx context.Context) (Stat, error) {
	var x Stat
	for _, dir := range fanout() {
		all, err := s.listDir(ctx, dir)
		if err != nil {
			return x, err
		}
		for _, h := range all {
			info, err := os.Lstat(s.path(h))
			if err != nil {
				if ignoreMissing(err) == nil {
					continue
				}
				return x, s.object("look at", h, err)
			}
			x.Files++
			x.FileBytes += info.Size()
		}
	}
	if err := s.statPacks(&x); err != nil {
		return x, s.failed("count", err).About(s.packs.dir)
	}
	return x, s.statRefs(&x)
}

func (s *Store) statPacks(x *Stat) error {
	if err := s.packs.refresh(); err != nil {
		return err
	}
	for first := range 256 {
		seen := map[cid.Hash]uint32{}
		if err := s.packs.each(first, func(e entry) { seen[e.hash] = e.length }); err != nil {
			return err
		}
		for _, length := range seen {
			x.Packed++
			x.PackedData += int64(length)
		}
	}
	s.packs.mu.RLock()
	defer s.packs.mu.RUnlock()
	for _, p := range s.packs.list {
		info, err := p.f.Stat()
		if err != nil {
			return err
		}
		x.Packs++
		x.PackBytes += info.Size()
	}
	x.Waste = x.PackBytes - x.PackedData
	return nil
}

func (s *Store) statRefs(x *Stat) error {
	pins, err := s.Pins()
	if err != nil {
		return err
	}
	tags, err := s.Tags()
	if err != nil {
		return err
	}
	x.Pins, x.Tags = int64(len(pins)), int64(len(tags))
	x.Quota, err = s.Quota()
	return err
}
