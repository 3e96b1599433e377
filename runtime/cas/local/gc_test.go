package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// clock is a clock that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func openAt(t *testing.T, dir string, c *clock) *Store {
	t.Helper()
	s, err := OpenWith(dir, Options{Clock: c.now})
	check(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func keeping(objects ...[]byte) func(context.Context, func(cid.Hash)) error {
	return func(_ context.Context, keep func(cid.Hash)) error {
		for _, o := range objects {
			keep(cid.Sum(o))
		}
		return nil
	}
}

// wantThere checks which of the objects a fresh store over the folder has.
func wantThere(t *testing.T, dir, what string, there bool, objects ...[]byte) {
	t.Helper()
	s := open(t, dir)
	for _, o := range objects {
		_, err := s.Get(t.Context(), cid.Sum(o), 2*smallLimit)
		if got := err == nil; got != there || err != nil && !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("%s: %.20q is there: %v, %v; want %v", what, o, got, err, there)
		}
	}
}

// TestCollect checks the rule of age for small and large objects alike: what is
// marked stays, what is young stays, what was renewed stays, the rest goes.
func TestCollect(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openAt(t, dir, c)
	kind := func(name string) [][]byte { return [][]byte{[]byte(name), large(name)} }
	for _, name := range []string{"marked", "garbage", "renewed by has", "renewed by put", "renewed by another"} {
		for _, o := range kind(name) {
			check(t, putOne(t.Context(), s, o))
		}
	}
	c.at = c.at.Add(2 * time.Hour)
	other := openAt(t, dir, c)
	for i := range 2 {
		for who, name := range map[*Store]string{s: "renewed by has", other: "renewed by another"} {
			if there, err := who.Has(t.Context(), cid.Sum(kind(name)[i])); !there || err != nil {
				t.Fatalf("has: %v, %v", there, err)
			}
		}
		check(t, putOne(t.Context(), other, kind("renewed by put")[i]))
		check(t, putOne(t.Context(), s, kind("young")[i]))
	}
	r, _, err := s.Open(t.Context(), cid.Sum(large("garbage")))
	check(t, err)
	defer r.Close()
	dry, err := s.Collect(t.Context(), CollectOptions{Mark: keeping(kind("marked")...), DryRun: true})
	check(t, err)
	wantThere(t, dir, "dry run", true, kind("garbage")...)
	check(t, other.Close()) // its pack, with renewals, is nobody's now
	got, err := s.Collect(t.Context(), CollectOptions{Mark: keeping(kind("marked")...)})
	check(t, err)
	if got.Removed != 2 || got.Kept != 2 || got.Freed == 0 || dry.Removed != 2 {
		t.Errorf("collected %+v, dry run %+v; want 2 removed and 2 kept", got, dry)
	}
	wantThere(t, dir, "after", false, kind("garbage")...)
	for _, name := range []string{"marked", "renewed by has", "renewed by put", "renewed by another", "young"} {
		wantThere(t, dir, name, true, kind(name)...)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Errorf("a stream that was open: %v", err)
	}
	for _, o := range kind("garbage") { // what went can come again
		check(t, putOne(t.Context(), s, o))
	}
	wantThere(t, dir, "stored again", true, kind("garbage")...)
	c.at = c.at.Add(2 * time.Hour)
	if got, err = s.Collect(t.Context(), CollectOptions{Mark: keeping()}); err != nil || got.Kept != 0 {
		t.Errorf("collected %+v, %v", got, err)
	}
	for h, err := range open(t, dir).List(t.Context()) {
		t.Errorf("%s, %v is left", h, err)
	}
}

// TestRenewedWhileCollecting renews between the mark and the removal.
func TestRenewedWhileCollecting(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s, other := openAt(t, dir, c), openAt(t, dir, c)
	objects := append(numbered("object", 20), large("a"), large("b"))
	for _, o := range objects {
		check(t, putOne(t.Context(), s, o))
	}
	c.at = c.at.Add(3 * time.Hour)
	renewed := append(slices.Clone(objects[:5]), objects[20])
	_, err := s.Collect(t.Context(), CollectOptions{Mark: func(ctx context.Context, _ func(cid.Hash)) error {
		for _, o := range renewed {
			if there, err := other.Has(ctx, cid.Sum(o)); !there || err != nil {
				return fmt.Errorf("has: %v, %w", there, err)
			}
		}
		return nil
	}})
	check(t, err)
	wantThere(t, dir, "renewed", true, renewed...)
	wantThere(t, dir, "the rest", false, append(slices.Clone(objects[5:20]), objects[21])...)
	for _, o := range objects[5:20] { // other knows a pack that is gone
		there, err := other.Has(t.Context(), cid.Sum(o))
		if there || err != nil {
			t.Errorf("another process has what was collected: %v, %v", there, err)
		}
		check(t, putOne(t.Context(), other, o))
	}
	wantThere(t, dir, "stored again", true, objects[:21]...)
}

// TestCollectFailsClosed removes nothing if marking fails, if another collection
// runs, or from a pack that is damaged.
func TestCollectFailsClosed(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openAt(t, dir, c)
	objects := append(numbered("object", 3), large("a"))
	for _, o := range objects {
		check(t, putOne(t.Context(), s, o))
	}
	c.at = c.at.Add(3 * time.Hour)
	broken := errors.New("the ledger cannot be read")
	_, err := s.Collect(t.Context(), CollectOptions{Mark: func(ctx context.Context, _ func(cid.Hash)) error {
		if _, err := openAt(t, dir, c).Collect(ctx, CollectOptions{Mark: keeping()}); !errors.Is(err, ErrBusy) {
			t.Errorf("a second collection: %v, want %v", err, ErrBusy)
		}
		return broken
	}})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	wantThere(t, dir, "marking failed", true, objects...)
	check(t, s.writer.giveUp())
	path := packPaths(t, dir)[0]
	b, err := os.ReadFile(path)
	check(t, err)
	b[len(packHead)+30] ^= 1 // in the first header's hash
	check(t, os.WriteFile(path, b, 0o600))
	got, err := s.Collect(t.Context(), CollectOptions{Mark: keeping()})
	if err != nil || got.Damaged != 1 || got.Removed != 1 {
		t.Errorf("collected %+v, %v; want the file only", got, err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(b) {
		t.Errorf("the damaged pack was changed: %v", err)
	}
}

func TestRefs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	x, y := cid.Sum([]byte("x")), cid.Sum([]byte("y"))
	for _, want := range []bool{true, false} {
		if fresh, err := s.Pin(x); fresh != want || err != nil {
			t.Errorf("pin: %v, %v; want %v", fresh, err, want)
		}
	}
	check(t, s.SetTag("release-1.0", x))
	check(t, s.SetTag("release-1.0", y))
	check(t, s.SetTag("a", x))
	tags, err := open(t, dir).Tags()
	if want := []Tag{{"a", x}, {"release-1.0", y}}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("tags %v, %v; want %v", tags, err, want)
	}
	if pins, err := s.Pins(); err != nil || !slices.Equal(pins, []cid.Hash{x}) {
		t.Errorf("pins %v, %v", pins, err)
	}
	check(t, s.Unpin(x))
	check(t, s.RemoveTag("a"))
	for what, err := range map[string][2]error{
		"unpin":       {s.Unpin(x), ErrNoPin},
		"untag":       {s.RemoveTag("a"), ErrNoTag},
		"dots":        {s.SetTag("../a", x), ErrTagName},
		"empty":       {s.SetTag("", x), ErrTagName},
		"hidden":      {s.SetTag(".a", x), ErrTagName},
		"slash":       {s.SetTag("a/b", x), ErrTagName},
		"newline":     {s.RemoveTag("a\nb"), ErrTagName},
		"not a byte":  {s.SetTag("ä", x), ErrTagName},
		"not a byte2": {s.SetTag("aä", x), ErrTagName},
	} {
		if !errors.Is(err[0], err[1]) {
			t.Errorf("%s: %v, want %v", what, err[0], err[1])
		}
	}
	path := filepath.Join(dir, tagsDir, "release-1.0")
	b, err := os.ReadFile(path)
	check(t, err)
	for bit := range len(b) * 8 {
		bad := slices.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		check(t, os.WriteFile(path, bad, 0o600))
		if _, err := s.Tags(); !errors.Is(err, cas.ErrCorrupt) {
			t.Errorf("bit %d of a tag: %v, want %v", bit, err, cas.ErrCorrupt)
		}
	}
	v, err := s.Verify(t.Context(), VerifyOptions{})
	if err != nil || len(v.Refs) != 1 {
		t.Errorf("verify says %+v, %v", v, err)
	}
}
