package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
)

const exitModule = 8

type runOptions struct {
	*app
	node.RunOptions
	fetch     fetchFlags
	input     string
	piped     string // the file of the proof that came from standard input; "": none did
	moduleLog string
	json      bool
}

// runKind says which program runs packages.
type runKind int

const (
	runMythos runKind = iota
	runExecutor
)

const runLong = `Verify a package and run one of its entry points.

PACKAGE is a packed folder, a .mythos.tgz, the manifest CID of a package in the
local store, NAME@VERSION of one that was pulled, or oci://HOST/REPOSITORY:TAG. What
is not in the store is pulled first if --from or MYTHOS_REMOTES says from where, as
"mythos pull" does it. Every effect is registered in the ledger before a module runs
and committed with a signed receipt after it; a run that is started again with
the same --run-id returns the recorded effects instead of repeating them, and
continues where it was stopped. A run belongs to the authority and the holder of
its capabilities: the same --run-id under another --cap root or --key is another
run, which repeats the effects.

--resume RUN_ID goes on with a run that was stopped, killed or left in doubt: what
it ran, with which inputs and variants, its record in the ledger says. PACKAGE is
needed only if the package is not in the local store. Whatever a fresh run is
refused for, it is refused for again. A run that has ended is replayed.

`

const runLongMythos = `Without --cap the local dev key issues what the run needs: for each tool whose
modules ask for no capability, the right to call it from this package in ring 0
for an hour, and whatever --grant hands to this run: a module that asks for a
power gets it only so. That is said on standard error. The forms of --grant:
  ` + node.GrantForms + `
The port is 443 and BYTES 64 MiB unless given.`

const runLongExecutor = `Nothing is issued here: every effect needs a proof, given with --cap. Packages
that the local dev key signed are accepted as by "mythos run", but the dev key
grants them no power of its own accord.`

func newRun(a *app, kind runKind) *cobra.Command {
	o := &runOptions{app: a}
	cmd := &cobra.Command{
		Use: "run [PACKAGE]", Short: "Run a package and keep receipts of its effects", GroupID: groupPackages,
		Long: runLong + runLongMythos,
		Example: "  mythos run dist/demo-001-0.1.0\n" +
			"  mythos run dist/demo-001-0.1.0.mythos.tgz --run-id nightly-1 --json\n" +
			"  mythos run sha256:... --entrypoint greet --input '[\"Ada\"]' --variant demo/echo=node\n" +
			"  mythos run PACKAGE --grant net=api.example.com --grant secret=api-token\n" +
			"  mythos run PACKAGE --cap call.cap --key operator.key\n" +
			"  mythos run --resume nightly-1",
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			if err := o.what(list); err != nil {
				return err
			}
			if cmd.Flags().Changed("key") && len(o.Proofs) == 0 {
				return usagef("--key is the key of the proofs' leaf issuer: give the proofs with --cap")
			}
			if len(o.Grants) > 0 && len(o.Proofs) > 0 {
				return usagef("--grant makes capabilities of the local dev key, which counts for nothing beside --cap")
			}
			o.RingGiven = cmd.Flags().Changed("ring")
			return o.run(cmd.Context())
		},
	}
	if kind == runExecutor {
		o.NoDevAuthority = true
		cmd.Long = runLong + runLongExecutor
		cmd.Example = "  mythos-executor run dist/demo-001-0.1.0 --cap call.cap --key authority.key --json\n" +
			"  mythos-executor run --resume nightly-1 --cap call.cap --key authority.key"
	}
	f := cmd.Flags()
	f.StringVar(&o.Entrypoint, "entrypoint", "", "the entry point's `NAME` (default the only one, else \"main\")")
	f.StringVar(&o.input, "input", "", "the inputs: a `JSON` array in the JSON view (default the task's own)")
	f.StringVar(&o.RunID, "run-id", "", "the run's name, `TEXT` of 1 to 128 of A-Z a-z 0-9 . _ : - (default a fresh one)")
	f.StringVar(&o.Resume, "resume", "", "go on with the run of this `RUN_ID`, or of this run record; not with --entrypoint, --input, --run-id or --variant")
	f.StringArrayVar(&o.Proofs, "cap", nil, "a capability proof `FILE`, or - for standard input; may be repeated; under another authority a run id names another run")
	f.StringVar(&o.Key, "key", "", "the key of the proofs' leaf issuer: a key `FILE`, env:NAME or fd:N")
	if kind == runExecutor {
		f.BoolVar(&o.NeedPackageRun, "need-package-run", false, "refuse the run unless a proof of kind PackageRun covers the package and the ring")
	}
	if kind == runMythos {
		f.StringArrayVar(&o.Grants, "grant", nil, "hand this `POWER` to the run's modules; may be repeated; not with --cap")
	}
	f.Uint8Var(&o.Ring, "ring", 0, "the ring `N` to run in")
	f.StringArrayVar(&o.Variants, "variant", nil, "`TOOL=VARIANT`: use this variant of a tool; may be repeated")
	o.fetch.bind(cmd)
	f.BoolVar(&o.NoWait, "no-wait", false, "fail instead of waiting for the ledger or for an effect that runs elsewhere")
	f.StringVar(&o.moduleLog, "module-log", "", "append what modules log to this `FILE`, a line as TOOL[@VARIANT] LINE")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(a.bindLedger(cmd), 3, 4, 5, 6, 7, 8)
}

func (o *runOptions) run(ctx context.Context) error {
	if err := o.readInput(); err != nil {
		return err
	}
	log, err := openModuleLog(o.moduleLog)
	if err != nil {
		return err
	}
	drop, err := o.stdinProof()
	if err != nil {
		return errors.Join(err, drop(), log.close())
	}
	wait := o.newWaiting()
	defer wait.done()
	o.OnLog = log.write
	o.OnLedgerWait = wait.ledger
	o.OnLeaseWait = wait.effect
	show := o.newTransferring("pulled")
	defer show.done()
	o.Pull = o.fetch.options(show)
	begun := false
	o.OnBegun = func(string) { begun = true }
	o.OnUnrecorded = func(_, why error) { o.note("the refusal is not in the ledger: %v", why) }
	err = o.withNode(func(n *node.Node) error {
		if o.RunID == "" && o.Resume == "" {
			o.RunID = n.NewRunID()
		}
		r, err := n.Run(ctx, o.RunOptions)
		wait.done()
		show.done()
		show.tell()
		o.noteCache(n)
		if err = o.aboutProofs(err); err != nil {
			if begun && resumable(err) {
				o.noteResume()
			}
			return err
		}
		if err := o.print(r); err != nil {
			return err
		}
		return outcome(r.Result)
	})
	return errors.Join(err, drop(), log.close())
}

// what reads the package's name, and holds the flags against --resume.
func (o *runOptions) what(list []string) error {
	if len(list) > 0 {
		o.Package = list[0]
	}
	switch {
	case o.Resume == "" && o.Package == "":
		return usagef("name a PACKAGE, or a run with --resume")
	case o.Resume == "":
		return nil
	case o.Entrypoint != "" || o.input != "" || o.RunID != "" || len(o.Variants) > 0:
		return usagef("--resume takes entry point, inputs, variants and run id from the run's record: leave out --entrypoint, --input, --variant and --run-id")
	}
	return nil
}

// noteResume says what to type to go on with this run.
func (o *runOptions) noteResume() {
	id := o.RunID
	if o.Resume != "" {
		id = o.Resume
	}
	command := o.name + " run"
	if o.Package != "" && !strings.HasPrefix(o.Package, "sha256:") {
		command += " " + o.Package
	}
	ring, with := "", ""
	if o.Ring > 0 {
		ring = fmt.Sprintf(" --ring %d", o.Ring)
	}
	if len(o.Proofs) > 0 || len(o.Grants) > 0 {
		with = ", with the same --cap, --key and --grant"
	}
	o.note("this was run %s: \"%s --resume %s%s\" continues it%s", id, command, id, ring, with)
}

// resumable reports whether a run that began and failed may end well if it goes on.
func resumable(err error) bool {
	if errors.Is(err, ledger.ErrSettled) || errors.Is(err, ledger.ErrConflict) {
		return false
	}
	entry, _ := lookUp(fault.CodeOf(err))
	switch entry.Exit {
	case 5, 7, exitModule, exitInterrupted:
		return true
	}
	return errors.Is(err, context.Canceled)
}

// readInput parses --input.
func (o *runOptions) readInput() error {
	if o.input == "" {
		return nil
	}
	raw, err := can.FromJSON([]byte(o.input))
	if err != nil {
		return usagef("--input: %w", err)
	}
	if raw[0] != can.List {
		return usagef("--input is %s, want a JSON array of the inputs", can.TagName(raw[0]))
	}
	o.Inputs = raw
	return nil
}

// outcome is the error of a run that was sealed but did not go well: a trap, or
// effects whose modules failed.
func outcome(r *executor.Result) error {
	if out := r.Outcome; out.ErrorCode != "" {
		return fault.New(out.ErrorCode, "%s", out.Message).About("run " + r.RunID)
	}
	var errs []error
	for _, e := range r.Effects {
		if moduleFailed(fault.Code(e.ErrorCode)) {
			label := toolLabel(e.Tool, e.Variant)
			errs = append(errs, fault.New(fault.Code(e.ErrorCode), "the module failed, status %d", e.Status).
				About(fmt.Sprintf("effect %d %s", e.Ordinal, label)))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &failures{errs, exitModule}
}

// moduleFailed reports whether a code is one that the executor gives a module
// that broke its contract.
func moduleFailed(code fault.Code) bool {
	switch code {
	case executor.CodeBadResponse, executor.CodeModuleTrap, executor.CodeModuleExit,
		executor.CodeModuleMemory, executor.CodeFuelExhausted:
		return true
	}
	return false
}

// toolLabel is TOOL or TOOL@VARIANT.
func toolLabel(tool, variant string) string {
	if variant == "" {
		return tool
	}
	return tool + "@" + variant
}
