package caps

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of revocation lists (RFC-MYTHOS-0008 §7).
const (
	ErrRevocationList fault.Code = "cap_revocation_list" // a list that breaks its own rules
	ErrRevocationSeq  fault.Code = "cap_revocation_seq"  // a list older than, or at odds with, the one that is known
)

// Bounds of a revocation list.
const (
	MaxRevoked        = 65536
	MaxRevocationList = 4 << 20 // bytes
)

// RevocationList is an opened list: its form, its rules and its issuer's
// signature hold. It is immutable and safe for concurrent use.
type RevocationList struct {
	list   Revocations
	id     cid.Hash
	issuer cid.Hash // key id
}

// Mark says which list of an issuer is known.
type Mark struct {
	Seq uint64
	ID  cid.Hash
}

// SignRevocations signs a list and returns its canonical bytes and id. It fills
// id, issuer and signature, and refuses what OpenRevocations would.
func SignRevocations(x Revocations, by sig.Signer) (raw []byte, id cid.Hash, err error) {
	if err := x.check(); err != nil {
		return nil, id, err
	}
	if raw, id, err = sig.Sign(&x, by); err == nil && len(raw) > MaxRevocationList {
		return nil, id, fault.New(ErrRevocationList, "a list of %d bytes, at most %d", len(raw), MaxRevocationList)
	}
	return raw, id, err
}

// OpenRevocations decodes a list and verifies it. Its codes are
// ErrRevocationList and those of packages can and sig.
func OpenRevocations(raw []byte) (*RevocationList, error) {
	if len(raw) > MaxRevocationList {
		return nil, fault.New(ErrRevocationList, "a list of %d bytes, at most %d", len(raw), MaxRevocationList)
	}
	l := &RevocationList{}
	var err error
	if l.id, err = sig.Open(raw, &l.list); err != nil {
		return nil, about("the revocation list", err)
	}
	l.issuer = l.list.Issuer.KeyID()
	return l, l.list.check()
}

func (x *Revocations) check() error {
	if len(x.Revoked) > MaxRevoked {
		return fault.New(ErrRevocationList, "%d revoked ids, at most %d", len(x.Revoked), MaxRevoked)
	}
	if x.Issued >= x.NextUpdate {
		return fault.New(ErrRevocationList, "issued %s is not before next_update %s", stamp(x.Issued), stamp(x.NextUpdate))
	}
	for i := 1; i < len(x.Revoked); i++ {
		if x.Revoked[i-1].Compare(x.Revoked[i]) >= 0 {
			return fault.New(ErrRevocationList, "revoked id %d does not come after the one before it", i)
		}
	}
	return nil
}

// Issuer returns whose list it is.
func (l *RevocationList) Issuer() sig.AgentID { return l.list.Issuer }

// Mark returns which list it is.
func (l *RevocationList) Mark() Mark { return Mark{l.list.Seq, l.id} }

// Window returns when it was issued and when the next one is due, in microseconds
// since the Unix epoch.
func (l *RevocationList) Window() (issued, nextUpdate int64) { return l.list.Issued, l.list.NextUpdate }

// Revoked returns the revoked cap_ids, ascending; they must not be written to.
func (l *RevocationList) Revoked() []cid.Hash { return l.list.Revoked }

// Follows checks the list against the last one of its issuer that was accepted,
// nil if there was none. The same list again is accepted; a lower seq, and
// another list with the same seq, are ErrRevocationSeq.
func (l *RevocationList) Follows(last *Mark) error {
	switch {
	case last == nil || l.list.Seq > last.Seq:
		return nil
	case l.list.Seq < last.Seq:
		return fault.New(ErrRevocationSeq, "seq %d, and %d is known already", l.list.Seq, last.Seq)
	case l.id != last.ID:
		return fault.New(ErrRevocationSeq, "seq %d stands for list %s, and %s is known", l.list.Seq, l.id, last.ID)
	}
	return nil
}

// Fresh reports whether the list counts as the latest word at a time in
// microseconds: issued <= now < next_update.
func (l *RevocationList) Fresh(now int64) bool {
	return l.list.Issued <= now && now < l.list.NextUpdate
}

// Names reports whether the list holds a cap_id. It does so whether or not it is
// fresh: a revocation is not taken back by waiting.
func (l *RevocationList) Names(id cid.Hash) bool {
	_, found := slices.BinarySearchFunc(l.list.Revoked, id, cid.Hash.Compare)
	return found
}

// ListUse is a revocation list that a verdict rests on.
type ListUse struct {
	Issuer cid.Hash // key id
	Mark   Mark
}

// checkRevocation performs step 6: for one link after the other, whether a link
// that demands a fresh list of its issuer has one, and whether the issuer of it
// or of a link above it has revoked it.
func (c *Chain) checkRevocation(u Use) ([]ListUse, *Denial) {
	if u.Revocations == nil && !c.demands {
		return nil, nil
	}
	var used []ListUse
	lists := make([]*RevocationList, len(c.links))
	for i := range c.links {
		l := &c.links[i]
		if u.Revocations != nil {
			lists[i] = u.Revocations(l.cap.Issuer)
		}
		if lists[i] != nil && !lists[i].Issuer().Equal(l.cap.Issuer) {
			lists[i] = nil // somebody else's word
		}
		if lists[i] != nil {
			use := ListUse{lists[i].issuer, lists[i].Mark()}
			if !slices.Contains(used, use) {
				used = append(used, use)
			}
		}
		if d := c.checkRevoked(i, lists[:i+1], u.Now); d != nil {
			return nil, d
		}
	}
	return used, nil
}

// checkRevoked checks link i against the lists of its issuer and of those above.
func (c *Chain) checkRevoked(i int, lists []*RevocationList, now int64) *Denial {
	l := &c.links[i]
	if own := lists[i]; l.cap.RevocationRequired && (own == nil || !own.Fresh(now)) {
		why := "none is known"
		if own != nil {
			why = "the known one is for " + stamp(own.list.Issued) + " to " + stamp(own.list.NextUpdate) + ", now is " + stamp(now)
		}
		return c.deny(i, RuleRevocation, ErrRevocation, "it counts only with a fresh revocation list of its issuer, and %s", why)
	}
	for j, list := range lists {
		if list != nil && list.Names(l.id) {
			return c.deny(i, RuleRevoked, ErrRevoked, "the issuer of link %d has revoked it (seq %d)", j, list.list.Seq)
		}
	}
	return nil
}
