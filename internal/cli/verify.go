package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

const exitVerification = 3

type verifyOptions struct {
	*app
	pkg  string
	json bool
}

func newVerify(a *app) *cobra.Command {
	o := &verifyOptions{app: a}
	cmd := &cobra.Command{
		Use: "verify PACKAGE", Short: "Check a package without running it", GroupID: groupPackages,
		Long: `Check a package without running it: its form, manifest, signatures against the
trust file, requirements, every artifact against both hashes, bundles, tools and
modules. All that is wrong is listed, not only the first thing.

PACKAGE is a packed folder, a .mythos.tgz, an OCI image layout (DIR, or DIR:TAG of
several packages), or the manifest CID of a package in the local store. Whether this node's ring policy admits the package is what
"mythos-executor check" says.`,
		Example: "  mythos verify dist/demo-001-0.1.0\n  mythos verify dist/demo-001-0.1.0.mythos.tgz --json",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.pkg = list[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

// verifyView is the object that verify --json and check --json print.
type verifyView struct {
	Schema      string        `json:"schema"`
	OK          bool          `json:"ok"`
	PackageID   *cid.Hash     `json:"package_id"`
	ManifestCID *cid.Hash     `json:"manifest_cid"`
	Signers     []signerView  `json:"signers"` // known keys whose signatures verify
	Failures    []failureView `json:"failures"`
}

// signerView is a key that has signed.
type signerView struct {
	KeyID cid.Hash `json:"key_id"`
	Key   string   `json:"key"` // the public key in hex
	Hint  *string  `json:"hint"`
}

// failureView is one thing that is wrong.
type failureView struct {
	Code    fault.Code `json:"code"`
	Subject string     `json:"subject"`
	Message string     `json:"message"`
}

func (o *verifyOptions) run(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		r, err := n.Verify(ctx, o.pkg)
		if err != nil {
			return o.unopened(err)
		}
		v := newVerifyView("mythos.verify.result/1", r)
		if err := o.print(v); err != nil {
			return err
		}
		return v.failure(o.pkg)
	})
}

// unopened reports a package whose form is wrong, so that it could not even be
// opened: with --json that is a verdict too, and the exit code is the error's.
func (o *verifyOptions) unopened(err error) error {
	if !o.json || fault.CodeOf(err) == "" {
		return err
	}
	v := newVerifyView("mythos.verify.result/1", &gate.Report{Failures: []gate.Failure{gate.FailureOf(err)}})
	return errors.Join(o.printJSON(v), err)
}

func newVerifyView(schema string, r *gate.Report) verifyView {
	v := verifyView{
		Schema: schema, OK: r.OK(), PackageID: r.PackageID, ManifestCID: r.ManifestCID,
		Signers: newSignerViews(r.Signers), Failures: []failureView{},
	}
	for _, f := range r.Failures {
		v.Failures = append(v.Failures, failureView(f))
	}
	return v
}

func newSignerViews(agents []sig.AgentID) []signerView {
	out := []signerView{}
	for _, s := range agents {
		out = append(out, signerView{s.KeyID(), cid.Hash(s.Key).Hex(), orNull(s.Hint)})
	}
	return out
}

// failure is the error that ends a command whose package did not verify.
func (v verifyView) failure(pkg string) error {
	if v.OK {
		return nil
	}
	f := v.Failures[0]
	err := fault.New(f.Code, "%s", f.Message).About(pkg + ": " + f.Subject)
	if f.Subject == "" {
		err = err.About(pkg)
	}
	if n := len(v.Failures); n > 1 {
		err.Message += moreFailures(n - 1)
	}
	if f.Code == pack.ErrNotFound {
		return err // nothing was there to verify
	}
	return &failures{[]error{err}, exitVerification}
}

func (o *verifyOptions) print(v verifyView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("ok", yes(v.OK))
	if v.PackageID != nil {
		t.Row("package_id", v.PackageID.String())
		t.Row("manifest_cid", v.ManifestCID.String())
	}
	for _, s := range v.Signers {
		t.Row("signed by", s.label())
	}
	if err := o.printTable(t); err != nil || v.OK {
		return err
	}
	failures := term.NewTable("CODE", "SUBJECT", "MESSAGE")
	for _, f := range v.Failures {
		failures.Row(string(f.Code), f.Subject, f.Message)
	}
	return errors.Join(o.printf("\n"), o.printTable(failures))
}

// label names the signer in a table.
func (s signerView) label() string {
	if s.Hint == nil {
		return s.KeyID.String()
	}
	return s.KeyID.String() + " (" + *s.Hint + ")"
}
