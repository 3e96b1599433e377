package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// The example of RFC-MYTHOS-0008 §9.
const exampleTrust = `{
  "schema": "mythos.trust/1",
  "entries": [
    {
      "role": "publisher",
      "origin": "sha256:cbdb67b8a85f8b5c60f45a5aa8ff8a96ef71b792faf86576a60453920fe999ed",
      "keys": [
        {"key": "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61", "hint": "release"}
      ],
      "threshold": 1,
      "names": ["demo-*", "demo/**"],
      "not_before": "2026-01-01T00:00:00Z",
      "not_after": "2027-01-01T00:00:00Z",
      "ring_max": 0
    }
  ]
}
`

func TestTrustExample(t *testing.T) {
	tr, err := ParseTrust([]byte(exampleTrust))
	if err != nil {
		t.Fatal(err)
	}
	e := tr.Entries()[0]
	if e.Origin != e.Keys[0].KeyID() || e.Threshold != 1 || *e.RingMax != 0 || e.Keys[0].Hint != "release" {
		t.Errorf("got %+v", e)
	}
	for _, c := range []struct {
		name string
		ring uint8
		at   time.Time
		want int
	}{
		{"demo-001", 0, now(), 1},
		{"demo/a/b", 0, now(), 1},
		{"demo-001/x", 0, now(), 0},
		{"other", 0, now(), 0},
		{"demo-001", 1, now(), 0},
		{"demo-001", 0, e.NotBefore, 1},
		{"demo-001", 0, e.NotBefore.Add(-1), 0},
		{"demo-001", 0, e.NotAfter.Add(-1), 1},
		{"demo-001", 0, e.NotAfter, 0},
	} {
		if got := tr.Match(sig.Publisher, c.name, c.ring, c.at); len(got) != c.want {
			t.Errorf("%+v: %d entries", c, len(got))
		}
		if got := tr.Match(sig.Authority, c.name, c.ring, c.at); len(got) != 0 {
			t.Errorf("%+v: a publisher is an authority", c)
		}
	}
}

func TestTrustRefused(t *testing.T) {
	edit := func(old, with string) string {
		if strings.Count(exampleTrust, old) != 1 {
			t.Fatalf("%q stands not once in the example", old)
		}
		return strings.Replace(exampleTrust, old, with, 1)
	}
	for name, text := range map[string]string{
		"empty":            "",
		"list":             "[]",
		"null":             "null",
		"nothing":          "{}",
		"two documents":    exampleTrust + exampleTrust,
		"BOM":              "\ufeff" + exampleTrust,
		"not UTF-8":        edit("release", "rel\xffase"),
		"schema":           edit("mythos.trust/1", "mythos.trust/2"),
		"unknown key":      edit(`"ring_max"`, `"ring_min"`),
		"unknown top key":  edit(`"schema"`, `"comment": "x", "schema"`),
		"unknown key key":  edit(`"hint"`, `"name"`),
		"other case":       edit(`"threshold"`, `"Threshold"`),
		"key twice":        edit(`"threshold": 1`, `"threshold": 1, "threshold": 1`),
		"null value":       edit(`"threshold": 1`, `"threshold": null`),
		"role":             edit(`"publisher"`, `"admin"`),
		"dev role":         edit(`"publisher"`, `"dev"`),
		"key upper":        edit("197f6b", "197F6B"),
		"key short":        edit("197f6b", "197f6"),
		"no keys":          edit(`{"key": "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61", "hint": "release"}`, ""),
		"same key twice":   edit(`"hint": "release"}`, `"hint": "release"}, {"key": "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61"}`),
		"hint control":     edit("release", `rel\u001bease`),
		"threshold 0":      edit(`"threshold": 1`, `"threshold": 0`),
		"threshold 2 of 1": edit(`"threshold": 1`, `"threshold": 2`),
		"threshold 1.0":    edit(`"threshold": 1`, `"threshold": 1.0`),
		"threshold text":   edit(`"threshold": 1`, `"threshold": "1"`),
		"no names":         edit(`["demo-*", "demo/**"]`, `[]`),
		"name not text":    edit(`"demo-*"`, `1`),
		"name upper":       edit("demo-*", "Demo-*"),
		"name ***":         edit("demo/**", "demo/***"),
		"name ?":           edit("demo-*", "demo-?"),
		"name empty":       edit("demo-*", ""),
		"names nested":     edit(`"demo-*"`, `["demo-*"]`),
		"time zone":        edit("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00"),
		"time empty":       edit("2026-01-01T00:00:00Z", ""),
		"time":             edit("2026-01-01T00:00:00Z", "yesterday"),
		"window":           edit("2027-01-01", "2026-01-01"),
		"ring 256":         edit(`"ring_max": 0`, `"ring_max": 256`),
		"ring -1":          edit(`"ring_max": 0`, `"ring_max": -1`),
		"origin":           edit("sha256:cb", "sha1:cb"),
		"origin empty":     edit("sha256:cbdb67b8a85f8b5c60f45a5aa8ff8a96ef71b792faf86576a60453920fe999ed", ""),
		"deep":             strings.Repeat("[", 1<<19),
		"large":            exampleTrust + strings.Repeat(" ", MaxTrustFile),
	} {
		if tr, err := ParseTrust([]byte(text)); !errors.Is(err, ErrTrust) || tr != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewTrust([]TrustEntry{{Role: sig.Authority, Threshold: 2, Keys: []sig.AgentID{key(1).Agent(), key(2).Agent()}}}); !errors.Is(err, ErrTrust) {
		t.Errorf("authorities that sign together: %v", err)
	}
	if _, err := NewTrust([]TrustEntry{{Role: sig.Publisher, Keys: make([]sig.AgentID, 65)}}); !errors.Is(err, ErrTrust) {
		t.Errorf("65 keys: %v", err)
	}
}

func TestTrustDefaults(t *testing.T) {
	tr, err := ParseTrust([]byte(fmt.Sprintf(`{"schema":"mythos.trust/1","entries":[{"role":"authority","keys":[{"key":"%x"}]}]}`, key(1).Agent().Key)))
	if err != nil {
		t.Fatal(err)
	}
	e := tr.Entries()[0]
	if e.Threshold != 1 || !e.Covers("a/b/c") || !e.Admits(255) || !e.Current(now()) || e.Origin != key(1).Agent().KeyID() {
		t.Errorf("got %+v", e)
	}
	if tr, err = ParseTrust([]byte(`{"schema":"mythos.trust/1"}`)); err != nil || len(tr.Entries()) != 0 {
		t.Errorf("no entries: %v", err)
	}
}

func TestTrustFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home", "trust.json")
	tr, err := LoadTrust(path)
	if err != nil || len(tr.Entries()) != 0 {
		t.Fatalf("missing: %v", err)
	}
	if err := tr.Save(path); err != nil {
		t.Fatal(err)
	}
	epochs := map[string]bool{}
	entries := []TrustEntry{
		{Role: sig.Publisher, Keys: []sig.AgentID{key(1).Agent(), key(2).Agent()}, Threshold: 2, Names: []string{"a/*"}, NotBefore: now(), NotAfter: now().Add(time.Microsecond), RingMax: ref(uint8(3))},
		{Role: sig.Executor, Keys: []sig.AgentID{key(3).Agent()}},
	}
	for _, e := range entries {
		if tr, err = LoadTrust(path); err != nil {
			t.Fatal(err)
		}
		epochs[tr.Epoch().String()], epochs[tr.Epoch(key(1).Agent()).String()] = true, true
		if tr, err = tr.With(e); err != nil {
			t.Fatal(err)
		}
		if err := tr.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	again, err := LoadTrust(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tr.Entries(), again.Entries()); diff != "" || !tr.Equal(again) {
		t.Error(diff)
	}
	if epochs[again.Epoch().String()] = true; len(epochs) != 5 {
		t.Errorf("%d trust epochs, want 5", len(epochs))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTrust(path); !errors.Is(err, ErrTrust) {
		t.Errorf("torn: %v", err)
	}
	if _, err := LoadTrust(filepath.Dir(path)); !errors.Is(err, ErrTrustUnreadable) {
		t.Errorf("a folder: %v", err)
	}
	if err := tr.Save(filepath.Join(path, "below", "a", "file")); !errors.Is(err, ErrTrustUnreadable) {
		t.Errorf("below a file: %v", err)
	}
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was left behind")
	}
}

// TestGlobs compares with regular expressions.
func TestGlobs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		glob := rapid.StringMatching(`[ab/*]{0,3}[ab/]?\*{0,2}[ab/]?`).Draw(t, "glob")
		if !validGlob(glob) {
			return
		}
		pattern := regexp.QuoteMeta(glob)
		pattern = strings.ReplaceAll(pattern, `\*\*`, `.*`)
		pattern = "^" + strings.ReplaceAll(pattern, `\*`, `[^/]*`) + "$"
		name := rapid.StringMatching(`[ab/]{0,6}`).Draw(t, "name")
		if got, want := matchGlob(glob, name), regexp.MustCompile(pattern).MatchString(name); got != want {
			t.Fatalf("%q on %q: %v", glob, name, got)
		}
	})
	for _, c := range []struct {
		glob, name string
		want       bool
	}{{"demo/*", "demo/a", true}, {"demo/*", "demo/a/b", false}, {"demo/**", "demo/a/b", true}, {"**", "x", true}, {"demo", "demo-1", false}, {"*", "", true}} {
		if got := matchGlob(c.glob, c.name); got != c.want {
			t.Errorf("%q on %q: %v", c.glob, c.name, got)
		}
	}
	if !matchGlob(strings.Repeat("**a", 42), strings.Repeat("a", 128)) {
		t.Error("many stars")
	}
}

func FuzzTrust(f *testing.F) {
	f.Add([]byte(exampleTrust))
	f.Add([]byte(`{"schema":"mythos.trust/1","entries":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tr, err := ParseTrust(raw)
		if err != nil {
			if !errors.Is(err, ErrTrust) {
				t.Fatal(err)
			}
			return
		}
		written, err := encodeTrust(tr.Entries())
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseTrust(written)
		if err != nil {
			t.Fatalf("what is written is not read: %v", err)
		}
		if diff := cmp.Diff(tr.Entries(), again.Entries()); diff != "" {
			t.Fatal(diff)
		}
	})
}
