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
		New: func(t *testing.T) cas.Store { return open(t, filepath.Join(t.TempDir(), "a", "store")) },
		Damage: func(t *testing.T, s cas.Store, h cid.Hash, b []byte) {
			check(t, os.WriteFile(s.(*Store).path(h), b, 0o600))
		},
		Stored: func(t *testing.T, s cas.Store, h cid.Hash) []byte {
			b, err := os.ReadFile(s.(*Store).path(h))
			check(t, err)
			return b
		},
		Leftovers: func(t *testing.T, s cas.Store) []string { return leftovers(t, s.(*Store)) },
	})
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
		if name != formatName && !own && !strings.HasPrefix(name, objectsDir+"/") {
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
