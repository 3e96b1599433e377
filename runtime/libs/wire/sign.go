package wire

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Digest returns what is signed: SHA-256(header || payload as on the wire).
func (p *Unverified) Digest() cid.Hash {
	return cid.Sum(append(p.appendHeader(nil), p.Payload...))
}

// Sign adds by's signature to p, in the place of any earlier entry of that key.
// Entries are kept ascending by key id.
func Sign(p *Unverified, by sig.Signer) error {
	agent := by.Agent()
	bytes, err := by.Sign(p.Digest())
	if err != nil {
		return err
	}
	entries := slices.DeleteFunc(slices.Clone(p.Entries), func(e SigBlockEntry) bool { return e.Signer.Equal(agent) })
	entries = append(entries, SigBlockEntry{Signer: agent, SigAlg: sig.Ed25519, SigBytes: bytes[:]})
	slices.SortStableFunc(entries, func(a, b SigBlockEntry) int { return a.Signer.KeyID().Compare(b.Signer.KeyID()) })
	p.Entries = entries
	return nil
}

// State is what is known of one signature entry.
type State uint8

// The states of an entry. Only Verified counts.
const (
	Unsigned State = iota // sig_bytes is empty
	Invalid               // the signature does not verify
	Verified              // the signature verifies under the strict profile
)

// String returns "unsigned", "invalid" or "verified".
func (s State) String() string {
	switch s {
	case Unsigned:
		return "unsigned"
	case Verified:
		return "verified"
	}
	return "invalid"
}

// Verdict is what is known of the entry of one signer. It says nothing about
// whether that signer is trusted.
type Verdict struct {
	Signer sig.AgentID
	State  State
}

// Verdicts are those of all entries of a packet, in its order.
type Verdicts []Verdict

// Signers returns the agents with a verified signature, each key once.
func (v Verdicts) Signers() []sig.AgentID {
	var out []sig.AgentID
	for _, x := range v {
		if x.State == Verified && !slices.ContainsFunc(out, x.Signer.Equal) {
			out = append(out, x.Signer)
		}
	}
	return out
}

// Verify checks every signature entry.
func (p *Unverified) Verify() Verdicts {
	digest := p.Digest()
	out := make(Verdicts, 0, len(p.Entries))
	for _, e := range p.Entries {
		out = append(out, Verdict{e.Signer, e.state(digest)})
	}
	return out
}

func (x *SigBlockEntry) state(digest cid.Hash) State {
	if len(x.SigBytes) == 0 {
		return Unsigned
	}
	s := sig.Signature{Alg: x.SigAlg}
	if len(x.SigBytes) != len(s.SigBytes) {
		return Invalid
	}
	copy(s.SigBytes[:], x.SigBytes)
	if x.Signer.Verify(digest, s) != nil {
		return Invalid
	}
	return Verified
}
