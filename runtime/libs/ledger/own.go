package ledger

import (
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// own notes a signature that this process has just made, so that a store need
// not verify it again. Nothing is taken on trust for it: the note is made only
// by Registration.Sign and Commitment.Sign, in the same memory as the store that
// reads it; only for a sig.Key, whose secret is in that memory too and whose
// signatures verify by construction (another Signer, such as a device, may
// return anything); and it holds for exactly the bytes that were signed, whoever
// changes the body afterwards. A body that came from outside, from a file, a
// peer or another process, has no note and is verified.
type own struct {
	body cid.Hash // SHA-256 of what was signed; zero: nothing was
	by   sig.AgentID
}

// covers reports whether the note says that by signed body.
func (o own) covers(body []byte, by sig.AgentID) bool {
	return !o.body.IsZero() && o.by.Equal(by) && o.body == cid.Sum(body)
}

func signOwn(x sig.Object, by sig.Signer) ([]byte, cid.Hash, own, error) {
	raw, id, err := sig.Sign(x, by)
	if _, here := by.(sig.Key); err != nil || !here {
		return raw, id, own{}, err
	}
	return raw, id, own{cid.Sum(raw), by.Agent()}, nil
}

// Sign signs x and makes it the body of r. It returns the register id.
func (r *Registration) Sign(x *Register, by sig.Signer) (id cid.Hash, err error) {
	r.Body, id, r.own, err = signOwn(x, by)
	return id, err
}

// Open decodes r's body and verifies its owner's signature, unless Sign has just
// made it. It returns the register id.
func (r Registration) Open() (Register, cid.Hash, error) {
	var x Register
	id, err := sig.Decode(r.Body, &x)
	if err == nil {
		err = x.check()
	}
	if err == nil && !r.own.covers(r.Body, x.Owner) {
		err = x.Owner.Verify(id, x.Signature)
	}
	return x, id, err
}

// Sign signs x and makes it the body of c. It returns the commit id.
func (c *Commitment) Sign(x *Commit, by sig.Signer) (id cid.Hash, err error) {
	c.Body, id, c.own, err = signOwn(x, by)
	return id, err
}

// Offer applies c's commit to s and says what becomes of it. The signature of
// the register's owner is verified, unless that owner has just made it by Sign.
func (c Commitment) Offer(s *State) (Commit, Verdict, error) {
	return s.offer(c.Body, c.own)
}
