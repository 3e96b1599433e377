package conformance

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ringsOps are the ops of RFC-MYTHOS-0010.
func ringsOps() map[string]opFunc {
	return map[string]opFunc{
		"ring.admit":     do(ringAdmit),
		"ring.monotonic": do(ringMonotonic),
	}
}

// RingInput is the input of ring.admit: rows 3 and 4 of RFC-MYTHOS-0010 §5 for one
// package.
type RingInput struct {
	Policy       Hex             `json:"policy"`
	Package      cid.Hash        `json:"package"`
	Now          I64             `json:"now"`
	Attestations []Hex           `json:"attestations,omitempty"`
	Verifiers    []VerifierInput `json:"verifiers,omitempty"` // the entries that count
	States       []Hex           `json:"states,omitempty"`    // of the ring and the package's name, in log order
	Promotion    *Hex            `json:"promotion,omitempty"` // the record that the last one names; absent: not at hand
	Operators    []Hex           `json:"operators,omitempty"` // the agents who count
}

// VerifierInput is a verifier entry of the trust file.
type VerifierInput struct {
	Keys      []Hex `json:"keys"`
	Threshold int   `json:"threshold"`
}

// Admitted is the output of ring.admit: the attestations that counted.
type Admitted struct {
	Attestations []cid.Hash `json:"attestations"`
}

func ringAdmit(in RingInput) (Admitted, error) {
	out := Admitted{}
	p, err := rings.Open(in.Policy)
	if err != nil {
		return out, err
	}
	said, trusted, err := in.claims()
	if err != nil {
		return out, err
	}
	tallies := p.Count(said, trusted, int64(in.Now))
	for i := range tallies {
		if err := tallies[i].Err(); err != nil {
			return out, err
		}
	}
	out.Attestations = rings.Evidence(tallies)
	operators, err := agentsOf(in.Operators)
	if err != nil {
		return out, err
	}
	s := rings.Standing{}
	for _, raw := range in.States {
		x, err := ledger.OpenRingState(raw)
		if err != nil {
			return out, err
		}
		s.States = append(s.States, x)
	}
	if in.Promotion != nil {
		s.Promotion = *in.Promotion
	}
	return out, p.AdmitState(&s, in.Package, func(a sig.AgentID) bool {
		for _, o := range operators {
			if o.Equal(a) {
				return true
			}
		}
		return false
	})
}

// claims opens what verifiers say, and lists who they are.
func (in *RingInput) claims() (said []receipt.Attestation, trusted []rings.Verifiers, err error) {
	for _, raw := range in.Attestations {
		a, _, err := receipt.OpenAttestation(raw)
		if err != nil {
			return nil, nil, err
		}
		if a.SubjectHash != in.Package {
			return nil, nil, badInput("an attestation is about %s", a.SubjectHash)
		}
		said = append(said, a)
	}
	for _, v := range in.Verifiers {
		keys, err := agentsOf(v.Keys)
		if err != nil {
			return nil, nil, err
		}
		trusted = append(trusted, rings.Verifiers{Keys: keys, Threshold: v.Threshold})
	}
	return said, trusted, nil
}

func agentsOf(list []Hex) ([]sig.AgentID, error) {
	var out []sig.AgentID
	for _, raw := range list {
		a, err := readAgent(raw)
		if err != nil {
			return nil, badInput("an agent: %w", err)
		}
		out = append(out, a)
	}
	return out, nil
}

// PoliciesInput is the input of ring.monotonic: the policies of one node.
type PoliciesInput struct {
	Policies []Hex `json:"policies"`
}

func ringMonotonic(in PoliciesInput) (struct{}, error) {
	var list []*rings.Policy
	for _, raw := range in.Policies {
		p, err := rings.Open(raw)
		if err != nil {
			return struct{}{}, err
		}
		list = append(list, p)
	}
	return struct{}{}, rings.CheckMonotonic(list)
}
