package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/castest"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func TestAcceptance(t *testing.T) {
	castest.Run(t, castest.Harness{
		New:       func(t *testing.T) cas.Store { return open(t, filepath.Join(t.TempDir(), "a", "store")) },
		Damage:    func(t *testing.T, s cas.Store, h cid.Hash, b []byte) { damage(t, s.(*Store), h, b) },
		Stored:    func(t *testing.T, s cas.Store, h cid.Hash) []byte { return stored(t, s.(*Store), h) },
		Leftovers: func(t *testing.T, s cas.Store) []string { return leftovers(t, s.(*Store)) },
	})
}

// stored returns what s keeps under h, unchecked.
func stored(t *testing.T, s *Store, h cid.Hash) []byte {
	t.Helper()
	b, err := os.ReadFile(s.path(h))
	if err == nil {
		return b
	}
	x, err := s.look(h)
	check(t, err)
	defer x.release()
	if len(x.copies) != 1 {
		t.Fatalf("%d copies of %s, want 1", len(x.copies), h)
	}
	b, err = x.copies[0].p.data(x.copies[0].entry)
	check(t, err)
	return b
}

// damage makes what s keeps under h be exactly b, in a file or in its pack's
// frame, whose header stays right.
func damage(t *testing.T, s *Store, h cid.Hash, b []byte) {
	t.Helper()
	if _, err := os.Lstat(s.path(h)); err == nil {
		check(t, os.WriteFile(s.path(h), b, 0o600))
		return
	}
	check(t, s.writer.finish(false))
	x, err := s.look(h)
	check(t, err)
	if len(x.copies) != 1 {
		t.Fatalf("%d copies of %s, want 1", len(x.copies), h)
	}
	c := x.copies[0]
	old, err := os.ReadFile(c.p.path)
	check(t, err)
	head, ok := decodeFrame(old[c.offset:], c.p.marker)
	if !ok {
		t.Fatalf("no frame at %d", c.offset)
	}
	rest := old[int64(c.offset)+head.size():]
	head.length = uint32(len(b))
	changed := append(head.append(old[:c.offset:c.offset], c.p.marker), b...)
	check(t, os.WriteFile(c.p.path, append(changed, rest...), 0o600))
	check(t, removeIfThere(indexPath(s.packs.dir, c.p.name)))
	x.release()
	s.packs.drop()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	check(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// leftovers names everything in the store's folder that is neither an object
// nor part of the empty layout nor the lock of s.
func leftovers(t *testing.T, s *Store) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // nothing was written yet
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(s.dir, path)
		own := s.session != nil && path == s.session.lockPath()
		pack, isPack := strings.CutSuffix(strings.TrimPrefix(name, packsDir+"/"), packSuffix)
		part := name == formatName || name == lockName || name == turnName || isPack && packName(pack)
		if !part && !own && !strings.HasPrefix(name, objectsDir+"/") {
			out = append(out, name)
		}
		if _, ok := parse(d.Name()); strings.HasPrefix(name, objectsDir+"/") && !ok {
			out = append(out, name)
		}
		return nil
	})
	check(t, err)
	return out
}
