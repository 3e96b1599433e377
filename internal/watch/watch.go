// Package watch tells when files below some folders change. It looks at their
// sizes and times again and again, which works on every file system and needs
// nothing from the kernel.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// MaxFiles bounds how many files are looked at.
const MaxFiles = 50_000

// ErrTooMany: there are more than MaxFiles files below the folders.
var ErrTooMany = errors.New("too many files to watch")

// Snapshot is what the files looked like, by path.
type Snapshot map[string]stamp

type stamp struct {
	size int64
	time time.Time
	mode fs.FileMode
}

// Take looks at every regular file below the roots, which are folders or files.
// Skip is asked about each path, folders included; nil skips nothing. Files and
// folders that vanish meanwhile are not there.
func Take(ctx context.Context, roots []string, skip func(path string) bool) (Snapshot, error) {
	s := Snapshot{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case skip != nil && skip(path):
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case !d.Type().IsRegular():
				return nil
			case len(s) == MaxFiles:
				return fmt.Errorf("%s: %w, at most %d", root, ErrTooMany, MaxFiles)
			}
			if info, err := os.Lstat(path); err == nil {
				s[path] = stamp{info.Size(), info.ModTime(), info.Mode()}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// WithNew returns s with the files that only later has: what a build has made
// between the two is no change.
func (s Snapshot) WithNew(later Snapshot) Snapshot {
	out := maps.Clone(s)
	for path, x := range later {
		if _, ok := out[path]; !ok {
			out[path] = x
		}
	}
	return out
}

// Change returns a path that is not in both snapshots as the same, and whether
// there is one.
func Change(a, b Snapshot) (string, bool) {
	for path, x := range a {
		if y, ok := b[path]; !ok || x.size != y.size || x.mode != y.mode || !x.time.Equal(y.time) {
			return path, true
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			return path, true
		}
	}
	return "", false
}

// Wait takes snapshots, one every interval, until one differs from since and then
// does not change for an interval: an editor or a checkout has finished. It
// returns a path that changed.
func Wait(ctx context.Context, interval time.Duration, since Snapshot, take func() (Snapshot, error)) (string, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := since
	for {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
		}
		now, err := take()
		if err != nil {
			return "", err
		}
		path, changed := Change(since, now)
		if _, moving := Change(last, now); changed && !moving {
			return path, nil
		}
		last = now
	}
}
