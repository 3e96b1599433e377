package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWait(t *testing.T) {
	dir := t.TempDir()
	a, built := filepath.Join(dir, "a"), filepath.Join(dir, "out/x")
	write(t, a, "1")
	write(t, built, "1")
	takes := 0
	edit := func() {}
	take := func() (Snapshot, error) {
		takes++
		edit()
		return Take(t.Context(), []string{dir}, func(p string) bool { return strings.HasSuffix(p, "out") })
	}
	since, err := take()
	if err != nil || len(since) != 1 {
		t.Fatalf("%v, %v", since, err)
	}
	edit = func() {
		switch takes {
		case 3:
			write(t, built, "changed")
		case 4:
			write(t, filepath.Join(dir, "b/c"), "new")
		case 5:
			write(t, filepath.Join(dir, "b/c"), "new and longer")
		}
	}
	path, err := Wait(t.Context(), time.Millisecond, since, take)
	if err != nil || path != filepath.Join(dir, "b/c") || takes != 6 {
		t.Errorf("%s after %d looks, %v", path, takes, err)
	}
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	if path, err := Wait(t.Context(), time.Millisecond, since, take); err != nil || path == "" {
		t.Errorf("a removed file: %q, %v", path, err)
	}
	write(t, a, "new")
	made, err := take()
	if err != nil {
		t.Fatal(err)
	}
	if path, changed := Change(Snapshot{}.WithNew(made), made); changed {
		t.Errorf("%s was made by a build", path)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Wait(ended, time.Hour, since, take); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}
