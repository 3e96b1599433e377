package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
)

type checkOptions struct {
	*app
	pkg  string
	ring uint8
	json bool
}

func newCheck(a *app) *cobra.Command {
	o := &checkOptions{app: a}
	cmd := &cobra.Command{
		Use: "check PACKAGE", Short: "Load a package as run would, and run nothing", GroupID: groupPackages,
		Long: `Load a package as run would, and run nothing: the whole loading order, the node's
ring policy and the budget of every entry point. The first check that fails
decides; "mythos verify" lists all that is wrong with a package.`,
		Example: "  mythos-executor check dist/demo-001-0.1.0 --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.pkg = list[0]
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Uint8Var(&o.ring, "ring", 0, "the ring `N` to check for")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// checkView is the object that check --json prints.
type checkView struct {
	verifyView
	Ring        uint8     `json:"ring"`
	PolicyID    *cid.Hash `json:"policy_id"`
	Entrypoints []string  `json:"entrypoints"`
}

func (o *checkOptions) run(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		pkg, err := n.Check(ctx, o.pkg, o.ring)
		o.noteCache(n)
		if err != nil && (!o.json || fault.CodeOf(err) == "") {
			return err
		}
		if printErr := o.print(newCheckView(pkg, err, o.ring)); printErr != nil {
			return printErr
		}
		return err
	})
}

func newCheckView(pkg *gate.Package, err error, ring uint8) checkView {
	report := &gate.Report{}
	v := checkView{Ring: ring, Entrypoints: []string{}}
	if err != nil {
		report.Failures = []gate.Failure{gate.FailureOf(err)}
	} else {
		id, manifestCID := pkg.ID(), pkg.ManifestCID()
		report.PackageID, report.ManifestCID, report.Signers = &id, &manifestCID, pkg.Signers()
		v.PolicyID = &pkg.Policy().PolicyID
		for _, e := range pkg.Manifest().Entrypoints {
			v.Entrypoints = append(v.Entrypoints, e.Name)
		}
	}
	v.verifyView = newVerifyView("mythos.check.result/1", report)
	return v
}

func (o *checkOptions) print(v checkView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("ok", yes(v.OK))
	t.Row("package_id", v.PackageID.String())
	t.Row("manifest_cid", v.ManifestCID.String())
	for _, s := range v.Signers {
		t.Row("signed by", s.label())
	}
	t.Row("ring", strconv.Itoa(int(v.Ring)))
	t.Row("policy_id", v.PolicyID.String())
	for _, e := range v.Entrypoints {
		t.Row("entrypoint", e)
	}
	return o.printTable(t)
}
