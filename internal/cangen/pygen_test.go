package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPythonGolden(t *testing.T) {
	got, err := small(t).pyFile()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "small_gen.py.golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s: go test ./internal/cangen -update rewrites it: %s", file, d)
	}
}

// TestPythonRuns: the generated structs are Python, and one of every kind of
// field survives encoding and decoding.
func TestPythonRuns(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is missing")
		}
		t.Skip("python3 is missing: the generated Python is NOT run")
	}
	src, err := small(t).pyFile()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sdk, err := filepath.Abs(filepath.Join("..", "..", "sdk", "python"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("from . import can\n", "from mythos import can\n", "from .can ", "from mythos.can ", "from .cid ", "from mythos.cid ").Replace(string(src))
	for name, content := range map[string]string{"small.py": text, "run.py": pyCheck} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, "run.py")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

const pyCheck = `
from mythos import cid
from small import AgentID, Everything, Leaf, Signature, Strict

def everything(**optional):
    return Everything(
        id=cid.sum(b""), a=65535, c=2**64 - 1, e=-1, f=False, h=b"", j=b"\x07\x00", k=[Leaf(cid=cid.sum(b"x"))], m={"b": b"1", "aa": b""},
        signer=AgentID(scheme=1), signature=Signature(sig_bytes=bytes(64)), **optional,
    )

least = everything()
most = everything(b=0, d=-(2**63), g=True, i=bytes(32), l=[0, 255], n={256: Leaf(cid=cid.sum(b"")), 1: Leaf(cid=cid.sum(b""), note="n")}, leaf=Leaf(cid=cid.sum(b"y")))
for x in (least, most):
    raw = x.encode()
    assert Everything.decode(raw) == x and Everything.decode(raw).encode() == raw, x
assert (least.b, least.g, least.l, least.n, least.leaf) == (None, False, [], {}, None)
assert Everything.SEAL.signature == "signature" and Everything.SEAL.id_field == 1 and not Everything.SEAL.keyless
strict = Strict(leaf=Leaf(cid=cid.sum(b"")), leaves=[Leaf(cid=cid.sum(b""))])
raw = strict.encode()
assert Strict.decode(raw) == strict
for at in range(len(raw)):
    try:
        Strict.decode(raw[:at])
    except ValueError:
        continue
    raise SystemExit(f"cut at {at}")
print("ok")
`

func TestPythonNames(t *testing.T) {
	for _, name := range []string{"from", "class", "encode", "self"} {
		s, err := parseSchema(strings.NewReader("package p\nA\n  1 " + name + " u8\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.pyFile(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s, err := parseSchema(strings.NewReader("package p\nA\n  1 bytes bytes\n  2 list [bytes]\n"))
	if err != nil {
		t.Fatal(err)
	}
	src, err := s.pyFile()
	if err != nil || !strings.Contains(string(src), "    list: builtins.list[builtins.bytes]  # 2\n") {
		t.Errorf("a field that hides a builtin: %v\n%s", err, src)
	}
}
