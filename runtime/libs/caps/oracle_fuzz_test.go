package caps

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// rarely is true once in n times: a chain has few faults, so that most of them are
// decided late.
func rarely(t *rapid.T, n int, what string) bool { return rapid.IntRange(1, n).Draw(t, what) == n }

func cast() []sig.Key { return []sig.Key{authority(), holder(), agent(), executor(), stranger()} }

// drawChainPower draws the scope of the next link: usually a narrowing.
func drawChainPower(t *rapid.T, kind uint8, before Power) Power {
	switch {
	case before == nil || rarely(t, 12, "unrelated"):
		return drawPower(t, kind)
	case rarely(t, 8, "wider"):
		if wider := widen(before); len(wider) > 0 {
			return rapid.SampledFrom(wider).Draw(t, "which")
		}
	case rarely(t, 30, "kind"):
		return drawPower(t, rapid.SampledFrom(Kinds()).Draw(t, "kind"))
	}
	return narrow(t, before)
}

// spoil sometimes puts a constraint into a call that means nothing or is odd.
func spoil(t *rapid.T, p Power) Power {
	x, ok := p.(*ToolCall)
	if !ok || !rarely(t, 12, "odd constraint") {
		return p
	}
	y := *x
	y.Constraints = maps.Clone(x.Constraints)
	if y.Constraints == nil {
		y.Constraints = map[string]string{}
	}
	y.Constraints[rapid.SampledFrom([]string{
		"ring_max", "ledger", "package", "module", "request_hash", "arg/x:le", "arg/y/0:in", "arg:eq", "arg/x:lt", "arg/~2:eq", "argx:eq", "other",
	}).Draw(t, "key")] = rapid.SampledFrom([]string{
		"0", "00", "256", "0300", "03FF01", "0600", "0701", "0700", "00", hashOf("a").Hex(), hashOf("a").String(), "",
	}).Draw(t, "value")
	return &y
}

// drawSteps draws a chain, its last power first drawn narrow, with a fault here and
// there.
func drawSteps(t *rapid.T, kind uint8) ([]*step, Power) {
	var list []*step
	var p Power
	n := rapid.IntRange(1, 4).Draw(t, "links")
	keys := cast()
	for i := range n {
		p = spoil(t, drawChainPower(t, kind, p))
		s := &step{by: keys[min(i, 2)], parent: i > 0 != rarely(t, 40, "parent"), cap: Capability{
			Subject: keys[min(i+1, 2)].Agent(), NotBefore: opens, ExpiresAt: closes, Scope: ScopeOf(p),
			Delegable: !rarely(t, 20, "not delegable"), RevocationRequired: rarely(t, 6, "revocation"),
		}}
		if i == n-1 {
			s.cap.Subject = executor().Agent()
		}
		if rarely(t, 25, "subject") {
			s.cap.Subject = rapid.SampledFrom(keys).Draw(t, "subject").Agent()
		}
		if rarely(t, 25, "issuer") {
			s.by = rapid.SampledFrom(keys).Draw(t, "issuer")
		}
		if rarely(t, 40, "forged") {
			s.by = imposter{stranger(), s.by.Agent()}
		}
		if rarely(t, 15, "window") {
			s.cap.NotBefore = noon + rapid.Int64Range(-2, 2).Draw(t, "from")
			s.cap.ExpiresAt = noon + rapid.Int64Range(-2, 2).Draw(t, "to")
		}
		list = append(list, s)
	}
	return list, p
}

// drawLists draws what is known of revocations.
func drawLists(t *rapid.T, ids []cid.Hash) []Revocations {
	var out []Revocations
	for range cast() {
		x := revocations(1)
		if rarely(t, 6, "revoke") {
			x = revocations(1, rapid.SampledFrom(ids).Draw(t, "revoked"))
		}
		if rarely(t, 6, "stale") {
			x.Issued, x.NextUpdate = noon-1+rapid.Int64Range(0, 2).Draw(t, "issued"), noon+3
		}
		if rarely(t, 6, "late") {
			x.Issued, x.NextUpdate = opens, noon+rapid.Int64Range(-1, 1).Draw(t, "next")
		}
		out = append(out, x)
	}
	return out
}

// drawRequest draws a concrete use that p, a scope, might cover.
func drawRequest(t *rapid.T, p Power) Request {
	n := drawCount(t, 9)
	switch x := p.(type) {
	case *BlobRead:
		return &ReadBlob{CID: x.CID, Start: valueOr(x.RangeStart, 0) + drawCount(t, 2), Len: rapid.SampledFrom([]*uint64{nil, &n, x.RangeLen, ptr(^uint64(0))}).Draw(t, "length")}
	case *BlobWrite:
		return &WriteBlob{Namespace: x.Namespace, Size: n, Media: rapid.SampledFrom(more(x.MediaAllow, "M")).Draw(t, "media")}
	case *BlobPin:
		return &PinBlob{CID: x.CID, TTLMicros: n}
	case *BlobDelete:
		return &DeleteBlob{CID: drawHash(t)}
	case *TrainRun:
		return &Train{Recipe: x.RecipeID, Tokens: n, GPUMillis: drawCount(t, 9)}
	case *EvalRun:
		return &Evaluate{Suite: x.SuiteID}
	case *DeployPromote:
		return &Promote{Ring: x.RingID, Policy: drawHash(t)}
	case *ComputeSpawn:
		return &Spawn{Pool: x.PoolID, Workers: uint32(drawCount(t, 3)), CPUMicros: drawCount(t, 3), IO: uint32(drawCount(t, 3))}
	case *CellRead:
		return &ReadCell{Cell: x.CellID, Key: append(x.KeyPrefix[:len(x.KeyPrefix):len(x.KeyPrefix)], drawText(t)...)}
	case *CellWrite:
		return &WriteCell{Cell: x.CellID, Types: drawList(t, more(x.EventTypeAllow, 2), 0)}
	case *NetConnect:
		return drawConnect(t, x)
	case *FsRead:
		return &ReadFile{Path: below(t, x.Path)}
	case *FsWrite:
		return &WriteFile{Path: below(t, x.Path), Written: n}
	case *Clock:
		return &ReadClock{}
	case *Random:
		return &ReadRandom{}
	case *SecretRead:
		return &ReadSecret{Name: x.Name + rapid.SampledFrom([]string{"", "x"}).Draw(t, "more")}
	case *PackageRun:
		return &RunPackage{Package: x.PackageID, Ring: uint8(drawCount(t, 2))}
	case *PackagePublish:
		return &PublishPackage{Name: x.NamePrefix + drawText(t)}
	}
	panic(fmt.Sprintf("no request for %T", p))
}

func drawConnect(t *rapid.T, x *NetConnect) *Connect {
	host := rapid.SampledFrom(append(hostWorld(), x.Hosts...)).Draw(t, "host")
	if host[0] == '*' && rapid.Bool().Draw(t, "fill in") {
		host = "x" + host[1:]
	}
	at := rapid.SampledFrom([]string{"1.1.1.1", "2606:4700::1111", "10.0.0.1", "::1", "127.0.0.1", "169.254.169.254", "64:ff9b::a00:1"}).Draw(t, "address")
	if _, ok := ParseAddr(host); ok && rapid.Bool().Draw(t, "literal") {
		at = host
	}
	to, _ := ParseAddr(at)
	port := rapid.SampledFrom(append(typeWorld(), x.Ports...)).Draw(t, "port")
	return &Connect{Host: host, Addr: to, Port: uint16(port), Method: rapid.SampledFrom(append([]string{"", "m"}, mediaWorld()...)).Draw(t, "method")}
}

// drawUse draws a use of a power at noon.
func drawUse(t *rapid.T, p Power) Use {
	u := Use{Subject: executor().Agent(), Now: noon, Authority: trusted}
	call, ok := p.(*ToolCall)
	if !ok {
		u.Request = drawRequest(t, p)
		return u
	}
	u.Call = &Call{
		Tool: call.ToolID, Package: drawHash(t), Module: drawHash(t), RequestHash: drawHash(t), Ledger: drawHash(t), Ring: uint8(drawCount(t, 3)),
		Payload: value(pairs{"x", drawOperand(t, OpEq), "y", list{drawOperand(t, OpEq)}}),
	}
	if rarely(t, 20, "no ledger") {
		u.Call.Ledger = cid.Hash{}
	}
	if rarely(t, 20, "tool") {
		u.Call.Tool = drawHash(t)
	}
	u.Kind, u.Scope = KindToolCall, (&ToolCall{ToolID: u.Call.Tool, MaxCalls: 1}).AppendCAN(nil)
	return u
}

// agrees draws a chain and a use and compares the two verifiers.
func agrees(t *rapid.T) {
	steps, leaf := drawSteps(t, rapid.SampledFrom(Kinds()).Draw(t, "kind"))
	links := sign(t, steps)
	if at := rapid.IntRange(0, len(links)-1).Draw(t, "damaged"); rarely(t, 30, "damage") {
		links[at] = bytes.Clone(links[at])
		links[at][len(links[at])-1-rapid.IntRange(0, 63).Draw(t, "byte")] ^= 1
	}
	proof := EncodeProof(links)
	c, err := DecodeProof(proof)
	if err != nil {
		t.Fatalf("a drawn chain does not decode: %v", err)
	}
	u := drawUse(t, leaf)
	var lists []*RevocationList
	for i, x := range drawLists(t, c.CapIDs()) {
		if !rarely(t, 4, "unknown") {
			lists = append(lists, opened(t, x, cast()[i]))
		}
	}
	u.Revocations = known(lists...)
	var got verdict
	if _, err := c.Check(u); err != nil {
		d := err.(*Denial)
		got = verdict{d.Code, d.Link}
	}
	if want := oracle(proof, u); got != want {
		t.Fatalf("caps says %+v, the oracle %+v\nuse %+v %+v", got, want, u.Request, u.Call)
	}
}

func TestOracleAgrees(t *testing.T) { rapid.Check(t, agrees) }

func FuzzOracle(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agrees)) }

// The chains that are drawn reach every code that a chain can be refused with.
func TestOracleReachesEveryCode(t *testing.T) {
	seen := map[fault.Code]int{}
	chain := rapid.Custom(func(rt *rapid.T) fault.Code {
		steps, leaf := drawSteps(rt, rapid.SampledFrom(Kinds()).Draw(rt, "kind"))
		c := proofOf(t, steps)
		u := drawUse(rt, leaf)
		var lists []*RevocationList
		for i, x := range drawLists(rt, c.CapIDs()) {
			if !rarely(rt, 4, "unknown") {
				lists = append(lists, opened(t, x, cast()[i]))
			}
		}
		u.Revocations = known(lists...)
		_, err := c.Check(u)
		return fault.CodeOf(err)
	})
	for seed := range 1500 {
		seen[chain.Example(seed)]++
	}
	for _, code := range []fault.Code{
		"", ErrSignature, ErrBroken, ErrUntrusted, ErrDelegable, ErrSubject, ErrWindow, ErrNotYetValid, ErrExpired, ErrScope, ErrConstraint, ErrRevocation, ErrRevoked,
	} {
		if seen[code] == 0 {
			t.Errorf("no drawn chain ends in %q: %v", code, seen)
		}
	}
}

// What a chain allows, each of its links alone allows: no link gives what one
// above it denies.
func TestNoLinkAddsPower(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom(Kinds()).Draw(rt, "kind")
		var powers []Power
		var p Power
		for range rapid.IntRange(2, 4).Draw(rt, "links") {
			p = drawChainPower(rt, kind, p)
			powers = append(powers, p)
		}
		u := drawUse(rt, p)
		if _, err := chainOf(t, powers).Check(u); err != nil {
			return
		}
		for i, p := range powers {
			if _, err := one(t, ScopeOf(p)).Check(u); err != nil {
				rt.Fatalf("%+v is allowed what link %d alone denies: %v", powers, i, err)
			}
		}
	})
}
