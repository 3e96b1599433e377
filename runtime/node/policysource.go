package node

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/internal/strictjson"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrPolicySource is the code of a policy source that cannot be read.
const ErrPolicySource fault.Code = "ring_policy_source"

const policySchema = "mythos.policy/1"

// policyJSON is a policy as people write it (RFC-MYTHOS-0010 §7).
type policyJSON struct {
	Schema         string      `json:"schema"`
	Ring           *uint8      `json:"ring"`
	Version        *uint64     `json:"version"`
	ModuleKinds    []string    `json:"module_kinds"`
	CapKinds       []string    `json:"cap_kinds"`
	MaxBudget      *budgetJSON `json:"max_budget"`
	Claims         []claimJSON `json:"claims"`
	NeedsPromotion *bool       `json:"needs_promotion"`
	MinSandbox     *uint8      `json:"min_sandbox"`
}

type budgetJSON struct {
	CPUMicros      *uint64 `json:"cpu_us"`
	Tokens         *uint64 `json:"tokens,omitempty"`
	IOCount        *uint32 `json:"io_count"`
	StateWrites    *uint32 `json:"state_writes"`
	DeadlineMicros *uint64 `json:"deadline_us,omitempty"`
	MaxDepth       *uint16 `json:"max_depth,omitempty"`
	MaxSpawn       *uint16 `json:"max_spawn,omitempty"`
}

type claimJSON struct {
	Claim     string         `json:"claim"`
	MinResult *uint16        `json:"min_result"`
	Quorum    *uint32        `json:"quorum"`
	Verifiers []verifierJSON `json:"verifiers"`
}

type verifierJSON struct {
	Key  string `json:"key"`
	Hint string `json:"hint,omitempty"`
}

func policyShape() strictjson.Shape {
	return strictjson.Shape{
		"":                {"schema", "ring", "version", "module_kinds", "cap_kinds", "max_budget", "claims", "needs_promotion", "min_sandbox"},
		".max_budget":     {"cpu_us", "tokens", "io_count", "state_writes", "deadline_us", "max_depth", "max_spawn"},
		".module_kinds[]": nil, ".cap_kinds[]": nil,
		".claims[]":             {"claim", "min_result", "quorum", "verifiers"},
		".claims[].verifiers[]": {"key", "hint"},
	}
}

// ParsePolicySource reads a policy source. The policy is not signed yet; its time is
// zero.
func ParsePolicySource(raw []byte) (*rings.Policy, error) {
	if len(raw) > maxPolicy {
		return nil, fault.New(ErrPolicySource, "more than %d bytes", maxPolicy)
	}
	var file policyJSON
	err := strictjson.Decode(raw, policyShape(), &file)
	switch {
	case err != nil:
	case file.Schema != policySchema:
		err = fmt.Errorf("schema is %q, want %q", file.Schema, policySchema)
	default:
		var p *rings.Policy
		if p, err = file.policy(); err == nil {
			return p, p.Validate()
		}
	}
	return nil, fault.New(ErrPolicySource, "%w", err)
}

func (f *policyJSON) policy() (*rings.Policy, error) {
	for _, want := range []struct {
		key    string
		absent bool
	}{
		{"ring", f.Ring == nil},
		{"version", f.Version == nil},
		{"module_kinds", f.ModuleKinds == nil},
		{"cap_kinds", f.CapKinds == nil},
		{"max_budget", f.MaxBudget == nil},
		{"claims", f.Claims == nil},
		{"needs_promotion", f.NeedsPromotion == nil},
		{"min_sandbox", f.MinSandbox == nil},
	} {
		if want.absent {
			return nil, fmt.Errorf("key %q is missing", want.key)
		}
	}
	p := &rings.Policy{Ring: *f.Ring, Version: *f.Version, NeedsPromotion: *f.NeedsPromotion, MinSandbox: *f.MinSandbox}
	var err error
	if p.ModuleKinds, err = kindsOf(f.ModuleKinds, "module kind", moduleKindOf); err != nil {
		return nil, err
	}
	if p.CapKinds, err = kindsOf(f.CapKinds, "capability kind", caps.KindOf); err != nil {
		return nil, err
	}
	if p.MaxBudget, err = f.MaxBudget.budget(); err != nil {
		return nil, err
	}
	p.Claims = []rings.Claim{}
	for i := range f.Claims {
		c, err := f.Claims[i].claim()
		if err != nil {
			return nil, err
		}
		p.Claims = append(p.Claims, c)
	}
	slices.SortFunc(p.Claims, func(a, b rings.Claim) int { return int(a.ClaimType) - int(b.ClaimType) })
	return p, nil
}

func moduleKindOf(name string) (uint8, bool) {
	for k := uint8(1); k <= manifest.ModuleNative; k++ {
		if manifest.ModuleKindName(k) == name {
			return k, true
		}
	}
	return 0, false
}

// kindsOf reads names, in any order.
func kindsOf(names []string, what string, of func(string) (uint8, bool)) ([]uint8, error) {
	out := []uint8{}
	for _, name := range names {
		k, ok := of(name)
		switch {
		case !ok:
			return nil, fmt.Errorf("no %s is called %q", what, name)
		case slices.Contains(out, k):
			return nil, fmt.Errorf("%s %q stands twice", what, name)
		}
		out = append(out, k)
	}
	slices.Sort(out)
	return out, nil
}

func (b *budgetJSON) budget() (ir.Budget, error) {
	if b.CPUMicros == nil || b.IOCount == nil || b.StateWrites == nil {
		return ir.Budget{}, errors.New("max_budget needs cpu_us, io_count and state_writes")
	}
	return ir.Budget{
		CPUMicros: *b.CPUMicros, Tokens: b.Tokens, IOCount: *b.IOCount, StateWrites: *b.StateWrites,
		DeadlineMicros: b.DeadlineMicros, MaxDepth: b.MaxDepth, MaxSpawn: b.MaxSpawn,
	}, nil
}

func (c *claimJSON) claim() (rings.Claim, error) {
	kind, ok := rings.ClaimOf(c.Claim)
	switch {
	case !ok:
		return rings.Claim{}, fmt.Errorf("no claim is called %q: want contract, eval, metric or signoff", c.Claim)
	case c.MinResult == nil || c.Quorum == nil || c.Verifiers == nil:
		return rings.Claim{}, fmt.Errorf("claim %s needs min_result, quorum and verifiers", c.Claim)
	case len(c.Verifiers) == 0:
		return rings.Claim{}, fmt.Errorf("claim %s names no verifiers: put in public keys, as \"mythos keys show\" prints them", c.Claim)
	}
	out := rings.Claim{ClaimType: kind, MinResult: *c.MinResult, Quorum: *c.Quorum}
	for _, v := range c.Verifiers {
		a := sig.AgentID{Scheme: sig.Ed25519, Hint: v.Hint}
		b, err := hex.DecodeString(v.Key)
		if err != nil || len(b) != len(a.Key) || strings.ToLower(v.Key) != v.Key {
			return out, errors.New("a verifier's key is not 64 lowercase hex digits")
		}
		copy(a.Key[:], b)
		if _, _, err := sig.ParsePublic([]byte(sig.FormatPublic(a, sig.Verifier))); err != nil {
			return out, fmt.Errorf("verifier %s is not a public key (hint %q)", v.Key, v.Hint)
		}
		if slices.ContainsFunc(out.Verifiers, a.Equal) {
			return out, fmt.Errorf("verifier %s stands twice", v.Key)
		}
		out.Verifiers = append(out.Verifiers, a)
	}
	return out, nil
}

// FormatPolicySource writes a policy as people edit it.
func FormatPolicySource(p *rings.Policy) ([]byte, error) {
	b := &p.MaxBudget
	f := policyJSON{
		Schema: policySchema, Ring: &p.Ring, Version: &p.Version, ModuleKinds: []string{}, CapKinds: []string{},
		MaxBudget: &budgetJSON{&b.CPUMicros, b.Tokens, &b.IOCount, &b.StateWrites, b.DeadlineMicros, b.MaxDepth, b.MaxSpawn},
		Claims:    []claimJSON{}, NeedsPromotion: &p.NeedsPromotion, MinSandbox: &p.MinSandbox,
	}
	for _, k := range p.ModuleKinds {
		f.ModuleKinds = append(f.ModuleKinds, manifest.ModuleKindName(k))
	}
	for _, k := range p.CapKinds {
		f.CapKinds = append(f.CapKinds, caps.KindName(k))
	}
	for i := range p.Claims {
		c := &p.Claims[i]
		x := claimJSON{rings.ClaimName(c.ClaimType), &c.MinResult, &c.Quorum, []verifierJSON{}}
		for _, v := range c.Verifiers {
			x.Verifiers = append(x.Verifiers, verifierJSON{hex.EncodeToString(v.Key[:]), v.Hint})
		}
		f.Claims = append(f.Claims, x)
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	return append(raw, '\n'), err
}
