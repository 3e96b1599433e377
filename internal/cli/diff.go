package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/gate/diff"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/node"
)

// Exit codes of diff beside those of errors: as diff(1) has them.
const (
	exitDiffers = 1
	exitTrouble = 7 // of an error whose own code would be exitDiffers
)

type diffOptions struct {
	*app
	json bool
}

func newDiff(a *app) *cobra.Command {
	o := &diffOptions{app: a}
	cmd := &cobra.Command{
		Use: "diff A B", Short: "Show what changed between two packages, new power first", GroupID: groupPackages,
		Long: `Show what changed from package A to package B: first what B may do that A might not
(capabilities that its modules ask for, tools that its programs call, budgets,
limits, isolation), then what it gave up, then code, tools and their descriptions,
signatures and the rest.

A and B are packed folders, .mythos.tgz files, or manifest CIDs of packages in the
local store. Both are verified, and the verdict on each stands on top: valid,
invalid, unsigned, or unknown, which is sound but not signed by publishers that this
node trusts. They are compared whatever it is; what an invalid package says of
itself need not be true.

The exit code is 0 if nothing changed and 1 if something did; 3, as of "mythos verify",
if one of the two is invalid, whatever changed. Another error has another.`,
		Example: "  mythos diff dist/demo-001-0.1.0 dist/demo-001-0.2.0.mythos.tgz\n" +
			"  mythos diff sha256:... dist/demo-001-0.2.0 --json",
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, list []string) error {
			return o.run(cmd.Context(), list[0], list[1])
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	exits(cmd, 3, 6, 7)
	cmd.Annotations[exitKey] = strings.Replace(cmd.Annotations[exitKey], exitMeaning(exitDiffers), "something changed", 1)
	return cmd
}

// diffView is what diff --json prints.
type diffView struct {
	Schema    string        `json:"schema"`
	Same      bool          `json:"same"`       // nothing changed, and neither is invalid
	MorePower bool          `json:"more_power"` // a change adds power
	A         diffSide      `json:"a"`
	B         diffSide      `json:"b"`
	Changes   []diff.Change `json:"changes"` // those that add power first
}

// diffSide is one of the two packages.
type diffSide struct {
	Package     string        `json:"package"` // as it was given
	Name        string        `json:"name"`
	Version     string        `json:"version"`
	PackageID   cid.Hash      `json:"package_id"`
	ManifestCID cid.Hash      `json:"manifest_cid"`
	Verdict     string        `json:"verdict"`  // valid, invalid, unsigned or unknown
	Signers     []signerView  `json:"signers"`  // known keys whose signatures verify
	Failures    []failureView `json:"failures"` // why it is not valid
}

func (o *diffOptions) run(ctx context.Context, a, b string) error {
	differs := false
	err := o.withNode(func(n *node.Node) error {
		v, err := compare(ctx, n, a, b)
		if err != nil {
			return err
		}
		differs = !v.Same
		if err := o.print(v); err != nil {
			return err
		}
		return v.invalid()
	})
	entry, _ := lookUp(fault.CodeOf(err))
	switch {
	case err == nil && differs:
		return &failures{exit: exitDiffers}
	case err != nil && entry.Exit == exitDiffers:
		return &failures{[]error{err}, exitTrouble}
	}
	return err
}

// compare verifies two packages and lists what changed.
func compare(ctx context.Context, n *node.Node, a, b string) (v diffView, err error) {
	v.Schema = "mythos.diff/1"
	var sides [2]diff.Side
	for i, shown := range []*diffSide{&v.A, &v.B} {
		src, err := n.OpenPackage(ctx, []string{a, b}[i])
		if err != nil {
			return v, err
		}
		defer src.Close()
		if sides[i], *shown, err = openSide(ctx, n, []string{a, b}[i], src); err != nil {
			return v, err
		}
	}
	v.Changes = list(diff.Compare(ctx, sides[0], sides[1]))
	v.Same = len(v.Changes) == 0 && v.invalid() == nil
	v.MorePower = len(v.Changes) > 0 && v.Changes[0].Power == diff.More
	return v, ctx.Err()
}

// invalid is the error of the sides that are not what their hashes or signatures say,
// nil without one: what such a package says of itself cannot be compared with anything.
func (v *diffView) invalid() error {
	out := &failures{exit: exitVerification}
	for _, s := range []diffSide{v.A, v.B} {
		if s.Verdict != verdictInvalid {
			continue
		}
		of := verifyView{Failures: s.unsound()}
		out.errs = append(out.errs, of.failure(s.Package))
	}
	if len(out.errs) == 0 {
		return nil
	}
	return out
}

// openSide verifies a package that is open.
func openSide(ctx context.Context, n *node.Node, ref string, src gate.Source) (s diff.Side, shown diffSide, err error) {
	r, err := n.Verify(ctx, ref)
	if err != nil {
		return s, shown, err
	}
	v := newVerifyView("", r)
	if r.Manifest == nil {
		return s, shown, v.failure(ref)
	}
	s = diff.Side{Manifest: r.Manifest, Read: func(ctx context.Context, a *manifest.Artifact, limit uint64) ([]byte, error) {
		return gate.ReadContent(ctx, src, a.ID(), limit)
	}}
	return s, diffSide{
		ref, r.Manifest.Name, r.Manifest.Version, *r.PackageID, *r.ManifestCID, verdict(r), v.Signers, v.Failures,
	}, nil
}

// unsound is the failures that make a package invalid: those but of who signed it.
func (s diffSide) unsound() (out []failureView) {
	for _, f := range s.Failures {
		if !aboutSigner(f.Code) {
			out = append(out, f)
		}
	}
	return out
}

// aboutSigner reports whether a sound package may fail so.
func aboutSigner(code fault.Code) bool {
	return code == manifest.ErrUnsigned || code == manifest.ErrSignerUnknown || code == manifest.ErrSignerThreshold
}

// verdict tells a package that is not sound from one that nobody signed, and from
// one whose signers this node does not trust.
func verdict(r *gate.Report) string {
	out := "valid"
	for _, f := range r.Failures {
		switch f.Code {
		case manifest.ErrUnsigned:
			out = "unsigned"
		case manifest.ErrSignerUnknown, manifest.ErrSignerThreshold:
			out = "unknown"
		default:
			return verdictInvalid
		}
	}
	return out
}

func (o *diffOptions) print(v diffView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable("", "PACKAGE", "PACKAGE ID", "VERDICT", "SIGNED BY")
	for _, s := range []struct {
		name string
		side diffSide
	}{{"A", v.A}, {"B", v.B}} {
		t.Row(s.name, s.side.Name+" "+s.side.Version, short(s.side.PackageID), s.side.Verdict, s.side.signers())
	}
	if err := o.printTable(t); err != nil {
		return err
	}
	if v.Same {
		return o.printf("\nnothing changed\n")
	}
	if err := o.printFailures(v); err != nil {
		return err
	}
	for _, part := range []struct {
		power diff.Power
		title string
	}{{diff.More, "B may do more than A:"}, {diff.Less, "B may do less than A:"}, {diff.None, "What else changed:"}} {
		if err := o.printChanges(part.title, part.power, v.Changes); err != nil {
			return err
		}
	}
	return nil
}

// printFailures lists what is wrong with the sides that are invalid.
func (o *diffOptions) printFailures(v diffView) error {
	t := term.NewTable("", "CODE", "SUBJECT", "MESSAGE")
	wrong := false
	for _, s := range []struct {
		name string
		side diffSide
	}{{"A", v.A}, {"B", v.B}} {
		if s.side.Verdict != verdictInvalid {
			continue
		}
		wrong = true
		for _, f := range s.side.unsound() {
			t.Row(s.name, string(f.Code), f.Subject, f.Message)
		}
	}
	if !wrong {
		return nil
	}
	return errors.Join(o.printf("\nAn invalid package need not be what it says of itself:\n"), o.printTable(t))
}

func (s diffSide) signers() string {
	var names []string
	for _, k := range s.Signers {
		names = append(names, k.KeyID.Hex()[:12])
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// printChanges writes the changes of one power, values below each other.
func (o *diffOptions) printChanges(title string, power diff.Power, all []diff.Change) error {
	var b strings.Builder
	for _, c := range all {
		if c.Power != power {
			continue
		}
		fmt.Fprintf(&b, "  %-10s  %s: %s\n", c.Area, term.Clean(c.Subject), term.Clean(c.What))
		for _, x := range []struct {
			sign string
			text *string
		}{{"-", c.Before}, {"+", c.After}} {
			if x.text == nil {
				continue
			}
			for _, line := range strings.Split(strings.TrimSuffix(*x.text, "\n"), "\n") {
				fmt.Fprintf(&b, "              %s %s\n", x.sign, term.Clean(strings.ReplaceAll(line, "\t", "    ")))
			}
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprintf(o.Out, "\n%s\n%s", title, b.String())
	return err
}
