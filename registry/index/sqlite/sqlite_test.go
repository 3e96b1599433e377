package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/indextest"
	"github.com/mythos-run/mythos/registry/index/sqlite"
)

func open(t *testing.T, dir string) index.Index {
	t.Helper()
	x, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestIndex(t *testing.T) {
	indextest.Run(t, func(t *testing.T) (index.Index, func() index.Index) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		return open(t, dir), func() index.Index { return open(t, dir) }
	})
}

func TestNotAnIndex(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.db"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), dir); !errors.Is(err, index.ErrUnavailable) {
		t.Errorf("a file of zeros: %v", err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "index.db")); !errors.Is(err, index.ErrUnavailable) {
		t.Errorf("a file for a folder: %v", err)
	}
}
