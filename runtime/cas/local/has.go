package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Has implements cas.Store. An object that is there is durable, and it is renewed, so
// that gc leaves it alone for an hour; in a store that this process may not write to,
// nobody's gc is this process's, and the answer stands without.
func (s *Store) Has(ctx context.Context, h cid.Hash) (bool, error) {
	refreshed := false
	return s.has(ctx, item{h: h}, &refreshed)
}

// Look reports which objects are there, and durable, in their order. It renews none,
// so that asking writes nothing; gc may remove them at any time.
func (s *Store) Look(ctx context.Context, list []cid.Hash) (there []bool, err error) {
	refreshed := false
	there = make([]bool, len(list))
	for i, h := range list {
		if there[i], err = s.has(ctx, item{h: h, stay: true}, &refreshed); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// has looks for an object in packs, among the files, and in what others wrote
// meanwhile unless that was refreshed.
func (s *Store) has(ctx context.Context, it item, refreshed *bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	x, err := s.look(it.h)
	known := err == nil && s.packs.anyDurable(x) && (it.stay || x.time >= s.now().Unix()-renewAfter)
	x.release()
	if known {
		return true, nil
	}
	if err == nil && len(x.copies) == 0 {
		var there bool
		if there, err = s.hasFile(it); there {
			return true, nil
		}
	}
	if err == nil && !*refreshed {
		*refreshed = true
		if err = s.packs.refresh(); err == nil {
			x, err = s.packs.look(it.h)
			x.release()
		}
	}
	if err != nil || len(x.copies) == 0 {
		return false, s.object("look for", it.h, err)
	}
	return s.hasPacked(ctx, it)
}

// hasPacked reports whether an object is in a pack still, once it is durable, and
// renews it.
func (s *Store) hasPacked(ctx context.Context, it item) (bool, error) {
	_, err := s.begin(ctx)
	if err == nil {
		defer s.mu.RUnlock()
		one := []item{it}
		if err = s.writer.do(one); err == nil {
			return one[0].held, nil
		}
	}
	if mayNotWrite(err) {
		return true, nil
	}
	return false, s.object("look for", it.h, err)
}

// hasFile reports whether an object is a file, and renews it. Whoever renamed a young
// one may not have synced its folder.
func (s *Store) hasFile(it item) (there bool, err error) {
	info, err := os.Lstat(s.path(it.h))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
	case s.now().Sub(info.ModTime()) < renewAfter*time.Second:
		if !s.settled.has(it.h, s.now()) {
			err = s.syncDirOf(it.h)
		}
		there = err == nil
	case it.stay:
		return true, nil
	default:
		there, err = s.renewFile(it.h)
	}
	if mayNotWrite(err) {
		return true, nil
	}
	return there, err
}

func mayNotWrite(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// settled remembers which files this process knows to be durable, so that asking for
// them does not sync their folder again. It holds for Grace, in which nobody collects
// and stores them again.
type settled struct {
	mu sync.Mutex
	at map[cid.Hash]time.Time
}

// maxSettled bounds how many are remembered.
const maxSettled = 1 << 14

func (x *settled) note(now time.Time, list ...cid.Hash) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at == nil || len(x.at)+len(list) > maxSettled {
		x.at = map[cid.Hash]time.Time{}
	}
	for _, h := range list[:min(len(list), maxSettled)] {
		x.at[h] = now
	}
}

func (x *settled) has(h cid.Hash, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	at, ok := x.at[h]
	return ok && now.Sub(at) < Grace
}
