package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// mutantCases adds, to suites that are there, the vectors that internal/mutants
// has found missing: what catches a wrong operator, constant or return of the
// verifying code that every other vector lets pass. Most stand exactly at a bound,
// or one beyond it.
func mutantCases(p *pack) {
	g := &irGen{suite: p.again("ir"), seen: map[string]bool{}}
	g.operandCounts()
	g.irBounds()
	g.comparisons()
	g.arithmetic()
	g.requestBytes()
	packages := &pkgGen{suite: p.again("package")}
	for name, to := range map[string]*keys.Key{"publisher": &packages.publisher, "publisher-2": &packages.second, "stranger": &packages.stranger} {
		*to = keys.NewKey([32]byte(newSigner(name).seed), "")
	}
	packages.atBounds()
	packages.precedence()
	packages.letters()
	c := &capsGen{suite: p.again("caps")}
	for name, to := range map[string]*keys.Key{"authority": &c.authority, "holder": &c.holder, "delegate": &c.delegate, "executor": &c.executor, "stranger": &c.stranger} {
		*to = keys.NewKey([32]byte(newSigner(name).seed), "")
	}
	c.ranges()
	c.longest()
	c.otherKinds()
	sealCodes(p.again("sig"))
	d := p.dsWorld()
	d.literalForms()
	d.dsBounds()
	d.unsigned()
}

// again returns a suite that was begun before.
func (p *pack) again(name string) *suite {
	i := slices.IndexFunc(p.suites, func(s *suite) bool { return s.Name == name })
	if i < 0 {
		p.fail("there is no suite %s", name)
		return p.suite(name, "", "")
	}
	return p.suites[i]
}

// ranges are the first and the last address of each special range, and their
// neighbours that are not special.
func (g *capsGen) ranges() {
	g.spec, g.level = "RFC-MYTHOS-0008 §5.2", 2
	power := &caps.NetConnect{Hosts: []string{"a.org"}, Ports: []uint32{443}}
	for _, r := range []struct{ name, first, last string }{
		{"unspecified", "0.0.0.0", "0.255.255.255"},
		{"private", "192.168.0.0", "192.168.255.255"},
		{"link-local", "169.254.0.0", "169.254.255.255"},
		{"reserved", "192.0.0.0", "192.0.0.255"},
		{"documentation", "192.0.2.0", "192.0.2.255"},
		{"reserved", "192.88.99.0", "192.88.99.255"},
		{"documentation", "198.51.100.0", "198.51.100.255"},
		{"documentation", "203.0.113.0", "203.0.113.255"},
		{"multicast", "224.0.0.0", "239.255.255.255"},
		{"reserved", "240.0.0.0", "255.255.255.254"},
		{"reserved", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"documentation", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"transition", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"documentation", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"outside", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::1"},
	} {
		g.invalid("range-first-"+r.name, "caps.check", "a.org leads to "+r.first, g.to("a.org", r.first, "", 443, power), "cap_scope", "network")
		g.invalid("range-last-"+r.name, "caps.check", "a.org leads to "+r.last, g.to("a.org", r.last, "", 443, power), "cap_scope", "network")
	}
	for _, address := range []string{
		"1.0.0.0", "100.63.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255",
		"191.255.255.255", "192.0.1.255", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
		"198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
		"2000::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::", "3fff:1000::",
		"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		g.valid("range-beside", "caps.check", "a.org leads to "+address+", which is just outside a special range", g.to("a.org", address, "", 443, power), out{"spend": []any{}}, "network")
	}
	g.literals()
}

// literals are IPv6 addresses as hosts, in the one text that each has.
func (g *capsGen) literals() {
	for _, text := range []string{
		"2606:4700::1111", "2606:4700:0:1::1111", "2606:0:0:1::1", "2606::1:0:0:1", "2606:4700:1:2:3:4:5:6", "2606:4700:1:2:3:4:5:0",
		"2606:4700:1:2:3:4::", "2606:4700::1:0:0:1:2", "2606::", "2606:1:0:1:0:1:0:1",
	} {
		address := netip.MustParseAddr(text)
		power := &caps.NetConnect{Hosts: []string{address.String()}, Ports: []uint32{443}}
		g.valid("literal", "caps.check", fmt.Sprintf("the host %s", address), g.to(address.String(), text, "", 443, power), out{"spend": []any{}}, "network")
	}
}

// longest is a chain of eight links, which go to and fro between two keys.
func (g *capsGen) longest() {
	g.spec, g.level = "RFC-MYTHOS-0008 §2", 2
	var list []*capStep
	by := []keys.Key{g.authority, g.holder, g.delegate, g.holder, g.delegate, g.holder, g.delegate, g.holder, g.executor}
	var maxima []uint32
	for n := range 8 {
		list = append(list, g.link(by[n], by[n+1], 9, n < 7, nil))
		maxima = append(maxima, 9)
	}
	list[0].parent = false
	links := g.sealed(list)
	g.valid("links-8", "caps.check", "eight links", g.use(links...), capGranted(links, 1, maxima...))
}

// otherKinds are calls of a tool under capabilities that are none for tools.
func (g *capsGen) otherKinds() {
	g.spec, g.level = "RFC-MYTHOS-0008 §3", 2
	for _, p := range []caps.Power{&caps.Random{}, &caps.BlobRead{CID: h("echo")}, &caps.PackageRun{PackageID: h("echo")}} {
		s := g.link(g.authority, g.executor, 0, false, nil)
		s.parent, s.cap.Scope = false, caps.ScopeOf(p)
		g.invalid("call-other-kind", "caps.check", "a call under a capability of kind "+caps.KindName(p.Kind()), g.use(g.sealed([]*capStep{s})...), "cap_scope", "attack")
	}
}

// sealCodes are RunSeals that end with an error code, of a code's form or not.
func sealCodes(s *suite) {
	s.spec, s.level = "RFC-MYTHOS-0002 §2", 0
	a := newSigner("alice")
	g := &objectGen{s, newSampler(), a, newSigner("bob")}
	t := g.samples.structs["RunSeal"]
	with128 := strings.Repeat("a", 128)
	seal := func(code string) []field {
		return seal(t, with(without(g.base(t), 6), 7, rawT(code)), a)
	}
	for _, code := range []string{"cap_missing", "a", "0_9z", with128} {
		fields := seal(code)
		g.valid("seal-code", "object.open", fmt.Sprintf("RunSeal with error code %.20q of %d bytes", code, len(code)), g.input(t, fields, a),
			out{"id": cid.Hash(objectID(t, fields)).String(), "signer": cid.Hash(a.keyID()).String()})
	}
	for _, code := range []string{with128 + "a", "Cap", "a b", "a-b", "a\x00", "\u00e9", "a/b", "a:", "`", "{"} {
		g.invalid("seal-code-form", "object.open", fmt.Sprintf("RunSeal with error code %.20q of %d bytes", code, len(code)), g.input(t, seal(code), a), "run_seal")
	}
}
