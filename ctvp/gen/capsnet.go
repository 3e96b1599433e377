package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// to is a connection to a host that resolves to an address ("": not yet).
func (g *capsGen) to(host, address, method string, port uint16, powers ...caps.Power) in {
	members := in{"host": host, "address": []byte{}, "port": port}
	if address != "" {
		members["address"] = netip.MustParseAddr(address).AsSlice()
	}
	if method != "" {
		members["method"] = method
	}
	i := g.asked(powers[0], caps.KindNetConnect, members)
	var list []*capStep
	for n, p := range powers {
		s := g.link(g.authority, g.executor, 0, false, nil)
		s.parent, s.cap.Scope = n > 0, caps.ScopeOf(p)
		list = append(list, s)
	}
	i["proof"] = caps.EncodeProof(g.sealed(list))
	return i
}

// network are connections: names, ports, methods and where a name leads.
func (g *capsGen) network() {
	g.spec = "RFC-MYTHOS-0008 §5.2"
	hosts := func(h ...string) caps.Power { return &caps.NetConnect{Hosts: h, Ports: []uint32{443}} }
	web := &caps.NetConnect{Hosts: []string{"a.org"}, Ports: []uint32{443}, Methods: []string{"GET"}}
	yes := func(doc string, i in) { g.valid("connect", "caps.check", doc, i, out{"spend": []any{}}, "network") }
	no := func(what, doc string, i in) { g.invalid(what, "caps.check", doc, i, "cap_scope", "network") }
	yes("a name", g.to("a.org", "1.1.1.1", "", 443, hosts("a.org")))
	yes("one label below a wildcard, at an IPv6 address", g.to("b.a.org", "2606:4700::1111", "", 443, hosts("*.a.org")))
	yes("an address", g.to("1.1.1.1", "1.1.1.1", "", 443, hosts("1.1.1.1")))
	yes("a private address that is listed", g.to("10.0.0.1", "10.0.0.1", "", 443, hosts("10.0.0.1")))
	yes("localhost, with its address listed", g.to("localhost", "127.0.0.1", "", 443, hosts("localhost", "127.0.0.1")))
	yes("a private address that both links list", g.to("db.a.org", "10.0.0.1", "", 443, hosts("*.a.org", "10.0.0.1"), hosts("db.a.org", "10.0.0.1")))
	yes("a method", g.to("a.org", "1.1.1.1", "GET", 443, web))
	yes("a method where all are allowed", g.to("a.org", "1.1.1.1", "PUT", 443, hosts("a.org")))
	no("connect-name", "two labels below a wildcard", g.to("c.b.a.org", "1.1.1.1", "", 443, hosts("*.a.org")))
	no("connect-name", "the wildcard's own name", g.to("a.org", "1.1.1.1", "", 443, hosts("*.a.org")))
	no("connect-name", "a wildcard is no host", g.to("*.a.org", "1.1.1.1", "", 443, hosts("*.a.org")))
	no("connect-name", "upper case", g.to("A.org", "1.1.1.1", "", 443, hosts("a.org")))
	no("connect-name", "a dot behind", g.to("a.org.", "1.1.1.1", "", 443, hosts("a.org")))
	no("connect-address", "an address that no name allows", g.to("1.1.1.1", "1.1.1.1", "", 443, hosts("a.org")))
	no("connect-address", "an address that goes to another", g.to("1.1.1.1", "1.0.0.1", "", 443, hosts("1.1.1.1")))
	no("connect-address", "a short address", g.to("127.1", "127.0.0.1", "", 443, hosts("127.0.0.1")))
	no("connect-address", "no address yet", g.to("a.org", "", "", 443, hosts("a.org")))
	no("connect-address", "another loopback address is listed", g.to("localhost", "127.0.0.1", "", 443, hosts("localhost", "127.0.0.2")))
	no("connect-address", "the root lists the private address, the leaf does not", g.to("db.a.org", "10.0.0.1", "", 443, hosts("db.a.org", "10.0.0.1"), hosts("db.a.org")))
	no("connect-port", "another port", g.to("a.org", "1.1.1.1", "", 80, hosts("a.org")))
	no("connect-port", "port 0", g.to("a.org", "1.1.1.1", "", 0, hosts("a.org")))
	no("connect-method", "another method", g.to("a.org", "1.1.1.1", "PUT", 443, web))
	no("connect-method", "a bare connection where methods are listed", g.to("a.org", "1.1.1.1", "", 443, web))
	no("connect-method", "a method in lower case", g.to("a.org", "1.1.1.1", "get", 443, hosts("a.org")))
	for _, c := range []struct{ name, address string }{
		{"unspecified", "0.0.0.0"},
		{"private", "10.0.0.0"},
		{"private", "10.255.255.255"},
		{"private", "172.16.0.0"},
		{"private", "172.31.255.255"},
		{"private", "192.168.0.1"},
		{"private", "fd00:ec2::254"},
		{"private", "fec0::1"},
		{"shared", "100.64.0.0"},
		{"shared", "100.127.255.255"},
		{"loopback", "127.0.0.1"},
		{"loopback", "127.255.255.255"},
		{"loopback", "::1"},
		{"loopback", "::ffff:127.0.0.1"},
		{"metadata", "168.63.129.16"},
		{"metadata", "169.254.169.254"},
		{"link-local", "fe80::1"},
		{"link-local", "febf::1"},
		{"reserved", "192.0.0.192"},
		{"reserved", "192.88.99.1"},
		{"reserved", "240.0.0.1"},
		{"reserved", "255.255.255.255"},
		{"reserved", "64:ff9b::7f00:1"},
		{"reserved", "2001::1"},
		{"reserved", "4000::"},
		{"documentation", "192.0.2.1"},
		{"documentation", "198.51.100.1"},
		{"documentation", "203.0.113.255"},
		{"documentation", "2001:db8::1"},
		{"documentation", "3fff::1"},
		{"benchmarking", "198.18.0.0"},
		{"benchmarking", "198.19.255.255"},
		{"multicast", "224.0.0.1"},
		{"multicast", "239.255.255.255"},
		{"multicast", "ff02::1"},
		{"transition", "2002:7f00:1::"},
	} {
		no("rebound-"+c.name, "a.org leads to "+c.address, g.to("a.org", c.address, "", 443, hosts("a.org")))
	}
	for _, address := range []string{"9.255.255.255", "11.0.0.0", "100.128.0.0", "126.255.255.255", "172.32.0.0", "192.0.1.0", "198.20.0.0", "223.255.255.255", "2001:200::", "3ffe:ffff::"} {
		yes("a.org leads to "+address+", which is just outside a special range", g.to("a.org", address, "", 443, hosts("a.org")))
	}
}

// list is a signed revocation list.
func (g *capsGen) list(by keys.Key, seq uint64, issued, next int64, revoked ...cid.Hash) []byte {
	revoked = slices.SortedFunc(slices.Values(revoked), cid.Hash.Compare)
	raw, _, err := caps.SignRevocations(caps.Revocations{Seq: seq, Issued: issued, NextUpdate: next, Revoked: revoked}, by)
	if err != nil {
		g.p.fail("signing a revocation list: %w", err)
	}
	return raw
}

// revocations are chains, and the lists that a node has got.
func (g *capsGen) revocations() {
	g.spec = "RFC-MYTHOS-0008 §7"
	good := g.sealed(g.steps())
	var ids []cid.Hash
	for _, l := range good {
		id, _ := cid.Without(l, 1, 10)
		ids = append(ids, id)
	}
	wary := g.edited(func(s []*capStep) { s[2].cap.RevocationRequired = true })
	under := func(links [][]byte, lists ...[]byte) in {
		i := g.use(links...)
		all := []any{}
		for _, l := range lists {
			all = append(all, l)
		}
		i["revocations"] = all
		return i
	}
	yes := func(doc string, i in) {
		g.valid("revocation", "caps.check", doc, i, capGranted(capLinks(i), 1, 10, 8, 3))
	}
	no := func(what, doc, code string, i in) { g.invalid(what, "caps.check", doc, i, code, "attack") }
	fresh := func(by keys.Key, revoked ...cid.Hash) []byte {
		return g.list(by, 1, capOpens, capCloses, revoked...)
	}
	yes("a list that names nobody", under(good, fresh(g.authority)))
	yes("a fresh list for a leaf that demands one", under(wary, fresh(g.delegate)))
	yes("at the moment when the list was issued", under(wary, g.list(g.delegate, 1, capNoon, capCloses)))
	yes("a microsecond before the list's next update", under(wary, g.list(g.delegate, 1, capOpens, capNoon+1)))
	yes("the delegate has no say about links above", under(good, fresh(g.delegate, ids[0], ids[1])))
	yes("a stranger has no say", under(good, fresh(g.stranger, ids...)))
	yes("a subject has no say about its own capability", under(good, fresh(g.executor, ids...)))
	yes("a later list without the revocation", under(good, fresh(g.authority, ids[0]), g.list(g.authority, 2, capOpens, capCloses)))
	yes("the same list twice", under(good, fresh(g.authority), fresh(g.authority)))
	yes("a list that is not fresh, where none is demanded", under(good, g.list(g.authority, 1, capOpens-2, capOpens-1)))
	no("revoked", "the root, by its issuer", "cap_revoked", under(good, fresh(g.authority, ids[0])))
	no("revoked", "the second link, by its issuer", "cap_revoked", under(good, fresh(g.holder, ids[1])))
	no("revoked", "the second link, by the root's issuer", "cap_revoked", under(good, fresh(g.authority, ids[1])))
	no("revoked", "the leaf, by its issuer", "cap_revoked", under(good, fresh(g.delegate, ids[2])))
	no("revoked", "the leaf, by the root's issuer", "cap_revoked", under(good, fresh(g.authority, ids[2])))
	no("revoked", "by a list that is not fresh: waiting takes nothing back", "cap_revoked", under(good, g.list(g.authority, 1, capOpens-2, capOpens-1, ids[0])))
	no("revoked", "one of a thousand", "cap_revoked", under(good, fresh(g.authority, append(listValues(999, "revoked"), ids[1])...)))
	no("revocation-required", "no list is known", "cap_revocation_required", under(wary))
	no("revocation-required", "the list is another issuer's", "cap_revocation_required", under(wary, fresh(g.authority), fresh(g.executor)))
	no("revocation-required", "at the list's next update", "cap_revocation_required", under(wary, g.list(g.delegate, 1, capOpens, capNoon)))
	no("revocation-required", "a microsecond before the list was issued", "cap_revocation_required", under(wary, g.list(g.delegate, 1, capNoon+1, capCloses)))
	no("list-seq", "an older list after a newer one", "cap_revocation_seq", under(good, g.list(g.authority, 7, capOpens, capCloses), g.list(g.authority, 6, capOpens, capCloses)))
	no("list-seq", "two lists of one seq", "cap_revocation_seq", under(good, fresh(g.authority, ids[2]), fresh(g.authority)))
	g.lists(good, under, no)
}

// lists are revocation lists that do not open.
func (g *capsGen) lists(good [][]byte, under func([][]byte, ...[]byte) in, no func(what, doc, code string, i in)) {
	forged := func(doc, code string, x caps.Revocations, change func(*caps.Revocations)) {
		if _, _, err := keys.Sign(&x, g.authority); err != nil {
			g.p.fail("signing a revocation list: %w", err)
		}
		if change != nil {
			change(&x)
		}
		no("list", doc, code, under(good, x.AppendCAN(nil)))
	}
	base := caps.Revocations{Seq: 1, Issued: capOpens, NextUpdate: capCloses}
	twice := base
	twice.Revoked = []cid.Hash{h("a"), h("a")}
	forged("an id twice", "cap_revocation_list", twice, nil)
	down := listValues(2, "down")
	slices.SortFunc(down, func(a, b cid.Hash) int { return b.Compare(a) })
	falling := base
	falling.Revoked = down
	forged("ids that fall", "cap_revocation_list", falling, nil)
	over := base
	over.NextUpdate = capOpens
	forged("it ends when it begins", "cap_revocation_list", over, nil)
	forged("a bit of its signature", "signature_invalid", base, func(x *caps.Revocations) { x.Signature.SigBytes[9] ^= 1 })
	forged("its seq was raised", "id_mismatch", base, func(x *caps.Revocations) { x.Seq = 2 })
	no("list", "it is cut", "can_bounds", under(good, fmtCut(base, g.authority)))
	no("list", "a capability for a list", "can_type", under(good, good[0]))
}

// fmtCut is a signed list without its last byte.
func fmtCut(x caps.Revocations, by keys.Key) []byte {
	raw, _, err := keys.Sign(&x, by)
	if err != nil {
		panic(fmt.Sprintf("signing a revocation list: %v", err)) // a mistake in this program
	}
	return raw[:len(raw)-1]
}
