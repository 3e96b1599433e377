package main

import (
	"flag"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func small(t *testing.T) *schema {
	t.Helper()
	f, err := os.Open("testdata/small.can")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := parseSchema(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGolden(t *testing.T) {
	s := small(t)
	goFile, err := s.goFile("small")
	if err != nil {
		t.Fatal(err)
	}
	view, err := s.viewFile()
	if err != nil {
		t.Fatal(err)
	}
	codecs, err := s.codecsFile("view", false)
	if err != nil {
		t.Fatal(err)
	}
	withHash, err := s.codecsFile("conformance", true)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := s.fillTables("# 1\n\n<!-- table:Hash -->\nold\n<!-- /table -->\n\n<!-- table:Everything -->\n<!-- /table -->\n\n<!-- table:Strict -->\n<!-- /table -->\n\nend\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"small_gen.go.golden": string(goFile), "schema_gen.go.golden": string(view),
		"codecs_gen.go.golden": string(codecs), "codecs_hash_gen.go.golden": string(withHash), "tables.md.golden": doc,
	} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s: go test ./internal/cangen -update rewrites it: %s", name, d)
		}
	}
	if again, err := s.fillTables(doc); err != nil || again != doc {
		t.Errorf("filling tables twice changes them: %v", err)
	}
}

// TestCompiles type-checks the generated codecs against the real packages.
func TestCompiles(t *testing.T) {
	src, err := small(t).goFile("small")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "can_gen.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	if _, err := conf.Check("small", fset, []*ast.File{file}, nil); err != nil {
		t.Error(err)
	}
}

// TestUpToDate: what is checked in is what the schema gives.
func TestUpToDate(t *testing.T) {
	t.Chdir("../..")
	if err := run(true); err != nil {
		t.Error(err)
	}
}

// TestDrift: -check finds every file that was changed or is missing, writes
// nothing, and is content after a run.
func TestDrift(t *testing.T) {
	text, err := os.ReadFile("testdata/small.can")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := run(false); err == nil {
		t.Error("no schema, no error")
	}
	if err := os.Mkdir("spec", 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	doc := filepath.Join("spec", "RFC-MYTHOS-0001.md")
	put(filepath.Join("spec", "schema.can"), string(text))
	put(doc, "<!-- table:Leaf -->\n<!-- /table -->\n")
	files := []string{
		filepath.Join("runtime", "libs", "sig", "can_gen.go"), filepath.Join("runtime", "libs", "small", "can_gen.go"),
		filepath.Join("internal", "view", "schema_gen.go"), filepath.Join("internal", "view", "codecs_gen_test.go"),
		filepath.Join("runtime", "conformance", "codecs_gen.go"), doc,
	}
	check := func(stale ...string) {
		t.Helper()
		err := run(true)
		if (err == nil) != (len(stale) == 0) {
			t.Fatalf("got %v, want %q", err, stale)
		}
		for _, f := range files {
			if err != nil && strings.Contains(err.Error(), f) != (len(stale) == len(files) || f == stale[0]) {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
	check(files...)
	if _, err := os.Stat("runtime"); err == nil {
		t.Error("-check writes files")
	}
	if err := run(false); err != nil {
		t.Fatal(err)
	}
	check()
	for _, f := range files {
		good, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if f == doc {
			put(f, strings.Replace(string(good), "cid", "cyd", 1))
		} else {
			put(f, string(good)+"\n")
		}
		check(f)
		put(f, string(good))
	}
	put(doc, "<!-- table:None -->\n<!-- /table -->\n")
	if err := run(true); err == nil || !strings.Contains(err.Error(), "no such struct") {
		t.Errorf("a table of no struct: %v", err)
	}
}

func TestBadSchemas(t *testing.T) {
	const head = "package sig\nAgentID!\n  1 scheme u8\nSignature!\n  1 alg u8\npackage p\n"
	for name, c := range map[string]struct{ text, want string }{
		"no package":           {"A\n  1 a u8\n", "before any package"},
		"field before struct":  {"package p\n  1 a u8\n", "before any struct"},
		"field after package":  {"package p\nA\n  1 a u8\npackage q\n  2 b u8\n", "before any struct"},
		"struct twice":         {"package p\nA\nA\n", "declared twice"},
		"too few words":        {"package p\nA\n  1 a\n", "want \"N name type\""},
		"too many words":       {"package p\nA\n  1 a u8 u8\n", "want \"N name type\""},
		"number 0":             {"package p\nA\n  0 a u8\n", "not in 1..127"},
		"number 128":           {"package p\nA\n  128 a u8\n", "not in 1..127"},
		"no number":            {"package p\nA\n  x a u8\n", "not in 1..127"},
		"descending":           {"package p\nA\n  2 a u8\n  1 b u8\n", "does not ascend"},
		"number twice":         {"package p\nA\n  1 a u8\n  1 b u8\n", "does not ascend"},
		"name twice":           {"package p\nA\n  1 a u8\n  2 a u8\n", "stands twice"},
		"unknown scalar":       {"package p\nA\n  1 a u7\n", "unknown type"},
		"unknown struct":       {"package p\nA\n  1 a B\n", "unknown type B"},
		"unknown in list":      {"package p\nA\n  1 a [[B]]\n", "unknown type B"},
		"empty list":           {"package p\nA\n  1 a []\n", "unknown type"},
		"map without a colon":  {"package p\nA\n  1 a {text}\n", "unknown type"},
		"map key":              {"package p\nA\n  1 a {u64:u8}\n", "a map key is"},
		"no size":              {"package p\nA\n  1 a b0\n", "unknown type"},
		"too large":            {"package p\nA\n  1 a b128\n", "unknown type"},
		"constant, no text":    {"package p\nA\n  1 a =\n", "want \"N name type\""},
		"constant, no quotes":  {"package p\nA\n  1 a = x\n", "quoted text"},
		"constant, empty":      {"package p\nA\n  1 a = \"\"\n", "quoted text"},
		"constant, long":       {"package p\nA\n  1 a = \"" + strings.Repeat("x", 128) + "\"\n", "quoted text"},
		"constant, optional":   {"package p\nA\n  1? a = \"x\"\n", "quoted text"},
		"unknown word":         {"package p\nA foo\n", "unknown word"},
		"as nothing":           {"package p\nA as\n", "unknown word"},
		"id of no number":      {"package p\nA id=x\n", "unknown word"},
		"id, no field":         {head + "A id=1 sig=2\n  2 s Signature\n", "id=1 is not a required Hash"},
		"id, wrong type":       {head + "A id=1 sig=2\n  1 a u8\n  2 s Signature\n", "id=1 is not a required Hash"},
		"id, optional":         {head + "A id=1 sig=2\n  1? a Hash\n  2 s Signature\n", "id=1 is not a required Hash"},
		"sig, wrong type":      {head + "A sig=1\n  1 a Hash\n", "sig=1 is not a required Signature"},
		"by, wrong type":       {head + "A sig=2 by=1\n  1 a Hash\n  2 s Signature\n", "by=1 is not a required AgentID"},
		"id without sig":       {"package p\nA id=1\n  1 a Hash\n", "need a sig"},
		"id behind sig":        {head + "A id=2 sig=1\n  1 s Signature\n  2 a Hash\n", "before the signature"},
		"keyless with by":      {head + "A sig=2 by=1 keyless\n  1 a AgentID\n  2 s Signature\n", "names no signer"},
		"closed holds open":    {"package p\nB\nA!\n  1 b B\n", "contains the open B"},
		"closed holds list":    {"package p\nB\nA!\n  1 b {text:[B]}\n", "contains the open B"},
		"read as closed holds": {"package p\nC\nB\n  1 c C\nA!\n  1 b B!\n", "contains the open C"},
		"needs itself":         {"package p\nA\n  1 a A\n", "needs itself"},
		"need each other":      {"package p\nA\n  1 b B\nB\n  1 a A\n", "needs itself"},
		"need in a ring below": {"package p\nC\n  1 a A\nA\n  1 b B\nB\n  1 a A\n", "needs itself"},
	} {
		if _, err := parseSchema(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	for name, text := range map[string]string{
		"list of itself":     "package p\nA\n  1 a [A]\n",
		"optional of itself": "package p\nA\n  1? a A\n",
		"name before struct": "package p\nA\n  1 b B\nB\n",
		"empty":              "",
	} {
		if _, err := parseSchema(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGoName(t *testing.T) {
	for in, want := range map[string]string{
		"id": "ID", "cap_ids": "CapIDs", "cpu_us": "CPUMicros", "max_gpu_ms": "MaxGPUMillis", "value_u64": "ValueU64", "ring": "Ring",
	} {
		if got := goName(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestMinSize holds the least sizes, which bound what a count may allocate, to
// encodings written by hand.
func TestMinSize(t *testing.T) {
	s := small(t)
	for text, want := range map[string]int{
		"u8": 2, "u64": 2, "bool": 1, "raw": 1, "bytes": 2, "text": 2, "b32": 34, "Hash": 42, "[Leaf]": 2, "{text:u8}": 2,
		"Leaf": 2 + 2 + 42, "Strict": 2 + 2 + 46, "AgentID": 2 + 2 + 2,
	} {
		typ, err := parseType(text)
		if err != nil || s.minSize(typ) != want {
			t.Errorf("%s: got %d, want %d, %v", text, s.minSize(typ), want, err)
		}
	}
}
