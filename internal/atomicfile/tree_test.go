package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// builder writes name -> content below the staging folder; a name that ends
// in "/" is a directory.
func builder(files map[string]string) func(string) error {
	return func(root string) error {
		for name, content := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}

func allow(string) error { return nil }

func TestWriteTree(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "demo-1")
	v1 := builder(map[string]string{"a": "1", "sub/b": "2"})
	changed, err := WriteTree(dir, v1, Tree{})
	if err != nil || !changed {
		t.Fatalf("first: %v, %v", changed, err)
	}
	wantFile(t, filepath.Join(dir, "sub", "b"), "2", 0o644)
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o755 {
		t.Errorf("folder mode %v", info.Mode())
	}
	before, _ := os.Stat(dir)
	changed, err = WriteTree(dir, v1, Tree{})
	if err != nil || changed {
		t.Errorf("equal folder: changed %v, %v", changed, err)
	}
	if after, _ := os.Stat(dir); !os.SameFile(before, after) {
		t.Error("an equal folder was replaced")
	}
	wantNames(t, parent, "demo-1")
}

func TestWriteTreeReplaces(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "demo-1")
	if _, err := WriteTree(dir, builder(map[string]string{"a": "1", "old": "x"}), Tree{}); err != nil {
		t.Fatal(err)
	}
	v2 := builder(map[string]string{"a": "2"})
	if _, err := WriteTree(dir, v2, Tree{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("no Replace func: %v, want fs.ErrExist", err)
	}
	refused := errors.New("not ours")
	asked := ""
	_, err := WriteTree(dir, v2, Tree{Replace: func(d string) error { asked = d; return refused }})
	if !errors.Is(err, refused) || asked != dir {
		t.Errorf("refused: %v, asked about %q", err, asked)
	}
	wantNames(t, dir, "a", "old")
	changed, err := WriteTree(dir, v2, Tree{Replace: allow})
	if err != nil || !changed {
		t.Errorf("replace: %v, %v", changed, err)
	}
	wantNames(t, dir, "a")
	wantFile(t, filepath.Join(dir, "a"), "2", 0o644)
	wantNames(t, parent, "demo-1")
}

func TestWriteTreeFailuresLeaveNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "demo-1")
	broken := errors.New("half way")
	_, err := WriteTree(dir, func(root string) error {
		sub := filepath.Join(root, "sub")
		return errors.Join(os.Mkdir(sub, 0o755), os.WriteFile(filepath.Join(sub, "f"), nil, 0o644), os.Chmod(sub, 0o555), broken)
	}, Tree{})
	if !errors.Is(err, broken) {
		t.Errorf("failing build: %v", err)
	}
	wantNames(t, parent)
	if err := os.WriteFile(dir, []byte("a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteTree(dir, builder(nil), Tree{Replace: allow}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("file in the way: %v", err)
	}
	target := filepath.Join(parent, "elsewhere")
	link := filepath.Join(parent, "link")
	if err := errors.Join(os.Mkdir(target, 0o755), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteTree(link, builder(nil), Tree{Replace: allow}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link in the way: %v", err)
	}
	for _, bad := range []string{"/", ".", filepath.Join(parent, "none", "x")} {
		if _, err := WriteTree(bad, builder(nil), Tree{Replace: allow}); err == nil {
			t.Errorf("WriteTree(%q) gave no error", bad)
		}
	}
	wantNames(t, parent, "demo-1", "elsewhere", "link")
}

func TestSwapByRename(t *testing.T) {
	parent := t.TempDir()
	a, b := filepath.Join(parent, "a"), filepath.Join(parent, "b")
	if err := errors.Join(os.Mkdir(a, 0o755), os.Mkdir(b, 0o755), os.WriteFile(filepath.Join(a, "new"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := swapByRename(a, b); err != nil {
		t.Fatal(err)
	}
	wantNames(t, b, "new")
	wantNames(t, parent, "a", "b")
	if err := swapByRename(filepath.Join(parent, "none"), b); err == nil {
		t.Error("a missing folder was swapped in")
	}
	wantNames(t, b, "new")
	wantNames(t, parent, "a", "b")
}

func TestEqualTrees(t *testing.T) {
	base := map[string]string{"a": "1", "d/b": "2"}
	for name, c := range map[string]struct {
		change func(root string) error
		equal  bool
	}{
		"same":    {func(string) error { return nil }, true},
		"content": {func(r string) error { return os.WriteFile(filepath.Join(r, "a"), []byte("9"), 0o644) }, false},
		"longer":  {func(r string) error { return os.WriteFile(filepath.Join(r, "a"), []byte("11"), 0o644) }, false},
		"mode":    {func(r string) error { return os.Chmod(filepath.Join(r, "a"), 0o755) }, false},
		"extra":   {func(r string) error { return os.WriteFile(filepath.Join(r, "d", "z"), nil, 0o644) }, false},
		"missing": {func(r string) error { return os.Remove(filepath.Join(r, "d", "b")) }, false},
		"renamed": {func(r string) error { return os.Rename(filepath.Join(r, "a"), filepath.Join(r, "A")) }, false},
		"link for a file": {func(r string) error {
			return errors.Join(os.Remove(filepath.Join(r, "a")), os.Symlink("d/b", filepath.Join(r, "a")))
		}, false},
	} {
		x, y := t.TempDir(), t.TempDir()
		if err := errors.Join(builder(base)(x), builder(base)(y), c.change(y)); err != nil {
			t.Fatal(err)
		}
		if got, err := EqualTrees(x, y); err != nil || got != c.equal {
			t.Errorf("%s: equal %v, %v; want %v", name, got, err, c.equal)
		}
	}
}
