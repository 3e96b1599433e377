package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	ringlib "github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// ErrPolicyExists is the code of a policy source that would be overwritten.
const ErrPolicyExists fault.Code = "policy_source_exists"

func newPolicy(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "policy", Short: "Say what may run in which ring", GroupID: groupTrust,
		Long: `Say what may run in which ring. A ring is a level of consequence: 0 for trying
things, higher for more. Each has one policy, signed by a key of role policy, which says
what kinds of modules and powers it allows, how much they may use, and what verifiers
and operators must have said about a package first.`,
		Example: "  mythos policy init --verifier ada.pub --verifier bob.pub\n  mythos policy sign ring1.json --key policy.key\n  mythos policy check dist/demo-001-0.1.0 --ring 1",
	}, newPolicyInit(a), newPolicySign(a), newPolicyShow(a), newPolicyCheck(a))
}

type policyInitOptions struct {
	*app
	dir       string
	verifiers []string
	quorum    int
	rings     []int
}

func newPolicyInit(a *app) *cobra.Command {
	o := &policyInitOptions{app: a}
	cmd := &cobra.Command{
		Use: "init [DIR]", Short: "Write policy sources to start from", Args: args(cobra.MaximumNArgs(1)),
		Long: `Write policy sources to start from: ring0.json, ring1.json and ring2.json in DIR, or
in the working folder. Ring 1 asks for an evaluation by a quorum of the verifiers, ring 2
for their signoff and a promotion as well. Edit them, raise "version" each time, and sign
them with "mythos policy sign". An existing file is never replaced.`,
		Example: "  mythos policy init --verifier ada.pub --verifier bob.pub\n  mythos policy init policies --ring 1 --verifier ada.pub --quorum 1",
		RunE: func(_ *cobra.Command, list []string) error {
			if o.dir = "."; len(list) == 1 {
				o.dir = list[0]
			}
			return o.run()
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.verifiers, "verifier", nil, "a public key `FILE` of role verifier; may be repeated")
	f.IntVar(&o.quorum, "quorum", 0, "how many verifiers must agree (default all, at most 2)")
	f.IntSliceVar(&o.rings, "ring", []int{0, 1, 2}, "write only the source of this ring `N`; may be repeated")
	noEnv(f, "ring") // MYTHOS_RING is where a run happens
	return exits(cmd, 3)
}

func (o *policyInitOptions) run() error {
	var verifiers []sig.AgentID
	for _, f := range o.verifiers {
		agent, role, err := node.LoadPublic(f)
		if err == nil && role != sig.Verifier {
			err = fault.New(ErrTrustRole, "the key was made for role %s, not verifier", role).About(f)
		}
		if err != nil {
			return err
		}
		verifiers = append(verifiers, agent)
	}
	quorum := o.quorum
	switch {
	case quorum < 0 || quorum > max(len(verifiers), 1) && len(verifiers) > 0:
		return usagef("--quorum is 1 to the number of verifiers, got %d", quorum)
	case quorum == 0:
		quorum = min(2, max(len(verifiers), 1))
	}
	if err := atomicfile.MkdirAll(o.dir, 0o755); err != nil {
		return fileError(o.dir, err)
	}
	for _, ring := range o.rings {
		if ring < 0 || ring > 2 {
			return usagef("--ring is 0 to 2, got %d", ring)
		}
		if err := o.write(uint8(ring), verifiers, uint32(quorum)); err != nil {
			return err
		}
	}
	if len(verifiers) == 0 {
		o.note("no --verifier was given: put the public keys of yours in before you sign rings 1 and 2")
	}
	o.note("to put them in force: mythos policy sign FILE... --key KEY, with a key of role policy that the trust file holds")
	return nil
}

func (o *policyInitOptions) write(ring uint8, verifiers []sig.AgentID, quorum uint32) error {
	p, err := ringlib.Draft(ring, verifiers, quorum)
	if err != nil {
		return err
	}
	raw, err := node.FormatPolicySource(p)
	if err != nil {
		return err
	}
	path := filepath.Join(o.dir, fmt.Sprintf("ring%d.json", ring))
	switch err := atomicfile.WriteNew(path, raw, 0o644); {
	case errors.Is(err, fs.ErrExist):
		return fault.New(ErrPolicyExists, "the file exists and is not replaced").About(path)
	case err != nil:
		return fileError(path, err)
	}
	return o.printf("%s\n", path)
}

type policySignOptions struct {
	*app
	files    []string
	key, out string
	json     bool
}

func newPolicySign(a *app) *cobra.Command {
	o := &policySignOptions{app: a}
	cmd := &cobra.Command{
		Use: "sign FILE... --key KEY", Short: "Sign policies and put them in force here", Args: args(cobra.MinimumNArgs(1)),
		Long: `Sign the policies of source files and put them in force on this node. The key must be
of role policy and stand in the trust file; each version must be above the last one that
this node has accepted; and with the policies of the other rings they must be monotonic: a
higher ring never demands less. With -o the signed policies are written to a folder
instead, as ringN.policy, for the config folder of another node, which checks them.`,
		Example: "  mythos policy sign ring0.json ring1.json ring2.json --key policy.key\n  mythos policy sign ring1.json --key policy.key -o out",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.files = list
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.key, "key", "", "a secret key of role policy: a key `FILE`, env:NAME or fd:N (required)")
	f.StringVarP(&o.out, "output", "o", "", "the `FOLDER` to write to instead of putting them in force here")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 7)
}

func (o *policySignOptions) run(ctx context.Context) error {
	if o.key == "" {
		return usagef("--key is required: a secret key of role policy")
	}
	return o.withNode(func(n *node.Node) error {
		list, err := n.SignPolicies(ctx, o.files, o.key, o.out)
		if err != nil {
			return err
		}
		var rows []policyRow
		for _, p := range list {
			rows = append(rows, policyRow{Policy: p, inForce: o.out == ""})
		}
		return o.printPolicies(rows, o.json)
	})
}

type policyShowOptions struct {
	*app
	ring int
	file string
	json bool
}

func newPolicyShow(a *app) *cobra.Command {
	o := &policyShowOptions{app: a}
	cmd := &cobra.Command{
		Use: "show [FILE]", Short: "Show the policies of this node, or a source", Args: args(cobra.MaximumNArgs(1)),
		Long: `Show the policies of this node, one row for each ring, and whether they count: why not
is said on standard error, and the exit code is that of the first fault. With --ring the
one policy is shown as its source, to be edited and signed again. With FILE a source is
checked by itself.`,
		Example: "  mythos policy show\n  mythos policy show --ring 1 > ring1.json\n  mythos policy show ring1.json",
		RunE: func(_ *cobra.Command, list []string) error {
			if len(list) == 1 {
				o.file = list[0]
			}
			return o.run()
		},
	}
	cmd.Flags().IntVar(&o.ring, "ring", -1, "print the source of the policy of ring `N`")
	noEnv(cmd.Flags(), "ring") // MYTHOS_RING is where a run happens
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

func (o *policyShowOptions) run() error {
	switch {
	case o.file != "" && o.ring >= 0:
		return usagef("--ring shows a policy of this node: leave the file out")
	case o.ring > 255:
		return usagef("--ring is 0 to 255, got %d", o.ring)
	case o.file != "":
		p, err := node.LoadPolicySource(o.file)
		if err != nil {
			return err
		}
		return o.printPolicies([]policyRow{{Policy: p}}, o.json)
	}
	return o.withNode(func(n *node.Node) error {
		if o.ring >= 0 {
			return o.source(n, uint8(o.ring))
		}
		list, err := n.PolicyRings()
		if err != nil {
			return err
		}
		rows := []policyRow{}
		var faults []error
		for _, ring := range list {
			p, err := n.Policy(ring)
			if err == nil {
				var counts []*ringlib.Policy
				counts, err = n.Policies(ring)
				rows = append(rows, policyRow{Policy: p, inForce: err == nil && len(counts) > 0})
			}
			if err != nil && (len(faults) == 0 || faults[0].Error() != err.Error()) {
				faults = append(faults, err)
			}
		}
		if len(list) == 0 && !o.json {
			o.note("this node has no policies yet: the first run makes ring 0's default, \"mythos policy init\" writes sources for more")
			return nil
		}
		if err := o.printPolicies(rows, o.json); err != nil || len(faults) == 0 {
			return err
		}
		return &failures{errs: faults}
	})
}

func (o *policyShowOptions) source(n *node.Node, ring uint8) error {
	p, err := n.Policy(ring)
	if err != nil {
		return err
	}
	if p == nil {
		return fault.New(ringlib.ErrRing, "this node has no policy for ring %d", ring)
	}
	raw, err := node.FormatPolicySource(p)
	if err != nil {
		return err
	}
	return o.printText(string(raw))
}

// policyRow is a policy and whether a run would go by it.
type policyRow struct {
	*ringlib.Policy
	inForce bool
}

// policyView is a policy in JSON.
type policyView struct {
	Ring           uint8       `json:"ring"`
	Version        uint64      `json:"version"`
	InForce        bool        `json:"in_force"`
	PolicyID       *cid.Hash   `json:"policy_id"` // null for a source
	Signer         *cid.Hash   `json:"signer"`    // key id; null for a source
	ModuleKinds    []string    `json:"module_kinds"`
	CapKinds       []string    `json:"cap_kinds"`
	MaxBudget      limitView   `json:"max_budget"`
	Claims         []claimView `json:"claims"`
	NeedsPromotion bool        `json:"needs_promotion"`
	MinSandbox     uint8       `json:"min_sandbox"`
}

// limitView is the most that a task may use; null for what the policy leaves open.
type limitView struct {
	CPUMicros      uint64  `json:"cpu_us"`
	Tokens         *uint64 `json:"tokens"`
	IOCount        uint32  `json:"io_count"`
	StateWrites    uint32  `json:"state_writes"`
	DeadlineMicros *uint64 `json:"deadline_us"`
	MaxDepth       *uint16 `json:"max_depth"`
	MaxSpawn       *uint16 `json:"max_spawn"`
}

type claimView struct {
	Claim     string     `json:"claim"`
	MinResult uint16     `json:"min_result"`
	Quorum    uint32     `json:"quorum"`
	Verifiers []trustKey `json:"verifiers"`
}

func newPolicyView(r policyRow) policyView {
	b := r.MaxBudget
	v := policyView{
		Ring: r.Ring, Version: r.Version, InForce: r.inForce, ModuleKinds: []string{}, CapKinds: []string{},
		Claims: []claimView{}, NeedsPromotion: r.NeedsPromotion, MinSandbox: r.MinSandbox,
		MaxBudget: limitView{
			b.CPUMicros, b.Tokens, b.IOCount, b.StateWrites, b.DeadlineMicros, b.MaxDepth, b.MaxSpawn,
		},
	}
	if !r.PolicyID.IsZero() {
		signer := r.Signer.KeyID()
		v.PolicyID, v.Signer = &r.PolicyID, &signer
	}
	for _, k := range r.ModuleKinds {
		v.ModuleKinds = append(v.ModuleKinds, manifest.ModuleKindName(k))
	}
	for _, k := range r.CapKinds {
		v.CapKinds = append(v.CapKinds, caps.KindName(k))
	}
	for _, c := range r.Claims {
		x := claimView{ringlib.ClaimName(c.ClaimType), c.MinResult, c.Quorum, []trustKey{}}
		for _, k := range c.Verifiers {
			x.Verifiers = append(x.Verifiers, newTrustKey(k))
		}
		v.Claims = append(v.Claims, x)
	}
	return v
}

func (a *app) printPolicies(rows []policyRow, json bool) error {
	views := []policyView{}
	t := term.NewTable("RING", "VERSION", "IN FORCE", "SIGNED BY", "CLAIMS", "PROMOTION", "SANDBOX", "POLICY").Right(0, 1, 6)
	for _, r := range rows {
		v := newPolicyView(r)
		views = append(views, v)
		id, signer := "-", "-"
		if v.PolicyID != nil {
			id, signer = v.PolicyID.String(), v.Signer.Hex()[:12]
		}
		t.Row(strconv.Itoa(int(v.Ring)), strconv.FormatUint(v.Version, 10), yes(v.InForce), signer,
			v.claims(), yes(v.NeedsPromotion), strconv.Itoa(int(v.MinSandbox)), id)
	}
	if json {
		return a.printJSON(struct {
			Schema   string       `json:"schema"`
			Policies []policyView `json:"policies"`
		}{"mythos.policy.list/1", views})
	}
	return a.printTable(t)
}

func (v *policyView) claims() string {
	var list []string
	for _, c := range v.Claims {
		list = append(list, fmt.Sprintf("%s %d of %d", c.Claim, c.Quorum, len(c.Verifiers)))
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

type policyCheckOptions struct {
	*app
	pkg  string
	ring uint8
	json bool
}

func newPolicyCheck(a *app) *cobra.Command {
	o := &policyCheckOptions{app: a}
	cmd := &cobra.Command{
		Use: "check PACKAGE --ring N", Short: "List what a ring asks of a package, and who could supply it", Args: args(cobra.ExactArgs(1)),
		Long: `List what a ring of this node asks of a package, what of it is met, and who could
supply what is missing. The exit code is 0 if all is met and 4 if not; a package that is
not sound has the exit code of its fault. Nothing is run or written.`,
		Example: "  mythos policy check dist/demo-001-0.1.0 --ring 1\n  mythos policy check sha256:... --ring 2 --json",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.pkg = list[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().Uint8Var(&o.ring, "ring", 0, "the ring `N`")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// requirementView is one thing that a ring asks.
type requirementView struct {
	Rule      string         `json:"rule"`
	Subject   *string        `json:"subject"` // null: the whole package
	Met       bool           `json:"met"`
	Have      string         `json:"have"`
	Code      *fault.Code    `json:"code"`    // null if met
	Missing   *string        `json:"missing"` // null if met
	Suppliers []supplierView `json:"suppliers"`
}

type supplierView struct {
	trustKey
	Role    sig.Role `json:"role"`
	Trusted bool     `json:"trusted"`
}

type assessmentView struct {
	Schema       string            `json:"schema"`
	OK           bool              `json:"ok"`
	PackageID    cid.Hash          `json:"package_id"`
	ManifestCID  cid.Hash          `json:"manifest_cid"`
	Name         string            `json:"name"`
	Ring         uint8             `json:"ring"`
	PolicyID     *cid.Hash         `json:"policy_id"` // null if no policy counts
	Requirements []requirementView `json:"requirements"`
}

func (o *policyCheckOptions) run(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		a, err := n.Assess(ctx, o.pkg, o.ring)
		if err != nil {
			return err
		}
		v := newAssessmentView(a, o.ring)
		if err := o.print(v); err != nil {
			return err
		}
		return about(o.pkg, a.First())
	})
}

func newAssessmentView(a *gate.Assessment, ring uint8) assessmentView {
	v := assessmentView{
		Schema: "mythos.policy.check/1", OK: a.First() == nil, PackageID: a.PackageID, ManifestCID: a.ManifestCID,
		Name: a.Name, Ring: ring, Requirements: []requirementView{},
	}
	if a.Policy != nil {
		v.PolicyID = &a.Policy.PolicyID
	}
	for _, r := range a.Requirements {
		x := requirementView{Rule: r.Rule, Subject: orNull(r.Subject), Met: r.Err == nil, Have: r.Have, Suppliers: []supplierView{}}
		if r.Err != nil {
			f := gate.FailureOf(r.Err)
			x.Code, x.Missing = &f.Code, &f.Message
		}
		for _, s := range r.Suppliers {
			x.Suppliers = append(x.Suppliers, supplierView{newTrustKey(s.Agent), s.Role, s.Trusted})
		}
		v.Requirements = append(v.Requirements, x)
	}
	return v
}

func (o *policyCheckOptions) print(v assessmentView) error {
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable("RULE", "SUBJECT", "MET", "HAVE", "WHO COULD SUPPLY IT")
	for _, r := range v.Requirements {
		subject := "package " + v.Name
		if r.Subject != nil {
			subject = *r.Subject
		}
		var who []string
		for _, s := range r.Suppliers {
			who = append(who, s.label())
		}
		t.Row(r.Rule, subject, yes(r.Met), r.Have, strings.Join(who, ", "))
	}
	return o.printTable(t)
}

// label names who could supply something.
func (s supplierView) label() string {
	text := string(s.Role) + " " + s.KeyID.Hex()[:12]
	if s.Hint != nil {
		text += " (" + *s.Hint + ")"
	}
	if !s.Trusted {
		text += ", not trusted here"
	}
	return text
}
