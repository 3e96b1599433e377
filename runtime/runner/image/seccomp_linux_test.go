package image

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

// TestDenylist: the filter of containers denies by name what that of processes
// denies by number.
func TestDenylist(t *testing.T) {
	want := map[string]bool{"open_tree_attr": true} // a number there: golang.org/x/sys has no name for it
	for _, name := range []string{"amd64", "arm64"} {
		f, err := parser.ParseFile(token.NewFileSet(), "../sandbox/seccomp_linux_"+name+".go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		before := len(want)
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "SYS_") {
				want[strings.ToLower(strings.TrimPrefix(s.Sel.Name, "SYS_"))] = true
			}
			return true
		})
		if name == "amd64" && len(want) < before+60 {
			t.Fatalf("only %d names in the filter of processes", len(want)-before)
		}
	}
	var list []string
	for name := range want {
		list = append(list, name)
	}
	slices.Sort(list)
	got := slices.Clone(denied())
	slices.Sort(got)
	if d := cmp.Diff(list, got); d != "" {
		t.Errorf("the sandbox's -, ours +:\n%s", d)
	}
	if eperm != int(unix.EPERM) || eacces != int(unix.EACCES) || enosys != int(unix.ENOSYS) || afUnix != unix.AF_UNIX || tiocsti != unix.TIOCSTI || tioclinux != unix.TIOCLINUX ||
		newNamespaces != unix.CLONE_NEWUSER|unix.CLONE_NEWPID|unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP {
		t.Error("a number is not the kernel's")
	}
	raw, err := json.Marshal(denylist("amd64"))
	if err != nil || strings.Count(string(raw), `"clone"`) != 7 {
		t.Errorf("%s, %v", raw, err)
	}
}
