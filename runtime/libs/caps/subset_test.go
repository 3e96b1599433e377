package caps

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

type subsetCase struct {
	name          string
	parent, child Power
	code          fault.Code // "": accepted
}

func hostsOf(h ...string) *NetConnect { return &NetConnect{Hosts: h, Ports: []uint32{443}} }

// longName returns a name of n bytes in labels of one or two letters.
func longName(n int) string {
	return strings.Repeat("a.", (n-1)/2) + strings.Repeat("a", n-(n-1)/2*2)
}

func subsetCases() []subsetCase {
	a, b := hashOf("a"), hashOf("b")
	limited := func(kv ...string) *ToolCall {
		return &ToolCall{ToolID: a, MaxCalls: 5, Constraints: limits(kv...)}
	}
	return []subsetCase{
		{"BlobRead equal", &BlobRead{CID: a}, &BlobRead{CID: a}, ""},
		{"BlobRead part of the whole", &BlobRead{CID: a}, &BlobRead{CID: a, RangeStart: ptr(uint64(7)), RangeLen: ptr(uint64(2))}, ""},
		{"BlobRead same end", &BlobRead{CID: a, RangeStart: ptr(uint64(4)), RangeLen: ptr(uint64(4))}, &BlobRead{CID: a, RangeStart: ptr(uint64(5)), RangeLen: ptr(uint64(3))}, ""},
		{"BlobRead absent start is zero", &BlobRead{CID: a, RangeStart: ptr(uint64(0)), RangeLen: ptr(uint64(4))}, &BlobRead{CID: a, RangeLen: ptr(uint64(4))}, ""},
		{"BlobRead tail of a tail", &BlobRead{CID: a, RangeStart: ptr(uint64(4))}, &BlobRead{CID: a, RangeStart: ptr(uint64(5))}, ""},
		{"BlobRead up to 2^64-1", &BlobRead{CID: a}, &BlobRead{CID: a, RangeStart: ptr(^uint64(0)), RangeLen: ptr(uint64(0))}, ""},
		{"BlobRead other cid", &BlobRead{CID: a}, &BlobRead{CID: b}, ErrScope},
		{"BlobRead starts earlier", &BlobRead{CID: a, RangeStart: ptr(uint64(4))}, &BlobRead{CID: a, RangeStart: ptr(uint64(3))}, ErrScope},
		{"BlobRead ends later", &BlobRead{CID: a, RangeLen: ptr(uint64(4))}, &BlobRead{CID: a, RangeStart: ptr(uint64(1)), RangeLen: ptr(uint64(4))}, ErrScope},
		{"BlobRead loses its end", &BlobRead{CID: a, RangeLen: ptr(uint64(4))}, &BlobRead{CID: a}, ErrScope},
		{"BlobRead overflow in the child", &BlobRead{CID: a}, &BlobRead{CID: a, RangeStart: ptr(^uint64(0)), RangeLen: ptr(uint64(1))}, ErrScope},
		{"BlobRead overflow in the parent", &BlobRead{CID: a, RangeStart: ptr(^uint64(0)), RangeLen: ptr(uint64(2))}, &BlobRead{CID: a, RangeStart: ptr(^uint64(0)), RangeLen: ptr(uint64(0))}, ErrScope},

		{"BlobWrite narrower", &BlobWrite{"ns", 10, []string{"x", "y"}}, &BlobWrite{"ns", 9, []string{"y", "y"}}, ""},
		{"BlobWrite no media", &BlobWrite{"ns", 10, []string{"x"}}, &BlobWrite{"ns", 10, nil}, ""},
		{"BlobWrite other namespace", &BlobWrite{"ns", 10, nil}, &BlobWrite{"ns2", 10, nil}, ErrScope},
		{"BlobWrite larger", &BlobWrite{"ns", 10, nil}, &BlobWrite{"ns", 11, nil}, ErrScope},
		{"BlobWrite more media", &BlobWrite{"ns", 10, []string{"x"}}, &BlobWrite{"ns", 10, []string{"x", "z"}}, ErrScope},
		{"BlobWrite an empty list allows nothing", &BlobWrite{"ns", 10, nil}, &BlobWrite{"ns", 10, []string{"x"}}, ErrScope},

		{"BlobPin shorter", &BlobPin{a, 10}, &BlobPin{a, 9}, ""},
		{"BlobPin longer", &BlobPin{a, 10}, &BlobPin{a, 11}, ErrScope},
		{"BlobPin other cid", &BlobPin{a, 10}, &BlobPin{b, 10}, ErrScope},
		{"BlobDelete equal", &BlobDelete{a}, &BlobDelete{a}, ""},
		{"BlobDelete other cid", &BlobDelete{a}, &BlobDelete{b}, ErrScope},

		{"ToolCall fewer calls and a new key", limited(), &ToolCall{ToolID: a, MaxCalls: 4, Constraints: limits("ring_max", "0")}, ""},
		{"ToolCall other tool", limited(), &ToolCall{ToolID: b, MaxCalls: 5}, ErrScope},
		{"ToolCall more calls", limited(), &ToolCall{ToolID: a, MaxCalls: 6}, ErrScope},
		{"ToolCall key dropped", limited("ring_max", "0"), limited(), ErrConstraint},

		{"TrainRun narrower", &TrainRun{a, 5, 50, nil}, &TrainRun{a, 4, 50, ptr(uint64(3))}, ""},
		{"TrainRun lower gpu", &TrainRun{a, 5, 50, ptr(uint64(4))}, &TrainRun{a, 5, 50, ptr(uint64(4))}, ""},
		{"TrainRun other recipe", &TrainRun{a, 5, 50, nil}, &TrainRun{b, 5, 50, nil}, ErrScope},
		{"TrainRun more jobs", &TrainRun{a, 5, 50, nil}, &TrainRun{a, 6, 50, nil}, ErrScope},
		{"TrainRun more tokens", &TrainRun{a, 5, 50, nil}, &TrainRun{a, 5, 51, nil}, ErrScope},
		{"TrainRun more gpu", &TrainRun{a, 5, 50, ptr(uint64(4))}, &TrainRun{a, 5, 50, ptr(uint64(5))}, ErrScope},
		{"TrainRun gpu limit dropped", &TrainRun{a, 5, 50, ptr(uint64(4))}, &TrainRun{a, 5, 50, nil}, ErrScope},

		{"EvalRun fewer", &EvalRun{a, 5}, &EvalRun{a, 4}, ""},
		{"EvalRun more", &EvalRun{a, 5}, &EvalRun{a, 6}, ErrScope},
		{"EvalRun other suite", &EvalRun{a, 5}, &EvalRun{b, 5}, ErrScope},
		{"DeployPromote equal", &DeployPromote{1, a}, &DeployPromote{1, a}, ""},
		{"DeployPromote lower ring", &DeployPromote{1, a}, &DeployPromote{0, a}, ErrScope},
		{"DeployPromote other policy", &DeployPromote{1, a}, &DeployPromote{1, b}, ErrScope},

		{"ComputeSpawn narrower", &ComputeSpawn{a, 3, 30, 4}, &ComputeSpawn{a, 2, 29, 3}, ""},
		{"ComputeSpawn other pool", &ComputeSpawn{a, 3, 30, 4}, &ComputeSpawn{b, 3, 30, 4}, ErrScope},
		{"ComputeSpawn more workers", &ComputeSpawn{a, 3, 30, 4}, &ComputeSpawn{a, 4, 30, 4}, ErrScope},
		{"ComputeSpawn more cpu", &ComputeSpawn{a, 3, 30, 4}, &ComputeSpawn{a, 3, 31, 4}, ErrScope},
		{"ComputeSpawn more io", &ComputeSpawn{a, 3, 30, 4}, &ComputeSpawn{a, 3, 30, 5}, ErrScope},

		{"CellRead longer prefix", &CellRead{a, []byte("ab")}, &CellRead{a, []byte("abc")}, ""},
		{"CellRead a prefix where there was none", &CellRead{a, nil}, &CellRead{a, []byte("x")}, ""},
		{"CellRead shorter prefix", &CellRead{a, []byte("ab")}, &CellRead{a, []byte("a")}, ErrScope},
		{"CellRead prefix dropped", &CellRead{a, []byte("ab")}, &CellRead{a, nil}, ErrScope},
		{"CellRead other cell", &CellRead{a, nil}, &CellRead{b, nil}, ErrScope},
		{"CellWrite narrower", &CellWrite{a, 5, []uint32{1, 2}}, &CellWrite{a, 5, []uint32{2}}, ""},
		{"CellWrite types where there were none", &CellWrite{a, 5, nil}, &CellWrite{a, 5, []uint32{2}}, ""},
		{"CellWrite more events", &CellWrite{a, 5, nil}, &CellWrite{a, 6, nil}, ErrScope},
		{"CellWrite other type", &CellWrite{a, 5, []uint32{1}}, &CellWrite{a, 5, []uint32{3}}, ErrScope},
		{"CellWrite types dropped", &CellWrite{a, 5, []uint32{1}}, &CellWrite{a, 5, nil}, ErrScope},
		{"CellWrite other cell", &CellWrite{a, 5, nil}, &CellWrite{b, 5, nil}, ErrScope},

		{"NetConnect one label", hostsOf("*.example.org"), hostsOf("a.example.org"), ""},
		{"NetConnect wildcard covers itself", hostsOf("*.example.org"), hostsOf("*.example.org"), ""},
		{"NetConnect address", hostsOf("10.0.0.1", "::1"), hostsOf("::1"), ""},
		{"NetConnect methods where there were none", hostsOf("a"), &NetConnect{[]string{"a"}, []uint32{443}, []string{"GET"}}, ""},
		{"NetConnect not the name itself", hostsOf("*.example.org"), hostsOf("example.org"), ErrScope},
		{"NetConnect not two labels", hostsOf("*.example.org"), hostsOf("a.b.example.org"), ErrScope},
		{"NetConnect no deeper wildcard", hostsOf("*.example.org"), hostsOf("*.b.example.org"), ErrScope},
		{"NetConnect wildcard under a name", hostsOf("a.example.org"), hostsOf("*.example.org"), ErrScope},
		{"NetConnect suffix without a dot", hostsOf("*.example.org"), hostsOf("aexample.org"), ErrScope},
		{"NetConnect empty label", hostsOf("*.example.org"), hostsOf(".example.org"), ErrScope},
		{"NetConnect upper case", hostsOf("A.example.org"), hostsOf("A.example.org"), ErrScope},
		{"NetConnect bare wildcard", hostsOf("*"), hostsOf("a"), ErrScope},
		{"NetConnect wildcard over an address", hostsOf("*.0.0.1"), hostsOf("10.0.0.1"), ErrScope},
		{"NetConnect two wildcards", hostsOf("*.*.org"), hostsOf("*.*.org"), ErrScope},
		{"NetConnect lowest and highest port", &NetConnect{nil, []uint32{1, 65535}, nil}, &NetConnect{nil, []uint32{65535, 1}, nil}, ""},
		{"NetConnect every character", hostsOf("a0z9-_.b", "0-z.z", "*.a.a", "*.a.z"), hostsOf("a0z9-_.b", "0-z.z", "*.a.a", "*.a.z"), ""},
		{"NetConnect longest host", hostsOf(longName(253)), hostsOf(longName(253)), ""},
		{"NetConnect host too long", hostsOf(longName(254)), hostsOf(longName(254)), ErrScope},
		{"NetConnect wildcard too long", hostsOf("*." + longName(252)), hostsOf("*." + longName(252)), ErrScope},
		{"NetConnect longest label", hostsOf(strings.Repeat("a", 63)), hostsOf(strings.Repeat("a", 63)), ""},
		{"NetConnect label too long", hostsOf(strings.Repeat("a", 64)), hostsOf(strings.Repeat("a", 64)), ErrScope},
		{"NetConnect label with - in front", hostsOf("-a.org"), hostsOf("-a.org"), ErrScope},
		{"NetConnect label with - behind", hostsOf("a-.org"), hostsOf("a-.org"), ErrScope},
		{"NetConnect address with a zero in front", hostsOf("010.0.0.1"), hostsOf("010.0.0.1"), ErrScope},
		{"NetConnect short address", hostsOf("127.1"), hostsOf("127.1"), ErrScope},
		{"NetConnect address as a number", hostsOf("2130706433"), hostsOf("2130706433"), ErrScope},
		{"NetConnect address in hex", hostsOf("0x7f.0.0.0x1"), hostsOf("0x7f.0.0.0x1"), ErrScope},
		{"NetConnect address not shortened", hostsOf("0:0:0:0:0:0:0:1"), hostsOf("0:0:0:0:0:0:0:1"), ErrScope},
		{"NetConnect address in upper case", hostsOf("2001:DB8::1"), hostsOf("2001:DB8::1"), ErrScope},
		{"NetConnect address in brackets", hostsOf("[::1]"), hostsOf("[::1]"), ErrScope},
		{"NetConnect address with a zone", hostsOf("fe80::1%eth0"), hostsOf("fe80::1%eth0"), ErrScope},
		{"NetConnect mapped address", hostsOf("::ffff:127.0.0.1"), hostsOf("::ffff:127.0.0.1"), ErrScope},
		{"NetConnect mapped address in hex", hostsOf("::ffff:7f00:1"), hostsOf("::ffff:7f00:1"), ErrScope},
		{"NetConnect name with a dot behind", hostsOf("a.org."), hostsOf("a.org."), ErrScope},
		{"NetConnect lower-case method", &NetConnect{nil, nil, []string{"get"}}, &NetConnect{nil, nil, []string{"get"}}, ErrScope},
		{"NetConnect empty method", &NetConnect{nil, nil, []string{""}}, &NetConnect{nil, nil, []string{""}}, ErrScope},
		{"NetConnect longest method", &NetConnect{nil, nil, []string{strings.Repeat("A-", 16)}}, &NetConnect{nil, nil, []string{strings.Repeat("A-", 16)}}, ""},
		{"NetConnect method too long", &NetConnect{nil, nil, []string{strings.Repeat("A", 33)}}, &NetConnect{nil, nil, []string{strings.Repeat("A", 33)}}, ErrScope},
		{"FsRead NUL", &FsRead{"/data\x00"}, &FsRead{"/data\x00"}, ErrScope},
		{"NetConnect empty host", hostsOf(""), hostsOf(""), ErrScope},
		{"NetConnect wildcard over nothing", hostsOf("*."), hostsOf("*."), ErrScope},
		{"NetConnect wildcard over an IPv6 address", hostsOf("*.a:b"), hostsOf("*.a:b"), ErrScope},
		{"NetConnect other port", hostsOf("a"), &NetConnect{[]string{"a"}, []uint32{443, 80}, nil}, ErrScope},
		{"NetConnect port 0", &NetConnect{[]string{"a"}, []uint32{0}, nil}, &NetConnect{[]string{"a"}, []uint32{0}, nil}, ErrScope},
		{"NetConnect port 65536", &NetConnect{[]string{"a"}, []uint32{65536}, nil}, &NetConnect{[]string{"a"}, nil, nil}, ErrScope},
		{"NetConnect other method", &NetConnect{[]string{"a"}, nil, []string{"GET"}}, &NetConnect{[]string{"a"}, nil, []string{"PUT"}}, ErrScope},
		{"NetConnect methods dropped", &NetConnect{[]string{"a"}, nil, []string{"GET"}}, &NetConnect{[]string{"a"}, nil, nil}, ErrScope},

		{"FsRead below", &FsRead{"/data"}, &FsRead{"/data/x/y"}, ""},
		{"FsRead below the root", &FsRead{"/"}, &FsRead{"/x"}, ""},
		{"FsRead equal", &FsRead{"/data"}, &FsRead{"/data"}, ""},
		{"FsRead sibling with the same start", &FsRead{"/data"}, &FsRead{"/database"}, ErrScope},
		{"FsRead above", &FsRead{"/data/x"}, &FsRead{"/data"}, ErrScope},
		{"FsRead climbs", &FsRead{"/data"}, &FsRead{"/data/../etc"}, ErrScope},
		{"FsRead dot", &FsRead{"/data"}, &FsRead{"/data/./x"}, ErrScope},
		{"FsRead empty segment", &FsRead{"/data"}, &FsRead{"/data//x"}, ErrScope},
		{"FsRead trailing slash", &FsRead{"/data"}, &FsRead{"/data/"}, ErrScope},
		{"FsRead relative", &FsRead{"data"}, &FsRead{"data"}, ErrScope},
		{"FsRead empty", &FsRead{""}, &FsRead{""}, ErrScope},
		{"FsWrite below and less", &FsWrite{"/data", 10}, &FsWrite{"/data/x", 9}, ""},
		{"FsWrite more bytes", &FsWrite{"/data", 10}, &FsWrite{"/data", 11}, ErrScope},
		{"FsWrite elsewhere", &FsWrite{"/data", 10}, &FsWrite{"/etc", 10}, ErrScope},
		{"FsWrite climbs", &FsWrite{"/", 10}, &FsWrite{"/..", 10}, ErrScope},

		{"Clock", &Clock{}, &Clock{}, ""},
		{"Random", &Random{}, &Random{}, ""},
		{"SecretRead equal", &SecretRead{"token"}, &SecretRead{"token"}, ""},
		{"SecretRead longer", &SecretRead{"token"}, &SecretRead{"token2"}, ErrScope},
		{"PackageRun lower ring", &PackageRun{a, 2}, &PackageRun{a, 1}, ""},
		{"PackageRun higher ring", &PackageRun{a, 1}, &PackageRun{a, 2}, ErrScope},
		{"PackageRun other package", &PackageRun{a, 1}, &PackageRun{b, 1}, ErrScope},
		{"PackagePublish longer", &PackagePublish{"acme/"}, &PackagePublish{"acme/tools"}, ""},
		{"PackagePublish shorter", &PackagePublish{"acme/"}, &PackagePublish{"acme"}, ErrScope},
		{"PackagePublish other", &PackagePublish{"acme/"}, &PackagePublish{"beto/acme/"}, ErrScope},
	}
}

func TestSubsetRules(t *testing.T) {
	accepted, refused := map[uint8]int{}, map[uint8]int{}
	for _, c := range subsetCases() {
		t.Run(c.name, func(t *testing.T) {
			wantCode(t, Covers(c.parent.Kind(), c.parent.AppendCAN(nil), c.child.AppendCAN(nil)), c.code)
		})
		if c.code == "" {
			accepted[c.parent.Kind()]++
		} else {
			refused[c.parent.Kind()]++
		}
	}
	// A scope without fields has nothing to refuse but another kind or field.
	for _, k := range []uint8{KindClock, KindRandom} {
		wantCode(t, Covers(k, []byte{can.Map, 0}, (&SecretRead{"x"}).AppendCAN(nil)), can.ErrUnknownField)
		refused[k]++
	}
	if diff := cmp.Diff(Kinds(), sortedKinds(accepted)); diff != "" {
		t.Errorf("kinds without an accepted case:\n%s", diff)
	}
	if diff := cmp.Diff(Kinds(), sortedKinds(refused)); diff != "" {
		t.Errorf("kinds without a refused case:\n%s", diff)
	}
}

// Whatever Covers says about two scopes, a chain of two links says as well, and
// so does a use of the child's scope under the parent's.
func TestSubsetRulesInChains(t *testing.T) {
	for _, c := range subsetCases() {
		t.Run(c.name, func(t *testing.T) {
			list := []*step{
				{by: authority(), cap: Capability{Subject: executor().Agent(), NotBefore: opens, ExpiresAt: closes, Scope: ScopeOf(c.parent)}},
				{by: authority(), parent: true, cap: Capability{Subject: executor().Agent(), NotBefore: opens, ExpiresAt: closes, Scope: ScopeOf(c.child)}},
			}
			u := use()
			u.Kind, u.Scope, u.Call = c.child.Kind(), c.child.AppendCAN(nil), nil
			_, err := proofOf(t, list).Check(u)
			wantCode(t, err, c.code)
			_, err = one(t, ScopeOf(c.parent)).Check(u)
			wantCode(t, err, c.code)
		})
	}
}

func TestConstraintSubset(t *testing.T) {
	text := func(s string) []byte { return can.AppendText(nil, s) }
	list := func(items ...[]byte) []byte {
		b := can.AppendList(nil, len(items))
		for _, x := range items {
			b = append(b, x...)
		}
		return b
	}
	arg := func(op string, v []byte) map[string]string { return limits(Arg("/x", op, v)) }
	i, u := func(n int64) []byte { return can.AppendInt(nil, n) }, func(n uint64) []byte { return can.AppendUint(nil, n) }
	a, b := hashOf("a").String(), hashOf("b").String()
	for _, c := range []struct {
		name          string
		parent, child map[string]string
		ok            bool
	}{
		{"package equal", limits("package", a), limits("package", a), true},
		{"package other", limits("package", a), limits("package", b), false},
		{"module equal", limits("module", a), limits("module", a), true},
		{"module other", limits("module", a), limits("module", b), false},
		{"request equal", limits("request_hash", a), limits("request_hash", a), true},
		{"request other", limits("request_hash", a), limits("request_hash", b), false},
		{"ledger equal", limits("ledger", a[7:]), limits("ledger", a[7:]), true},
		{"ledger other", limits("ledger", a[7:]), limits("ledger", b[7:]), false},
		{"ring lower", limits("ring_max", "2"), limits("ring_max", "1"), true},
		{"ring higher", limits("ring_max", "2"), limits("ring_max", "10"), false},
		{"eq equal", arg(OpEq, u(1)), arg(OpEq, u(1)), true},
		{"eq other type", arg(OpEq, u(1)), arg(OpEq, i(1)), false},
		{"le lower", arg(OpLe, u(5)), arg(OpLe, i(-5)), true},
		{"le equal in another type", arg(OpLe, u(5)), arg(OpLe, i(5)), true},
		{"le higher", arg(OpLe, u(5)), arg(OpLe, u(6)), false},
		{"le from negative to positive", arg(OpLe, i(-5)), arg(OpLe, u(0)), false},
		{"ge higher", arg(OpGe, i(-5)), arg(OpGe, i(-4)), true},
		{"ge lower", arg(OpGe, i(-5)), arg(OpGe, i(-6)), false},
		{"in fewer, other order, twice", arg(OpIn, list(u(1), u(2), u(3))), arg(OpIn, list(u(3), u(1), u(3))), true},
		{"in empty", arg(OpIn, list(u(1))), arg(OpIn, list()), true},
		{"in more", arg(OpIn, list(u(1))), arg(OpIn, list(u(1), u(2))), false},
		{"prefix longer", arg(OpPrefix, text("ab")), arg(OpPrefix, text("abc")), true},
		{"prefix shorter", arg(OpPrefix, text("ab")), arg(OpPrefix, text("a")), false},
		{"prefix other type", arg(OpPrefix, text("ab")), arg(OpPrefix, can.AppendBytes(nil, []byte("abc"))), false},
		{"another key is no substitute", arg(OpLe, u(5)), arg(OpEq, u(4)), false},
		{"another pointer is no substitute", arg(OpLe, u(5)), limits(Arg("/y", OpLe, u(4))), false},
		{"dropped", arg(OpLe, u(5)), nil, false},
		{"added", nil, arg(OpLe, u(5)), true},
		{"malformed in the child", nil, limits("max_amount", "5"), false},
		{"malformed in both", limits("max_amount", "5"), limits("max_amount", "5"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fault.Code("")
			if !c.ok {
				want = ErrConstraint
			}
			p := ToolCall{ToolID: cid.Hash{1}, MaxCalls: 1, Constraints: c.parent}
			x := ToolCall{ToolID: cid.Hash{1}, MaxCalls: 1, Constraints: c.child}
			wantCode(t, Covers(KindToolCall, p.AppendCAN(nil), x.AppendCAN(nil)), want)
		})
	}
}

func TestCoversRefusesWhatDoesNotDecode(t *testing.T) {
	good := (&BlobDelete{hashOf("a")}).AppendCAN(nil)
	wantCode(t, Covers(12, good, good), ErrKind)
	wantCode(t, Covers(KindBlobDelete, good, append(good[:len(good):len(good)], 0)), can.ErrTrailing)
	wantCode(t, Covers(KindBlobDelete, nil, good), can.ErrTruncated)
	wantCode(t, Covers(KindBlobPin, good, good), can.ErrMissing)
}

func TestKinds(t *testing.T) {
	want := map[uint8]string{
		1: "BlobRead", 2: "BlobWrite", 3: "BlobPin", 4: "BlobDelete", 5: "ToolCall", 6: "TrainRun", 7: "EvalRun",
		8: "DeployPromote", 9: "ComputeSpawn", 10: "CellRead", 11: "CellWrite", 32: "NetConnect", 33: "FsRead",
		34: "FsWrite", 35: "Clock", 36: "Random", 37: "SecretRead", 38: "PackageRun", 39: "PackagePublish",
	}
	got := map[uint8]string{}
	for _, k := range Kinds() {
		got[k] = KindName(k)
		if back, ok := KindOf(KindName(k)); !ok || back != k {
			t.Errorf("KindOf(%s) = %d, %t", KindName(k), back, ok)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := KindName(77); got != "kind 77" {
		t.Errorf("KindName(77) = %q", got)
	}
	if _, ok := KindOf("kind 77"); ok {
		t.Error("KindOf knows kind 77")
	}
}
