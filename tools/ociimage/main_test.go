package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files makes a program and a text, with times of their own.
func files(t *testing.T, when time.Time) (program, text string) {
	t.Helper()
	dir := t.TempDir()
	program, text = filepath.Join(dir, "p"), filepath.Join(dir, "t")
	for path, mode := range map[string]os.FileMode{program: 0o700, text: 0o600} {
		if err := os.WriteFile(path, []byte("content of "+filepath.Base(path)), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return program, text
}

// listing is every file of a layout with its hash.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, p))
		sum := fmt.Sprintf("%x", sha256.Sum256(raw))
		fmt.Fprintf(&b, "%s %s\n", p, sum)
		if name, ok := strings.CutPrefix(p, "blobs/sha256/"); ok && name != sum {
			t.Errorf("%s holds %s", p, sum)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSameBytes: the layout follows from files and arguments alone.
func TestSameBytes(t *testing.T) {
	var first string
	for i, when := range []time.Time{time.Unix(1, 0), time.Unix(1e9, 5)} {
		program, text := files(t, when)
		dir := filepath.Join(t.TempDir(), "deep", "image")
		args := []string{"-o", dir, "-platform", "linux/arm64", "-entrypoint", "/bin/tool", program + "=/bin/tool", text + "=/etc/a/text"}
		if i == 1 {
			args[6], args[7] = text+"=/etc/a/text", program+"=/bin/tool"
		}
		for range 2 { // it replaces its own
			if err := run(args); err != nil {
				t.Fatal(err)
			}
		}
		got := listing(t, dir)
		if strings.Count(got, "\n") != 5 {
			t.Errorf("files:\n%s", got)
		}
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("got\n%s\nwant\n%s", got, first)
		}
	}
}

func TestRefusals(t *testing.T) {
	program, text := files(t, time.Unix(1, 0))
	dir := filepath.Join(t.TempDir(), "image")
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"nothing":          {"-o", dir},
		"no folder":        {program + "=/a"},
		"no path":          {"-o", dir, program},
		"relative path":    {"-o", dir, program + "=a"},
		"path that climbs": {"-o", dir, program + "=/a/../b"},
		"twice":            {"-o", dir, program + "=/a", text + "=/a"},
		"file and folder":  {"-o", dir, program + "=/a", text + "=/a/b"},
		"a folder":         {"-o", dir, other + "=/a"},
		"missing":          {"-o", dir, filepath.Join(other, "none") + "=/a"},
		"platform":         {"-o", dir, "-platform", "linux", program + "=/a"},
		"somebody's":       {"-o", other, program + "=/a"},
	} {
		if err := run(args); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
	if _, err := os.Stat(filepath.Join(other, "precious")); err != nil {
		t.Error(err)
	}
}
