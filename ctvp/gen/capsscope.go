package main

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/receipt"

	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// confused are chains of something else, and other signed objects as chains.
func (g *capsGen) confused() {
	g.spec = "RFC-MYTHOS-0008 §4"
	bound := func(what, doc, key, text string) {
		g.attack(what, doc, g.edited(func(s []*capStep) {
			s[2].cap.Scope = caps.ScopeOf(&caps.ToolCall{ToolID: h("echo"), MaxCalls: 3, Constraints: capLimits("ring_max", "0", "arg/amount:le", capAtMost300, key, text)})
		}), "cap_constraint")
	}
	bound("confused-deputy", "the chain is bound to another package", "package", h("other").String())
	bound("confused-deputy", "the chain is bound to another module", "module", h("other").String())
	bound("confused-deputy", "the chain approves another request", "request_hash", h("other").String())
	bound("replayed", "the chain is bound to another ledger", "ledger", h("other").Hex())
	good := g.sealed(g.steps())
	tool := g.use(good...)
	tool["call"].(in)["tool"] = h("rm")
	g.invalid("confused-deputy", "caps.check", "the chain is used for another tool", tool, "cap_scope", "attack")
	ring := g.use(good...)
	ring["call"].(in)["ring"] = 1
	g.invalid("confused-deputy", "caps.check", "the chain is used in a higher ring than the leaf admits", ring, "cap_constraint", "attack")

	g.spec = "RFC-MYTHOS-0001 §3.3"
	x := receipt.Receipt{Status: 200}
	raw, _, err := keys.Sign(&x, g.authority)
	if err != nil {
		g.p.fail("signing a receipt: %w", err)
	}
	g.attack("type-confusion", "a receipt for a link", [][]byte{raw}, "can_type")
	g.attack("type-confusion", "the authority's signature of a receipt in the root", capResigned(good, 0, func([]byte) []byte { return x.Signature.SigBytes[:] }), "cap_signature")
	list := caps.Revocations{Seq: 1, Issued: capOpens, NextUpdate: capCloses}
	if raw, _, err = caps.SignRevocations(list, g.authority); err != nil {
		g.p.fail("signing a revocation list: %w", err)
	}
	g.attack("type-confusion", "a revocation list for a link", [][]byte{raw}, "can_type")
	g.attack("type-confusion", "a proof for a link", [][]byte{caps.EncodeProof(good)}, "can_type")
}

// capRow is a row of the subset table: a parent, a child that the row accepts
// because it is narrower (or equal, where nothing narrower is), and one that only
// this row refuses.
type capRow struct {
	row                   string
	parent, accept, other caps.Power
}

// capRows are the rows of RFC-MYTHOS-0008 §5, in its order.
func capRows() []capRow {
	a, b, n := h("a"), h("b"), func(n uint64) *uint64 { return &n }
	read := &caps.BlobRead{CID: a, RangeStart: n(4), RangeLen: n(4)}
	write := func(ns string, size uint64, media ...string) caps.Power {
		return &caps.BlobWrite{Namespace: ns, MaxSize: size, MediaAllow: media}
	}
	train := &caps.TrainRun{RecipeID: a, MaxJobs: 5, MaxTokens: 50, MaxGPUMillis: n(4)}
	spawn := func(w uint32, cpu uint64, io uint32) caps.Power {
		return &caps.ComputeSpawn{PoolID: a, MaxWorkers: w, MaxCPUMicros: cpu, MaxIO: io}
	}
	cells := &caps.CellWrite{CellID: a, MaxEvents: 5, EventTypeAllow: []uint32{1, 2}}
	net := func(host string, port uint32, method string) caps.Power {
		return &caps.NetConnect{Hosts: []string{host}, Ports: []uint32{port}, Methods: []string{method}}
	}
	web := &caps.NetConnect{Hosts: []string{"*.a.org"}, Ports: []uint32{80, 443}, Methods: []string{"GET", "PUT"}}
	tool := func(calls uint32) caps.Power { return &caps.ToolCall{ToolID: a, MaxCalls: calls} }
	return []capRow{
		{"cid", read, read, &caps.BlobRead{CID: b, RangeStart: n(4), RangeLen: n(4)}},
		{"range", read, &caps.BlobRead{CID: a, RangeStart: n(5), RangeLen: n(3)}, &caps.BlobRead{CID: a, RangeStart: n(5), RangeLen: n(4)}},
		{"namespace", write("ns", 10, "x", "y"), write("ns", 10, "x", "y"), write("ns/x", 10, "x")},
		{"max_size", write("ns", 10, "x", "y"), write("ns", 9, "x", "y"), write("ns", 11, "x")},
		{"media_allow", write("ns", 10, "x", "y"), write("ns", 10, "y"), write("ns", 10, "x", "z")},
		{"cid", &caps.BlobPin{CID: a, TTLMicros: 10}, &caps.BlobPin{CID: a, TTLMicros: 10}, &caps.BlobPin{CID: b, TTLMicros: 10}},
		{"ttl_us", &caps.BlobPin{CID: a, TTLMicros: 10}, &caps.BlobPin{CID: a, TTLMicros: 9}, &caps.BlobPin{CID: a, TTLMicros: 11}},
		{"cid", &caps.BlobDelete{CID: a}, &caps.BlobDelete{CID: a}, &caps.BlobDelete{CID: b}},
		{"tool_id", tool(5), tool(5), &caps.ToolCall{ToolID: b, MaxCalls: 5}},
		{"max_calls", tool(5), tool(4), tool(6)},
		{"recipe_id", train, train, &caps.TrainRun{RecipeID: b, MaxJobs: 5, MaxTokens: 50, MaxGPUMillis: n(4)}},
		{"max_jobs", train, &caps.TrainRun{RecipeID: a, MaxJobs: 4, MaxTokens: 50, MaxGPUMillis: n(4)}, &caps.TrainRun{RecipeID: a, MaxJobs: 6, MaxTokens: 50, MaxGPUMillis: n(4)}},
		{"max_tokens", train, &caps.TrainRun{RecipeID: a, MaxJobs: 5, MaxTokens: 49, MaxGPUMillis: n(4)}, &caps.TrainRun{RecipeID: a, MaxJobs: 5, MaxTokens: 51, MaxGPUMillis: n(4)}},
		{"max_gpu_ms", train, &caps.TrainRun{RecipeID: a, MaxJobs: 5, MaxTokens: 50, MaxGPUMillis: n(3)}, &caps.TrainRun{RecipeID: a, MaxJobs: 5, MaxTokens: 50}},
		{"suite_id", &caps.EvalRun{SuiteID: a, MaxRuns: 5}, &caps.EvalRun{SuiteID: a, MaxRuns: 5}, &caps.EvalRun{SuiteID: b, MaxRuns: 5}},
		{"max_runs", &caps.EvalRun{SuiteID: a, MaxRuns: 5}, &caps.EvalRun{SuiteID: a, MaxRuns: 4}, &caps.EvalRun{SuiteID: a, MaxRuns: 6}},
		{"ring_id", &caps.DeployPromote{RingID: 1, PolicyID: a}, &caps.DeployPromote{RingID: 1, PolicyID: a}, &caps.DeployPromote{PolicyID: a}},
		{"policy_id", &caps.DeployPromote{RingID: 2, PolicyID: a}, &caps.DeployPromote{RingID: 2, PolicyID: a}, &caps.DeployPromote{RingID: 2, PolicyID: b}},
		{"pool_id", spawn(3, 30, 4), spawn(3, 30, 4), &caps.ComputeSpawn{PoolID: b, MaxWorkers: 3, MaxCPUMicros: 30, MaxIO: 4}},
		{"max_workers", spawn(3, 30, 4), spawn(2, 30, 4), spawn(4, 30, 4)},
		{"max_cpu_us", spawn(3, 30, 4), spawn(3, 29, 4), spawn(3, 31, 4)},
		{"max_io", spawn(3, 30, 4), spawn(3, 30, 3), spawn(3, 30, 5)},
		{"cell_id", &caps.CellRead{CellID: a, KeyPrefix: []byte("k")}, &caps.CellRead{CellID: a, KeyPrefix: []byte("k")}, &caps.CellRead{CellID: b, KeyPrefix: []byte("k")}},
		{"key_prefix", &caps.CellRead{CellID: a, KeyPrefix: []byte("k")}, &caps.CellRead{CellID: a, KeyPrefix: []byte("kk")}, &caps.CellRead{CellID: a}},
		{"cell_id", cells, cells, &caps.CellWrite{CellID: b, MaxEvents: 5, EventTypeAllow: []uint32{1}}},
		{"max_events", cells, &caps.CellWrite{CellID: a, MaxEvents: 4, EventTypeAllow: []uint32{1, 2}}, &caps.CellWrite{CellID: a, MaxEvents: 6, EventTypeAllow: []uint32{1}}},
		{"event_type_allow", cells, &caps.CellWrite{CellID: a, MaxEvents: 5, EventTypeAllow: []uint32{2}}, &caps.CellWrite{CellID: a, MaxEvents: 5, EventTypeAllow: []uint32{1, 3}}},
		{"hosts", web, net("c.a.org", 80, "GET"), net("a.org", 80, "GET")},
		{"ports", web, net("b.a.org", 80, "GET"), net("b.a.org", 81, "GET")},
		{"methods", web, net("b.a.org", 80, "PUT"), net("b.a.org", 80, "POST")},
		{"path", &caps.FsRead{Path: "/a"}, &caps.FsRead{Path: "/a/b"}, &caps.FsRead{Path: "/ab"}},
		{"path", &caps.FsWrite{Path: "/a", MaxBytes: 9}, &caps.FsWrite{Path: "/a/b", MaxBytes: 9}, &caps.FsWrite{Path: "/", MaxBytes: 9}},
		{"max_bytes", &caps.FsWrite{Path: "/a", MaxBytes: 9}, &caps.FsWrite{Path: "/a", MaxBytes: 8}, &caps.FsWrite{Path: "/a", MaxBytes: 10}},
		{"name", &caps.SecretRead{Name: "k"}, &caps.SecretRead{Name: "k"}, &caps.SecretRead{Name: "kk"}},
		{"package_id", &caps.PackageRun{PackageID: a, Ring: 1}, &caps.PackageRun{PackageID: a, Ring: 1}, &caps.PackageRun{PackageID: b, Ring: 1}},
		{"ring", &caps.PackageRun{PackageID: a, Ring: 1}, &caps.PackageRun{PackageID: a}, &caps.PackageRun{PackageID: a, Ring: 2}},
		{"name_prefix", &caps.PackagePublish{NamePrefix: "a/"}, &caps.PackagePublish{NamePrefix: "a/b"}, &caps.PackagePublish{NamePrefix: "a"}},
	}
}

// within is caps.subset's input.
func capWithin(parent, child caps.Power) in {
	return in{"kind": parent.Kind(), "parent": parent.AppendCAN(nil), "child": child.AppendCAN(nil)}
}

// subsets are the rows, and what each row does at its edges.
func (g *capsGen) subsets() {
	g.spec = "RFC-MYTHOS-0008 §5"
	for _, r := range capRows() {
		kind := caps.KindName(r.parent.Kind())
		what := "row-" + strings.ToLower(kind) + "-" + strings.ReplaceAll(r.row, "_", "-")
		g.valid(what, "caps.subset", fmt.Sprintf("%s, row %s: a child that is a subset", kind, r.row), capWithin(r.parent, r.accept), out{}, "subset-row")
		g.invalid(what, "caps.subset", fmt.Sprintf("%s, row %s: a child that only this row refuses", kind, r.row), capWithin(r.parent, r.other), "cap_scope", "subset-row")
	}
	g.subsetEdges()
	g.hosts()
}

// subsetEdges are scopes at the edges of their rows, and ones that mean nothing.
func (g *capsGen) subsetEdges() {
	a, n, last := h("a"), func(n uint64) *uint64 { return &n }, ^uint64(0)
	yes := func(doc string, p, c caps.Power) { g.valid("subset", "caps.subset", doc, capWithin(p, c), out{}) }
	no := func(what, doc string, p, c caps.Power) {
		g.invalid(what, "caps.subset", doc, capWithin(p, c), "cap_scope")
	}
	yes("an absent start is 0", &caps.BlobRead{CID: a, RangeStart: n(0), RangeLen: n(4)}, &caps.BlobRead{CID: a, RangeLen: n(4)})
	yes("no bytes at 2^64-1", &caps.BlobRead{CID: a}, &caps.BlobRead{CID: a, RangeStart: &last, RangeLen: n(0)})
	yes("an empty list of media types is a subset of any", &caps.BlobWrite{Namespace: "ns", MediaAllow: []string{"x"}}, &caps.BlobWrite{Namespace: "ns"})
	yes("lists are sets: order and repetition do not count", &caps.BlobWrite{Namespace: "ns", MediaAllow: []string{"x", "y"}}, &caps.BlobWrite{Namespace: "ns", MediaAllow: []string{"y", "x", "y"}})
	yes("the clock is the clock", &caps.Clock{}, &caps.Clock{})
	yes("randomness is randomness", &caps.Random{}, &caps.Random{})
	yes("everything is below the root folder", &caps.FsRead{Path: "/"}, &caps.FsRead{Path: "/a/b"})
	no("range", "the child begins before its parent", &caps.BlobRead{CID: a, RangeStart: n(4)}, &caps.BlobRead{CID: a, RangeStart: n(3)})
	no("range", "the child loses its end", &caps.BlobRead{CID: a, RangeLen: n(4)}, &caps.BlobRead{CID: a})
	no("range", "the child's range ends beyond 2^64-1", &caps.BlobRead{CID: a}, &caps.BlobRead{CID: a, RangeStart: &last, RangeLen: n(1)})
	no("range", "the parent's range ends beyond 2^64-1", &caps.BlobRead{CID: a, RangeStart: &last, RangeLen: n(2)}, &caps.BlobRead{CID: a, RangeStart: &last, RangeLen: n(0)})
	no("absent", "an empty parent list of media types allows nothing", &caps.BlobWrite{Namespace: "ns"}, &caps.BlobWrite{Namespace: "ns", MediaAllow: []string{"x"}})
	no("absent", "the child drops its event types", &caps.CellWrite{CellID: a, MaxEvents: 5, EventTypeAllow: []uint32{1}}, &caps.CellWrite{CellID: a, MaxEvents: 5})
	no("absent", "the child drops its methods", &caps.NetConnect{Ports: []uint32{1}, Methods: []string{"GET"}}, &caps.NetConnect{Ports: []uint32{1}})
	no("absent", "the child drops its GPU bound", &caps.TrainRun{RecipeID: a, MaxGPUMillis: n(4)}, &caps.TrainRun{RecipeID: a})
	for _, c := range []struct{ parent, child string }{
		{"/data", "/data/../etc"},
		{"/data", "/data/./x"},
		{"/data", "/data//x"},
		{"/data", "data/x"},
		{"/data", "/data/x\x00y"},
		{"/data", "/data/"},
		{"/data/", "/data/x"},
		{"/data", "/Data/x"},
		{"/", ""},
	} {
		no("path", fmt.Sprintf("%q is not below %q", c.child, c.parent), &caps.FsRead{Path: c.parent}, &caps.FsRead{Path: c.child})
	}
}

// hosts are network scopes.
func (g *capsGen) hosts() {
	scope := func(host string) caps.Power { return &caps.NetConnect{Hosts: []string{host}, Ports: []uint32{443}} }
	for _, c := range []struct{ doc, parent, child string }{
		{"one label below the wildcard", "*.example.org", "a.example.org"},
		{"a wildcard covers itself", "*.example.org", "*.example.org"},
		{"an IPv6 address", "2001:db8::1", "2001:db8::1"},
		{"a name of 253 bytes", strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "a"},
	} {
		g.valid("host", "caps.subset", c.doc, capWithin(scope(c.parent), scope(c.child)), out{})
	}
	for _, c := range []struct{ what, doc, parent, child string }{
		{"wildcard", "the wildcard's own name", "*.example.org", "example.org"},
		{"wildcard", "two labels below the wildcard", "*.example.org", "a.b.example.org"},
		{"wildcard", "a deeper wildcard", "*.example.org", "*.b.example.org"},
		{"wildcard", "a wildcard below a name", "a.example.org", "*.example.org"},
		{"wildcard", "the suffix without a dot", "*.example.org", "aexample.org"},
		{"wildcard", "a wildcard for everything", "*", "a"},
		{"wildcard", "a wildcard over an address", "*.0.0.1", "10.0.0.1"},
		{"wildcard", "a wildcard over a wildcard", "*.*.org", "*.*.org"},
		{"wildcard", "a wildcard inside a label", "a*.org", "a*.org"},
		{"host-form", "upper case", "A.org", "A.org"},
		{"host-form", "an empty label", "a..org", "a..org"},
		{"host-form", "a dot behind", "a.org.", "a.org."},
		{"host-form", "a last label that begins with a digit", "a.1b", "a.1b"},
		{"host-form", "a label that begins with -", "-a.org", "-a.org"},
		{"host-form", "a name of 254 bytes", strings.Repeat("a.", 126) + "aa", strings.Repeat("a.", 126) + "aa"},
		{"host-form", "a label of 64 bytes", strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"host-form", "letters beyond ASCII", "\u00e4.org", "\u00e4.org"},
		{"host-form", "a name with a port", "a.org:443", "a.org:443"},
		{"host-form", "nothing", "", ""},
		{"address-form", "an address with a leading zero", "010.0.0.1", "010.0.0.1"},
		{"address-form", "a short address", "127.1", "127.1"},
		{"address-form", "a hexadecimal address", "0x7f000001", "0x7f000001"},
		{"address-form", "an IPv6 address in upper case", "2001:DB8::1", "2001:DB8::1"},
		{"address-form", "an IPv6 address that could be shorter", "2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1"},
		{"address-form", "an IPv4 address mapped into IPv6", "::ffff:10.0.0.1", "::ffff:10.0.0.1"},
		{"address-form", "an IPv6 address with a zone", "fe80::1%eth0", "fe80::1%eth0"},
		{"address-form", "an IPv6 address in brackets", "[::1]", "[::1]"},
	} {
		g.invalid(c.what, "caps.subset", c.doc, capWithin(scope(c.parent), scope(c.child)), "cap_scope")
	}
	for _, c := range []struct {
		doc string
		s   *caps.NetConnect
	}{
		{"port 0", &caps.NetConnect{Ports: []uint32{0}}},
		{"port 65536", &caps.NetConnect{Ports: []uint32{65536}}},
		{"a method in lower case", &caps.NetConnect{Methods: []string{"get"}}},
		{"a method of 33 bytes", &caps.NetConnect{Methods: []string{strings.Repeat("A", 33)}}},
		{"an empty method", &caps.NetConnect{Methods: []string{""}}},
	} {
		g.invalid("unsound", "caps.subset", c.doc+", in parent and child", capWithin(c.s, c.s), "cap_scope")
	}
}
