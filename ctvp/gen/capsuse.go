package main

import (
	"fmt"
	"strings"

	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
)

// undecodable are subset questions about what is no scope.
func (g *capsGen) undecodable() {
	good := (&caps.BlobDelete{CID: h("a")}).AppendCAN(nil)
	for _, c := range []struct {
		doc           string
		kind          uint8
		parent, child []byte
		code          string
	}{
		{"kind 12", 12, good, good, "cap_kind_unknown"},
		{"kind 0", 0, good, good, "cap_kind_unknown"},
		{"a byte behind the child", caps.KindBlobDelete, good, join(good, x("00")), "can_trailing"},
		{"no parent", caps.KindBlobDelete, nil, good, "can_truncated"},
		{"the scope of another kind", caps.KindBlobPin, good, good, "can_missing"},
		{"a field that no version knows", caps.KindClock, x("0800"), x("0801030100"), "can_unknown_field"},
	} {
		g.invalid("undecodable", "caps.subset", c.doc, in{"kind": c.kind, "parent": c.parent, "child": c.child}, c.code)
	}
}

// capArg is the constraint about /x.
func capArg(op string, value []byte) map[string]string {
	return capLimits("arg/x:"+op, fmt.Sprintf("%x", value))
}

// constraintSubsets are constraints of a child and its parent.
func (g *capsGen) constraintSubsets() {
	g.spec = "RFC-MYTHOS-0008 §5"
	i, u, t := func(n int64) []byte { return canon.AppendInt(nil, n) }, rawU, rawT
	a, b := h("a").String(), h("b").String()
	for _, c := range []struct {
		what, doc     string
		parent, child map[string]string
	}{
		{"", "an equal package", capLimits("package", a), capLimits("package", a)},
		{"bound", "another package", capLimits("package", a), capLimits("package", b)},
		{"bound", "another module", capLimits("module", a), capLimits("module", b)},
		{"bound", "another request", capLimits("request_hash", a), capLimits("request_hash", b)},
		{"bound", "another ledger", capLimits("ledger", a[7:]), capLimits("ledger", b[7:])},
		{"", "a lower ring", capLimits("ring_max", "2"), capLimits("ring_max", "1")},
		{"bound", "a higher ring, which a comparison of texts takes for lower", capLimits("ring_max", "2"), capLimits("ring_max", "10")},
		{"loosened", "eq: the number of another type", capArg("eq", u(1)), capArg("eq", i(1))},
		{"", "le: lower, of another type", capArg("le", u(5)), capArg("le", i(-5))},
		{"loosened", "le: higher", capArg("le", u(5)), capArg("le", u(6))},
		{"loosened", "le: positive under negative", capArg("le", i(-5)), capArg("le", u(0))},
		{"", "ge: higher", capArg("ge", i(-5)), capArg("ge", i(-4))},
		{"loosened", "ge: lower", capArg("ge", i(-5)), capArg("ge", i(-6))},
		{"", "in: fewer, in another order, one twice", capArg("in", rawL(u(1), u(2), u(3))), capArg("in", rawL(u(3), u(1), u(3)))},
		{"", "in: none", capArg("in", rawL(u(1))), capArg("in", rawL())},
		{"loosened", "in: one more", capArg("in", rawL(u(1))), capArg("in", rawL(u(1), u(2)))},
		{"", "prefix: longer", capArg("prefix", t("ab")), capArg("prefix", t("abc"))},
		{"loosened", "prefix: shorter", capArg("prefix", t("ab")), capArg("prefix", t("a"))},
		{"loosened", "prefix: of another type", capArg("prefix", t("ab")), capArg("prefix", rawB([]byte("abc")))},
		{"substituted", "le is replaced by eq", capArg("le", u(5)), capArg("eq", u(4))},
		{"substituted", "another pointer", capArg("le", u(5)), capLimits("arg/y:le", "0304")},
		{"substituted", "dropped", capArg("le", u(5)), nil},
		{"", "a new constraint", nil, capArg("le", u(5))},
		{"unknown", "a key that no version knows, in the child", nil, capLimits("max_amount", "5")},
		{"unknown", "a key that no version knows, in both", capLimits("max_amount", "5"), capLimits("max_amount", "5")},
	} {
		input := capWithin(&caps.ToolCall{ToolID: h("a"), MaxCalls: 1, Constraints: c.parent}, &caps.ToolCall{ToolID: h("a"), MaxCalls: 1, Constraints: c.child})
		if c.what == "" {
			g.valid("constraint-subset", "caps.subset", c.doc, input, out{})
		} else {
			g.invalid("constraint-"+c.what, "caps.subset", c.doc, input, "cap_constraint")
		}
	}
}

// limited is a call under one constraint.
func (g *capsGen) limited(key, text string, payload []byte) in {
	i := g.use()
	i["proof"] = g.root(&caps.ToolCall{ToolID: h("echo"), MaxCalls: 1, Constraints: capLimits(key, text)})
	i["call"].(in)["payload"] = payload
	return i
}

// constraints are single constraints and concrete calls.
func (g *capsGen) constraints() {
	g.spec = "RFC-MYTHOS-0008 §4"
	u, t, m := rawU, rawT, func(pairs ...[]byte) []byte { return join(canon.AppendMap(nil, len(pairs)/2), join(pairs...)) }
	i := func(n int64) []byte { return canon.AppendInt(nil, n) }
	example := m(t("to"), t("acme"), t("amount"), u(250))
	for _, c := range []struct {
		what, doc, pointer, op string
		operand, payload       []byte
	}{
		{"", "an equal text", "/to", "eq", t("acme"), example},
		{"eq", "another text", "/to", "eq", t("acm"), example},
		{"eq", "250 as IVARINT is not 250 as UVARINT", "/amount", "eq", i(250), example},
		{"eq", "NULL is not what is missing", "/cc", "eq", x("00"), example},
		{"", "the whole payload", "", "eq", example, example},
		{"", "one of a list", "/to", "in", rawL(t("acme"), t("beto")), example},
		{"in", "none of a list", "/to", "in", rawL(t("beto")), example},
		{"in", "an empty list admits nothing", "/to", "in", rawL(), example},
		{"in", "an item of an item", "/to", "in", rawL(rawL(t("acme"))), example},
		{"", "at most 250", "/amount", "le", u(250), example},
		{"", "at most 250, as IVARINT", "/amount", "le", i(250), example},
		{"le", "at most 249", "/amount", "le", u(249), example},
		{"le", "at most -1", "/amount", "le", i(-1), example},
		{"le", "2^63 under 2^63-1", "/a", "le", i(1<<63 - 1), m(t("a"), u(1<<63))},
		{"le", "a text under 500", "/to", "le", u(500), example},
		{"le", "true under 500", "/a", "le", u(500), m(t("a"), x("02"))},
		{"", "at least -5", "/amount", "ge", i(-5), example},
		{"ge", "at least 251", "/amount", "ge", u(251), example},
		{"ge", "-1 is not at least 0", "/a", "ge", u(0), m(t("a"), i(-1))},
		{"", "begins with ac", "/to", "prefix", t("ac"), example},
		{"prefix", "longer than the text", "/to", "prefix", t("acme!"), example},
		{"prefix", "bytes before a text", "/to", "prefix", rawB([]byte("ac")), example},
		{"prefix", "a number has no prefix", "/amount", "prefix", t("2"), example},
		{"pointer", "behind a leaf", "/to/0", "eq", t("acme"), example},
		{"pointer", "past the end of a list", "/1", "eq", u(7), rawL(u(7))},
		{"pointer", "a leading zero is no index", "/00", "eq", u(7), rawL(u(7))},
		{"pointer", "- is no index", "/-", "eq", u(7), rawL(u(7))},
		{"pointer", "a number in both forms", "/4", "eq", u(7), m(u(4), u(7), t("4"), u(7))},
		{"pointer", "an IVARINT key", "/4", "eq", u(7), m(i(4), u(7))},
		{"pointer", "a BYTES key", "/a", "eq", u(7), m(rawB([]byte("a")), u(7))},
		{"pointer", "an empty name is not the whole", "/", "eq", u(7), u(7)},
		{"pointer", "another case", "/TO", "eq", t("acme"), example},
		{"pointer", "another normal form of a letter", "/e\u0301", "eq", u(7), m(t("\u00e9"), u(7))},
		{"", "a field number", "/4", "eq", u(7), m(u(4), u(7))},
		{"", "a slash in a name", "/a~1b", "eq", u(7), m(t("a/b"), u(7))},
		{"", "~01 is ~1", "/~01", "eq", u(7), m(t("~1"), u(7))},
		{"", "a colon in a name", "/a:le", "eq", u(7), m(t("a:le"), u(7))},
		{"", "an item of an item", "/a/1/b", "eq", u(7), m(t("a"), rawL(x("00"), m(t("b"), u(7))))},
	} {
		input := g.limited("arg"+c.pointer+":"+c.op, fmt.Sprintf("%x", c.operand), c.payload)
		doc := fmt.Sprintf("arg%s:%s, %s", c.pointer, c.op, c.doc)
		if c.what == "" {
			g.valid("arg", "caps.check", doc, input, nil)
		} else {
			g.invalid("arg-"+c.what, "caps.check", doc, input, "cap_constraint")
		}
	}
	g.vocabulary()
}

// vocabulary are constraints outside of it, or not of their form.
func (g *capsGen) vocabulary() {
	hash := h("package").String()
	for _, c := range []struct{ what, doc, key, text string }{
		{"key", "a key that no version knows", "max_amount", "500"},
		{"key", "an empty key", "", ""},
		{"key", "upper case", "Package", hash},
		{"key", "an arg without an operator", "arg/amount", "03f403"},
		{"key", "an operator that no version knows", "arg/amount:lt", "03f403"},
		{"key", "an empty operator", "arg/amount:", "03f403"},
		{"key", "an operator in upper case", "arg/amount:LE", "03f403"},
		{"key", "a pointer without a slash", "argamount:le", "03f403"},
		{"key", "an escape that is none", "arg/a~2:le", "03f403"},
		{"key", "a tilde at the end", "arg/a~:le", "03f403"},
		{"hash", "a digest without its algorithm", "package", hash[7:]},
		{"hash", "the algorithm in upper case", "package", "SHA256:" + hash[7:]},
		{"hash", "a digit less", "package", hash[:70]},
		{"hash", "a ledger with an algorithm", "ledger", h("ledger").String()},
		{"ring", "a leading zero", "ring_max", "00"},
		{"ring", "a sign", "ring_max", "+1"},
		{"ring", "a space", "ring_max", " 1"},
		{"ring", "256", "ring_max", "256"},
		{"ring", "hexadecimal", "ring_max", "0x1"},
		{"value", "upper-case digits", "arg/amount:le", "03F403"},
		{"value", "an odd number of digits", "arg/amount:le", "03f40"},
		{"value", "no value", "arg/amount:le", ""},
		{"value", "two values", "arg/amount:le", "03010301"},
		{"value", "a value that is not canonical", "arg/amount:le", "038100"},
		{"operand", "le with a text", "arg/amount:le", "0600"},
		{"operand", "ge with true", "arg/amount:ge", "02"},
		{"operand", "in with a MAP", "arg/amount:in", "0800"},
		{"operand", "in with an item", "arg/amount:in", "03fa01"},
		{"operand", "prefix with a number", "arg/amount:prefix", "0301"},
	} {
		doc := fmt.Sprintf("%s: %q = %q", c.doc, c.key, c.text)
		g.invalid("vocabulary-"+c.what, "caps.check", doc, g.limited(c.key, c.text, capAmount(250)), "cap_constraint")
	}
	none := g.limited("ledger", h("ledger").Hex(), capAmount(250))
	delete(none["call"].(in), "ledger")
	g.invalid("vocabulary-hash", "caps.check", "a ledger without an id", none, "cap_constraint")
	bare := func(scope *caps.ToolCall) in {
		i := g.limited("ring_max", "1", nil)
		delete(i, "call")
		i["scope"] = in{"kind": caps.KindToolCall, "hex": scope.AppendCAN(nil)}
		return i
	}
	g.valid("bare", "caps.check", "REQUIRE_CAP of what the chain has", bare(&caps.ToolCall{ToolID: h("echo"), MaxCalls: 1, Constraints: capLimits("ring_max", "1")}), out{"spend": []any{}})
	g.invalid("bare", "caps.check", "REQUIRE_CAP without the chain's constraint", bare(&caps.ToolCall{ToolID: h("echo"), MaxCalls: 1}), "cap_constraint")
	g.invalid("bare", "caps.check", "REQUIRE_CAP of two calls, the chain has one", bare(&caps.ToolCall{ToolID: h("echo"), MaxCalls: 2, Constraints: capLimits("ring_max", "1")}), "cap_scope")
	odd := bare(&caps.ToolCall{})
	odd["scope"] = in{"kind": 12, "hex": x("0800")}
	g.invalid("bare", "caps.check", "REQUIRE_CAP of a kind that no version knows", odd, "cap_scope")
	odd = bare(&caps.ToolCall{})
	odd["scope"] = in{"kind": caps.KindToolCall, "hex": x("0801")}
	g.invalid("bare", "caps.check", "REQUIRE_CAP of bytes that are no scope", odd, "cap_scope")
}

// asked is a use of another kind than ToolCall under one root.
func (g *capsGen) asked(p caps.Power, kind uint8, members in) in {
	i := g.use()
	delete(i, "call")
	i["proof"] = g.root(p)
	request := in{"kind": kind}
	for k, v := range members {
		request[k] = v
	}
	i["request"] = request
	return i
}

// requests are uses of every kind but ToolCall.
func (g *capsGen) requests() {
	g.spec = "RFC-MYTHOS-0008 §5.1"
	a, b := h("a"), h("b")
	n := func(n uint64) *uint64 { return &n }
	part := &caps.BlobRead{CID: a, RangeStart: n(4), RangeLen: n(4)}
	write := &caps.BlobWrite{Namespace: "ns", MaxSize: 9, MediaAllow: []string{"m"}}
	train := &caps.TrainRun{RecipeID: a, MaxJobs: 1, MaxTokens: 9, MaxGPUMillis: n(9)}
	spawn := &caps.ComputeSpawn{PoolID: a, MaxWorkers: 3, MaxCPUMicros: 4, MaxIO: 5}
	cells := &caps.CellWrite{CellID: a, MaxEvents: 2, EventTypeAllow: []uint32{7}}
	for _, c := range []struct {
		doc     string
		power   caps.Power
		members in
		spends  uint32 // of the root's count, which is max
		max     uint32
		refused bool
	}{
		{"a range", part, in{"cid": a, "start": "5", "length": "3"}, 0, 0, false},
		{"a range that ends one byte late", part, in{"cid": a, "start": "5", "length": "4"}, 0, 0, true},
		{"a range to the end", part, in{"cid": a, "start": "5"}, 0, 0, true},
		{"a range beyond 2^64-1", &caps.BlobRead{CID: a}, in{"cid": a, "start": "18446744073709551615", "length": "1"}, 0, 0, true},
		{"another blob", &caps.BlobRead{CID: a}, in{"cid": b}, 0, 0, true},
		{"a write", write, in{"namespace": "ns", "size": "9", "media": "m"}, 0, 0, false},
		{"a write of a byte more", write, in{"namespace": "ns", "size": "10", "media": "m"}, 0, 0, true},
		{"a write of another media type", write, in{"namespace": "ns", "size": "1", "media": ""}, 0, 0, true},
		{"a pin", &caps.BlobPin{CID: a, TTLMicros: 9}, in{"cid": a, "ttl_us": "9"}, 0, 0, false},
		{"a longer pin", &caps.BlobPin{CID: a, TTLMicros: 9}, in{"cid": a, "ttl_us": "10"}, 0, 0, true},
		{"a deletion", &caps.BlobDelete{CID: a}, in{"cid": a}, 0, 0, false},
		{"a deletion of another blob", &caps.BlobDelete{CID: a}, in{"cid": b}, 0, 0, true},
		{"a job", train, in{"recipe_id": a, "tokens": "9", "gpu_ms": "9"}, 1, 1, false},
		{"a job of more GPU time", train, in{"recipe_id": a, "tokens": "9", "gpu_ms": "10"}, 0, 0, true},
		{"a job where none is allowed", &caps.TrainRun{RecipeID: a, MaxTokens: 9}, in{"recipe_id": a, "tokens": "1", "gpu_ms": "0"}, 0, 0, true},
		{"a suite", &caps.EvalRun{SuiteID: a, MaxRuns: 6}, in{"suite_id": a}, 1, 6, false},
		{"a suite where no run is allowed", &caps.EvalRun{SuiteID: a}, in{"suite_id": a}, 0, 0, true},
		{"a promotion", &caps.DeployPromote{RingID: 2, PolicyID: a}, in{"ring": 2, "policy_id": a}, 0, 0, false},
		{"a promotion into a lower ring", &caps.DeployPromote{RingID: 2, PolicyID: a}, in{"ring": 1, "policy_id": a}, 0, 0, true},
		{"workers", spawn, in{"pool_id": a, "workers": 3, "cpu_us": "4", "io": 5}, 0, 0, false},
		{"a worker too many", spawn, in{"pool_id": a, "workers": 4, "cpu_us": "0", "io": 0}, 0, 0, true},
		{"a key", &caps.CellRead{CellID: a, KeyPrefix: []byte("k/")}, in{"cell_id": a, "key": []byte("k/1")}, 0, 0, false},
		{"the whole cell", &caps.CellRead{CellID: a, KeyPrefix: []byte("k/")}, in{"cell_id": a}, 0, 0, true},
		{"two events", cells, in{"cell_id": a, "types": []any{7, 7}}, 2, 2, false},
		{"three events", &caps.CellWrite{CellID: a, MaxEvents: 2}, in{"cell_id": a, "types": []any{7, 8, 9}}, 0, 0, true},
		{"an event of another type", cells, in{"cell_id": a, "types": []any{7, 8}}, 0, 0, true},
		{"no event", cells, in{"cell_id": a}, 0, 0, true},
		{"a file", &caps.FsRead{Path: "/data"}, in{"path": "/data/x"}, 0, 0, false},
		{"a sibling", &caps.FsRead{Path: "/data"}, in{"path": "/database"}, 0, 0, true},
		{"a way up", &caps.FsRead{Path: "/data"}, in{"path": "/data/../etc"}, 0, 0, true},
		{"a written file", &caps.FsWrite{Path: "/data", MaxBytes: 9}, in{"path": "/data", "written": "9"}, 0, 0, false},
		{"a byte too many", &caps.FsWrite{Path: "/data", MaxBytes: 9}, in{"path": "/data", "written": "10"}, 0, 0, true},
		{"the clock", &caps.Clock{}, nil, 0, 0, false},
		{"randomness", &caps.Random{}, nil, 0, 0, false},
		{"a secret", &caps.SecretRead{Name: "k"}, in{"name": "k"}, 0, 0, false},
		{"another secret", &caps.SecretRead{Name: "k"}, in{"name": "k2"}, 0, 0, true},
		{"a package", &caps.PackageRun{PackageID: a, Ring: 1}, in{"package_id": a, "ring": 0}, 0, 0, false},
		{"a higher ring", &caps.PackageRun{PackageID: a, Ring: 1}, in{"package_id": a, "ring": 2}, 0, 0, true},
		{"a name", &caps.PackagePublish{NamePrefix: "a/"}, in{"name": "a/b"}, 0, 0, false},
		{"another name", &caps.PackagePublish{NamePrefix: "a/"}, in{"name": "b/a/"}, 0, 0, true},
		{"no name", &caps.PackagePublish{}, in{"name": ""}, 0, 0, true},
	} {
		kind := c.power.Kind()
		what := "use-" + strings.ToLower(caps.KindName(kind))
		input := g.asked(c.power, kind, c.members)
		if c.refused {
			g.invalid(what, "caps.check", c.doc, input, "cap_scope")
			continue
		}
		g.valid(what, "caps.check", c.doc, input, capGranted(capLinks(input), c.spends, c.max))
	}
	g.invalid("use-other-kind", "caps.check", "the clock under randomness", g.asked(&caps.Random{}, caps.KindClock, nil), "cap_scope")
	g.invalid("use-other-kind", "caps.check", "writing under reading", g.asked(&caps.FsRead{Path: "/"}, caps.KindFsWrite, in{"path": "/x", "written": "0"}), "cap_scope")
	g.invalid("use-other-kind", "caps.check", "deleting under reading", g.asked(&caps.BlobRead{CID: a}, caps.KindBlobDelete, in{"cid": a}), "cap_scope")
}

// capLinks are the links of an input's proof.
func capLinks(input in) [][]byte {
	r := canon.NewReader(input["proof"].([]byte))
	var links [][]byte
	for range r.List() {
		links = append(links, r.Bytes())
	}
	return links
}
