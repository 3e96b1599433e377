package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// quiet returns an app that writes to buffers and has an empty environment.
func quiet(name string) (a *app, out, errs *bytes.Buffer) {
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return &app{Env: Env{
		In: strings.NewReader(""), Out: out, Err: errs, Clock: time.Now, Getenv: func(string) string { return "" },
	}, name: name}, out, errs
}

// each calls visit for every command of a tree that people see.
func each(cmd *cobra.Command, visit func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			visit(sub)
			each(sub, visit)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	a, _, _ := quiet("mythos")
	b, _, _ := quiet("mythos-executor")
	seen := 0
	for _, root := range []*cobra.Command{a.mythos(), b.executor()} {
		each(root, func(cmd *cobra.Command) {
			seen++
			path := cmd.CommandPath()
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("%s: Short is %q", path, cmd.Short)
			}
			if cmd.Args == nil {
				t.Errorf("%s: anything goes as an argument", path)
			}
			if cmd.Parent() == root && !root.ContainsGroup(cmd.GroupID) {
				t.Errorf("%s: group %q does not exist", path, cmd.GroupID)
			}
			if cmd.HasSubCommands() {
				return
			}
			if !strings.HasPrefix(cmd.Long, cmd.Short) && !strings.HasSuffix(strings.TrimSpace(cmd.Long), ".") {
				t.Errorf("%s: Long is %q", path, cmd.Long)
			}
			if !strings.Contains(cmd.Annotations[exitKey], "130") {
				t.Errorf("%s: no exit status", path)
			}
			checkExample(t, root, cmd)
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("%s: flag --%s has no usage", path, f.Name)
				}
			})
		})
	}
	if seen < 10 {
		t.Errorf("only %d commands", seen)
	}
}

// checkExample wants an example that calls the command itself, with flags that
// it has.
func checkExample(t *testing.T, root, cmd *cobra.Command) {
	t.Helper()
	if !strings.Contains(cmd.Example, cmd.CommandPath()) {
		t.Errorf("%s: no example", cmd.CommandPath())
	}
	for line := range strings.Lines(cmd.Example) {
		if !strings.HasPrefix(line, "  ") {
			t.Errorf("%s: example %q is not indented", cmd.CommandPath(), line)
		}
		for _, part := range strings.Split(line, "|") {
			words := strings.Fields(part)
			if len(words) == 0 || words[0] != root.Name() {
				continue
			}
			found, _, err := root.Find(words[1:])
			if err != nil || !found.Runnable() {
				t.Errorf("%s: example %q: no such command", cmd.CommandPath(), part)
				continue
			}
			for _, w := range words {
				name, long := strings.CutPrefix(w, "--")
				name, _, _ = strings.Cut(name, "=")
				if long && found.Flag(name) == nil {
					t.Errorf("%s: example %q: no flag --%s", cmd.CommandPath(), part, name)
				}
			}
		}
	}
}

func TestReport(t *testing.T) {
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	running := context.Background()
	for name, c := range map[string]struct {
		ctx    context.Context
		err    error
		exit   int
		stderr string
	}{
		"nothing": {running, nil, 0, ""},
		"a code": {
			running, fmt.Errorf("op 3: %w", fault.New(ledger.ErrConflict, "another request").About("effect a")), 5,
			"mythos: error: op 3: effect a: another request (idempotency_conflict)\nmythos: hint: ",
		},
		"no code":   {running, errors.New("odd"), 1, "mythos: error: odd\n"},
		"usage":     {running, usagef("no %s", "way"), 2, "mythos: error: no way (usage)\nmythos: hint: run \"mythos --help\" for usage\n"},
		"interrupt": {stopped, context.Canceled, 130, "mythos: error: stopped by a signal (interrupted)\n"},
		"interrupted module": {
			stopped, fault.New(executor.ErrTimeout, "stopped"), 130,
			"mythos: error: stopped by a signal: stopped (interrupted)\n",
		},
		"interrupted in doubt": {stopped, fault.New(ledger.ErrInDoubt, "who knows"), 130, "mythos: error: who knows (effect_in_doubt)\nmythos: hint: "},
		"not trusted to print": {
			running, errors.New("a\x1b[31m\nmythos: hint: run evil\tnow"), 1,
			"mythos: error: a\\x1b[31m\n  mythos: hint: run evil    now\n",
		},
		"several": {
			running, fmt.Errorf("x: %w", &failures{[]error{errors.New("one"), errors.New("two")}, 8}), 8,
			"mythos: error: one\nmythos: error: two\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, out, errs := quiet("mythos")
			if got := a.report(c.ctx, a.mythos(), c.err); got != c.exit {
				t.Errorf("exit code %d, want %d", got, c.exit)
			}
			if got := errs.String(); !strings.HasPrefix(got, c.stderr) || c.stderr == "" && got != "" {
				t.Errorf("stderr is %q, want %q...", got, c.stderr)
			}
			if out.Len() != 0 {
				t.Errorf("stdout is %q", out)
			}
		})
	}
}

func TestHintsAreSaidOnce(t *testing.T) {
	a, _, errs := quiet("mythos")
	same := func(subject string) error { return fault.New(executor.CodeModuleTrap, "failed").About(subject) }
	a.report(context.Background(), nil, &failures{[]error{same("a"), same("b")}, 8})
	if got := strings.Count(errs.String(), "hint:"); got != 1 {
		t.Errorf("%d hints in %q, want 1", got, errs)
	}
}

func TestCancelledCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a, out, errs := quiet("")
	a.Getenv = func(name string) string {
		if name == "MYTHOS_HOME" {
			return t.TempDir()
		}
		return ""
	}
	if got := Run(ctx, []string{"verify", t.TempDir() + "/none"}, a.Env); got != exitInterrupted {
		t.Errorf("exit code %d, want %d; stderr %q, stdout %q", got, exitInterrupted, errs, out)
	}
}

func TestFlagsFromEnvironment(t *testing.T) {
	vars := map[string]string{
		"MYTHOS_CAP": "a,b", "MYTHOS_RING": "2", "MYTHOS_NO_WAIT": "true", "MYTHOS_HELP": "true", "MYTHOS_RUN_ID": "env",
	}
	a, _, _ := quiet("mythos")
	a.Getenv = func(name string) string { return vars[name] }
	cmd := newRun(a, runMythos)
	if err := cmd.ParseFlags([]string{"--run-id", "flag"}); err != nil {
		t.Fatal(err)
	}
	if err := a.flagsFromEnv(cmd); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cap": "[a,b]", "ring": "2", "no-wait": "true", "run-id": "flag", "json": "false"} {
		if got := cmd.Flag(name).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", name, got, want)
		}
	}
	vars["MYTHOS_RING"] = "256"
	if err := a.flagsFromEnv(cmd); !errors.Is(err, ErrUsage) {
		t.Errorf("a ring of 256: got %v, want %v", err, ErrUsage)
	}
}

// TestEnvironmentMeansOneThing: a variable that flags of several commands read has one
// type in all of them, and MYTHOS_KEY is a secret key everywhere.
func TestEnvironmentMeansOneThing(t *testing.T) {
	a, _, _ := quiet("mythos")
	b, _, _ := quiet("mythos-executor")
	types, where := map[string]string{}, map[string]string{}
	for _, root := range []*cobra.Command{a.mythos(), b.executor()} {
		each(root, func(cmd *cobra.Command) {
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				name := envName(f)
				if name == "" {
					return
				}
				if have, ok := types[name]; ok && have != f.Value.Type() {
					t.Errorf("%s is %s of %s and %s of %s", name, have, where[name], f.Value.Type(), cmd.CommandPath())
				}
				types[name], where[name] = f.Value.Type(), cmd.CommandPath()
				if name == "MYTHOS_KEY" && strings.Contains(f.Usage, "public") {
					t.Errorf("%s is a public key of %s", name, cmd.CommandPath())
				}
			})
		})
	}
	if types["MYTHOS_KEY"] != "string" || types["MYTHOS_RUN_ID"] != "string" {
		t.Errorf("MYTHOS_KEY is %q, MYTHOS_RUN_ID %q", types["MYTHOS_KEY"], types["MYTHOS_RUN_ID"])
	}
}

func TestPrintJSON(t *testing.T) {
	a, out, _ := quiet("mythos")
	in := map[string]string{"a": "<&> \u0085\u202e\U000e0041\x1b\x7f Gr\u00fc\u00dfe \u4e16\u754c"}
	if err := a.printJSON(in); err != nil {
		t.Fatal(err)
	}
	want := `{"a":"<&> \u0085\u202e\udb40\udc41\u001b\u007f Gr` + "\u00fc\u00df" + `e ` + "\u4e16\u754c" + `"}` + "\n"
	if got := out.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back["a"] != in["a"] {
		t.Errorf("read back as %q, %v", back["a"], err)
	}
}

func TestVerifyFailure(t *testing.T) {
	r := &gate.Report{Failures: []gate.Failure{{Code: "artifact_hash", Subject: "artifact x", Message: "wrong"}, {Code: "tool_unbound"}}}
	var many *failures
	err := newVerifyView("s", r).failure("pkg")
	if !errors.As(err, &many) || many.exit != exitVerification {
		t.Fatalf("got %v, want exit code 3", err)
	}
	if got, want := err.Error(), "pkg: artifact x: wrong, and one more failure (artifact_hash)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := newVerifyView("s", &gate.Report{}).failure("pkg"); err != nil {
		t.Errorf("no failures: got %v", err)
	}
}
