package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Bounds of watching a folder.
const (
	maxWatched = 100_000               // files and folders below a write grant
	maxDepth   = 100                   // of folders in folders
	watchEvery = 20 * time.Millisecond // at most; and a tenth of the time is spent looking
	minFile    = 1 << 20               // what the largest file may always have
)

// growth watches what a call adds below the paths that it may write. It looks
// again and again, and once more when the call has ended: a call that added
// more than its grant allows is stopped if it still runs, and is never an
// answer. Beyond that one file grows at most to what the largest had plus
// MaxBytes (RLIMIT_FSIZE), so what is over before it is noticed is what can be
// written to such files in one round. What is written and removed between two
// looks is not seen, and what others add in the meantime counts as the call's.
type growth struct {
	grants []runner.FsWrite
	before []measure
	stop   chan struct{}
	done   sync.WaitGroup
}

// measure is what is below a path.
type measure struct {
	bytes   uint64 // of regular files, as long as they say they are; a hard link counts again
	largest uint64
	count   int
}

// newGrowth measures the paths before a call; nil if there are none.
func newGrowth(grants []runner.FsWrite) (*growth, error) {
	if len(grants) == 0 {
		return nil, nil
	}
	g := &growth{grants: grants, stop: make(chan struct{})}
	for _, w := range grants {
		m, err := look(w.Path)
		if err != nil {
			return nil, fault.New(runner.ErrGrant, "%w", err).About(w.Path)
		}
		g.before = append(g.before, m)
	}
	return g, nil
}

// fileBytes is the largest file that the call may write anywhere.
func (g *growth) fileBytes() int64 {
	most := uint64(minFile)
	for i, w := range g.grants {
		most = max(most, min(g.before[i].largest+min(w.MaxBytes, 1<<40), 1<<48))
	}
	return int64(most)
}

// watch looks until end and calls over once, with why, if a grant is exceeded.
func (g *growth) watch(over func(why string)) {
	g.done.Go(func() {
		wait := watchEvery
		for {
			timer := time.NewTimer(wait)
			select {
			case <-g.stop:
				timer.Stop()
				return
			case <-timer.C:
			}
			start := time.Now()
			if why := g.exceeded(); why != "" {
				over(why)
				return
			}
			wait = max(watchEvery, 9*time.Since(start))
		}
	})
}

// end stops watching and looks a last time; nothing of the module runs any more.
func (g *growth) end() string {
	close(g.stop)
	g.done.Wait()
	return g.exceeded()
}

// exceeded says which grant was exceeded, or nothing.
func (g *growth) exceeded() string {
	for i, w := range g.grants {
		now, err := look(w.Path)
		switch {
		case err != nil:
			return fmt.Sprintf("what was written cannot be measured: %v", err)
		case now.bytes > g.before[i].bytes && now.bytes-g.before[i].bytes > w.MaxBytes:
			return fmt.Sprintf("added %d bytes below %s, where %d were granted", now.bytes-g.before[i].bytes, w.Path, w.MaxBytes)
		}
	}
	return ""
}

// errCrowded is more than can be watched.
var errCrowded = fmt.Errorf("more than %d files, or folders deeper than %d, are too many to watch", maxWatched, maxDepth)

// look measures what is at or below a path. It follows no link. What vanishes
// while it looks is not there.
func look(path string) (measure, error) {
	var m measure
	info, err := os.Lstat(path)
	if err != nil {
		return m, err
	}
	if !info.IsDir() {
		return measure{uint64(info.Size()), uint64(info.Size()), 1}, nil
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return m, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if m.count++; m.count > maxWatched || strings.Count(p, "/") > maxDepth {
			return errCrowded
		}
		if err != nil || !d.Type().IsRegular() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		m.bytes += uint64(info.Size())
		m.largest = max(m.largest, uint64(info.Size()))
		return nil
	})
	return m, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
