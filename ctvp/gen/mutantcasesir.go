package main

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// irUses has one use of each op that takes operands, with the fewest that it
// takes, and the most.
func irUses() []struct {
	name, body string
	most       int
} {
	return []struct {
		name, body string
		most       int
	}{
		{"halt", "halt", 1},
		{"jmp", "jmp end; end: ret", 1},
		{"jz", "jz r0, end; end: ret", 2},
		{"call", "call halts, 0; ret", 3},
		{"ret", "ret", 1},
		{"const", "const hi, r0; ret", 2},
		{"make", "make p, r0; ret", 2},
		{"get", "get r0, 1, r1; ret", 3},
		{"set", "set r0, 1, r1, r2; ret", 4},
		{"list", "list r0; ret", 17},
		{"match", "match r0, type point, end; end: ret", 3},
		{"require-cap", "require_cap 5, raw; ret", 2},
		{"effect", "effect echo, r0, r1, r2; ret", 5},
		{"assert", "assert never, r0; ret", 2},
		{"blob-put", "blob_put r0, media, hi, r1, r2; ret", 5},
		{"blob-get", "blob_get r0, r1, r2; ret", 3},
		{"blob-chunk-get", "blob_chunk_get r0, r1, r2, r3; ret", 4},
		{"eq", "eq r0, r1, r2; ret", 3},
		{"lt", "lt r0, r1, r2; ret", 3},
		{"not", "not r0, r1; ret", 2},
		{"add", "add r0, r1, r2; ret", 3},
		{"sub", "sub r0, r1, r2; ret", 3},
		{"mul", "mul r0, r1, r2; ret", 3},
		{"len", "len r0, r1; ret", 2},
		{"at", "at r0, r1, r2; ret", 3},
		{"append", "append r0, r1, r2; ret", 3},
		{"concat", "concat r0, r1, r2; ret", 3},
	}
}

// operandCounts are ops with one operand less than the fewest, and with one more
// than the most.
func (g *irGen) operandCounts() {
	g.spec, g.level = "RFC-MYTHOS-0012 §5", 0
	for _, use := range irUses() {
		c := irCase{body: use.body}
		raw, _ := g.assemble(c.source())
		if raw == nil {
			continue // the pack fails with why
		}
		bent := func(change func(op *ir.Op)) []byte {
			b := g.decode(raw)
			main := b.Symbols.Symbols[len(b.Symbols.Symbols)-1]
			change(&b.Ops.Ops[*main.PC])
			return (&irRepair{map[cid.Hash]cid.Hash{}}).bundle(b)
		}
		few := bent(func(op *ir.Op) { op.Operands = op.Operands[:max(0, len(op.Operands)-1)] })
		if string(few) != string(raw) {
			g.refuse("few-"+use.name, "one operand less than it takes", few, "ir_operand_invalid", "bent")
		}
		many := bent(func(op *ir.Op) {
			for len(op.Operands) <= use.most {
				op.Operands = append(op.Operands, irReg(uint64(len(op.Operands))))
			}
		})
		g.refuse("many-"+use.name, "one operand more than it takes", many, "ir_operand_invalid", "bent")
	}
}

// irBounds are bundles exactly at a bound, which load, and one beyond it.
func (g *irGen) irBounds() {
	g.spec, g.level = "RFC-MYTHOS-0012 §5", 0
	truth := func(n int) []ir.Expr {
		all := make([]ir.Expr, n)
		for i := range all {
			all[i].Op = ir.ExprTrue
		}
		return all
	}
	and := func(args ...ir.Expr) ir.Expr { return ir.Expr{Op: ir.ExprAnd, Args: args} }
	contract := func(b *ir.Bundle) *ir.Expr { return &b.Contracts.Contracts[0].RequiresExpr }
	first := func(b *ir.Bundle) *ir.Expr { return &contract(b).Args[0] }
	nested := func(n int) ir.Expr {
		x := ir.Expr{Op: ir.ExprTrue}
		for range n - 1 {
			x = ir.Expr{Op: ir.ExprNot, Args: []ir.Expr{x}}
		}
		return x
	}
	in := func(n int) ir.Expr {
		return ir.Expr{Op: ir.ExprInSet, Path: &ir.ExprPath{}, Set: func() []ir.Operand {
			all := make([]ir.Operand, n)
			for i := range all {
				all[i] = ir.Operand{Kind: ir.KindU64, U64: irPtr(uint64(i))}
			}
			return all
		}()}
	}
	full := and(truth(1022)...)
	for _, c := range []struct {
		doc, code string // "" loads
		bend      func(*ir.Bundle)
	}{
		// requires is an AND of four full ANDs and one of two; ensures has two expressions.
		{"4,096 expressions in a contract", "", func(b *ir.Bundle) { *contract(b) = and(full, full, full, full, ir.Expr{Op: ir.ExprTrue}) }},
		{"4,097 expressions in a contract", "ir_contract_invalid", func(b *ir.Bundle) { *contract(b) = and(full, full, full, full, nested(2)) }},
		{"AND of 1,024", "", func(b *ir.Bundle) { *contract(b) = and(truth(1024)...) }},
		{"AND of 1,025", "ir_contract_invalid", func(b *ir.Bundle) { *contract(b) = and(truth(1025)...) }},
		{"AND of two", "", func(b *ir.Bundle) { *contract(b) = and(truth(2)...) }},
		{"OR of one", "ir_contract_invalid", func(b *ir.Bundle) { *contract(b) = ir.Expr{Op: ir.ExprOr, Args: truth(1)} }},
		{"NOT of two", "ir_contract_invalid", func(b *ir.Bundle) { *contract(b) = ir.Expr{Op: ir.ExprNot, Args: truth(2)} }},
		{"12 levels of expressions", "", func(b *ir.Bundle) { *contract(b) = nested(12) }},
		{"13 levels of expressions", "ir_contract_invalid", func(b *ir.Bundle) { *contract(b) = nested(13) }},
		{"a set of 1,024", "", func(b *ir.Bundle) { *contract(b) = in(1024) }},
		{"a set of 1,025", "ir_contract_invalid", func(b *ir.Bundle) { *contract(b) = in(1025) }},
		{"64 segments", "", func(b *ir.Bundle) { first(b).Path.Segments = make([]uint32, 64) }},
		{"65 segments", "ir_contract_invalid", func(b *ir.Bundle) { first(b).Path.Segments = make([]uint32, 65) }},
		{"a key of 256 bytes", "", func(b *ir.Bundle) { b.ConstPool.Consts[0].Text = strings.Repeat("x", 256) }},
		{"register 255", "", func(b *ir.Bundle) { irMain(b, 0).Operands[1].U64 = irPtr(uint64(255)) }},
		{"a jump to the function's last op", "", func(b *ir.Bundle) { irMain(b, 7).Operands[0].U64 = irPtr(uint64(9)) }},
		{"1,024 frames", "", func(b *ir.Bundle) { b.Tasks.Tasks[0].Budget.MaxDepth = irPtr(uint16(1024)) }},
		{"one frame", "", func(b *ir.Bundle) { b.Tasks.Tasks[0].Budget.MaxDepth = irPtr(uint16(1)) }},
		{"the least CPU", "", func(b *ir.Bundle) { b.Tasks.Tasks[0].Budget.CPUMicros = 1 }},
	} {
		b := g.bundle()
		c.bend(b)
		raw := (&irRepair{map[cid.Hash]cid.Hash{}}).bundle(b)
		if c.code == "" {
			g.valid("at-bound", "ir.load", c.doc, map[string]any{"hex": raw}, out{"artifact_id": irArtifactID(b)}, "bent")
			continue
		}
		g.refuse("over-bound", c.doc, raw, c.code, "bent")
	}
}

// comparisons are contracts that compare two values, less, equal and greater,
// with every operator.
func (g *irGen) comparisons() {
	g.spec, g.level = "RFC-MYTHOS-0012 §7", 2
	for _, op := range []struct {
		sign  string
		holds func(order int) bool
	}{
		{"==", func(o int) bool { return o == 0 }},
		{"!=", func(o int) bool { return o != 0 }},
		{"<", func(o int) bool { return o < 0 }},
		{"<=", func(o int) bool { return o <= 0 }},
		{">", func(o int) bool { return o > 0 }},
		{">=", func(o int) bool { return o >= 0 }},
	} {
		for _, pair := range [][2]string{{"7", "300"}, {"-300", "+5"}, {"no", "hi"}} {
			for order, side := range [][2]string{{pair[0], pair[1]}, {pair[1], pair[1]}, {pair[1], pair[0]}} {
				g.compare(side[0], op.sign, side[1], op.holds(order-1))
			}
		}
	}
}

func (g *irGen) compare(v, sign, lit string, holds bool) {
	source := fmt.Sprintf("const no = text \"\"\nconst hi = text \"hi\"\ncontract c = requires inputs.0 %s %s ensures true\n"+
		"func main(any) -> any {\nassert c, r0\nret r0\n}\ntask main = main(%s) budget cpu_us=1000 io=0 writes=0\n", sign, lit, v)
	raw, task := g.assemble(source)
	stated := out{"error_code": "contract_violation"}
	if holds {
		stated = out{"calls": []any{}}
	}
	g.valid("compare", "ir.run", fmt.Sprintf("a contract: %s %s %s", v, sign, lit), map[string]any{"hex": raw, "task": task}, stated)
}

// arithmetic are sums, differences and products with 0, 1 and -1 on either side,
// and at the last values that do not overflow.
func (g *irGen) arithmetic() {
	g.spec, g.level = "RFC-MYTHOS-0012 §4.6", 1
	i := func(n int64) []byte { return canon.AppendInt(nil, n) }
	for _, c := range []struct {
		op, args string
		want     []byte // nil overflows
	}{
		{"add", "+7, +0", i(7)},
		{"add", "+0, +7", i(7)},
		{"add", "+0, +0", i(0)},
		{"add", "-7, +0", i(-7)},
		{"add", "-7, -1", i(-8)},
		{"add", irMaxI64 + ", +0", i(1<<63 - 1)},
		{"add", irMinI64 + ", +0", i(-1 << 63)},
		{"add", irMaxI64 + ", -1", i(1<<63 - 2)},
		{"add", irMinI64 + ", " + irMinI64, nil},
		{"add", irMaxU64 + ", 0", rawU(1<<64 - 1)},
		{"add", "1, " + irMaxU64, nil},
		{"sub", "+7, +0", i(7)},
		{"sub", "+0, +7", i(-7)},
		{"sub", "+0, +0", i(0)},
		{"sub", "+0, -1", i(1)},
		{"sub", irMinI64 + ", +0", i(-1 << 63)},
		{"sub", irMinI64 + ", +1", nil},
		{"sub", irMaxI64 + ", -1", nil},
		{"sub", "-1, " + irMinI64, i(1<<63 - 1)},
		{"sub", "7, 0", rawU(7)},
		{"mul", "+0, -1", i(0)},
		{"mul", "-1, +0", i(0)},
		{"mul", "-1, -1", i(1)},
		{"mul", "+1, " + irMinI64, i(-1 << 63)},
		{"mul", irMinI64 + ", +1", i(-1 << 63)},
		{"mul", irMaxI64 + ", -1", i(-(1<<63 - 1))},
		{"mul", irMinI64 + ", +2", nil},
		{"mul", "0, " + irMaxU64, rawU(0)},
		{"mul", irMaxU64 + ", 0", rawU(0)},
		{"mul", irMaxU64 + ", 1", rawU(1<<64 - 1)},
		{"mul", irMaxU64 + ", 2", nil},
	} {
		run := irCase{what: "arithmetic", doc: c.op + " " + c.args, body: c.op + " r0, r1, r2; ret r2", args: c.args, want: c.want, fuel: 6}
		if c.want == nil {
			run.trap, run.fuel = "ir_overflow", 3
		}
		g.run(run)
	}
}

// requestBytes are effects whose ToolRequest has exactly as many bytes as the tool
// takes, or one more, around the lengths where the payload's own length takes
// another byte.
func (g *irGen) requestBytes() {
	g.spec, g.level = "RFC-MYTHOS-0012 §4.4", 2
	for _, payload := range []int{32, 63, 64, 127, 128, 16383, 16384} {
		head := 2
		if payload > 127+2 {
			head = 3
		}
		source := fmt.Sprintf("const t = text \"%s\"\ntool echo = demo/echo interface 1 (any) -> any\n"+
			"func main() -> any {\nconst t, r0\neffect echo, r0, r1, r2\nret\n}\ntask main = main() budget cpu_us=1000 io=1 writes=0\n", strings.Repeat("x", payload-head))
		raw, task := g.assemble(source)
		request := abi.Request{Payload: canon.AppendText(nil, strings.Repeat("x", payload-head))}
		if len(request.Payload) != payload {
			g.p.fail("a payload of %d bytes, want %d", len(request.Payload), payload)
		}
		whole := len(request.AppendCAN(nil))
		i := map[string]any{"hex": raw, "task": task, "effects": []any{irAnswered(200, x("00"), "")}, "max_request": fmt.Sprint(whole)}
		g.valid("request-bytes", "ir.run", fmt.Sprintf("a request of %d bytes, as many as the tool takes", whole), i, out{"result": x("00"), "io_used": "1"})
		less := map[string]any{"hex": raw, "task": task, "max_request": fmt.Sprint(whole - 1)}
		g.valid("request-bytes", "ir.run", fmt.Sprintf("a request of %d bytes, one more than the tool takes", whole), less, out{"error_code": "ir_request_too_large", "calls": []any{}})
	}
}
