package caps

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// attack is one way in which a class of attacks is tried: it returns the verdict.
type attack struct {
	name string
	try  func(t *testing.T) error
	code fault.Code
}

// judge decodes and checks links under a use.
func judge(links [][]byte, edit ...func(*Use)) error {
	c, err := DecodeProof(EncodeProof(links))
	if err != nil {
		return err
	}
	u := use()
	for _, f := range edit {
		f(&u)
	}
	_, err = c.Check(u)
	return err
}

// after signs the steps after a change.
func after(change func(s []*step)) func(t *testing.T) error {
	return func(t *testing.T) error {
		s := steps()
		change(s)
		return judge(sign(t, s))
	}
}

// under asks about one use of the sound chain.
func under(edit func(*Use)) func(t *testing.T) error {
	return func(t *testing.T) error { return judge(sign(t, steps()), edit) }
}

// The classes in which capability systems have been broken, each by name.
func attackClasses() map[string][]attack {
	return map[string][]attack{
		"01 leaf valid, parent unsigned or forged": {
			{"zero signature", resigned(0, func([]byte) []byte { return make([]byte, 64) }), ErrSignature},
			{"one bit", resigned(1, func(s []byte) []byte { s[0] ^= 1; return s }), ErrSignature},
		},
		"02 parent signed by the wrong key": {
			{"root", after(func(s []*step) { s[0].by = imposter{holder(), authority().Agent()} }), ErrSignature},
			{"middle", after(func(s []*step) { s[1].by = imposter{authority(), holder().Agent()} }), ErrSignature},
		},
		"03 issuer of a link is not the subject before it": {
			{"leaf", after(func(s []*step) { s[2].by = stranger() }), ErrBroken},
			{"grandparent", after(func(s []*step) { s[2].by = authority() }), ErrBroken},
		},
		"04 subject swapped in mid-chain": {
			{"middle", after(func(s []*step) { s[1].cap.Subject = stranger().Agent() }), ErrBroken},
			{"leaf", after(func(s []*step) { s[2].cap.Subject = agent().Agent() }), ErrSubject},
		},
		"05 child widens the scope": {
			{"calls", scoped(1, &ToolCall{hashOf("echo"), 11, limits("ring_max", "1")}), ErrScope},
			{"constraint dropped", scoped(1, &ToolCall{hashOf("echo"), 8, nil}), ErrConstraint},
			{"constraint loosened", scoped(1, &ToolCall{hashOf("echo"), 8, limits("ring_max", "2")}), ErrConstraint},
		},
		"06 child outlives its parent": {
			{"after", after(func(s []*step) { s[1].cap.ExpiresAt = closes + 1 }), ErrWindow},
			{"before", after(func(s []*step) { s[1].cap.NotBefore = opens - 1 }), ErrWindow},
		},
		"07 child of what is not delegable": {
			{"root", after(func(s []*step) { s[0].cap.Delegable = false }), ErrDelegable},
			{"middle", after(func(s []*step) { s[1].cap.Delegable = false }), ErrDelegable},
		},
		"08 unknown constraint or kind": {
			{"constraint in the root", scoped(0, &ToolCall{hashOf("echo"), 10, limits("ring_max", "1", "region", "eu")}), ErrConstraint},
			{"operator", scoped(2, &ToolCall{hashOf("echo"), 3, limits("ring_max", "0", "arg/amount:le", number(300), "arg/amount:lt", number(3))}), ErrConstraint},
			{"kind", after(func(s []*step) { s[0].cap.Scope = Scope{Kind: 12, Payload: []byte{can.Map, 0}} }), ErrKind},
			{"field", after(func(s []*step) { s[0].cap.Scope = Scope{Kind: KindClock, Payload: []byte{can.Map, 1, 3, 1, 2}} }), can.ErrUnknownField},
		},
		"09 links duplicated, cyclic or reordered": {
			{"twice", ordered(0, 1, 1, 2), ErrBroken},
			{"cycle", ordered(0, 1, 0, 1, 2), ErrBroken},
			{"reversed", ordered(2, 1, 0), ErrBroken},
			{"left out", ordered(0, 2), ErrBroken},
			{"cut off", ordered(0, 1), ErrSubject},
		},
		"10 depth or size bomb": {
			{"9 links", ordered(0, 1, 2, 2, 2, 2, 2, 2, 2), ErrTooLong},
			{"a list that claims 2^40 links", bytesOf(func() []byte { return []byte{can.List, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20} }), can.ErrBounds},
			{"17 KiB", bytesOf(func() []byte { return can.AppendBytes([]byte{can.List, 1}, make([]byte, 17<<10)) }), ErrTooLong},
			{"33 deep in a payload", under(func(u *Use) { u.Call.Payload = append(bytes.Repeat([]byte{can.List, 1}, 33), can.Null) }), ErrConstraint},
		},
		"11 a chain for package A used by package B": {
			{"package", scoped(2, &ToolCall{hashOf("echo"), 3, limits("ring_max", "0", "arg/amount:le", number(300), "package", hashOf("other").String())}), ErrConstraint},
			{"module", scoped(2, &ToolCall{hashOf("echo"), 3, limits("ring_max", "0", "arg/amount:le", number(300), "module", hashOf("other").String())}), ErrConstraint},
			{"request", scoped(2, &ToolCall{hashOf("echo"), 3, limits("ring_max", "0", "arg/amount:le", number(300), "request_hash", hashOf("other").String())}), ErrConstraint},
			{"tool", under(func(u *Use) { u.Call.Tool = hashOf("rm") }), ErrScope},
		},
		"12 replayed at another executor or ledger": {
			{"executor", under(func(u *Use) { u.Subject = stranger().Agent() }), ErrSubject},
			{"ledger", scoped(2, &ToolCall{hashOf("echo"), 3, limits("ring_max", "0", "arg/amount:le", number(300), "ledger", hashOf("other").Hex())}), ErrConstraint},
		},
		"13 revoked ancestor": {
			{"root", revokedBy(authority(), 0), ErrRevoked},
			{"middle, by its issuer", revokedBy(holder(), 1), ErrRevoked},
			{"leaf, by the root's issuer", revokedBy(authority(), 2), ErrRevoked},
		},
		"14 stale revocation list": {
			{"stale", demanding(func(x *Revocations) { x.NextUpdate = noon }), ErrRevocation},
			{"from the future", demanding(func(x *Revocations) { x.Issued = noon + 1 }), ErrRevocation},
			{"played back", func(t *testing.T) error { return opened(t, revocations(6), holder()).Follows(&Mark{Seq: 7}) }, ErrRevocationSeq},
		},
		"15 the clock at both edges": {
			{"one before", under(func(u *Use) { u.Now = opens - 1 }), ErrNotYetValid},
			{"at not_before", under(func(u *Use) { u.Now = opens }), ""},
			{"last", under(func(u *Use) { u.Now = closes - 1 }), ""},
			{"at expires_at", under(func(u *Use) { u.Now = closes }), ErrExpired},
		},
		"16 integers out of range, negative or not minimal": {
			{"2^32 calls", raw(KindToolCall, "0802 0301 "+hashHex+" 0302 038080808010"), can.ErrRange},
			{"negative calls", raw(KindToolCall, "0802 0301 "+hashHex+" 0302 0401"), can.ErrType},
			{"not minimal", raw(KindToolCall, "0802 0301 "+hashHex+" 0302 038100"), can.ErrVarint},
			{"beyond 64 bits", raw(KindBlobPin, "0802 0301 "+hashHex+" 0302 0380808080808080808002"), can.ErrOverflow},
			{"sum beyond 64 bits", after(func(s []*step) {
				s[0].cap.Scope = ScopeOf(&BlobRead{hashOf("a"), ptr(^uint64(0)), ptr(uint64(1))})
			}), ErrScope},
		},
		"17 empty list where absent is meant": {
			{"constraints", raw(KindToolCall, "0803 0301 "+hashHex+" 0302 0301 0303 0800"), can.ErrEmpty},
			{"event types", raw(KindCellWrite, "0803 0301 "+hashHex+" 0302 0301 0303 0700"), can.ErrEmpty},
			{"key prefix", raw(KindCellRead, "0802 0301 "+hashHex+" 0302 0500"), can.ErrEmpty},
			{"false where absent is meant", func(t *testing.T) error {
				links := sign(t, steps())
				i := bytes.LastIndex(links[0], []byte{3, 10, can.Map})
				bad := slices.Concat(links[0][:i], []byte{3, 9, can.False}, links[0][i:])
				bad[1]++
				return judge([][]byte{bad})
			}, can.ErrDefault},
		},
		"18 malleable signatures and weak keys": {
			{"S + L", resigned(2, plusOrder), ErrSignature},
			{"key of order 1", weak("0100000000000000000000000000000000000000000000000000000000000000"), ErrSignature},
			{"key not canonical", weak("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), ErrSignature},
		},
		"19 another object's signature": {
			{"a receipt as a link", func(t *testing.T) error {
				x := receipt.Receipt{Status: 200}
				b, _, err := sig.Sign(&x, authority())
				if err != nil {
					t.Fatal(err)
				}
				return judge([][]byte{b})
			}, can.ErrType},
			{"a receipt's signature in a link", func(t *testing.T) error {
				x := receipt.Receipt{Status: 200}
				if _, _, err := sig.Sign(&x, authority()); err != nil {
					t.Fatal(err)
				}
				return resigned(0, func([]byte) []byte { return x.Signature.SigBytes[:] })(t)
			}, ErrSignature},
			{"a revocation list as a link", func(t *testing.T) error {
				b, _, err := SignRevocations(revocations(1), authority())
				if err != nil {
					t.Fatal(err)
				}
				return judge([][]byte{b})
			}, can.ErrType},
		},
	}
}

func TestAttackClasses(t *testing.T) {
	classes := attackClasses()
	if len(classes) != 19 {
		t.Errorf("%d classes, want 19", len(classes))
	}
	for class, list := range classes {
		for _, a := range list {
			t.Run(class+"/"+a.name, func(t *testing.T) { wantCode(t, a.try(t), a.code) })
		}
	}
}

var hashHex = hex.EncodeToString(func() []byte { h := hashOf("a"); return h.AppendCAN(nil) }())

// scoped puts a scope into link i.
func scoped(i int, p Power) func(t *testing.T) error {
	return after(func(s []*step) { s[i].cap.Scope = ScopeOf(p) })
}

// raw puts a scope payload in hex into a root of one link.
func raw(kind uint8, text string) func(t *testing.T) error {
	return func(t *testing.T) error {
		payload, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(text), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		s := steps()[:1]
		s[0].cap.Scope = Scope{kind, payload}
		return judge(sign(t, s))
	}
}

func bytesOf(proof func() []byte) func(t *testing.T) error {
	return func(*testing.T) error {
		_, err := DecodeProof(proof())
		return err
	}
}

// ordered puts the links of the sound chain in another order.
func ordered(order ...int) func(t *testing.T) error {
	return func(t *testing.T) error {
		l := sign(t, steps())
		var links [][]byte
		for _, i := range order {
			links = append(links, l[i])
		}
		return judge(links)
	}
}

// resigned changes the signature of link i, which is its last 64 bytes.
func resigned(i int, change func(sig []byte) []byte) func(t *testing.T) error {
	return func(t *testing.T) error {
		l := sign(t, steps())
		b := bytes.Clone(l[i])
		n := len(b) - 64
		l[i] = append(b[:n:n], change(bytes.Clone(b[n:]))...)
		return judge(l)
	}
}

// plusOrder adds the group order to S: the same signature for a lax verifier.
func plusOrder(s []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	v := bytes.Clone(s[32:])
	slices.Reverse(v)
	n := new(big.Int).SetBytes(v)
	n.Add(n, order).FillBytes(v)
	slices.Reverse(v)
	return append(s[:32:32], v...)
}

// weak makes a root of a key for which anybody can sign: with A of order 1, R the
// same and S = 0 satisfy the equation whatever was signed.
func weak(key string) func(t *testing.T) error {
	return func(t *testing.T) error {
		a := sig.AgentID{Scheme: sig.Ed25519}
		if n, err := hex.Decode(a.Key[:], []byte(key)); n != 32 || err != nil {
			t.Fatal(err)
		}
		s := steps()[:1]
		s[0].cap.Subject, s[0].by = executor().Agent(), neutral{a}
		return judge(sign(t, s), func(u *Use) { u.Authority = a.Equal })
	}
}

// neutral signs with R = the neutral point and S = 0.
type neutral struct{ agent sig.AgentID }

func (n neutral) Agent() sig.AgentID                  { return n.agent }
func (n neutral) Sign(cid.Hash) (s [64]byte, _ error) { s[0] = 1; return s, nil }

// revokedBy has a key revoke link i.
func revokedBy(by sig.Key, i int) func(t *testing.T) error {
	return func(t *testing.T) error {
		c := proofOf(t, steps())
		u := use()
		u.Revocations = known(opened(t, revocations(1, c.CapIDs()[i]), by))
		_, err := c.Check(u)
		return err
	}
}

// demanding lets the leaf demand a list and gives it one after a change.
func demanding(change func(*Revocations)) func(t *testing.T) error {
	return func(t *testing.T) error {
		s, x := steps(), revocations(1)
		s[2].cap.RevocationRequired = true
		change(&x)
		return judge(sign(t, s), func(u *Use) { u.Revocations = known(opened(t, x, agent())) })
	}
}

// A denial at the right link does not hide that every signature was looked at.
func TestFirstOfSeveralForgeries(t *testing.T) {
	l := sign(t, steps())
	for i := range l {
		l[i] = bytes.Clone(l[i])
		l[i][len(l[i])-64] ^= 1
	}
	err := judge(l)
	wantDenial(t, err, ErrSignature, 0, RuleSignature)
	if !errors.Is(err, sig.ErrInvalid) {
		t.Errorf("the cause is lost: %v", err)
	}
}
