package scaffold

import (
	"encoding/json"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/sdk"
)

// recipe is what these tests read of a manifest source.
type recipe struct {
	Name, Version string
	IR            []struct{ Name, Path string }
	Entrypoints   []struct{ Name, IR, Task, Doc string }
	Modules       []struct {
		Tool struct {
			Name        string
			Interface   int
			Description string
		}
		Kind, Abi, Path, Entry, Retry string
		Limits                        map[string]uint64
		Runtime                       *struct{ Name, Version string }
		Build                         *struct {
			Command []string
			Output  string
		}
	}
}

// read returns the files below a folder, by path with slashes.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(name)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkSources holds the files of a package against its name.
func checkSources(t interface {
	Helper()
	Fatalf(string, ...any)
}, lang, name string, files map[string]string,
) {
	t.Helper()
	var r recipe
	if err := json.Unmarshal([]byte(files["manifest.src.json"]), &r); err != nil {
		t.Fatalf("manifest.src.json: %v", err)
	}
	if r.Name != name || r.Version != Version || len(r.Modules) != 1 || len(r.Entrypoints) != 1 || len(r.IR) != 1 {
		t.Fatalf("manifest.src.json is %+v", r)
	}
	m := r.Modules[0]
	if m.Tool.Name != name+"/hello" || !manifest.CheckToolName(m.Tool.Name) || m.Tool.Description == "" || r.Entrypoints[0].Doc == "" {
		t.Fatalf("the tool is %+v", m.Tool)
	}
	if m.Retry != "pure" || m.Limits["memory_bytes"] == 0 || m.Limits["timeout_us"] == 0 {
		t.Fatalf("the module is %+v", m)
	}
	if (m.Runtime == nil) != (Runtime(lang) == "") || m.Runtime != nil && m.Runtime.Name != Runtime(lang) {
		t.Fatalf("the runtime is %+v, want %q", m.Runtime, Runtime(lang))
	}
	a, err := ir.AssembleNamed([]byte(files[r.IR[0].Path]))
	if err != nil {
		t.Fatalf("%s: %v", r.IR[0].Path, err)
	}
	b, err := ir.Inspect(a.Bundle)
	if err != nil {
		t.Fatalf("%s: %v", r.IR[0].Path, err)
	}
	if tools := b.Tools.Tools; len(tools) != 1 || tools[0].Name != m.Tool.Name {
		t.Fatalf("the program calls %+v, want %s", tools, m.Tool.Name)
	}
}

func TestWrite(t *testing.T) {
	for _, lang := range Langs() {
		t.Run(lang, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "greet")
			w, err := Write(Options{Lang: lang, Name: "acme/greet", Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if w.Tool != "acme/greet/hello" || w.Packed != "acme__greet-0.1.0" {
				t.Errorf("got %+v", w)
			}
			files := read(t, dir)
			var names []string
			for name, content := range files {
				names = append(names, name)
				if strings.Contains(content, "<no value>") || strings.HasSuffix(name, ".tmpl") || name == "gitignore" {
					t.Errorf("%s was not filled in", name)
				}
				if strings.HasSuffix(name, ".json") && !json.Valid([]byte(content)) {
					t.Errorf("%s is no JSON", name)
				}
				if clean, err := format.Source([]byte(content)); strings.HasSuffix(name, ".go") && (err != nil || string(clean) != content) {
					t.Errorf("%s is not formatted: %v", name, err)
				}
			}
			slices.Sort(names)
			if d := cmp.Diff(names, w.Files); d != "" {
				t.Errorf("the files are not those that Write names: %s", d)
			}
			for _, name := range []string{".gitignore", "README.md", "ir/main.mir", "manifest.src.json"} {
				if files[name] == "" {
					t.Errorf("no %s", name)
				}
			}
			checkSources(t, lang, "acme/greet", files)
		})
	}
}

func TestSDKIsCopied(t *testing.T) {
	for lang, c := range map[string]struct{ from, to string }{
		"go":     {"go/tool/tool.go", "tool/tool.go"},
		"rust":   {"rust/src/host/wasm.rs", "mythos-tool/src/host/wasm.rs"},
		"c":      {"c/mythos.c", "mythos/mythos.c"},
		"ts":     {"ts/guest/mythos-tool.js", "hello/mythos-tool.js"},
		"python": {"python/mythos_tool.py", "hello/mythos_tool.py"},
		"as":     {"as/assembly/mythos.ts", "mythos/mythos.ts"},
	} {
		l, err := find(lang)
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.copySDK()
		if err != nil {
			t.Fatal(err)
		}
		want, err := fs.ReadFile(sdk.Files(), c.from)
		if err != nil {
			t.Fatal(err)
		}
		if string(got[c.to]) != string(want) {
			t.Errorf("%s: %s is not %s", lang, c.to, c.from)
		}
		for name := range got {
			if strings.Contains(name, "test") {
				t.Errorf("%s: %s is copied", lang, name)
			}
		}
	}
}

// TestNames: whatever may name a package gives sources that belong together.
func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9]{1,9}([._/-][a-z0-9]{1,9}){0,9}`).Draw(t, "name")
		lang := rapid.SampledFrom(Langs()).Draw(t, "lang")
		if err := CheckName(name); err != nil {
			if strings.HasPrefix(name, "mythos/") || name == "mythos" {
				return
			}
			t.Fatalf("%s: %v", name, err)
		}
		l, err := find(lang)
		if err != nil {
			t.Fatal(err)
		}
		made, err := l.files(values{Name: name, Version: Version, Tool: toolName(name), Packed: "dist/x"})
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for path, content := range made {
			files[path] = string(content)
		}
		checkSources(t, lang, name, files)
	})
	for name, ok := range map[string]bool{
		"greet": true, "acme/greet": true, "v1": true, strings.Repeat("a", manifest.MaxName-6): true,
		"": false, "Greet": false, "a b": false, "../a": false, "/a": false, "a/": false, "a..b": false, "mythos": false, "mythos/a": false,
		strings.Repeat("a", manifest.MaxName-5): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := Write(Options{Lang: "c", Name: name, Dir: filepath.Join(t.TempDir(), "x")}); (err == nil) != ok {
			t.Errorf("Write %q: %v", name, err)
		}
	}
}

// TestNothingHalfWritten: a folder that is refused, and its parent, stay as they
// were.
func TestNothingHalfWritten(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		want fault.Code
	}{
		"folder in use": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "kept"), "kept") }, ErrExists},
		"file":          {func(t *testing.T, dir string) { write(t, dir, "kept") }, ErrExists},
		"dangling link": {func(t *testing.T, dir string) { link(t, "nowhere", dir) }, ErrExists},
		"link to an empty folder": {func(t *testing.T, dir string) {
			if err := os.Mkdir(dir+"-real", 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, dir+"-real", dir)
		}, ErrExists},
		"working folder": {func(t *testing.T, dir string) {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
		}, ErrExists},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			c.make(t, filepath.Join(parent, "greet"))
			before := tree(t, parent)
			_, err := Write(Options{Lang: "python", Name: "greet", Dir: filepath.Join(parent, "greet")})
			if got := fault.CodeOf(err); got != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if d := cmp.Diff(before, tree(t, parent)); d != "" {
				t.Errorf("something changed: %s", d)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "kept")
	if _, err := Write(Options{Lang: "go", Name: "greet", Dir: filepath.Join(file, "below")}); fault.CodeOf(err) != ErrIO {
		t.Errorf("below a file: got %v, want %s", err, ErrIO)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(Options{Lang: "go", Name: "greet", Dir: empty}); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below a folder, with kinds.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		out = append(out, path+" "+d.Type().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLangs(t *testing.T) {
	for word, near := range map[string]string{
		"golang": "go", "Go": "go", "rs": "rust", "rusty": "rust", "C++": "c", "javascript": "ts", "Typescript": "ts",
		"py": "python", "pyhton": "python", "assembly-script": "as", "cobol": "", "": "", strings.Repeat("x", 1000): "",
	} {
		err := CheckLang(word)
		if err == nil {
			t.Errorf("%q is a language", word)
			continue
		}
		_, got, _ := strings.Cut(err.Error(), "did you mean ")
		if want := near; strings.Trim(got, `"?`) != want || len(err.Error()) > 200 {
			t.Errorf("%q: %v, want %q suggested", word, err, want)
		}
	}
	if err := CheckLang("python"); err != nil {
		t.Error(err)
	}
}

// TestMissing: without any program everything but Python lacks something, and
// says what to install.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("WASI_SDK_PATH", "")
	for lang, want := range map[string]int{"go": 1, "rust": 2, "c": 1, "ts": 2, "python": 0, "as": 2} {
		got := Missing(t.Context(), lang)
		if len(got) != want {
			t.Errorf("%s lacks %v, want %d", lang, got, want)
		}
		for _, n := range got {
			if n.What == "" || n.Install == "" {
				t.Errorf("%s: %+v", lang, n)
			}
		}
	}
	t.Setenv("WASI_SDK_PATH", t.TempDir())
	if got := Missing(t.Context(), "c"); len(got) != 0 {
		t.Errorf("c lacks %v although there is a WASI SDK", got)
	}
}
