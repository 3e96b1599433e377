package dataset

import (
	"bytes"
	"cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// Bounds of an expression (RFC-MYTHOS-0012 §7).
const (
	maxExprs    = 4096
	maxExprDeep = 12
	maxExprArgs = 1024
	maxSegments = 64
)

// expr is a predicate that was checked.
type expr struct {
	op     uint8
	args   []expr
	root   uint8
	path   []uint32
	lits   [][]byte // canonical
	tool   cid.Hash // of HAS_TOOL
	status uint64   // of HAS_STATUS
	wants  bool     // it or an argument looks at receipts
}

// compile checks a predicate against RFC-MYTHOS-0012 §7.
func compile(x *ir.Expr) (*expr, error) {
	e, count := &expr{}, 0
	if err := e.fill(x, 1, &count); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *expr) fill(x *ir.Expr, level int, count *int) error {
	if *count++; *count > maxExprs || level > maxExprDeep {
		return fault.New(ErrPredicate, "more than %d expressions, or more than %d levels", maxExprs, maxExprDeep)
	}
	e.op = x.Op
	var args, path, lit, set bool
	switch x.Op {
	case ir.ExprTrue, ir.ExprFalse:
	case ir.ExprEQ, ir.ExprNE, ir.ExprLT, ir.ExprLE, ir.ExprGT, ir.ExprGE:
		path, lit = true, true
	case ir.ExprAnd, ir.ExprOr, ir.ExprNot:
		args = true
	case ir.ExprInSet:
		path, set = true, true
	case ir.ExprHasTool, ir.ExprHasStatus:
		lit, e.wants = true, true
	default:
		return fault.New(ErrPredicate, "expression op %d is unknown", x.Op)
	}
	if args != (len(x.Args) != 0) || path != (x.Path != nil) || lit != (x.Lit != nil) || set != (len(x.Set) != 0) {
		return fault.New(ErrPredicate, "expression op %d has other fields than its row", x.Op)
	}
	if x.Path != nil {
		if x.Path.Root > ir.RootEpisode || len(x.Path.Segments) > maxSegments {
			return fault.New(ErrPredicate, "a path with root %d and %d segments, at most %d and %d", x.Path.Root, len(x.Path.Segments), ir.RootEpisode, maxSegments)
		}
		e.root, e.path = x.Path.Root, x.Path.Segments
	}
	if err := e.fillLits(x); err != nil {
		return err
	}
	return e.fillArgs(x, level, count)
}

func (e *expr) fillArgs(x *ir.Expr, level int, count *int) error {
	n := len(x.Args)
	if x.Op == ir.ExprNot && n != 1 || (x.Op == ir.ExprAnd || x.Op == ir.ExprOr) && (n < 2 || n > maxExprArgs) {
		return fault.New(ErrPredicate, "expression op %d has %d arguments", x.Op, n)
	}
	e.args = make([]expr, n)
	for i := range x.Args {
		if err := e.args[i].fill(&x.Args[i], level+1, count); err != nil {
			return err
		}
		e.wants = e.wants || e.args[i].wants
	}
	return nil
}

func (e *expr) fillLits(x *ir.Expr) error {
	lits := x.Set
	if x.Lit != nil {
		lits = []ir.Operand{*x.Lit}
	}
	if len(lits) > maxExprArgs {
		return fault.New(ErrPredicate, "a set of %d items, at most %d", len(lits), maxExprArgs)
	}
	for i := range lits {
		v := literal(&lits[i])
		switch kind := lits[i].Kind; {
		case v == nil:
			return fault.New(ErrPredicate, "a literal of kind %d, want a number or hash; a dataset has no constant pool", kind)
		case x.Op == ir.ExprHasTool && kind == ir.KindHash:
			e.tool = *lits[i].Hash
		case x.Op == ir.ExprHasStatus && kind == ir.KindU64:
			e.status = *lits[i].U64
		case x.Op == ir.ExprHasTool || x.Op == ir.ExprHasStatus:
			return fault.New(ErrPredicate, "expression op %d has a literal of kind %d", x.Op, kind)
		default:
			e.lits = append(e.lits, v)
		}
	}
	return nil
}

// literal returns the canonical value of an operand that stands for itself, or nil.
func literal(o *ir.Operand) []byte {
	switch bare := (ir.Operand{Kind: o.Kind}); {
	case o.Kind == ir.KindU64 && o.U64 != nil:
		bare.U64 = o.U64
		return only(o, &bare, can.AppendUint(nil, *o.U64))
	case o.Kind == ir.KindI64 && o.I64 != nil:
		bare.I64 = o.I64
		return only(o, &bare, can.AppendInt(nil, *o.I64))
	case o.Kind == ir.KindHash && o.Hash != nil:
		bare.Hash = o.Hash
		return only(o, &bare, o.Hash.AppendCAN(nil))
	}
	return nil
}

// only returns v if o has no field beyond those of bare.
func only(o, bare *ir.Operand, v []byte) []byte {
	if *o != *bare {
		return nil
	}
	return v
}

// holds evaluates an expression over an episode; it nests at most maxExprDeep
// levels.
func (e *expr) holds(x *Entry) bool {
	switch e.op {
	case ir.ExprTrue:
		return true
	case ir.ExprFalse:
		return false
	case ir.ExprAnd, ir.ExprOr:
		for i := range e.args {
			if e.args[i].holds(x) == (e.op == ir.ExprOr) {
				return e.op == ir.ExprOr
			}
		}
		return e.op == ir.ExprAnd
	case ir.ExprNot:
		return !e.args[0].holds(x)
	case ir.ExprHasTool:
		return x.tools[e.tool]
	case ir.ExprHasStatus:
		return x.statuses[e.status]
	}
	v := x.at(e.root, e.path)
	if v == nil {
		return e.op == ir.ExprNE
	}
	for _, lit := range e.lits {
		if compares(e.op, v, lit) {
			return true
		}
	}
	return false
}

// compares applies a comparison to two canonical values. A literal is a number or a
// Hash, so that only numbers of one type have an order.
func compares(op uint8, v, lit []byte) bool {
	if v[0] != lit[0] {
		return false
	}
	switch op {
	case ir.ExprEQ, ir.ExprInSet:
		return bytes.Equal(v, lit)
	case ir.ExprNE:
		return !bytes.Equal(v, lit)
	}
	a, b := can.NewReader(v), can.NewReader(lit)
	var order int
	switch v[0] {
	case can.Uint:
		order = cmp.Compare(a.Uint(), b.Uint())
	case can.Int:
		order = cmp.Compare(a.Int(), b.Int())
	default:
		return false
	}
	switch op {
	case ir.ExprLT:
		return order < 0
	case ir.ExprLE:
		return order <= 0
	case ir.ExprGT:
		return order > 0
	}
	return order >= 0
}

// at returns the canonical value at a path, nil if there is none. Only the episode
// is there; subject and inputs belong to a run.
func (x *Entry) at(root uint8, path []uint32) []byte {
	if root != ir.RootEpisode {
		return nil
	}
	v := x.raw
	for _, segment := range path {
		if v = part(v, segment); v == nil {
			return nil
		}
	}
	return v
}

// part steps into a MAP by the key UVARINT segment, or into a LIST by index.
func part(v []byte, segment uint32) []byte {
	r := can.NewReader(v)
	tag, _ := r.Kind()
	switch tag {
	case can.List:
		n := r.List()
		if uint64(segment) >= uint64(n) {
			return nil
		}
		for range segment {
			r.Skip()
		}
		return r.Raw()
	case can.Map:
		want := can.AppendUint(nil, uint64(segment))
		for range r.MapHead() {
			if key := r.Raw(); bytes.Equal(key, want) {
				return r.Raw()
			}
			r.Skip()
		}
	}
	return nil
}
