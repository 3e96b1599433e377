package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// The rules of a ring, in the order in which they are asked (RFC-MYTHOS-0010 §5).
const (
	RulePolicy    = "policy"
	RuleModule    = "module_kind"
	RuleCap       = "cap_kind"
	RuleClaim     = "claim"
	RulePromotion = "promotion"
	RuleBudget    = "budget"
	RuleSandbox   = "sandbox"
)

// Requirement is one thing that a node asks of a package in a ring.
type Requirement struct {
	Rule    string // one of the Rule constants
	Subject string // the module, claim or entry point; "": the whole package
	Have    string // what meets it, or what there is, for people
	Err     error  // why it is not met; nil: it is
	// Suppliers are those who could supply what is missing.
	Suppliers []Supplier
}

// Supplier is somebody who could supply what a package lacks.
type Supplier struct {
	Agent   sig.AgentID
	Role    sig.Role
	Trusted bool // an entry of the trust file that counts here holds the key
}

// Assessment is what a ring asks of a sound package, and how far that is met.
type Assessment struct {
	PackageID, ManifestCID cid.Hash
	Name                   string
	Policy                 *rings.Policy
	Requirements           []Requirement
	Evidence               []cid.Hash      // the attestations that count for the policy's claims, ascending
	Objections             []string        // what verifiers of the policy's claims attest against them, for people
	Standing               *rings.Standing // what the ledger says about the name; nil if it was not asked
}

// First returns the first requirement that is not met and whose rule is none of
// those passed over, nil if there is none.
func (a *Assessment) First(but ...string) error {
	for _, r := range a.Requirements {
		if r.Err != nil && !slices.Contains(but, r.Rule) {
			return r.Err
		}
	}
	return nil
}

// Assess performs the loading order on src up to step 13, and lists all that step
// 14 asks. The error is the first failure before that: of a package that is not
// sound, no ring asks anything.
func Assess(ctx context.Context, src Source, opt Options) (*Assessment, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	c := &checker{src: content{src}, opt: opt}
	c.run(ctx)
	if err := c.first(); err != nil {
		return nil, err
	}
	a := c.assess(c.u.Claims())
	a.PackageID, a.ManifestCID = c.u.PackageID(), c.u.CID()
	if a.Policy != nil {
		a.Requirements = append(a.Requirements, c.budgets()...)
		a.Requirements = append(a.Requirements, c.sandboxes()...)
	}
	return a, nil
}

// assess performs step 14 but for what depends on what is to run: budgets, which
// Package.Entry checks, and Package.Admit.
func (c *checker) assess(m *manifest.Manifest) *Assessment {
	a := &Assessment{Name: m.Name}
	err := c.opt.policyFault()
	if err != nil {
		a.Requirements = []Requirement{{Rule: RulePolicy, Err: err, Suppliers: suppliers(c.opt.trust().keys(sig.Policy, "", c.opt.Ring, c.opt.Now), sig.Policy, true)}}
		return a
	}
	a.Policy = c.opt.Policy
	a.Requirements = []Requirement{{Rule: RulePolicy, Have: fmt.Sprintf("version %d, %s", a.Policy.Version, a.Policy.PolicyID)}}
	for i := range m.Modules {
		b := &m.Modules[i]
		subject := "module " + b.Label()
		a.add(RuleModule, subject, manifest.ModuleKindName(b.Module.Kind), a.Policy.AdmitModule(b.Module.Kind))
		for _, want := range b.Module.CapsRequired {
			a.add(RuleCap, subject, caps.KindName(want.Kind), a.Policy.AdmitCap(want.Kind))
		}
	}
	c.claims(a)
	c.promotion(a)
	return a
}

func (a *Assessment) add(rule, subject, have string, err error) {
	a.Requirements = append(a.Requirements, Requirement{Rule: rule, Subject: subject, Have: have, Err: about(err, subject)})
}

// policyFault reports why there is no policy that judges the ring.
func (o *Options) policyFault() error {
	switch {
	case o.PolicyFault != nil:
		return o.PolicyFault
	case o.Policy == nil:
		return fault.New(rings.ErrRing, "this node has no policy for ring %d", o.Ring)
	}
	if err := o.trust().AdmitPolicy(o.Policy, *o); err != nil {
		return err
	}
	return o.Policy.AdmitRing(o.Ring)
}

// claims holds what verifiers say against the policy's claims.
func (c *checker) claims(a *Assessment) {
	trusted := c.opt.trust().Verifiers(a.Name, c.opt.Ring, c.opt.Now)
	tallies := a.Policy.Count(c.attested, trusted, c.opt.Now.UnixMicro())
	for i := range tallies {
		t := &tallies[i]
		r := Requirement{
			Rule: RuleClaim, Subject: rings.ClaimName(t.Claim.ClaimType), Err: about(t.Err(), "package "+a.Name),
			Have: fmt.Sprintf("%d of %d%s", len(t.Counted), t.Claim.Quorum, byWhom(t.Counted)),
		}
		for _, said := range t.Objections() {
			r.Have += "; " + said
			a.Objections = append(a.Objections, r.Subject+": "+said)
		}
		if r.Err != nil {
			r.Suppliers = append(suppliers(t.Able, sig.Verifier, true), suppliers(t.Untrusted, sig.Verifier, false)...)
		}
		a.Requirements = append(a.Requirements, r)
	}
	a.Evidence = rings.Evidence(tallies)
}

func byWhom(list []receipt.Attestation) string {
	if len(list) == 0 {
		return ""
	}
	var who []string
	for _, a := range list {
		name := a.Signer.KeyID().Hex()[:12]
		if a.Signer.Hint != "" {
			name += " (" + a.Signer.Hint + ")"
		}
		who = append(who, name)
	}
	slices.Sort(who)
	return ", by " + strings.Join(who, ", ")
}

// promotion asks the ledger, where ring states count.
func (c *checker) promotion(a *Assessment) {
	if !a.Policy.NeedsState() {
		return
	}
	r := Requirement{Rule: RulePromotion, Subject: a.Name}
	a.Standing, r.Err = c.standing(a.Name)
	if r.Err == nil {
		counts := c.opt.trust().Operators(a.Name, c.opt.Ring, c.opt.Now)
		r.Err = about(a.Policy.AdmitState(a.Standing, c.u.PackageID(), counts), "package "+a.Name)
	}
	switch state, ok := a.Standing.State(); {
	case r.Err != nil:
		r.Suppliers = suppliers(c.opt.trust().keys(sig.Operator, a.Name, c.opt.Ring, c.opt.Now), sig.Operator, true)
	case !ok:
		r.Have = "none is needed"
	default:
		r.Have = fmt.Sprintf("state %d, since %s", state.Seq, time.UnixMicro(state.Time).UTC().Format(time.RFC3339))
	}
	a.Requirements = append(a.Requirements, r)
}

// standing returns what the ledger says about a name; without somebody to ask,
// nothing can be known.
func (c *checker) standing(name string) (*rings.Standing, error) {
	if c.opt.Standing == nil {
		return &rings.Standing{}, fault.New(rings.ErrPromotion, "the ledger, which says what ring %d runs, was not asked", c.opt.Ring)
	}
	s, err := c.opt.Standing(c.opt.Ring, name)
	if err != nil || s == nil {
		return &rings.Standing{}, err
	}
	return s, nil
}

// budgets holds every entry point's budget against the policy.
func (c *checker) budgets() []Requirement {
	var out []Requirement
	for _, e := range c.u.Claims().Entrypoints {
		p := c.programs[e.Bundle]
		task, _ := p.Task(e.TaskID)
		subject := "entry point " + e.Name
		out = append(out, Requirement{
			Rule: RuleBudget, Subject: subject, Err: about(c.opt.Policy.AdmitBudget(task.Budget), subject),
			Have: fmt.Sprintf("cpu_us %d, io_count %d, state_writes %d", task.Budget.CPUMicros, task.Budget.IOCount, task.Budget.StateWrites),
		})
	}
	return out
}

// sandboxes says which modules this machine can run as the policy demands.
func (c *checker) sandboxes() []Requirement {
	var out []Requirement
	m := c.u.Claims()
	for i := range m.Modules {
		b := &m.Modules[i]
		subject := "module " + b.Label()
		r := Requirement{Rule: RuleSandbox, Subject: subject, Err: about(admitOn(c.opt.Policy, b, c.opt.Kinds, c.opt.sandbox), subject)}
		if r.Err == nil {
			r.Have = fmt.Sprintf("level %d", c.opt.sandbox(b.Module.Kind))
		}
		out = append(out, r)
	}
	return out
}

func suppliers(keys []sig.AgentID, role sig.Role, trusted bool) []Supplier {
	var out []Supplier
	for _, k := range keys {
		out = append(out, Supplier{k, role, trusted})
	}
	return out
}
