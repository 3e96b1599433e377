package main

import (
	"maps"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// The cast: the authority, four holders of whom the last is the executor, and a
// stranger.
const (
	authority = 0
	executor  = 4
	stranger  = 5
	now       = int64(1_500_000)
)

var keys = func() (out [stranger + 1]sig.Key) {
	for i := range out {
		out[i] = sig.NewKey([32]byte{byte(i + 1), 8}, "")
	}
	return out
}()

// How a link names its parent, and how it is forged.
const (
	rightParent = iota
	noParent
	givenParent // what the capability says
)

const (
	signed     = iota
	byAnother  // by another key in the issuer's name
	spoiled    // one bit of the signature
	misnamed   // another cap_id
	withSigner // a key_id in the signature
)

// step is a link to be made.
type step struct {
	caps.Capability
	power  caps.Power // what Scope carries, unless loose
	loose  bool       // Scope is as given
	by     int
	parent int
	forged int
}

// chain is a chain as it is written, before its links are signed.
type chain struct {
	steps []step
	raw   [][]byte // what has been signed of it: the links before from
	ids   []cid.Hash
	from  int
}

// touch says that link i is not what was signed.
func (c *chain) touch(i int) { c.from = min(c.from, max(i, 0)) }

func (c *chain) clone() *chain {
	return &chain{slices.Clone(c.steps), slices.Clone(c.raw), slices.Clone(c.ids), c.from}
}

// sound draws a valid chain of 1 to 8 links.
func (d dice) sound() *chain {
	kind := pick(d, caps.Kinds()...)
	switch d.IntN(9) { // the kinds with most rules more often
	case 0, 1, 2:
		kind = caps.KindToolCall
	case 3:
		kind = caps.KindNetConnect
	}
	c := &chain{}
	n := 1 + d.IntN(caps.MaxLinks)
	for i := range n {
		s := step{by: authority}
		s.NotBefore, s.ExpiresAt, s.Delegable, s.power = 1_000_000, 2_000_000, !d.oneIn(4), d.power(kind)
		s.RevocationRequired = d.oneIn(30)
		to := 1 + d.IntN(executor)
		if i == n-1 {
			to = executor
		}
		s.Subject = keys[to].Agent()
		if i > 0 {
			d.continues(&s, c.steps[i-1])
		}
		c.steps = append(c.steps, s)
	}
	c.sign()
	return c
}

// continues makes s a valid child of p.
func (d dice) continues(s *step, p step) {
	s.by = p.by
	if p.Delegable && !d.oneIn(4) {
		s.by = slices.IndexFunc(keys[:], func(k sig.Key) bool { return k.Agent().Equal(p.Subject) })
	}
	s.Delegable = p.Delegable && s.Delegable
	s.power = d.narrow(p.power)
	s.NotBefore = p.NotBefore + pick[int64](d, 0, 0, 1, 1000)
	s.ExpiresAt = p.ExpiresAt - pick[int64](d, 0, 0, 1, 1000)
}

// sign makes the links from c.from on. It signs whatever a step says.
func (c *chain) sign() {
	c.raw, c.ids = c.raw[:min(c.from, len(c.raw))], c.ids[:min(c.from, len(c.ids))]
	for i := len(c.raw); i < len(c.steps); i++ {
		s := c.steps[i]
		x := s.Capability
		if !s.loose {
			x.Scope = caps.ScopeOf(s.power)
		}
		switch {
		case s.parent == noParent, s.parent == rightParent && i == 0:
			x.AttenuationParent = nil
		case s.parent == rightParent:
			x.AttenuationParent = &c.ids[i-1]
		}
		raw, id := s.seal(&x)
		c.raw, c.ids = append(c.raw, raw), append(c.ids, id)
	}
	c.from = len(c.steps)
}

// seal signs x as s says.
func (s step) seal(x *caps.Capability) ([]byte, cid.Hash) {
	var by sig.Signer = keys[s.by]
	if s.forged == byAnother {
		by = imposter{keys[stranger], keys[s.by].Agent()}
	}
	raw, id, err := sig.Sign(x, by)
	if err != nil {
		panic(err) // a key in memory signs
	}
	if s.forged == signed {
		remember(x.Issuer.Key[:], id[:], x.Signature.SigBytes[:])
		return raw, id
	}
	switch s.forged {
	case spoiled:
		x.Signature.SigBytes[id[0]%64] ^= 1 << (id[1] % 8)
	case misnamed:
		x.CapID[0] ^= 1
	case withSigner:
		k := keys[s.by].Agent().KeyID()
		x.Signature.KeyID = &k
	}
	return x.AppendCAN(nil), id
}

type imposter struct {
	sig.Signer
	name sig.AgentID
}

func (x imposter) Agent() sig.AgentID { return x.name }

// mutation changes a chain at link i; other is a chain to take parts from. It says
// whether the right keys sign what comes out.
type mutation func(d dice, c *chain, i int, other *chain) bool

// mutations, each as often as it is listed.
var mutations = []mutation{
	alterScope, alterScope, alterScope, narrowScope, narrowScope, narrowScope, alterConstraint, alterConstraint, alterConstraint, alterWindow, alterWindow,
	alterWindow, narrowWindow, narrowWindow, swapSubject, swapIssuer, flipDelegable, flipDelegable, flipRequired, alterParent, swapLinks, dropLink, repeatLink,
	splice, alterKind, alterHint, alterHint, forge,
}

func alterScope(d dice, c *chain, i int, _ *chain) bool {
	c.steps[i].power = d.alter(c.steps[i].power)
	return true
}

func narrowScope(d dice, c *chain, i int, _ *chain) bool {
	for j := i; j < len(c.steps); j++ {
		from := c.steps[j].power
		if j > 0 {
			from = c.steps[j-1].power
		}
		c.steps[j].power = d.narrow(from)
	}
	return true
}

func alterConstraint(d dice, c *chain, i int, _ *chain) bool {
	x, ok := clone(c.steps[i].power).(*caps.ToolCall)
	if !ok {
		return alterScope(d, c, i, nil)
	}
	c.steps[i].power = x
	switch d.IntN(5) {
	case 0:
		d.misconstrain(x.Constraints)
	case 1, 2:
		for _, key := range slices.Sorted(maps.Keys(x.Constraints)) {
			if d.oneIn(2) {
				delete(x.Constraints, key)
				break
			}
		}
	default:
		d.constrain(x.Constraints)
	}
	return true
}

func alterWindow(d dice, c *chain, i int, _ *chain) bool {
	if s := &c.steps[i]; d.oneIn(2) {
		s.NotBefore = pick[int64](d, now-1, now, now+1, s.NotBefore-1, s.NotBefore+1, s.ExpiresAt, 0)
	} else {
		s.ExpiresAt = pick[int64](d, now-1, now, now+1, s.ExpiresAt-1, s.ExpiresAt+1, s.NotBefore, 1<<62)
	}
	return true
}

// narrowWindow narrows the windows from link i on, all in the same way.
func narrowWindow(d dice, c *chain, i int, _ *chain) bool {
	from, to := pick[int64](d, now-2, now-1, now, now), pick[int64](d, now+1, now+2, now+3)
	for j := i; j < len(c.steps); j++ {
		c.steps[j].NotBefore, c.steps[j].ExpiresAt = from, to
	}
	return true
}

func swapSubject(d dice, c *chain, i int, _ *chain) bool {
	c.steps[i].Subject = pick(d, keys[:]...).Agent()
	return true
}

func swapIssuer(d dice, c *chain, i int, _ *chain) bool {
	c.steps[i].by = d.IntN(len(keys))
	return true
}

func flipDelegable(_ dice, c *chain, i int, _ *chain) bool {
	c.steps[i].Delegable = !c.steps[i].Delegable
	return true
}

func flipRequired(_ dice, c *chain, i int, _ *chain) bool {
	c.steps[i].RevocationRequired = !c.steps[i].RevocationRequired
	return true
}

func alterParent(d dice, c *chain, i int, _ *chain) bool {
	s := &c.steps[i]
	s.parent = pick(d, noParent, givenParent)
	id := pick(d, slices.Concat(c.ids, hashes[:1])...)
	s.AttenuationParent = &id
	return true
}

// keepParents lets the links from i on name the parents that they had.
func keepParents(d dice, c *chain, i int) {
	for j := max(i, 1); j < len(c.steps) && d.oneIn(6); j++ {
		id := c.ids[min(j, len(c.ids))-1]
		c.steps[j].parent, c.steps[j].AttenuationParent = givenParent, &id
	}
}

func swapLinks(d dice, c *chain, i int, _ *chain) bool {
	j := d.IntN(len(c.steps))
	c.steps[i], c.steps[j] = c.steps[j], c.steps[i]
	c.touch(min(i, j))
	keepParents(d, c, i)
	return true
}

func dropLink(d dice, c *chain, i int, _ *chain) bool {
	if len(c.steps) > 1 {
		c.steps = slices.Delete(c.steps, i, i+1)
		keepParents(d, c, i)
	}
	return true
}

func repeatLink(d dice, c *chain, i int, _ *chain) bool {
	c.steps = slices.Insert(c.steps, i, c.steps[i])
	keepParents(d, c, i+1)
	return true
}

func splice(d dice, c *chain, i int, other *chain) bool {
	at := d.IntN(len(other.steps))
	c.steps = append(c.steps[:i:i], other.steps[at:]...)
	keepParents(d, c, i)
	return true
}

func alterKind(d dice, c *chain, i int, _ *chain) bool {
	s := &c.steps[i]
	switch d.IntN(3) {
	case 0:
		s.power = d.power(pick(d, caps.Kinds()...))
	case 1: // the payload of one kind under the number of another
		s.loose, s.Scope = true, caps.Scope{Kind: pick(d, append(caps.Kinds(), 0, 12, 31, 40, 255)...), Payload: s.power.AppendCAN(nil)}
	default: // a payload with a byte too many, too few or changed
		p := s.power.AppendCAN(nil)
		switch at := d.IntN(len(p)); d.IntN(3) {
		case 0:
			p = append(p, 0)
		case 1:
			p = p[:at]
		default:
			p[at] ^= byte(1 << d.IntN(8))
		}
		s.loose, s.Scope = true, caps.Scope{Kind: s.power.Kind(), Payload: p}
	}
	return true
}

// alterHint changes what is for people only.
func alterHint(d dice, c *chain, i int, _ *chain) bool {
	c.steps[i].Subject.Hint = pick(d, "", "for people", "other")
	return true
}

func forge(d dice, c *chain, i int, _ *chain) bool {
	c.steps[i].forged = pick(d, byAnother, spoiled, misnamed, withSigner)
	return false
}

// damage changes bytes of a proof that nobody signs again.
func (d dice) damage(proof []byte) []byte {
	out := slices.Clone(proof)
	switch at := d.IntN(len(out)); d.IntN(4) {
	case 0:
		return out[:at]
	case 1:
		return append(out, 0)
	default:
		out[at] ^= byte(1 << d.IntN(8))
	}
	return out
}
