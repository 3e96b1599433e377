package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/ociapi/catalog/catalogtest"
	"github.com/mythos-run/mythos/registry/ociapi/catalog/sqlite"
)

func open(t *testing.T, dir string) catalog.Catalog {
	t.Helper()
	c, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalog(t *testing.T) {
	catalogtest.Run(t, func(t *testing.T) (catalog.Catalog, func() catalog.Catalog) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		return open(t, dir), func() catalog.Catalog { return open(t, dir) }
	})
}

func TestNotACatalog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "oci.db"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), dir); !errors.Is(err, index.ErrUnavailable) {
		t.Errorf("a file of zeros: %v", err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "oci.db")); !errors.Is(err, index.ErrUnavailable) {
		t.Errorf("a file for a folder: %v", err)
	}
}
