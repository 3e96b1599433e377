package scaffold

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// language is one choice of --lang.
type language struct {
	name    string
	aka     []string // what people call it beside
	sdk     []copied
	runtime string // the interpreter that the tool runs on, "" for wasm
	needs   []need
}

// copied is a file or folder of sdk.Files and where it goes in the package.
type copied struct{ from, to string }

// need is something of the machine that packing takes.
type need struct {
	Need
	met func(context.Context) bool
}

// Need is something that packing takes and the machine lacks.
type Need struct {
	What    string // the program or its part
	Install string // how to get it
}

func languages() []language {
	node := need{Need{"node", "install Node 20 or later with npm, from https://nodejs.org"}, program("node")}
	npm := need{Need{"npm", "install Node 20 or later with npm, from https://nodejs.org"}, program("npm")}
	return []language{
		{
			name: "go", aka: []string{"golang"},
			sdk:   []copied{{"go/tool", "tool"}},
			needs: []need{{Need{"go", "install Go 1.24 or later, from https://go.dev/dl"}, program("go")}},
		},
		{
			name: "rust", aka: []string{"rs", "cargo"},
			sdk: []copied{{"rust/Cargo.toml", "mythos-tool/Cargo.toml"}, {"rust/src", "mythos-tool/src"}},
			needs: []need{
				{Need{"cargo", "install Rust 1.78 or later with rustup, from https://rustup.rs"}, program("cargo")},
				{Need{
					"the Rust target wasm32-wasip1", "run \"rustup target add wasm32-wasip1\"; " +
						"if HOME is not the one that rustup was installed in, set RUSTUP_HOME to that one's .rustup",
				}, rustTarget},
			},
		},
		{
			name: "c", aka: []string{"clang", "c++", "cpp"},
			sdk:   []copied{{"c/mythos.c", "mythos/mythos.c"}, {"c/mythos.h", "mythos/mythos.h"}},
			needs: []need{{Need{"clang for WebAssembly", "apt install clang lld wasi-libc libclang-rt-14-dev-wasm32, or set WASI_SDK_PATH to a WASI SDK"}, clang}},
		},
		{
			name: "ts", aka: []string{"typescript", "js", "javascript", "node"}, runtime: "node",
			sdk: []copied{
				{"ts/guest/mythos-tool.js", "hello/mythos-tool.js"},
				{"ts/guest/mythos-tool.d.ts", "hello/mythos-tool.d.ts"},
			},
			needs: []need{node, npm},
		},
		{
			name: "python", aka: []string{"py", "python3"}, runtime: "python3",
			sdk: []copied{{"python/mythos_tool.py", "hello/mythos_tool.py"}},
		},
		{
			name: "as", aka: []string{"assemblyscript", "asc"},
			sdk:   []copied{{"as/assembly", "mythos"}},
			needs: []need{node, npm},
		},
	}
}

// Langs lists the languages that there are templates for.
func Langs() []string {
	var names []string
	for _, l := range languages() {
		names = append(names, l.name)
	}
	return names
}

// CheckLang returns nil for one of Langs; else the error names the nearest.
func CheckLang(name string) error {
	_, err := find(name)
	return err
}

func find(name string) (*language, error) {
	all := languages()
	i := slices.IndexFunc(all, func(l language) bool { return l.name == name })
	if i >= 0 {
		return &all[i], nil
	}
	msg := fmt.Sprintf("no language %.40q, want one of %s", name, strings.Join(Langs(), ", "))
	if near := nearest(strings.ToLower(name), all); near != "" {
		msg += "; did you mean " + strconv.Quote(near) + "?"
	}
	return nil, fmt.Errorf("%s", msg)
}

// nearest returns the language that a word means, "" if there is none near it.
func nearest(word string, all []language) string {
	best, at := 1+min(len(word), 12)/3, ""
	for _, l := range all {
		for _, known := range append([]string{l.name}, l.aka...) {
			if d := distance(word, known); d < best || d == 0 {
				best, at = d, l.name
			}
		}
	}
	return at
}

// distance counts the insertions, deletions and substitutions of bytes between
// two words; long ones are cut.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// Runtime returns the interpreter that a language's tools run on, "node" or
// "python3", or "" for WebAssembly.
func Runtime(lang string) string {
	l, err := find(lang)
	if err != nil {
		return ""
	}
	return l.runtime
}

// Missing returns what packing takes that this machine does not have.
func Missing(ctx context.Context, lang string) []Need {
	l, err := find(lang)
	if err != nil {
		return nil
	}
	var out []Need
	for _, n := range l.needs {
		if !n.met(ctx) {
			out = append(out, n.Need)
		}
	}
	return out
}

// program returns a check that a program is in the PATH.
func program(name string) func(context.Context) bool {
	return func(context.Context) bool {
		_, err := exec.LookPath(name)
		return err == nil
	}
}

// rustTarget asks rustc, which may be rustup's and then fail without a
// toolchain, where the target's library is.
func rustTarget(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "rustc", "--print", "target-libdir", "--target", "wasm32-wasip1")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return err == nil && isDir(strings.TrimSpace(string(out)))
}

// clang looks for what build.sh of the template uses.
func clang(ctx context.Context) bool {
	if sdk := os.Getenv("WASI_SDK_PATH"); sdk != "" {
		return isDir(sdk)
	}
	return program("clang")(ctx) && program("wasm-ld")(ctx) && isDir("/usr/lib/wasm32-wasi")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
