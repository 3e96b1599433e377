package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	quotaName = "quota"
	// usageAge is for how long a count of the store's bytes is used.
	usageAge = time.Minute
)

// quota holds what a store may grow to, and how large it was when this process
// last counted, plus what it wrote since. What others write is seen at the next
// count, a minute later, and before anything is refused.
type quota struct {
	mu      sync.Mutex
	limit   int64 // 0 for none
	used    int64
	counted time.Time
}

// Quota returns the bytes that the store may hold; 0 means that nobody limits it.
func (s *Store) Quota() (int64, error) {
	path := filepath.Join(s.dir, quotaName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, s.failed("read the quota", err).About(path)
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(string(b), "\n"), 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(cas.ErrUnavailable, "the quota is %q, no number of bytes", b).About(path)
	}
	return n, nil
}

// SetQuota bounds the store's bytes for all processes; 0 removes the bound.
// What is stored stays.
func (s *Store) SetQuota(bytes int64) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	s.quota.mu.Lock()
	s.quota.counted = time.Time{}
	s.quota.mu.Unlock()
	path := filepath.Join(s.dir, quotaName)
	if bytes <= 0 {
		if err := removeIfThere(path); err != nil {
			return s.failed("remove the quota", err).About(path)
		}
		return nil
	}
	if err := atomicfile.Write(path, strconv.AppendInt(nil, bytes, 10), 0o600); err != nil {
		return s.failed("write the quota", err).About(path)
	}
	return nil
}

// admit fails if an object of size bytes does not fit, and counts it otherwise.
func (s *Store) admit(h cid.Hash, size int64) error {
	q := &s.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	fresh := s.now().Sub(q.counted) < usageAge && !q.counted.IsZero()
	if fresh && q.limit == 0 {
		return nil
	}
	if !fresh || q.used+size > q.limit {
		if err := s.count(q); err != nil {
			return s.object("store", h, err)
		}
	}
	if q.limit > 0 && (size > q.limit || q.used > q.limit-size) {
		return fault.New(cas.ErrFull, "%d bytes do not fit: %d of the quota of %d are used", max(size, 0), q.used, q.limit).About(h.String())
	}
	q.used += max(size, 0)
	return nil
}

// count reads the quota and, if there is one, counts the store's bytes.
func (s *Store) count(q *quota) error {
	limit, err := s.Quota()
	if err != nil {
		return err
	}
	q.limit, q.used = limit, 0
	if limit > 0 {
		if q.used, err = s.usage(); err != nil {
			return err
		}
	}
	q.counted = s.now()
	return nil
}

// usage returns the bytes of all objects and packs.
func (s *Store) usage() (int64, error) {
	total := int64(0)
	for _, top := range []string{objectsDir, packsDir} {
		err := filepath.WalkDir(filepath.Join(s.dir, top), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return ignoreMissing(err)
			}
			info, err := d.Info()
			if err != nil {
				return ignoreMissing(err)
			}
			total += info.Size()
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return total, nil
}
