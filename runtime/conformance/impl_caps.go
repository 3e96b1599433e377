package conformance

import (
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// capsOps are the ops of RFC-MYTHOS-0008 §3, RFC-MYTHOS-0008 §5 and
// RFC-MYTHOS-0008 §7.
func capsOps() map[string]opFunc {
	return map[string]opFunc{
		"caps.check":  do(capsCheck),
		"caps.subset": do(capsSubset),
	}
}

// SubsetInput is the input of caps.subset: two canonical scope structs of a kind.
type SubsetInput struct {
	Kind   uint8 `json:"kind"`
	Parent Hex   `json:"parent"`
	Child  Hex   `json:"child"`
}

func capsSubset(in SubsetInput) (struct{}, error) {
	return struct{}{}, caps.Covers(in.Kind, in.Parent, in.Child)
}

// CapsInput is the input of caps.check. Exactly one of Call, Request and Scope
// says what the proof is used for.
type CapsInput struct {
	Proof       Hex         `json:"proof"`
	Subject     Hex         `json:"subject"` // AgentID of the executor
	Now         I64         `json:"now"`
	Trust       []Hex       `json:"trust"`       // AgentIDs of the authorities
	Revocations []Hex       `json:"revocations"` // RevocationLists, in the order in which they came
	Call        *CallView   `json:"call,omitempty"`
	Request     *CapRequest `json:"request,omitempty"`
	Scope       *ScopeView  `json:"scope,omitempty"`
}

// CallView is a concrete call of a tool.
type CallView struct {
	Tool        cid.Hash  `json:"tool"`
	Package     cid.Hash  `json:"package"`
	Module      cid.Hash  `json:"module"`
	RequestHash cid.Hash  `json:"request_hash"`
	Ledger      *cid.Hash `json:"ledger,omitempty"`
	Ring        uint8     `json:"ring"`
	Payload     Hex       `json:"payload"`
}

// ScopeView is a bare scope.
type ScopeView struct {
	Kind uint8 `json:"kind"`
	Hex  Hex   `json:"hex"`
}

// CapsGrant is the output of caps.check.
type CapsGrant struct {
	CapIDs []cid.Hash  `json:"cap_ids"` // root to leaf
	Spend  []CountView `json:"spend"`   // root to leaf
	Lists  []ListView  `json:"lists"`   // revocation lists that were looked at
}

// CountView is what a use takes of a link's count.
type CountView struct {
	CapID cid.Hash `json:"cap_id"`
	Max   uint32   `json:"max"`
	N     uint32   `json:"n"`
}

// ListView is a revocation list that a verdict rests on.
type ListView struct {
	Issuer cid.Hash `json:"issuer"` // key id
	Seq    U64      `json:"seq"`
	ID     cid.Hash `json:"id"`
}

func capsCheck(in CapsInput) (CapsGrant, error) {
	use, err := in.use()
	if err != nil {
		return CapsGrant{}, err
	}
	if err := in.people(&use); err != nil {
		return CapsGrant{}, err
	}
	known, err := acceptLists(in.Revocations)
	if err != nil {
		return CapsGrant{}, err
	}
	use.Revocations = func(a sig.AgentID) *caps.RevocationList { return known[a.KeyID()] }
	chain, err := caps.DecodeProof(in.Proof)
	if err != nil {
		return CapsGrant{}, err
	}
	g, err := chain.Check(use)
	return grantView(g), err
}

// use says what the proof is used for.
func (in *CapsInput) use() (caps.Use, error) {
	u := caps.Use{Now: int64(in.Now)}
	said := 0
	if c := in.Call; c != nil {
		said++
		bare := caps.ToolCall{ToolID: c.Tool, MaxCalls: 1}
		u.Kind, u.Scope = caps.KindToolCall, bare.AppendCAN(nil)
		u.Call = &caps.Call{Tool: c.Tool, Package: c.Package, Module: c.Module, RequestHash: c.RequestHash, Ring: c.Ring, Payload: c.Payload}
		if c.Ledger != nil {
			u.Call.Ledger = *c.Ledger
		}
	}
	if r := in.Request; r != nil {
		said++
		u.Request = r.request
	}
	if s := in.Scope; s != nil {
		said++
		u.Kind, u.Scope = s.Kind, s.Hex
	}
	if said != 1 {
		return u, badInput("want one of call, request and scope")
	}
	return u, nil
}

// people fills in the executor and the authorities.
func (in *CapsInput) people(u *caps.Use) error {
	var err error
	if u.Subject, err = readAgent(in.Subject); err != nil {
		return badInput("subject: %w", err)
	}
	trusted := make([]sig.AgentID, len(in.Trust))
	for i, raw := range in.Trust {
		if trusted[i], err = readAgent(raw); err != nil {
			return badInput("trust: %w", err)
		}
	}
	u.Authority = func(a sig.AgentID) bool {
		for _, t := range trusted {
			if t.Equal(a) {
				return true
			}
		}
		return false
	}
	return nil
}

// acceptLists opens revocation lists and accepts each after those before it.
func acceptLists(raw []Hex) (map[cid.Hash]*caps.RevocationList, error) {
	known := map[cid.Hash]*caps.RevocationList{}
	for _, b := range raw {
		l, err := caps.OpenRevocations(b)
		if err != nil {
			return nil, err
		}
		issuer := l.Issuer().KeyID()
		var last *caps.Mark
		if old := known[issuer]; old != nil {
			mark := old.Mark()
			last = &mark
		}
		if err := l.Follows(last); err != nil {
			return nil, err
		}
		known[issuer] = l
	}
	return known, nil
}

func grantView(g caps.Grant) CapsGrant {
	out := CapsGrant{CapIDs: g.CapIDs, Spend: []CountView{}, Lists: []ListView{}}
	for _, s := range g.Spend {
		out.Spend = append(out.Spend, CountView{s.CapID, s.Max, s.N})
	}
	for _, l := range g.Lists {
		out.Lists = append(out.Lists, ListView{l.Issuer, U64(l.Mark.Seq), l.Mark.ID})
	}
	return out
}
