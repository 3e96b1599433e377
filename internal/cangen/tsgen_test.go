package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTypeScriptGolden: the modules of a schema with every kind of field, once.
func TestTypeScriptGolden(t *testing.T) {
	var got strings.Builder
	for _, f := range small(t).tsFiles() {
		got.WriteString("==> " + filepath.ToSlash(f.path) + "\n" + string(f.data))
	}
	file := filepath.Join("testdata", "small_gen.ts.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("%s: go test ./internal/cangen -update rewrites it: %s", file, d)
	}
}

// TestTypeScriptNames: a field's local variable is never a name that the reader
// or the language has taken.
func TestTypeScriptNames(t *testing.T) {
	s, err := parseSchema(strings.NewReader("package p\nA\n  1 r u8\n  2 s [u8]\n  3? n [[u8]]\n  4? at text\n  5 interface u8\n  6 w u8\n"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(s.tsFile("p"))
	for _, want := range []string{
		"const r_ = r.uint(0xff);", "s_.push(r.uint(0xff));", "n_.push(r.items((r) => r.uint(0xff)));", "at_ = r.text();",
		"return { r: r_, s: s_, n: n_, at: at_, interface: interface_, w };", "for (const part of item) {",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestTypeScriptUpToDate: -check covers the TypeScript codecs.
func TestTypeScriptUpToDate(t *testing.T) {
	t.Chdir("../..")
	file := filepath.Join(tsDir, "receipt.ts")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(filepath.Join("spec", "schema.can"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "spec"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.WriteFile(filepath.Join("spec", "schema.can"), src, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(false); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(file)
	if err != nil || string(made) != string(good) {
		t.Errorf("%s is not what the schema gives: %v", file, err)
	}
	if err := os.WriteFile(file, append(good, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(true); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a changed %s goes unnoticed: %v", file, err)
	}
}
