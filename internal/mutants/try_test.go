package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// planted is a program in place of mythos: two vectors, about small and about
// the sum of what is small.
var planted = map[string]string{
	"go.mod": "module planted\n\ngo 1.26\n",
	"runtime/cmd/mythos/main.go": `package main

import (
	"fmt"
	"os"

	"planted/lib"
)

func main() {
	outcome := map[bool]string{true: "passed", false: "failed"}
	first, second := lib.Small(9) && !lib.Small(10), lib.Sum([]int{1, 2, 10}) == 3
	fmt.Fprintln(os.Stderr, lib.Message(first))
	fmt.Printf("{\"results\": [{\"id\": \"small-001\", \"outcome\": %q}, {\"id\": \"sum-001\", \"outcome\": %q}]}\n", outcome[first], outcome[second])
	if !first || !second {
		os.Exit(3)
	}
}
`,
	"lib/lib.go": `package lib

func Small(n int) bool { return n < 10 }

func Sum(list []int) (sum int) {
	for _, n := range list {
		if Small(n) {
			sum += n
		}
	}
	return sum / len(list[0:]) * len(list)
}

func Message(ok bool) string {
	if ok {
		return "well" + "!"
	}
	return "oh"
}

func unused() int { return 7 }
`,
}

// TestPlanted builds every mutant of a small library and looks at each verdict.
func TestPlanted(t *testing.T) {
	root := t.TempDir()
	for name, text := range planted {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := enumerate("lib/lib.go", []byte(planted["lib/lib.go"]), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{root: root, work: t.TempDir(), limit: time.Minute}
	if err := l.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range all {
		o, err := l.try(t.Context(), m)
		if err != nil {
			t.Fatalf("%s: %v", m.ID(), err)
		}
		got[m.Text] = strings.TrimSpace(o.verdict + " " + o.by)
	}
	want := map[string]string{
		"func Small(n int) bool { return n [< -> <=] 10 }":        "caught small-001",
		"func Small(n int) bool { return [n < 10 -> !(n < 10)] }": "caught small-001",
		"func Small(n int) bool { return n < [10 -> 10 + 1] }":    "caught small-001",
		"func Small(n int) bool { return n < [10 -> 10 - 1] }":    "caught small-001",
		"if [Small(n) -> !(Small(n))] {":                          "caught sum-001",
		"sum [+= -> -=] n":                                        "caught sum-001",
		"return sum [/ -> *] len(list[0:]) * len(list)":           "caught sum-001",
		"return sum / len(list[0:]) [* -> /] len(list)":           "caught sum-001",
		"return sum / len(list[[0 -> 0 + 1]:]) * len(list)":       "survived",
		"return sum / len(list[[0 -> 0 - 1]:]) * len(list)":       "refused",
		"if [ok -> !(ok)] {":                                      "survived",
		`return "well" [+ -> -] "!"`:                              "refused",
		"func unused() int { return [7 -> 7 + 1] }":               "same",
		"func unused() int { return [7 -> 7 - 1] }":               "same",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPrepareRefuses: without a mutation everything must pass.
func TestPrepareRefuses(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "runtime/cmd/mythos"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":                     planted["go.mod"],
		"runtime/cmd/mythos/main.go": "package main\n\nimport \"os\"\n\nfunc main() {\n\tprintln(\"panic: \")\n\tos.Exit(2)\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := &lab{root: root, work: t.TempDir(), limit: time.Minute}
	if err := l.prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "fails without a mutation") {
		t.Errorf("got %v", err)
	}
}
