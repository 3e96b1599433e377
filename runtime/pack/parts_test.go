package pack

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

const goodSource = `{
  "name": "a/b", "version": "1.2.3-rc.1",
  "requires": {"executor_min_version": "0.2.0"},
  "features": ["z", "ir.level1"],
  "ir": [{"name": "x", "path": "ir/x.mir"}],
  "entrypoints": [{"name": "main", "ir": "x", "doc": "a \"doc\""}, {"name": "also", "ir": "x", "task": "t"}],
  "modules": [{
    "tool": {"name": "a/t", "interface": 65535, "request_type": "text", "response_type": "list", "description": "d"},
    "kind": "wasm", "variant": "v", "entry": "run", "retry": "reconcile", "probe": "ask",
    "build": {"command": ["make", "x"], "output": "m.wasm", "env": {"B": "2", "A": "1"}},
    "limits": {"fuel": 7, "timeout_us": 1000},
    "caps_required": [{"kind": 5}, {"kind": 1, "scope": {"$map": [[1, "a"]]}}]
  }],
  "docs": ["a.md", {"path": "b.bin", "media_type": "text/x"}]
}`

func TestReadRecipe(t *testing.T) {
	r, err := readRecipe([]byte(goodSource))
	if err != nil {
		t.Fatal(err)
	}
	m := r.modules[0]
	switch {
	case r.fileName() != "a__b-1.2.3-rc.1":
		t.Errorf("file name %s", r.fileName())
	case !slices.Equal(r.requires.Features, []string{"ir.level1", "z"}) || r.requires.ExecutorMinVersion != "0.2.0":
		t.Errorf("requires %+v", r.requires)
	case r.entrypoints[0].name != "also" || r.entrypoints[1].doc != `a "doc"`:
		t.Errorf("entry points %+v", r.entrypoints)
	case m.path != "m.wasm" || !slices.Equal(m.build.env, []string{"A=1", "B=2"}):
		t.Errorf("build %+v of %s", m.build, m.path)
	case m.tool.Interface != 65535 || m.variant != "v" || m.description != "d":
		t.Errorf("tool %+v", m.tool)
	case !slices.Equal(r.docs, []fileRecipe{{"a.md", "text/markdown"}, {"b.bin", "text/x"}}):
		t.Errorf("docs %+v", r.docs)
	}
	fuel := uint64(7)
	want := manifest.ModuleRef{
		Kind: manifest.ModuleWasm, Entry: []string{"run"}, ABI: manifest.ABIHostcall, Retry: manifest.RetryReconcile, Probe: []string{"ask"},
		Limits: manifest.Limits{
			TimeoutMicros: 1000, MemoryBytes: 64 << 20, Fuel: &fuel, MaxRequestBytes: 1 << 20, MaxResponseBytes: 1 << 20, MaxStderrBytes: 64 << 10,
			MaxIOCalls: 1000,
		},
		CapsRequired: []manifest.CapRequirement{{Kind: 1, Scope: []byte("\x08\x01\x03\x01\x06\x01a")}, {Kind: 5}},
	}
	if diff := cmp.Diff(want, m.module); diff != "" {
		t.Errorf("module (-want +got):\n%s", diff)
	}
}

func TestNamedCapabilities(t *testing.T) {
	source := strings.Replace(goodSource, `{"kind": 5}, {"kind": 1, "scope": {"$map": [[1, "a"]]}}`,
		`{"kind": "SecretRead", "name": "token"}, {"kind": "NetConnect", "hosts": ["api.example.com"], "ports": 443, "methods": ["GET"]},
		 {"kind": "FsWrite", "path": "/srv/kv", "max_bytes": 1000}, {"kind": "FsRead"}, {"kind": "Clock"}`, 1)
	r, err := readRecipe([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var want []manifest.CapRequirement
	for _, p := range []caps.Power{
		&caps.NetConnect{Hosts: []string{"api.example.com"}, Ports: []uint32{443}, Methods: []string{"GET"}},
		nil,
		&caps.FsWrite{Path: "/srv/kv", MaxBytes: 1000}, &caps.Clock{}, &caps.SecretRead{Name: "token"},
	} {
		if p == nil {
			want = append(want, manifest.CapRequirement{Kind: caps.KindFsRead})
			continue
		}
		s := caps.ScopeOf(p)
		want = append(want, manifest.CapRequirement{Kind: s.Kind, Scope: s.Payload})
	}
	if diff := cmp.Diff(want, r.modules[0].module.CapsRequired); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
	for bad, want := range map[string]string{
		`{"kind": "NetConect"}`:                                          `did you mean "NetConnect"?`,
		`{"kind": "NetConnect", "host": "a"}`:                            `did you mean "hosts"?`,
		`{"kind": "NetConnect", "hosts": ["Example.com"], "ports": [1]}`: "no lower-case name",
		`{"kind": "NetConnect", "hosts": ["a.b"], "ports": [70000]}`:     "ports",
		`{"kind": "FsRead", "path": "data"}`:                             "path",
		`{"kind": "Clock", "path": "/x"}`:                                "has no key",
		`{"kind": "ToolCall"}`:                                           "is not one of",
	} {
		_, err := readRecipe([]byte(strings.Replace(goodSource, `{"kind": 5}`, bad, 1)))
		if !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", bad, err, want)
		}
	}
}

func TestReadRecipeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"duplicate key":   {`"name": "a/b"`, `"name": "a/b", "name": "a/b"`, `2:18: the key "name" stands twice`},
		"syntax":          {`"version": `, `"version" `, "2:28: invalid character"},
		"end":             {`"docs"`, "", "invalid character"},
		"more":            {"]\n}", "]\n} {}", "invalid character"},
		"comment":         {"{\n", "{ // no\n", "1:3: invalid character"},
		"near key":        {`"requires"`, `"require"`, `3:3: a package has no key "require"; did you mean "requires"?`},
		"far key":         {`"requires"`, `"zzzzzzzzzzzzzzzz"`, `3:3: a package has no key "zzzzzzzzzzzzzzzz" (`},
		"escaped key":     {`"name": "a/b"`, `"name": "a/b", "n\u0061me": "c"`, "stands twice"},
		"fraction":        {`"fuel": 7`, `"fuel": 7.0`, "fuel: want a whole number"},
		"negative":        {`"fuel": 7`, `"fuel": -7`, "fuel: want a whole number"},
		"number as text":  {`"fuel": 7`, `"fuel": "7"`, "fuel: want a whole number"},
		"interface":       {`65535`, `65536`, "interface: want a whole number, 0 to 65535"},
		"list for text":   {`"a/b"`, `["a/b"]`, "name: want a text"},
		"text for list":   {`["z", "ir.level1"]`, `"z"`, "features: want a list"},
		"type":            {`"text", "resp`, `"txet", "resp`, `did you mean "text"?`},
		"empty text":      {`"variant": "v"`, `"variant": ""`, "the text is empty"},
		"empty command":   {`["make", "x"]`, `[]`, "command"},
		"variable":        {`"B": "2"`, `"B=": "2"`, "not a variable"},
		"scope":           {`"$map"`, `"$mop"`, "scope:"},
		"path out":        {`"ir/x.mir"`, `"../x.mir"`, "path:"},
		"absolute path":   {`"m.wasm"`, `"/m.wasm"`, "output:"},
		"hash":            {`"executor_min_version": "0.2.0"`, `"codebook_id": "sha256:00"`, "codebook_id:"},
		"flag":            {`"variant": "v"`, `"reuse": 1`, "reuse: want true or false"},
		"null":            {`"1.2.3-rc.1"`, `null`, "version: want a text"},
		"two irs":         {`"path": "ir/x.mir"}`, `"path": "ir/x.mir"}, {"name": "x", "path": "y.mir"}`, "two irs"},
		"lone surrogate":  {`"1.2.3-rc.1"`, `"\ud800"`, "lone surrogate"},
		"byte order mark": {"{\n", "\ufeff{\n", "byte order mark"},
		"not UTF-8":       {`a \"doc`, "\xff", "not UTF-8"},
		"deep":            {`["z", "ir.level1"]`, strings.Repeat("[", 40) + strings.Repeat("]", 40), "more than 32 levels"},
		"too long":        {`"1.2.3-rc.1"`, `"` + strings.Repeat("1", maxSource) + `"`, "bytes, at most"},
		"neither path":    {`"build": {"command": ["make", "x"], "output": "m.wasm", "env": {"B": "2", "A": "1"}},`, "", "either a path or a build"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodSource, c.old, c.new, 1)
			if text == goodSource {
				t.Fatal("nothing was replaced")
			}
			_, err := readRecipe([]byte(text))
			if !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzReadRecipe(f *testing.F) {
	f.Add([]byte(goodSource))
	f.Add([]byte(`{"name":1,"modules":[{}]}`))
	f.Add([]byte(`[[[[{"a":"\ud800"}]]]]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := readRecipe(raw)
		if err != nil && fault.CodeOf(err) == "" {
			t.Errorf("an error without a code: %v", err)
		}
		if err == nil && !manifest.CheckName(r.name) {
			t.Errorf("the name %q was accepted", r.name)
		}
	})
}

func TestSecretScan(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"key":              {"x\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==", true},
		"key in JSON":      {`"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA"`, true},
		"encrypted key":    {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED", true},
		"GPG key":          {"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF5vRVABCAC7", true},
		"header alone":     {`if (s.startsWith("-----BEGIN PRIVATE KEY-----")) {`, false},
		"certificate":      {"-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIE", false},
		"AWS":              {`key = "AKIAQYLPMN5HFIQR7XYA"`, true},
		"AWS temporary":    {"ASIAQYLPMN5HFIQR7XYA", true},
		"AWS's example":    {"AKIAIOSFODNN7EXAMPLE", false},
		"longer word":      {"AKIAQYLPMN5HFIQR7XYAB", false},
		"GitHub":           {"ghp_" + strings.Repeat("a1B2", 9), true},
		"our header alone": {"\x00MYTHOS SECRET KEY v1\x00", false},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat(" ", 900) + c.text + strings.Repeat(" ", 900)
			for _, step := range []int{1, 7, 1000, len(text)} {
				s := &secretScan{}
				for b := []byte(text); len(b) > 0; b = b[min(step, len(b)):] {
					s.Write(b[:min(step, len(b))])
				}
				// One byte at a time a word's end cannot be seen: more may be found.
				if found := s.what != ""; found != c.want && (c.want || step > 100) {
					t.Errorf("in steps of %d: found %q", step, s.what)
				}
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		folder, want  bool
	}{
		{"*.log", "a.log", false, true},
		{"*.log", "x/y/a.log", false, true},
		{"*.log", "a.log.txt", false, false},
		{"/a.log", "a.log", false, true},
		{"/a.log", "x/a.log", false, false},
		{"test/", "test", true, true},
		{"test/", "x/test", true, true},
		{"test/", "test", false, false},
		{"x/*.js", "x/a.js", false, true},
		{"x/*.js", "x/y/a.js", false, false},
		{"x/**/a.js", "x/a.js", false, true},
		{"x/**/a.js", "x/y/z/a.js", false, true},
		{"**/b", "b", false, true},
		{"**/b", "a/b", false, true},
		{"x/**", "x/y/z", false, true},
		{"x/**", "xy/z", false, false},
		{"a+b(1)", "a+b(1)", false, true},
		{"a.b", "axb", false, false},
		{"\u00e4*", "x", false, false},
	} {
		if got := parseIgnore(c.pattern).matches(c.path, c.folder); got != c.want {
			t.Errorf("%q on %q (folder %v): %v", c.pattern, c.path, c.folder, got)
		}
	}
}

// TestTree packs a folder as a tree: what stays out, what the modes are, and
// that links are refused.
func TestTree(t *testing.T) {
	source := t.TempDir()
	for name, content := range map[string]string{
		"app/main.js": "1", "app/lib/b.js": "2", "app/lib/same.js": "1", "app/bin/run": "#!", "app/x.log": "3", "app/.git/config": "4",
		"app/.mythosignore": "# logs\n*.log\n\nnode_modules/\n", "app/node_modules/p/i.js": "5",
	} {
		path := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(source, "app/bin/run"), 0o711); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(source)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	staging := t.TempDir()
	c, err := newCollector(t.Context(), root, staging, false)
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.tree("app", "modules/t")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(c.objectPath(id))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := manifest.DecodeTree(raw)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range tree.Entries {
		got = append(got, string('0'+rune(e.Mode))+" "+e.Path)
	}
	if diff := cmp.Diff([]string{"1 bin/run", "0 lib/b.js", "0 lib/same.js", "0 main.js"}, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if objects, err := os.ReadDir(filepath.Join(staging, "objects")); err != nil || len(objects) != 4 {
		t.Errorf("%d objects, want 4 (equal files are one): %v", len(objects), err)
	}
	if err := os.Symlink("main.js", filepath.Join(source, "app/link.js")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tree("app", "modules/t"); !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), "app/link.js") {
		t.Errorf("a link: %v", err)
	}
}

// TestFilesStayInside shows that no path leaves the source folder through a
// link.
func TestFilesStayInside(t *testing.T) {
	outside, source := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "x.txt"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(source, "docs")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(source)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if b, err := readSource(root, "docs/x.txt", 100); !errors.Is(err, ErrSource) {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestBuildEnv(t *testing.T) {
	given := map[string]string{"PATH": "/bin", "HOME": "/h", "LC_ALL": "tr_TR", "TZ": "Asia/Kathmandu", "AWS_SECRET_ACCESS_KEY": "s", "GOFLAGS": "-tags=x", "MYTHOS_HOME": "/m"}
	lookup := func(name string) (string, bool) { v, ok := given[name]; return v, ok }
	got := buildEnv(lookup, []string{"GOOS=wasip1"})
	want := []string{"PATH=/bin", "HOME=/h", "LC_ALL=C.UTF-8", "LANG=C.UTF-8", "TZ=UTC", "SOURCE_DATE_EPOCH=315532800", "GOOS=wasip1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestLastBytes(t *testing.T) {
	l := &lastBytes{limit: 10}
	for _, s := range []string{"first ", "second\x1b[31m", "\nlast\n"} {
		l.Write([]byte(s))
	}
	if got := l.text(); got != "... [31m\nlast" {
		t.Errorf("got %q", got)
	}
	l.Write(bytes.Repeat([]byte("x"), 1<<20))
	if got := l.text(); got != "... xxxxxxxxxx" {
		t.Errorf("got %q", got)
	}
}
