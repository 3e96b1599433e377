package ir

import (
	"fmt"
	"slices"
	"strings"
)

func (g *gen) reg() string { return fmt.Sprintf("r%d", g.n(0, 5)) }

// holding is a register that may hold one of some kinds; now and then it is any.
func (g *gen) holding(kinds ...string) string {
	if g.often(30) {
		start := g.n(0, 5)
		for i := range 6 {
			r := (start + i) % 6
			for _, k := range kinds {
				if g.held[r] == k || k == "map" && g.isMap(g.held[r]) {
					return fmt.Sprintf("r%d", r)
				}
			}
		}
		g.missing = true
	}
	return g.reg()
}

// isMap reports whether a kind is that of some MAP.
func (g *gen) isMap(kind string) bool {
	return kind == "map" || kind == "blobref" || slices.ContainsFunc(g.records, func(r genRecord) bool { return r.name == kind })
}

// into is an output, which holds a kind from now on.
func (g *gen) into(kind string) string {
	r := g.n(0, 5)
	g.held[r] = kind
	return fmt.Sprintf("r%d", r)
}

// kindOf is the guess for a register.
func (g *gen) kindOf(reg string) string { return g.held[reg[1]-'0'] }

// fieldOf is a field id and what the field may hold.
func (g *gen) fieldOf(kind string) (int, string) {
	for _, r := range g.records {
		if r.name == kind && len(r.fields) > 0 && g.often(20) {
			f := r.fields[g.n(0, len(r.fields)-1)]
			return f.id, f.typ
		}
	}
	return []int{0, 1, 2, 129, 256}[g.n(0, 4)], "any"
}

// pick writes an op with one of some names, or NOP if there is none.
func (g *gen) pick(of []string, f func(string) string) string {
	if len(of) == 0 {
		return "nop"
	}
	return f(g.one(of...))
}

// outs are the two registers of an effect.
func (g *gen) outs(kind string) string {
	a := g.n(0, 5)
	b := (a + g.n(1, 5)) % 6
	g.held[a], g.held[b] = kind, "map"
	return fmt.Sprintf("r%d, r%d", a, b)
}

// op writes an op, or one that makes a value if none is there that it could
// take.
func (g *gen) op(label func() string) string {
	if f := g.follow; f != "" {
		g.follow = ""
		return f + label()
	}
	held := g.held
	g.missing = false
	op := g.anyOp(g.n(0, 29), label)
	if g.missing && g.often(20) {
		g.held, g.follow = held, ""
		op = g.anyOp(g.n(0, 5), label)
	}
	return op
}

func (g *gen) anyOp(choice int, label func() string) string {
	switch choice {
	case 0, 1, 2:
		k := g.one(g.consts...)
		return "const " + k + ", " + g.into(g.constKind[k])
	case 3, 4, 5:
		return g.pick(g.nodes, func(n string) string {
			return "make " + n + ", " + g.into(g.nodeKind[n])
		})
	case 6:
		src := g.holding("map")
		id, kind := g.fieldOf(g.kindOf(src))
		out := g.into(kind)
		if g.isMap(kind) && kind != "map" {
			g.follow = "match " + out + ", type " + kind + ", " // does it have the type?
		}
		return fmt.Sprintf("get %s, %d, %s", src, id, out)
	case 7, 8:
		src := g.holding("map")
		held := g.kindOf(src)
		id, kind := g.fieldOf(held)
		v := g.reg()
		if kind != "any" {
			v = g.holding(kind)
		}
		return fmt.Sprintf("set %s, %d, %s, %s", src, id, v, g.into(held))
	case 9:
		items := strings.Repeat(", "+g.reg(), g.n(0, 2)) + strings.Repeat(", "+g.reg(), g.n(0, 3)*g.n(0, 4))
		return "list " + g.into("list") + items
	case 10:
		return "jz " + g.reg() + ", " + label()
	case 11:
		if n := len(g.records); n > 0 && g.n(0, 1) == 0 {
			kind := g.records[g.n(0, n-1)].name
			return "match " + g.holding(kind) + ", type " + kind + ", " + label()
		}
		return "match " + g.reg() + ", " + g.one(g.reg(), "7", "-1", g.one(g.consts...), "type "+g.typeName()) + ", " + label()
	case 12:
		return g.one("jmp "+label(), "nop")
	case 13:
		return g.callOp()
	case 14:
		if g.often(2) {
			return "nop"
		}
		return g.pick(g.contracts, func(c string) string { return "assert " + c + ", " + g.reg() })
	case 15, 16, 17, 18, 19:
		return g.effectOp()
	}
	return g.level1Op()
}

func (g *gen) callOp() string {
	if g.n(0, 3) == 0 && !g.straight {
		argc := g.args
		if argc < 0 {
			argc = g.n(0, 5)
		}
		return fmt.Sprintf("call self, %d%s", argc, g.one("", ", "+g.into("any")))
	}
	if len(g.funcs) == 0 {
		return "nop"
	}
	f := g.funcs[g.n(0, len(g.funcs)-1)]
	return fmt.Sprintf("call %s, %d%s", f.name, len(f.args), g.one("", ", "+g.into("any")))
}

func (g *gen) effectOp() string {
	switch g.n(0, 9) {
	case 0:
		return g.pick(g.texts, func(k string) string {
			return "blob_put " + g.holding("bytes") + ", " + k + ", " + g.one(g.texts...) + ", " + g.outs("blobref")
		})
	case 1:
		return "blob_get " + g.holding("blobref", "map") + ", " + g.outs("bytes")
	case 2:
		return "blob_chunk_get " + g.holding("blobref", "map") + ", " + g.holding("u64") + ", " + g.outs("bytes")
	case 3:
		return g.pick(g.blobs, func(k string) string { return fmt.Sprintf("require_cap %d, %s", g.n(0, 70), k) })
	}
	return g.pick(g.tools, func(t string) string {
		key := g.one("", "", "", ", "+g.holding("text", "bytes"))
		if keys := append([]string{}, append(g.texts, g.blobs...)...); len(keys) > 0 && g.n(0, 3) == 0 {
			key = ", " + g.one(keys...)
		}
		arg := g.reg()
		if kind := g.toolKind[t]; kind != "any" {
			arg = g.holding(kind)
		}
		return "effect " + t + ", " + arg + ", " + g.outs(g.responds[t]) + key
	})
}

func (g *gen) level1Op() string {
	two := func(op string, a, b, kind string) string { return op + " " + a + ", " + b + ", " + g.into(kind) }
	switch g.n(0, 9) {
	case 0:
		return two("eq", g.reg(), g.reg(), "bool")
	case 1:
		a := g.holding("u64", "i64", "bytes", "text")
		return two("lt", a, g.holding(g.kindOf(a)), "bool")
	case 2:
		return "not " + g.reg() + ", " + g.into("bool")
	case 3, 4, 5:
		a := g.holding("u64", "i64")
		kind := g.kindOf(a)
		return two(g.one("add", "sub", "mul"), a, g.holding(kind), kind)
	case 6:
		return "len " + g.holding("bytes", "text", "list", "map") + ", " + g.into("u64")
	case 7:
		return two("at", g.holding("list"), g.holding("u64"), "any")
	case 8:
		return two("append", g.holding("list"), g.reg(), "list")
	}
	a := g.holding("bytes", "text", "list")
	kind := g.kindOf(a)
	return two("concat", a, g.holding(kind), kind)
}

// body writes the ops of a function, of which there are some already.
func (g *gen) body(before int, args []string) {
	g.follow = ""
	g.held = [6]string{"null", "null", "null", "null", "null", "null"}
	copy(g.held[:], args)
	n := g.n(1, 24)
	at := 0
	label := func() string {
		lo := 0
		if g.straight {
			lo = at
		}
		to := g.n(min(lo, n-1), n-1)
		return g.one(fmt.Sprintf("l%d", to), fmt.Sprint(before+to))
	}
	for i := range n - 1 {
		at = i + 1
		op := g.op(label)
		if !g.often(40) {
			op = g.one("ret", "ret r0", "halt", "halt r1", "nop")
		}
		g.put("l%d: %s\n", i, op)
	}
	last := []string{"ret", "ret " + g.holding(g.returns), "halt " + g.holding(g.returns)}
	if !g.straight {
		last = append(last, "jmp "+label())
	}
	g.put("l%d: %s\n}\n", n-1, g.one(last...))
}

func (g *gen) program() string {
	g.header()
	budget := fmt.Sprintf("budget cpu_us=%d io=%d writes=%d%s%s\n", g.n(1, 20), g.n(0, 9), g.n(0, 2),
		g.one("", "", " max_depth=5", " max_depth=1024 tokens=0 deadline_us=1 max_spawn=0", " max_depth=1"), g.one("", " trace", " trace attest"))
	arg := func(typ string) string {
		v := g.one(append([]string{"1", "-1"}, g.consts...)...)
		switch {
		case typ != "any":
			v, _ = g.valueOf(typ, true) // there is one: see function
			return v
		case len(g.pureNodes) > 0 && g.n(0, 1) == 0:
			return "&" + g.one(g.pureNodes...)
		}
		return v
	}
	if g.n(0, 4) == 0 {
		g.put("code {\n")
		g.args, g.returns = -1, "any"
		g.body(0, []string{"any"})
		g.put("task main = sha256:%s(%s) %s", strings.Repeat("00", 32), arg("any"), budget)
		return g.out.String()
	}
	for range g.n(1, 3) {
		g.function()
	}
	f := g.funcs[g.n(0, len(g.funcs)-1)]
	var args []string
	for _, typ := range f.args {
		args = append(args, arg(typ))
	}
	g.put("task main = %s(%s) %s", f.name, strings.Join(args, ", "), budget)
	return g.out.String()
}

// function writes a function whose arguments have types that a task can give.
func (g *gen) function() {
	name, titled := g.name("f")
	args := make([]string, g.n(0, 3))
	for i := range args {
		args[i] = g.one("any", "any", "any", "u64")
		for _, n := range g.pureNodes {
			if kind := g.nodeKind[n]; g.isMap(kind) && kind != "blobref" && g.n(0, 5) == 0 {
				args[i] = kind
			}
		}
	}
	g.args, g.returns = len(args), g.lax()
	g.put("func %s(%s) -> %s {\n", titled, strings.Join(args, ", "), g.returns)
	// No two functions are alike, and what a call left in a register would show.
	g.put("nop\nlist r5, %s\n", strings.TrimSuffix(strings.Repeat("r4, ", 1+len(g.funcs)), ", "))
	g.body(2, args)
	g.funcs = append(g.funcs, genFunc{name, args})
}
