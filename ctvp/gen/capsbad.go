package main

import (
	"bytes"
	"fmt"
	"slices"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// principals are chains of which a link was issued, or is used, by the wrong one.
func (g *capsGen) principals() {
	g.spec = "RFC-MYTHOS-0008 §3"
	bad := func(what, doc, code string, change func(s []*capStep)) { g.attack(what, doc, g.edited(change), code) }
	bad("issuer-not-subject", "the leaf is issued by a stranger", "cap_chain_broken", func(s []*capStep) { s[2].by = g.stranger })
	bad("issuer-not-subject", "the leaf is issued by the root's issuer, two links up", "cap_chain_broken", func(s []*capStep) { s[2].by = g.authority })
	bad("issuer-not-subject", "the leaf is issued by its own subject", "cap_chain_broken", func(s []*capStep) { s[2].by = g.executor })
	bad("subject-swapped", "the second link's subject is a stranger", "cap_chain_broken", func(s []*capStep) { s[1].cap.Subject = g.stranger.Agent() })
	bad("subject-swapped", "the leaf's subject is the delegate", "cap_subject", func(s []*capStep) { s[2].cap.Subject = g.delegate.Agent() })
	bad("subject-swapped", "the leaf's subject has another scheme", "cap_subject", func(s []*capStep) { s[2].cap.Subject.Scheme = 2 })
	bad("untrusted", "the root is issued by a stranger", "cap_issuer_untrusted", func(s []*capStep) { s[0].by = g.stranger })
	bad("untrusted", "the whole chain is the holder's own", "cap_issuer_untrusted", func(s []*capStep) { s[0].by, s[0].cap.Subject = g.holder, g.holder.Agent() })
	bad("not-delegable", "the root may not be passed on by its subject", "cap_not_delegable", func(s []*capStep) { s[0].cap.Delegable = false })
	bad("not-delegable", "the second link may not be passed on by its subject", "cap_not_delegable", func(s []*capStep) { s[1].cap.Delegable = false })
	bad("not-delegable", "the issuer narrows a link and makes it delegable", "cap_not_delegable", func(s []*capStep) {
		s[0].cap.Delegable, s[1].by = false, g.authority
	})
	bad("parent", "the root names a parent", "cap_chain_broken", func(s []*capStep) { s[0].cap.AttenuationParent = new(cid.Hash) })
	bad("parent", "the second link names no parent", "cap_chain_broken", func(s []*capStep) { s[1].parent = false })
	bad("parent", "the leaf names the root as its parent", "cap_chain_broken", func(s []*capStep) {
		root, _ := cid.Without(g.sealed(s[:1])[0], 1, 10)
		s[2].parent, s[2].cap.AttenuationParent = false, &root
	})
	good := g.sealed(g.steps())
	order := func(what, doc, code string, at ...int) {
		var links [][]byte
		for _, i := range at {
			links = append(links, good[i])
		}
		g.attack(what, doc, links, code)
	}
	order("links-order", "the second link stands twice", "cap_chain_broken", 0, 1, 1, 2)
	order("links-order", "the first two links repeat", "cap_chain_broken", 0, 1, 0, 1, 2)
	order("links-order", "leaf first", "cap_chain_broken", 2, 1, 0)
	order("links-order", "the second link is left out", "cap_chain_broken", 0, 2)
	order("links-order", "the root is left out", "cap_chain_broken", 1, 2)
	order("links-cut", "the leaf is left out: the delegate's power", "cap_subject", 0, 1)
	order("links-cut", "the root alone: the holder's power", "cap_subject", 0)
	i := g.use(good...)
	i["trust"] = []any{}
	g.invalid("untrusted", "caps.check", "nobody is trusted", i, "cap_issuer_untrusted", "attack")
	i = g.use(good...)
	i["subject"] = capAgent(g.stranger)
	g.invalid("replayed", "caps.check", "the chain is used at another executor", i, "cap_subject", "attack")
}

// windows are chains outside their time.
func (g *capsGen) windows() {
	g.spec = "RFC-MYTHOS-0008 §3"
	bad := func(doc, code string, change func(s []*capStep)) {
		g.attack("window", doc, g.edited(change), code)
	}
	bad("the second link outlives its parent by a microsecond", "cap_window", func(s []*capStep) { s[1].cap.ExpiresAt = capCloses + 1 })
	bad("the second link begins a microsecond before its parent", "cap_window", func(s []*capStep) { s[1].cap.NotBefore = capOpens - 1 })
	bad("the leaf outlives everything", "cap_window", func(s []*capStep) { s[2].cap.ExpiresAt = 1<<63 - 1 })
	bad("the root's window is empty", "cap_window", func(s []*capStep) { s[0].cap.ExpiresAt = capOpens })
	bad("the root's window ends before it begins", "cap_window", func(s []*capStep) { s[0].cap.NotBefore, s[0].cap.ExpiresAt = capCloses, capOpens })
	bad("the leaf's window is over, its parents' are not", "cap_expired", func(s []*capStep) { s[2].cap.ExpiresAt = capNoon })
	bad("the leaf's window has not begun, its parents' have", "cap_not_yet_valid", func(s []*capStep) { s[2].cap.NotBefore = capNoon + 1 })
	good := g.sealed(g.steps())
	for _, c := range []struct {
		doc  string
		now  int64
		code string
	}{
		{"a microsecond before not_before", capOpens - 1, "cap_not_yet_valid"},
		{"at not_before", capOpens, ""},
		{"a microsecond before expires_at", capCloses - 1, ""},
		{"at expires_at", capCloses, "cap_expired"},
		{"at the first moment of all", -1 << 63, "cap_not_yet_valid"},
		{"at the last moment of all", 1<<63 - 1, "cap_expired"},
	} {
		i := g.use(good...)
		i["now"] = fmt.Sprint(c.now)
		if c.code == "" {
			g.valid("clock", "caps.check", c.doc, i, capGranted(good, 1, 10, 8, 3), "edge-of-time")
		} else {
			g.invalid("clock-outside", "caps.check", c.doc, i, c.code, "edge-of-time")
		}
	}
}

// widened are children that take more than their parent has.
func (g *capsGen) widened() {
	g.spec = "RFC-MYTHOS-0008 §5"
	scoped := func(what, doc string, i int, p caps.Power, code string) {
		g.attack(what, doc, g.edited(func(s []*capStep) { s[i].cap.Scope = caps.ScopeOf(p) }), code)
	}
	echo := h("echo")
	scoped("widened", "the second link allows a call more", 1, &caps.ToolCall{ToolID: echo, MaxCalls: 11, Constraints: capLimits("ring_max", "1")}, "cap_scope")
	scoped("widened", "the second link drops a constraint", 1, &caps.ToolCall{ToolID: echo, MaxCalls: 8}, "cap_constraint")
	scoped("widened", "the second link loosens a constraint", 1, &caps.ToolCall{ToolID: echo, MaxCalls: 8, Constraints: capLimits("ring_max", "2")}, "cap_constraint")
	scoped("widened", "the leaf is for another tool", 2, &caps.ToolCall{ToolID: h("rm"), MaxCalls: 3, Constraints: capLimits("ring_max", "0", "arg/amount:le", capAtMost300)}, "cap_scope")
	scoped("widened", "the leaf is of another kind", 2, &caps.Clock{}, "cap_scope")
	scoped("widened", "the leaf loosens what its parent added", 2, &caps.ToolCall{ToolID: echo, MaxCalls: 3, Constraints: capLimits("ring_max", "0", "arg/amount:le", "03f503")}, "cap_constraint")
	scoped("vocabulary-unknown", "the root has a constraint that no version knows", 0, &caps.ToolCall{ToolID: echo, MaxCalls: 10, Constraints: capLimits("ring_max", "1", "region", "eu")}, "cap_constraint")
	scoped("vocabulary-unknown", "the leaf has an operator that no version knows", 2, &caps.ToolCall{ToolID: echo, MaxCalls: 3, Constraints: capLimits("ring_max", "0", "arg/amount:le", capAtMost300, "arg/amount:lt", "0303")}, "cap_constraint")
	kind := func(doc, code string, s caps.Scope) {
		g.attack("kind-unknown", doc, g.edited(func(l []*capStep) { l[0].cap.Scope = s }), code)
	}
	for _, k := range []uint8{0, 12, 31, 40, 255} {
		kind(fmt.Sprintf("the root is of kind %d", k), "cap_kind_unknown", caps.Scope{Kind: k, Payload: x("0800")})
	}
	kind("the root's scope has a field that no version knows", "can_unknown_field", caps.Scope{Kind: caps.KindClock, Payload: x("08 01 03 01 02")})
}

// bounds are proofs that are too long, too deep, or no proofs.
func (g *capsGen) bounds() {
	g.spec = "RFC-MYTHOS-0008 §2"
	good := g.sealed(g.steps())
	raw := func(what, doc string, proof []byte, code string) {
		i := g.use()
		i["proof"] = proof
		g.invalid(what, "caps.check", doc, i, code, "attack")
	}
	raw("length", "no link", x("07 00"), "cap_chain_too_long")
	raw("length", "nine links", caps.EncodeProof([][]byte{good[0], good[1], good[2], good[2], good[2], good[2], good[2], good[2], good[2]}), "cap_chain_too_long")
	raw("length", "16,385 bytes", join(x("07 01 05 fc 7f"), make([]byte, 16380)), "cap_chain_too_long")
	raw("length", "a LIST that claims 2^40 links", x("07 80 80 80 80 80 20"), "can_bounds")
	raw("form", "one capability for a LIST", good[0], "can_type")
	raw("form", "nothing", nil, "can_truncated")
	raw("form", "a byte behind the LIST", join(caps.EncodeProof(good), x("00")), "can_trailing")
	raw("form", "capabilities as MAPs, not as BYTES", join(x("07 01"), good[0]), "can_type")
	raw("form", "the last byte is missing", caps.EncodeProof(good)[:len(caps.EncodeProof(good))-1], "can_bounds")
	raw("form", "a link with a byte behind it", caps.EncodeProof([][]byte{join(good[0], x("00"))}), "can_trailing")
	raw("form", "an empty link", caps.EncodeProof([][]byte{{}}), "can_truncated")
	most := capLimits()
	for i := range 64 {
		most["arg/"+string(bytes.Repeat([]byte("0"), i+1))+":eq"] = "00"
	}
	more := capLimits("ring_max", "1")
	for k, v := range most {
		more[k] = v
	}
	raw("constraints-many", "65 constraints", g.root(&caps.ToolCall{ToolID: h("echo"), MaxCalls: 1, Constraints: more}), "cap_constraint")
	deep := g.use(good...)
	deep["call"].(in)["payload"] = lists(33, x("00"))
	g.invalid("payload-deep", "caps.check", "the call's payload nests 33 containers, and a constraint looks into it", deep, "cap_constraint", "attack")
	g.integers()
}

// root is a proof of one link with a scope, for the executor.
func (g *capsGen) root(p caps.Power) []byte { return g.rootOf(caps.ScopeOf(p)) }

func (g *capsGen) rootOf(s caps.Scope) []byte {
	step := g.link(g.authority, g.executor, 0, false, nil)
	step.parent, step.cap.Scope = false, s
	return caps.EncodeProof(g.sealed([]*capStep{step}))
}

// integers are scopes and links whose numbers, or absences, are not of their form.
func (g *capsGen) integers() {
	g.spec = "RFC-MYTHOS-0001 §2.3"
	aHash := fmt.Sprintf("%x", hashOf(digest("caps integers")))
	for _, c := range []struct {
		what, doc string
		kind      uint8
		payload   string
		code      string
	}{
		{"integer", "2^32 calls", caps.KindToolCall, "0802 0301 " + aHash + " 0302 038080808010", "can_range"},
		{"integer", "a negative number of calls", caps.KindToolCall, "0802 0301 " + aHash + " 0302 0401", "can_type"},
		{"integer", "a number of calls that is not minimal", caps.KindToolCall, "0802 0301 " + aHash + " 0302 038100", "can_varint"},
		{"integer", "a time beyond 64 bits", caps.KindBlobPin, "0802 0301 " + aHash + " 0302 0380808080808080808002", "can_overflow"},
		{"integer", "ring 256", caps.KindPackageRun, "0802 0301 " + aHash + " 0302 038002", "can_range"},
		{"empty-for-absent", "an empty MAP of constraints", caps.KindToolCall, "0803 0301 " + aHash + " 0302 0301 0303 0800", "can_empty"},
		{"empty-for-absent", "an empty LIST of event types", caps.KindCellWrite, "0803 0301 " + aHash + " 0302 0301 0303 0700", "can_empty"},
		{"empty-for-absent", "an empty key prefix", caps.KindCellRead, "0802 0301 " + aHash + " 0302 0500", "can_empty"},
		{"empty-for-absent", "an empty LIST of methods", caps.KindNetConnect, "0803 0301 0700 0302 0700 0303 0700", "can_empty"},
	} {
		i := g.use()
		i["proof"] = g.rootOf(caps.Scope{Kind: c.kind, Payload: x(c.payload)})
		g.invalid(c.what, "caps.check", c.doc, i, c.code, "attack")
	}
	link := g.sealed(g.steps())[0]
	at := bytes.LastIndex(link, []byte{3, 10, canon.Map})
	explicit := slices.Concat(link[:at], []byte{3, 9, canon.False}, link[at:])
	explicit[1]++
	i := g.use(explicit)
	g.invalid("empty-for-absent", "caps.check", "revocation_required is false, where absence says so", i, "can_default", "attack")
}
