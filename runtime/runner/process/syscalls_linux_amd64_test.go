//go:build !race

// The race detector calls the kernel for itself.

package process

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/runner"
)

// tracedEnv names the grant under which TestTracedCall runs a module, and what it
// grants, for TestSyscallsUnderEachGrant, which watches it.
const (
	tracedEnv  = "MYTHOS_TEST_TRACED"
	tracedPath = "MYTHOS_TEST_TRACED_PATH"
)

// tracedGrants are the grants that a native module can be given, each alone.
var tracedGrants = []string{"none", "clock", "random", "net", "read", "write", "secret"}

// grantAlone returns one grant.
func grantAlone(name, path string) runner.Grants {
	var g runner.Grants
	switch name {
	case "clock":
		g.Clock = true
	case "random":
		g.Random = true
	case "net":
		g.Net = only("a.example")
	case "read":
		g.Read = []string{path}
	case "write":
		g.Write = []runner.FsWrite{{Path: path, MaxBytes: 1000}}
	case "secret":
		g.Secrets = []runner.Secret{{Name: "token", Value: func() ([]byte, error) { return []byte("s"), nil }}}
	}
	return g
}

// TestTracedCall is one call, in a process that is watched.
func TestTracedCall(t *testing.T) {
	name := os.Getenv(tracedEnv)
	if name == "" {
		return
	}
	r := start(t, runner.KindNative, func(o *Options) { o.Proxy = &parrot{} })
	c := call(native(t, "echo"), "q")
	c.Grants = grantAlone(name, os.Getenv(tracedPath))
	if got := answer(t, r, c); got != "q" {
		t.Errorf("got %q", got)
	}
}

// traced are the system calls of one call: those of the shim that builds the sandbox
// and ends by becoming the module, and those of the module.
type traced struct {
	Shim   []string `json:"shim"`
	Module []string `json:"module"`
}

// TestSyscallsUnderEachGrant records the system calls of the shim and of a module
// under each single grant, and under none, and compares them with the lists that are
// checked in: one more fails, because whoever adds it has to say why.
func TestSyscallsUnderEachGrant(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		missing(t, "no strace")
	}
	host(t)
	raw, err := os.ReadFile("testdata/syscalls.json")
	if err != nil {
		t.Fatal(err)
	}
	var allowed map[string]traced
	if err := json.Unmarshal(raw, &allowed); err != nil {
		t.Fatal(err)
	}
	guest, err := shared.guest()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tracedGrants {
		out := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-qq", "-Y", "-o", out, os.Args[0], "-test.run=^TestTracedCall$")
		cmd.Env = append(os.Environ(), tracedEnv+"="+name, tracedPath+"="+folder(t, "granted"), guestEnv+"="+guest)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, said)
		}
		trace, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got := readTrace(string(trace))
		t.Logf("%s: %d calls of the shim, %d of the module", name, len(got.Shim), len(got.Module))
		if len(got.Shim) == 0 || len(got.Module) == 0 {
			t.Errorf("%s: nothing was recorded", name)
		}
		for what, lists := range map[string][2][]string{"the shim": {got.Shim, allowed[name].Shim}, "the module": {got.Module, allowed[name].Module}} {
			for _, call := range lists[0] {
				if !slices.Contains(lists[1], call) {
					t.Errorf("under %s %s calls %s, which testdata/syscalls.json does not list", name, what, call)
				}
			}
		}
	}
}

var traceLine = regexp.MustCompile(`^(\d+)<([^>]*)> +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed>)`)

// readTrace splits a trace by the names of the processes: the shim is this program
// again, as /proc/self/exe, and the module has the name of its sealed file.
func readTrace(trace string) traced {
	shim, module := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(trace) {
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		switch comm := m[2]; {
		case comm == "exe":
			shim[m[3]] = true
		case comm == "memfd:module":
			module[m[3]] = true
		}
	}
	return traced{slices.Sorted(maps.Keys(shim)), slices.Sorted(maps.Keys(module))}
}
