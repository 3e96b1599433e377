package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/runner/image"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// ErrDoctor is the code of a doctor that found something broken.
const ErrDoctor fault.Code = "doctor_failed"

type doctorOptions struct {
	*app
	json bool
}

func newDoctor(a *app) *cobra.Command {
	o := &doctorOptions{app: a}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check this machine's folders, keys, store and ledger", GroupID: groupMachine,
		Long: `Check this machine: the folders that MYTHOS uses and who may enter them, keys,
trust file and ring policy, object store, ledger, the wasm engine and its cache,
disk space, the sandbox for modules that are programs, which is tried out, and
their runtimes. MYTHOS_NODE, MYTHOS_PYTHON3 and MYTHOS_OCI_RUNTIME name others; with
MYTHOS_SANDBOX=best-effort such modules run in whatever sandbox there is, with
none in none. What is wrong comes with what to type. Nothing is repaired.`,
		Example: "  mythos doctor\n  MYTHOS_HOME=/srv/mythos mythos doctor --json",
		Args:    args(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd)
}

// The verdicts of a check.
const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

// checkup is one thing that doctor looked at.
type checkup struct {
	Name   string  `json:"name"`
	Status string  `json:"status"` // ok, warn or fail
	Detail string  `json:"detail"`
	Fix    *string `json:"fix"` // what to do; null if all is well
}

// doctorView is the object that doctor --json prints.
type doctorView struct {
	Schema string    `json:"schema"`
	OK     bool      `json:"ok"` // nothing failed
	Checks []checkup `json:"checks"`

	Sandbox  *sandbox.Report `json:"sandbox"`  // null if it cannot be probed
	Runtimes []runtimeView   `json:"runtimes"` // what process modules can use

	OCIRuntimes []image.Runtime `json:"oci_runtimes"` // what images can use, strongest first
}

func (o *doctorOptions) run(ctx context.Context) error {
	v := doctorView{Schema: "mythos.doctor/1", OK: true}
	err := o.withNode(func(n *node.Node) error {
		x := &examination{n}
		v.Checks = x.all(ctx)
		var more []checkup
		var box checkup
		box, v.Sandbox = x.sandbox(ctx)
		more, v.Runtimes = x.runtimes(ctx)
		v.Checks = append(append(v.Checks, box), more...)
		more, v.OCIRuntimes = x.containers(ctx)
		v.Checks = append(v.Checks, more...)
		return nil
	})
	if err != nil {
		return err
	}
	broken := 0
	for _, c := range v.Checks {
		if c.Status == statusFail {
			v.OK = false
			broken++
		}
	}
	if err := o.print(v); err != nil || v.OK {
		return err
	}
	return fault.New(ErrDoctor, "%d of %d checks failed", broken, len(v.Checks))
}

func (o *doctorOptions) print(v doctorView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable("CHECK", "STATUS", "DETAIL")
	for _, c := range v.Checks {
		t.Row(c.Name, c.Status, c.Detail)
	}
	if err := o.printTable(t); err != nil {
		return err
	}
	for _, c := range v.Checks {
		if c.Fix != nil {
			if err := o.printf("\n%s: %s\n", c.Name, *c.Fix); err != nil {
				return err
			}
		}
	}
	return nil
}

// healthy is a check that found nothing wrong.
func healthy(name, detail string) checkup { return checkup{name, statusOK, detail, nil} }

// ill is a check that found something, and what to do about it.
func ill(name, status, detail, fix string) checkup { return checkup{name, status, detail, &fix} }

// broken is a check that met an error. The fix is the hint of its code.
func broken(name string, err error) checkup {
	entry, _ := lookUp(fault.CodeOf(err))
	fix := entry.Hint
	if fix == "" {
		fix = "Look at the detail: " + name + " cannot be used as it is."
	}
	return ill(name, statusFail, err.Error(), fix)
}
