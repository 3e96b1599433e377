package image

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// entry is one image, known by its manifest's digest.
type entry struct {
	digest cid.Hash
	turn   chan struct{} // held by whoever loads or unpacks
	parts  *parts
	tree   *plan // set, under turn, by the first who needs it
	at     *held // unpacked

	users int // guarded by images.mu, as is used
	used  int64
}

// images holds images by digest, works each out once however many calls want it,
// and forgets those not used for longest. One in use is never given up.
type images struct {
	store    *store
	most     int
	platform string
	limit    int64

	mu      sync.Mutex
	entries map[cid.Hash]*entry
	clock   int64
}

func newImages(s *store, o *Options) *images {
	return &images{store: s, most: o.Images, platform: o.Platform, limit: o.MaxImageBytes, entries: map[cid.Hash]*entry{}}
}

// get returns an image, worked out, held until release.
func (c *images) get(ctx context.Context, m runner.Module) (*entry, error) {
	c.mu.Lock()
	e := c.entries[m.Digest]
	if e == nil {
		e = &entry{digest: m.Digest, turn: make(chan struct{}, 1)}
		c.entries[m.Digest] = e
	}
	e.users++
	c.mu.Unlock()
	err := e.alone(ctx, func() error {
		if e.tree != nil {
			return nil
		}
		return e.load(ctx, m, c.platform, c.limit)
	})
	if err != nil {
		c.release(e)
		return nil, err
	}
	return e, nil
}

// alone runs f while nobody else loads or unpacks e.
func (e *entry) alone(ctx context.Context, f func() error) error {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return f()
}

// load reads the image and works out its tree.
func (e *entry) load(ctx context.Context, m runner.Module, platform string, limit int64) error {
	if m.Load == nil || m.Open == nil {
		return fault.New(runner.ErrDigest, "image %s is not here and cannot be loaded", e.digest)
	}
	raw, err := m.Load(ctx)
	if err != nil {
		return fmt.Errorf("load image %s: %w", e.digest, err)
	}
	if got := cid.Sum(raw); got != e.digest {
		return fault.New(runner.ErrDigest, "the loaded bytes are %s, want %s", got, e.digest)
	}
	x, err := readParts(ctx, raw, m.Open)
	if err != nil {
		return err
	}
	if got := x.config.Platform(); got != platform {
		return fault.New(layout.ErrPlatform, "the image is for %s, this machine is %s", got, platform)
	}
	t, err := x.plan(ctx, limit, m.Open)
	if err != nil {
		return err
	}
	e.parts, e.tree = x, t
	return nil
}

// unpacked returns where e is on the disk, writing and checking it if this
// process has not yet done so.
func (c *images) unpacked(ctx context.Context, e *entry, open opener) (*held, error) {
	err := e.alone(ctx, func() error {
		if e.at != nil {
			return nil
		}
		h, err := c.store.hold(ctx, e.digest, e.parts, e.tree, open)
		e.at = h
		return err
	})
	return e.at, err
}

// hold is one more hold on an image that the caller holds.
func (c *images) hold(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users++
}

// release gives up a hold.
func (c *images) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	c.clock++
	e.used = c.clock
	if e.users == 0 && e.tree == nil { // never loaded: the next call tries again
		delete(c.entries, e.digest)
	}
	for len(c.entries) > c.most {
		var oldest *entry
		for _, x := range c.entries {
			if x.users == 0 && (oldest == nil || x.used < oldest.used) {
				oldest = x
			}
		}
		if oldest == nil {
			return
		}
		c.drop(oldest)
	}
}

// drop forgets an image that nobody uses.
func (c *images) drop(e *entry) {
	delete(c.entries, e.digest)
	if e.at != nil {
		_ = e.at.close() // nothing was written by it
	}
}

// close gives everything up; no call may be running.
func (c *images) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		c.drop(e)
	}
}

// accepts reports an entry that is no program of the image.
func (e *entry) accepts(m runner.Module) error {
	if len(m.Entry) == 0 {
		return fault.New(manifest.ErrModule, "an oci-image module needs an entry")
	}
	n, err := e.tree.find(programPath(m.Entry))
	if err != nil {
		return err
	}
	if n == nil || n.kind != file || !n.exec {
		return fault.New(manifest.ErrModule, "the entry %s is no file of the image that can be executed", show(m.Entry[0]))
	}
	if platform := e.parts.config.Platform(); !n.runnable(platform) {
		return fault.New(manifest.ErrModule, "the entry %s is neither a program for %s nor a script", show(m.Entry[0]), platform)
	}
	return nil
}

// points are the mount points that the image lacks, with the whole way to each;
// none if it has all.
func (e *entry) points(mounts []sandbox.Mount) ([]sandbox.Point, error) {
	var out []sandbox.Point
	for _, m := range mounts {
		dir, err := isFolder(m)
		if err != nil {
			return nil, fault.New(runner.ErrGrant, "%w", err).About(m.Target)
		}
		if !e.has(m.Target, dir) {
			out = append(out, sandbox.Point{Path: m.Target, Dir: dir})
		}
	}
	// A point below another's folder is made in it.
	slices.SortFunc(out, func(a, b sandbox.Point) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// has reports whether a path of the image is, without a link on the way, a folder
// or a file.
func (e *entry) has(p string, dir bool) bool {
	n := e.tree.root
	for _, name := range steps(p) {
		if n = n.children[name]; n == nil || n.kind == link {
			return false
		}
	}
	return (n.kind == folder) == dir
}
