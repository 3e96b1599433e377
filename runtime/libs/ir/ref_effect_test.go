package ir

import (
	"context"
	"math/big"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// refCall is an effect on its way through the steps of §4.4.
type refCall struct {
	tool         [32]byte
	name         string
	payload      any
	key          any // nil: derived
	blob         []byte
	response     [32]byte // type id
	limit        uint64   // of the ToolRequest
	write        bool
	out, receipt uint64
}

func (r *refMachine) effect(x refOp) {
	var t *ToolDef
	for i := range r.b.Tools.Tools {
		if r.b.Tools.Tools[i].ToolID == *x.o[0].Hash {
			t = &r.b.Tools.Tools[i]
		}
	}
	r.charge(big.NewInt(1000), r.passing(x.reg(1), t.RequestTypeID))
	c := refCall{tool: t.ToolID, name: t.Name, response: t.ResponseTypeID, limit: r.maxRequest(), out: x.u64(2), receipt: x.u64(3)}
	if len(x.o) > 4 {
		c.key = r.operand(&x.o[4], x.f).v
		n := -1
		switch k := c.key.(type) {
		case refBytes:
			n = len(k)
		case refText:
			n = len(k)
		}
		r.trapIf(n < 0, "type_mismatch")
		r.trapIf(n < 1 || n > 256, "ir_key_invalid")
	}
	c.payload = r.pass(x.reg(1), t.RequestTypeID).v
	r.perform(c)
}

// perform is steps 4 to 9.
func (r *refMachine) perform(c refCall) {
	request := refEncode(refMap{
		{uint64(1), refText("mythos.tool.request")},
		{uint64(2), refHash(c.tool)},
		{uint64(3), refBytes(refEncode(c.payload))},
		{uint64(4), refHash([32]byte{})},
	})
	r.trapIf(uint64(len(request)) > c.limit, "ir_request_too_large")
	r.charge(refPer(int64(len(request)), 32))
	r.trapIf(r.io == uint64(r.task.Budget.IOCount), "ir_io_exhausted")
	r.trapIf(c.write && r.writes == uint64(r.task.Budget.StateWrites), "ir_writes_exhausted")
	r.io++
	if c.write {
		r.writes++
	}
	call := EffectCall{
		Ordinal: r.ordinal, Tool: c.tool, Name: c.name, Payload: refEncode(c.payload), RequestLen: len(request), Blob: c.blob,
	}
	switch k := c.key.(type) {
	case refBytes:
		call.Key = []byte(k)
	case refText:
		call.Key, call.KeyText = []byte(k), true
	}
	r.ordinal++
	res, err := r.host.Effect(context.Background(), call)
	if err != nil {
		panic(refStop{err})
	}
	r.tools[c.tool], r.statuses[uint64(res.Status)] = true, true
	cost, out := refPer(int64(res.ResponseLen), 32), refVal{}
	if res.Status == 200 {
		out.v = refValue(res.Payload)
		cost = refAdd(cost, r.passing(out, c.response))
	}
	r.charge(cost)
	if res.Status == 200 {
		out = r.pass(out, c.response)
	}
	receipt := map[uint64]any{1: uint64(res.Status), 2: refHash(res.ResponseHash)}
	if res.ErrorCode != "" {
		receipt[3] = refText(res.ErrorCode)
	}
	r.put(map[uint64]refVal{c.out: out, c.receipt: {v: refMapOf(receipt)}})
}

// refAny and refBuiltinTool are the ids of what BLOB ops name.
var refAny = refSum(refEncode(refText("mythos.type/any")))

func refBuiltinTool(name string) [32]byte {
	return refSum(refEncode(refMap{
		{uint64(1), refText("mythos.tool")},
		{uint64(2), refText(name)},
		{uint64(3), uint64(1)},
		{uint64(4), refHash(refAny)},
		{uint64(5), refHash(refAny)},
	}))
}

func (r *refMachine) builtin(x refOp, name string, payload map[uint64]any) refCall {
	n := len(x.o)
	return refCall{
		tool: refBuiltinTool(name), name: name, payload: refMapOf(payload), response: refAny,
		limit: 16<<20 + 1024, out: x.u64(n - 2), receipt: x.u64(n - 1),
	}
}

// blobPut is BLOB_PUT of §4.5.
func (r *refMachine) blobPut(x refOp) {
	b, ok := x.reg(0).v.(refBytes)
	r.charge(big.NewInt(1000), refPer(int64(len(b)), 32))
	r.trapIf(!ok, "type_mismatch")
	id := refSum([]byte(b))
	if len(b) > 4<<20 {
		id = blob.ArtifactOf([]byte(b)).CID // a chunk DAG: no second implementation here
	}
	c := r.builtin(x, "mythos/blob.put", map[uint64]any{
		1: refHash(id), 2: uint64(len(b)), 3: r.operand(&x.o[1], x.f).v, 4: r.operand(&x.o[2], x.f).v,
	})
	c.blob, c.write = []byte(b), true
	r.perform(c)
}

// blobGet is BLOB_GET or BLOB_CHUNK_GET.
func (r *refMachine) blobGet(x refOp, chunk bool) {
	r.charge(big.NewInt(1000))
	v := x.reg(0).v
	var decoded blob.Ref
	reader := can.NewReader(refEncode(v))
	decoded.ReadCAN(&reader)
	r.trapIf(reader.Done() != nil, "type_mismatch")
	r.trapIf(refDepth(v) > 31, "value_too_deep")
	if !chunk {
		r.perform(r.builtin(x, "mythos/blob.get", map[uint64]any{1: v}))
		return
	}
	index, ok := x.reg(1).v.(uint64)
	r.trapIf(!ok, "type_mismatch")
	r.perform(r.builtin(x, "mythos/blob.chunk_get", map[uint64]any{1: v, 2: index}))
}

// assert is ASSERT with §7.
func (r *refMachine) assert(x refOp) {
	var c *ContractDef
	for i := range r.b.Contracts.Contracts {
		if r.b.Contracts.Contracts[i].ContractID == *x.o[0].Hash {
			c = &r.b.Contracts.Contracts[i]
		}
	}
	exprs := []*Expr{&c.RequiresExpr, &c.EnsuresExpr}
	if c.InvariantExpr != nil {
		exprs = append(exprs, c.InvariantExpr)
	}
	e := refScene{r, []any{x.reg(1).v, r.inputs}}
	cost := big.NewInt(4)
	for _, expr := range exprs {
		cost = refAdd(cost, e.cost(expr))
	}
	r.charge(cost)
	for _, expr := range exprs {
		r.trapIf(!e.holds(expr), "contract_violation")
	}
}

// refScene is what an expression looks at: the roots 0 and 1, and the run.
type refScene struct {
	r     *refMachine
	roots []any
}

// cost is N of §6.2.
func (e refScene) cost(x *Expr) *big.Int {
	n := big.NewInt(1)
	for i := range x.Set {
		n = refAdd(n, refS(e.r.operand(&x.Set[i], nil).v))
	}
	if x.Path != nil && x.Path.Root < 2 {
		n = refAdd(n, refS(e.roots[x.Path.Root]))
	}
	for i := range x.Args {
		n = refAdd(n, e.cost(&x.Args[i]))
	}
	return n
}

func (e refScene) holds(x *Expr) bool {
	all, any := true, false
	for i := range x.Args {
		h := e.holds(&x.Args[i])
		all, any = all && h, any || h
	}
	switch x.Op {
	case 1:
		return true
	case 2:
		return false
	case 20:
		return all
	case 21:
		return any
	case 22:
		return !any
	case 40:
		return e.r.tools[*x.Lit.Hash]
	case 41:
		return e.r.statuses[*x.Lit.U64]
	}
	v, there := e.at(x.Path)
	if !there {
		return x.Op == 11
	}
	if x.Op == 30 {
		for i := range x.Set {
			if e.compare(10, v, &x.Set[i]) {
				return true
			}
		}
		return false
	}
	return e.compare(x.Op, v, x.Lit)
}

func (e refScene) at(p *ExprPath) (any, bool) {
	if p.Root == 2 {
		return nil, false
	}
	v := e.roots[p.Root]
	for _, s := range p.Segments {
		there := false
		switch c := v.(type) {
		case refMap:
			v, there = refGet(c, uint64(s))
		case refList:
			if there = uint64(s) < uint64(len(c)); there {
				v = c[s]
			}
		}
		if !there {
			return nil, false
		}
	}
	return v, true
}

func (e refScene) compare(op uint8, v any, lit *Operand) bool {
	w := e.r.operand(lit, nil).v
	class := func(v any) byte {
		if tag := refEncode(v)[0]; tag != 1 {
			return tag
		}
		return 2
	}
	if class(v) != class(w) {
		return false
	}
	order, ok := refOrder(v, w)
	switch op {
	case 10:
		return refEqual(v, w)
	case 11:
		return !refEqual(v, w)
	case 12:
		return ok && order < 0
	case 13:
		return ok && order <= 0
	case 14:
		return ok && order > 0
	}
	return ok && order >= 0
}
