package cli_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mythos-run/mythos/internal/cli"
	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
)

// TestStories runs the scripts with the commands as they are shipped: each is a
// user with an empty MYTHOS_HOME. Beside the usual commands of testscript there are
//
//	exits N COMMAND...            run it: it must end with exit code N
//	has FILE PATH JSON            the member at a dotted path is this JSON
//	get NAME FILE PATH            set NAME to a text member
//	lines N FILE                  the file has N lines
//	poke FILE OFFSET HEX          overwrite bytes; OFFSET may be negative
//	alter DIR SQL                 change the ledger in a folder behind its back
//	source DIR [KEY=VALUE...]     write a source folder (see guest_test.go)
//	package DIR FAULT             write a packed folder with a fault in it
//	trustkey ROLE KEYFILE         trust the key of a secret key file
//	capability OUT KEYFILE [...]  issue a capability (see guest_test.go)
//	awaitregister                 wait until the ledger holds a register
//	interrupt N OUT COMMAND...    run it, interrupt it once the ledger holds a
//	                              register: it must end with exit code N; its
//	                              output goes to the file OUT
//	killed FILE COMMAND...        run it, kill it without warning once FILE is there
func TestStories(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := build(t, root)
	stories := &stories{t}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MYTHOS_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("ROOT", root)
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("TZ", "UTC")
			for _, name := range []string{"GOCACHE", "GOPATH", "GOMODCACHE", "GOFLAGS", "GOPROXY"} {
				env.Setenv(name, goEnv(t, name))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "has": has, "get": get, "lines": lines, "poke": poke, "alter": alter,
			"source": stories.source, "package": stories.faulty, "trustkey": trustKey,
			"capability": capability, "awaitregister": awaitRegister, "interrupt": interrupt, "killed": killed, "serve": serveRegistry,
		},
	})
}

// build builds both commands and returns their folder. The test's own binary
// would do, but with the race detector it takes half a second to start.
func build(t *testing.T, root string) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"mythos", "mythos-executor"} {
		// The test's cached result must depend on what is built here.
		if _, err := os.ReadFile(filepath.Join(root, "runtime/cmd", name, "main.go")); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-X main.build=story", "-o", bin, "./runtime/cmd/"+name)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return bin
}

// goEnv asks the go command, whose own home the stories do not share.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// need ends a script whose command is used wrongly.
func need(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg || len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "exits N COMMAND...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		got = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// member returns the JSON at a dotted path, list items by number.
func member(ts *testscript.TestScript, file, path string) any {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(file)), &v); err != nil {
		ts.Fatalf("%s: %v", file, err)
	}
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[step]
			if !ok {
				ts.Fatalf("%s: no member %s of %s", file, step, path)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if step == "len" {
				v = float64(len(x))
				continue
			}
			if err != nil || i >= len(x) {
				ts.Fatalf("%s: no item %s of %s", file, step, path)
			}
			v = x[i]
		default:
			ts.Fatalf("%s: %s ends before %s", file, path, step)
		}
	}
	return v
}

func has(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] has FILE PATH JSON")
	}
	got, err := json.Marshal(member(ts, args[0], args[1]))
	ts.Check(err)
	var want any
	if err := json.Unmarshal([]byte(args[2]), &want); err != nil {
		want = args[2] // a text, without its quotes
	}
	text, err := json.Marshal(want)
	ts.Check(err)
	if (string(got) == string(text)) == neg {
		ts.Fatalf("%s is %s, want %s", args[1], got, text)
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "get NAME FILE PATH")
	text, ok := member(ts, args[1], args[2]).(string)
	if !ok {
		ts.Fatalf("%s is no text", args[2])
	}
	ts.Setenv(args[0], text)
}

func lines(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "lines N FILE")
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); strconv.Itoa(got) != args[0] {
		ts.Fatalf("%s has %d lines, want %s", args[1], got, args[0])
	}
}

func poke(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "poke FILE OFFSET HEX")
	path := ts.MkAbs(args[0])
	content, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(content)
	}
	change, err := hex.DecodeString(args[2])
	ts.Check(err)
	if at < 0 || at+len(change) > len(content) {
		ts.Fatalf("%s has only %d bytes", args[0], len(content))
	}
	if before := string(content[at : at+len(change)]); before == string(change) {
		ts.Fatalf("%s holds these bytes already", args[0])
	}
	copy(content[at:], change)
	ts.Check(os.WriteFile(path, content, 0o644))
}

// home opens the node of the script's MYTHOS_HOME.
func home(ts *testscript.TestScript) *node.Node {
	paths, err := config.Find(ts.Getenv)
	ts.Check(err)
	return node.New(node.Options{Paths: paths, Clock: time.Now, Version: cli.Release})
}

// awaitRegister polls the ledger until an effect is registered.
func awaitRegister(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "awaitregister")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := home(ts); ; {
		if n.HasLedger() && registered(ctx, n) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("no register within a minute")
		}
	}
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "interrupt N OUT COMMAND...")
	out, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	defer out.Close()
	cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[2]), args[3:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, out
	cmd.Env = append(os.Environ(), "MYTHOS_HOME="+ts.Getenv("MYTHOS_HOME"))
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill() }) // if the script ends before it
	awaitRegister(ts, false, nil)
	ts.Check(cmd.Process.Signal(os.Interrupt))
	err = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] {
		ts.Fatalf("%v, want exit code %s", err, args[0])
	}
}

func killed(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "killed FILE COMMAND...")
	cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1]), args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "MYTHOS_HOME="+ts.Getenv("MYTHOS_HOME"), "MYTHOS_SANDBOX="+ts.Getenv("MYTHOS_SANDBOX"))
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill() }) // if the script ends before it
	awaitFile(ts, ts.MkAbs(args[0]))
	ts.Check(cmd.Process.Kill())
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != -1 {
		ts.Fatalf("it ended by itself, with exit code %d", cmd.ProcessState.ExitCode())
	}
}

// serveRegistry starts a registry that is open to this machine, and sets a variable to
// its host and port.
func serveRegistry(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "serve NAME")
	dir := ts.MkAbs("registry-" + args[0])
	cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "mythos"), "registry", "serve", "--listen", "127.0.0.1:0", "--open", "--dir", dir)
	cmd.Env = append(os.Environ(), "MYTHOS_HOME="+dir)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	_, host, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if !ok {
		ts.Fatalf("the registry said %q", line)
	}
	ts.Setenv(args[0], host)
}

// awaitFile polls until a file is there.
func awaitFile(ts *testscript.TestScript, path string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("no %s within a minute", path)
		}
	}
}

func registered(ctx context.Context, n *node.Node) bool {
	log, err := n.ReadLedger()
	if err != nil {
		return false // it is being made
	}
	defer log.Close()
	for _, err := range log.Records(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRegister}}) {
		return err == nil
	}
	return false
}
