// Package rings holds ring policies (RFC-MYTHOS-0008 §10), and the rules by which
// attestations and promotions bring a package into a ring (RFC-MYTHOS-0010). A ring
// is a level of consequence; the node's RingPolicy for it says what may run there:
//
//	1 policy_id      2 schema "mythos.ring.policy"   3 ring   4 version, rising
//	5 module_kinds   ascending       6 cap_kinds     ascending
//	7 max_budget     8 claims        9 needs_promotion         10 min_sandbox
//	11 signer        12 time         13 signature
//
// A package only says what it wants; each Admit method compares one want with
// the policy and refuses, never clamps. Count holds attestations against a claim,
// AdmitState what the ledger says about a name. Open proves who signed a policy;
// whether that signer may is for the trust file to say, and the caller.
package rings

import (
	"cmp"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of this package.
const (
	ErrPolicy       fault.Code = "ring_policy_invalid"   // a policy that breaks its own rules
	ErrNotMonotonic fault.Code = "ring_not_monotonic"    // a higher ring that demands less
	ErrRing         fault.Code = "ring_refused"          // a ring without a policy that counts
	ErrModuleKind   fault.Code = "module_kind_refused"   // a kind of module that does not run here
	ErrCapKind      fault.Code = "cap_kind_refused"      // a kind of capability that is not used here
	ErrSandbox      fault.Code = "sandbox_too_low"       // a sandbox below what the policy demands
	ErrBudget       fault.Code = "budget_exceeds_policy" // a task that wants more than the policy allows
)

// Sandbox levels (RFC-MYTHOS-0006 §12). A wasm module counts as OwnKernel.
const (
	SandboxNone       uint8 = 0
	SandboxLandlock   uint8 = 1
	SandboxNamespaces uint8 = 2
	SandboxFull       uint8 = 3
	SandboxOwnKernel  uint8 = 4
)

const (
	baseDepth = 64   // of a task that names none
	mostDepth = 1024 // of a policy that names none
)

// Default returns the policy of ring 0 that a node makes when it has none,
// unsigned; at is the time in microseconds since 1970. Draft has those of the
// higher rings.
func Default(at int64) *Policy {
	depth := uint16(256)
	return &Policy{
		Ring: 0, Version: 1,
		ModuleKinds: []uint8{1, 2, 3, 4},
		CapKinds:    []uint8{1, 2, 5, 32, 33, 34, 35, 36, 37},
		MaxBudget:   ir.Budget{CPUMicros: 10_000_000, IOCount: 1000, StateWrites: 100, MaxDepth: &depth},
		MinSandbox:  SandboxNamespaces,
		Time:        at,
	}
}

// Sign checks p, signs it, and returns its bytes.
func Sign(p *Policy, by sig.Signer) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	raw, _, err := sig.Sign(p, by)
	return raw, err
}

// Open strictly decodes a policy, verifies it against the signer that it names
// and checks its rules.
func Open(raw []byte) (*Policy, error) {
	p := new(Policy)
	if _, err := sig.Open(raw, p); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// Validate checks the rules that a policy's own fields can break.
func (x *Policy) Validate() error {
	switch {
	case !ascending(x.ModuleKinds) || slices.ContainsFunc(x.ModuleKinds, func(k uint8) bool { return k == 0 || k > 4 }):
		return x.invalid("module_kinds must be 1..4, ascending, none twice")
	case !ascending(x.CapKinds) || len(x.CapKinds) > 0 && x.CapKinds[0] == 0:
		return x.invalid("cap_kinds must ascend from 1, none twice")
	case x.MinSandbox > SandboxOwnKernel:
		return x.invalid("min_sandbox must be 0..4")
	case !slices.IsSortedFunc(x.Claims, func(a, b Claim) int { return cmp.Compare(a.ClaimType, b.ClaimType) }):
		return x.invalid("claims must ascend by claim_type")
	}
	for i, c := range x.Claims {
		if i > 0 && x.Claims[i-1].ClaimType == c.ClaimType {
			return x.invalid("two claims have one claim_type")
		}
		if c.Quorum == 0 || uint64(c.Quorum) > uint64(distinct(c.Verifiers)) {
			return x.invalid("a claim's quorum must be 1 to the number of its distinct verifiers")
		}
	}
	return nil
}

func (x *Policy) invalid(why string) error {
	return fault.New(ErrPolicy, "%s", why).About("policy " + x.PolicyID.String())
}

func ascending(kinds []uint8) bool {
	for i := 1; i < len(kinds); i++ {
		if kinds[i-1] >= kinds[i] {
			return false
		}
	}
	return true
}

func distinct(agents []sig.AgentID) int {
	set := make(map[sig.AgentID]bool, len(agents))
	for _, a := range agents {
		a.Hint = "" // hints do not count
		set[a] = true
	}
	return len(set)
}

// AdmitRing reports whether this policy judges ring.
func (x *Policy) AdmitRing(ring uint8) error {
	if x.Ring != ring {
		return fault.New(ErrRing, "the policy is for ring %d, not %d", x.Ring, ring)
	}
	return nil
}

// AdmitModule reports whether modules of this kind may run.
func (x *Policy) AdmitModule(kind uint8) error {
	if !slices.Contains(x.ModuleKinds, kind) {
		return fault.New(ErrModuleKind, "module kind %d is not among those of ring %d: %v", kind, x.Ring, ints(x.ModuleKinds))
	}
	return nil
}

// AdmitSandbox reports whether modules may run in a sandbox of this level; wasm
// counts as SandboxOwnKernel.
func (x *Policy) AdmitSandbox(level uint8) error {
	if level < x.MinSandbox {
		return fault.New(ErrSandbox, "sandbox level %d, ring %d demands %d", level, x.Ring, x.MinSandbox)
	}
	return nil
}

// AdmitCap reports whether capabilities of this kind may be used.
func (x *Policy) AdmitCap(kind uint8) error {
	if !slices.Contains(x.CapKinds, kind) {
		return fault.New(ErrCapKind, "capability kind %d is not among those of ring %d: %v", kind, x.Ring, ints(x.CapKinds))
	}
	return nil
}

// ints keeps %v from printing small numbers as text.
func ints(kinds []uint8) []int {
	out := make([]int, len(kinds))
	for i, k := range kinds {
		out[i] = int(k)
	}
	return out
}

// AdmitBudget reports whether a task's budget stays within the policy's.
func (x *Policy) AdmitBudget(b ir.Budget) error {
	limit := &x.MaxBudget
	for _, c := range []struct {
		name       string
		want, most uint64
	}{
		{"cpu_us", b.CPUMicros, limit.CPUMicros},
		{"tokens", or(b.Tokens, 0), or(limit.Tokens, 1<<64-1)},
		{"io_count", uint64(b.IOCount), uint64(limit.IOCount)},
		{"state_writes", uint64(b.StateWrites), uint64(limit.StateWrites)},
		{"max_depth", or(b.MaxDepth, baseDepth), or(limit.MaxDepth, mostDepth)},
		{"max_spawn", or(b.MaxSpawn, 0), or(limit.MaxSpawn, 1<<64-1)},
	} {
		if c.want > c.most {
			return fault.New(ErrBudget, "%s is %d, ring %d allows %d", c.name, c.want, x.Ring, c.most)
		}
	}
	switch {
	case limit.DeadlineMicros == nil:
	case b.DeadlineMicros == nil:
		return fault.New(ErrBudget, "deadline_us is absent, ring %d wants one of at most %d", x.Ring, *limit.DeadlineMicros)
	case *b.DeadlineMicros > *limit.DeadlineMicros:
		return fault.New(ErrBudget, "deadline_us is %d, ring %d allows %d", *b.DeadlineMicros, x.Ring, *limit.DeadlineMicros)
	}
	return nil
}

// or returns what p points to, or the value that stands for absence.
func or[T uint16 | uint64](p *T, absent uint64) uint64 {
	if p == nil {
		return absent
	}
	return uint64(*p)
}

// CheckMonotonic reports whether each policy demands at least what those of
// lower rings do. Of several policies of one ring the highest version counts.
func CheckMonotonic(policies []*Policy) error {
	list := slices.Clone(policies)
	slices.SortFunc(list, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.Ring, b.Ring), cmp.Compare(b.Version, a.Version))
	})
	list = slices.CompactFunc(list, func(a, b *Policy) bool { return a.Ring == b.Ring })
	for i := 1; i < len(list); i++ {
		if why := list[i].demandsLess(list[i-1]); why != "" {
			return fault.New(ErrNotMonotonic, "ring %d demands less than ring %d: %s", list[i].Ring, list[i-1].Ring, why)
		}
	}
	return nil
}

// demandsLess names a demand of low that x does not make.
func (x *Policy) demandsLess(low *Policy) string {
	switch {
	case low.NeedsPromotion && !x.NeedsPromotion:
		return "no promotion"
	case x.MinSandbox < low.MinSandbox:
		return "a lower min_sandbox"
	}
	for _, want := range low.Claims {
		i := slices.IndexFunc(x.Claims, func(c Claim) bool { return c.ClaimType == want.ClaimType })
		if i < 0 {
			return "a claim is missing"
		}
		got := x.Claims[i]
		if got.MinResult < want.MinResult || got.Quorum < want.Quorum {
			return "a claim's min_result or quorum is lower"
		}
		if slices.ContainsFunc(got.Verifiers, func(v sig.AgentID) bool { return !slices.ContainsFunc(want.Verifiers, v.Equal) }) {
			return "a claim has more verifiers"
		}
	}
	return ""
}

// Draft returns the policy that "policy init" proposes for a ring, 0 to 2, unsigned
// (RFC-MYTHOS-0010 §7): claims by a quorum of verifiers.
func Draft(ring uint8, verifiers []sig.AgentID, quorum uint32) (*Policy, error) {
	p := Default(0)
	p.Ring = ring
	switch ring {
	case 0:
		return p, nil
	case 1:
		depth := uint16(512)
		p.CapKinds = []uint8{1, 2, 3, 5, 7, 10, 11, 32, 33, 34, 35, 36, 37, 38}
		p.MaxBudget = ir.Budget{CPUMicros: 60_000_000, IOCount: 10_000, StateWrites: 1000, MaxDepth: &depth}
		p.Claims = []Claim{{ClaimType: receipt.EvalPass, MinResult: 1, Quorum: quorum, Verifiers: verifiers}}
		return p, nil
	case 2:
		depth := uint16(mostDepth)
		p.CapKinds = []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 32, 33, 34, 35, 36, 37, 38, 39}
		p.MaxBudget = ir.Budget{CPUMicros: 600_000_000, IOCount: 100_000, StateWrites: 10_000, MaxDepth: &depth}
		p.Claims = []Claim{
			{ClaimType: receipt.EvalPass, MinResult: 1, Quorum: quorum, Verifiers: verifiers},
			{ClaimType: receipt.QuorumSignoff, MinResult: 1, Quorum: quorum, Verifiers: verifiers},
		}
		p.NeedsPromotion, p.MinSandbox = true, SandboxFull
		return p, nil
	}
	return nil, fault.New(ErrRing, "there is no draft for ring %d: rings are 0 to 2", ring)
}
