// Package cli holds the commands of mythos and mythos-executor. A main calls
// Run or RunExecutor with the outside world as an Env and exits with what it
// returns.
//
// Every command is one file: an options struct, a constructor that binds flags
// to it, and a run method that does the work. Standard output carries the
// result and nothing else: with --json one object on one line whose first
// member is its schema, without it text for people. Everything else goes to
// standard error, failures as
//
//	mythos: error: SUBJECT: message (code)
//	mythos: hint: what to do next
//
// The code is stable, and ctvp/errors.json says which exit code and hint belong
// to it. A flag --run-id may be given as MYTHOS_RUN_ID; the flag wins. Text
// that comes from packages or modules is cleaned before a terminal sees it.
//
// A result that cannot be written is an error, help included. When the reader of
// a pipe has gone, as in "| head -1", the program ends at once and in silence, by
// SIGPIPE; if its parent ignores that signal, with exit code 141, which is what
// a shell makes of it.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/node"
)

// Release is this release's semantic version: what a package's
// executor_min_version is held against.
const Release = "0.1.0"

// Env is the outside world as a command sees it.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Clock    func() time.Time
	Build    string // which build of Release this is, such as a commit; may be empty
}

// System returns the process's own Env.
func System(build string) Env {
	return Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Clock: time.Now, Build: build}
}

// app is what the commands of one command line share.
type app struct {
	Env
	name string // of the program

	ledger string // --ledger; "": as the settings say
}

// Run runs one command line of mythos, without the program's name, and returns
// its exit code.
func Run(ctx context.Context, args []string, env Env) int {
	a := &app{Env: env, name: "mythos"}
	return a.execute(ctx, a.mythos(), args)
}

// mythos is the command tree of mythos.
func (a *app) mythos() *cobra.Command {
	root := a.root("Pack, verify, run and inspect MYTHOS packages")
	root.AddGroup(
		&cobra.Group{ID: groupPackages, Title: "PACKAGES"},
		&cobra.Group{ID: groupRemotes, Title: "OTHER MACHINES"},
		&cobra.Group{ID: groupRecords, Title: "RECORDS"},
		&cobra.Group{ID: groupTrust, Title: "KEYS AND TRUST"},
		&cobra.Group{ID: groupBytes, Title: "BYTES"},
		&cobra.Group{ID: groupMachine, Title: "THIS MACHINE"},
	)
	root.AddCommand(commands(a)...)
	return root
}

// The groups of commands in help.
const (
	groupPackages = "packages"
	groupRemotes  = "remotes"
	groupRecords  = "records"
	groupTrust    = "trust"
	groupBytes    = "bytes"
	groupMachine  = "machine"
)

// commands lists what mythos can do, in the order of its help.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newInit(a), newPack(a), newUnpack(a), newVerify(a), newInspect(a), newDiff(a), newRun(a, runMythos), newDev(a),
		newPush(a), newPublish(a), newPull(a), newLogin(a), newLogout(a), newRegistry(a),
		newReceipts(a), newLedger(a), newStore(a),
		newKeys(a), newTrust(a), newPolicy(a), newAttest(a), newPromote(a), newDemote(a), newCaps(a),
		newIR(a), newCan(a), newCTVP(a),
		newDoctor(a), newVersion(a), newCompletion(a),
	}
}

// RunExecutor runs one command line of mythos-executor.
func RunExecutor(ctx context.Context, args []string, env Env) int {
	a := &app{Env: env, name: "mythos-executor"}
	return a.execute(ctx, a.executor(), args)
}

// executor is the command tree of mythos-executor.
func (a *app) executor() *cobra.Command {
	root := a.root("Check and run MYTHOS packages without the local dev authority")
	root.AddGroup(
		&cobra.Group{ID: groupPackages, Title: "PACKAGES"},
		&cobra.Group{ID: groupMachine, Title: "THIS MACHINE"},
	)
	root.AddCommand(newRun(a, runExecutor), newCheck(a), newVersion(a), newCompletion(a))
	return root
}

// execute runs the command line. The first interrupt cancels the command, which
// then ends in order; the second ends the process.
func (a *app) execute(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	out := &stdout{w: a.Out}
	a.Out = out
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(deaf{out})
	root.SetErr(a.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if out.failed != nil && (err == nil || errors.Is(err, out.failed)) {
		err = out.failed // once, however many writes it failed
	}
	return a.report(ctx, cmd, err)
}

// noteCache says why compiled code is not kept, so that each command compiles
// again.
func (a *app) noteCache(n *node.Node) {
	if err := n.CacheFault(); err != nil {
		a.note("modules are compiled anew each time: %v; \"mythos doctor\" says more", err)
	}
}

// withNode opens this user's node for fn, and closes it.
func (a *app) withNode(fn func(*node.Node) error) error {
	paths, err := config.Find(a.Getenv)
	if err != nil {
		return err
	}
	settings, err := config.FindSettings(a.Getenv)
	if err != nil {
		return err
	}
	if a.ledger != "" {
		settings.Ledger = a.ledger
	}
	n := node.New(node.Options{Paths: paths, Clock: a.Clock, Version: Release, Settings: settings, IsRefusal: isRefusal})
	return errors.Join(fn(n), n.Close())
}
