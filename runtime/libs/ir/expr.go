package ir

import (
	"bytes"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Expr ops (RFC-MYTHOS-0012 §7).
const (
	ExprTrue      = 1
	ExprFalse     = 2
	ExprEQ        = 10
	ExprNE        = 11
	ExprLT        = 12
	ExprLE        = 13
	ExprGT        = 14
	ExprGE        = 15
	ExprAnd       = 20
	ExprOr        = 21
	ExprNot       = 22
	ExprInSet     = 30
	ExprHasTool   = 40
	ExprHasStatus = 41
)

// Path roots.
const (
	RootSubject = 0
	RootInputs  = 1
	RootEpisode = 2
)

// expr is a resolved Expr.
type expr struct {
	op     uint8
	args   []expr
	root   uint8
	path   []uint32
	lits   [][]byte // encoded literals
	tool   cid.Hash
	status uint64
}

// contract is a resolved ContractDef: its expressions and the parts of the
// cost N of RFC-MYTHOS-0012 §6.2.
type contract struct {
	name          string
	exprs         []expr
	fixed         uint64 // Exprs, and S of set items
	subjects, ins uint64 // paths from each root
}

func (l *loader) contracts() error {
	defs := l.b.Contracts.Contracts
	raw := l.span(fieldContracts)
	l.p.contracts = make([]contract, len(defs))
	l.p.contractIndex = make(map[cid.Hash]int32, len(defs))
	for i := range defs {
		d := &defs[i]
		c := &l.p.contracts[i]
		c.name = d.Name
		if err := l.compileContract(c, d); err != nil {
			return about(err, "contract", i)
		}
		if err := checkID("contract", i, d.ContractID, raw(i)); err != nil {
			return err
		}
		if _, twice := l.p.contractIndex[d.ContractID]; twice {
			return refuse(ErrContract, "contract", i, "%s is defined twice", d.ContractID)
		}
		l.p.contractIndex[d.ContractID] = int32(i)
	}
	return nil
}

func (l *loader) compileContract(c *contract, d *ContractDef) error {
	all := []*Expr{&d.RequiresExpr, &d.EnsuresExpr}
	if d.InvariantExpr != nil {
		all = append(all, d.InvariantExpr)
	}
	count := 0
	c.exprs = make([]expr, len(all))
	for i, x := range all {
		if err := l.compileExpr(c, &c.exprs[i], x, 1, &count); err != nil {
			return err
		}
	}
	return nil
}

// compileExpr checks that x has exactly the fields of its op's row and
// resolves it into e.
func (l *loader) compileExpr(c *contract, e *expr, x *Expr, level int, count *int) error {
	if *count++; *count > maxExprs {
		return fault.New(ErrContract, "more than %d expressions", maxExprs)
	}
	if level > maxExprDeep {
		return fault.New(ErrContract, "expressions nest more than %d levels", maxExprDeep)
	}
	c.fixed++
	e.op = x.Op
	var args, path, lit, set bool
	switch x.Op {
	case ExprTrue, ExprFalse:
	case ExprEQ, ExprNE, ExprLT, ExprLE, ExprGT, ExprGE:
		path, lit = true, true
	case ExprAnd, ExprOr, ExprNot:
		args = true
	case ExprInSet:
		path, set = true, true
	case ExprHasTool, ExprHasStatus:
		lit = true
	default:
		return fault.New(ErrContract, "expression op %d is unknown", x.Op)
	}
	if args != (len(x.Args) != 0) || path != (x.Path != nil) || lit != (x.Lit != nil) || set != (len(x.Set) != 0) {
		return fault.New(ErrContract, "expression op %d has other fields than its row", x.Op)
	}
	if err := l.compileArgs(c, e, x, level, count); err != nil {
		return err
	}
	if err := c.compilePath(e, x.Path); err != nil {
		return err
	}
	return l.compileLits(c, e, x)
}

func (l *loader) compileArgs(c *contract, e *expr, x *Expr, level int, count *int) error {
	n := len(x.Args)
	if x.Op == ExprNot && n != 1 || (x.Op == ExprAnd || x.Op == ExprOr) && (n < 2 || n > maxExprArgs) {
		return fault.New(ErrContract, "expression op %d has %d arguments", x.Op, n)
	}
	if n == 0 {
		return nil
	}
	e.args = make([]expr, n)
	for i := range x.Args {
		if err := l.compileExpr(c, &e.args[i], &x.Args[i], level+1, count); err != nil {
			return err
		}
	}
	return nil
}

func (c *contract) compilePath(e *expr, path *ExprPath) error {
	if path == nil {
		return nil
	}
	if path.Root > RootEpisode || len(path.Segments) > maxSegments {
		return fault.New(ErrContract, "a path with root %d and %d segments, at most %d and %d", path.Root, len(path.Segments), RootEpisode, maxSegments)
	}
	e.root, e.path = path.Root, path.Segments
	switch path.Root {
	case RootSubject:
		c.subjects++
	case RootInputs:
		c.ins++
	}
	return nil
}

func (l *loader) compileLits(c *contract, e *expr, x *Expr) error {
	lits := x.Set
	if x.Lit != nil {
		lits = []Operand{*x.Lit}
	}
	if len(lits) > maxExprArgs {
		return fault.New(ErrContract, "a set of %d items, at most %d", len(lits), maxExprArgs)
	}
	seen := map[uint32]bool{} // a large constant is compared once, however often a set names it
	for i := range lits {
		o := &lits[i]
		if !wellFormed(o) || o.Kind == KindReg || o.Kind == KindNode {
			return fault.New(ErrContract, "a literal of kind %d, want a constant, number or hash", o.Kind)
		}
		switch {
		case x.Op == ExprHasTool && o.Kind == KindHash:
			e.tool = *o.Hash
		case x.Op == ExprHasStatus && o.Kind == KindU64:
			e.status = *o.U64
		case x.Op == ExprHasTool || x.Op == ExprHasStatus:
			return fault.New(ErrContract, "expression op %d has a literal of kind %d", x.Op, o.Kind)
		default:
			v, ok := l.p.fixed(o)
			if !ok {
				return fault.New(ErrContract, "a literal refers to constant %d of %d", *o.ConstRef, len(l.p.consts))
			}
			if x.Op == ExprInSet {
				c.fixed = sum(c.fixed, per(uint64(len(v)), 64))
			}
			if o.Kind == KindConst && seen[*o.ConstRef] {
				continue
			}
			if o.Kind == KindConst {
				seen[*o.ConstRef] = true
			}
			e.lits = append(e.lits, v)
		}
	}
	return nil
}

// scene is what expressions may look at.
type scene struct {
	subject, inputs []byte
	tools           map[cid.Hash]bool
	statuses        map[uint64]bool
}

// cost is N of RFC-MYTHOS-0012 §6.2.
func (c *contract) cost(s *scene) uint64 {
	n := sum(c.fixed, c.subjects*per(uint64(len(s.subject)), 64))
	return sum(n, c.ins*per(uint64(len(s.inputs)), 64))
}

// holds evaluates an expression; it nests at most maxExprDeep levels.
func (e *expr) holds(s *scene) bool {
	switch e.op {
	case ExprTrue:
		return true
	case ExprFalse:
		return false
	case ExprAnd, ExprOr:
		for i := range e.args {
			if e.args[i].holds(s) == (e.op == ExprOr) {
				return e.op == ExprOr
			}
		}
		return e.op == ExprAnd
	case ExprNot:
		return !e.args[0].holds(s)
	case ExprHasTool:
		return s.tools[e.tool]
	case ExprHasStatus:
		return s.statuses[e.status]
	}
	v, ok := e.resolve(s)
	if !ok {
		return e.op == ExprNE
	}
	for _, lit := range e.lits {
		if compares(e.op, v, lit) {
			return true
		}
	}
	return false
}

// resolve follows a path.
func (e *expr) resolve(s *scene) ([]byte, bool) {
	var v []byte
	switch e.root {
	case RootSubject:
		v = s.subject
	case RootInputs:
		v = s.inputs
	default:
		return nil, false
	}
	off := 0
	for _, seg := range e.path {
		if off = descend(v, off, seg); off < 0 {
			return nil, false
		}
	}
	return v[off:skip(v, off)], true
}

// descend steps from the value at off into one of its parts and returns where
// that starts, or -1. What lies behind the part is not looked at: a path reads
// no byte twice but for heads, however deep it goes.
func descend(b []byte, off int, seg uint32) int {
	tag, n, off := head(b, off)
	switch {
	case tag == can.List && uint64(seg) < n:
		return skipAll(b, off, uint64(seg))
	case tag != can.Map:
		return -1
	}
	var room [8]byte
	key := can.AppendUint(room[:0], uint64(seg))
	for ; n > 0; n-- {
		v := skip(b, off)
		switch c := bytes.Compare(b[off:v], key); {
		case c == 0:
			return v
		case c > 0:
			return -1
		}
		off = skip(b, v)
	}
	return -1
}

// compares applies a comparison to two values that are there. IN_SET asks for
// equality with one of several.
func compares(op uint8, v, lit []byte) bool {
	if class(v[0]) != class(lit[0]) {
		return false
	}
	switch op {
	case ExprEQ, ExprInSet:
		return bytes.Equal(v, lit)
	case ExprNE:
		return !bytes.Equal(v, lit)
	}
	order, ok := ordered(v, lit)
	switch {
	case !ok:
		return false
	case op == ExprLT:
		return order < 0
	case op == ExprLE:
		return order <= 0
	case op == ExprGT:
		return order > 0
	}
	return order >= 0
}

// class is the tag, with true and false taken as one.
func class(tag byte) byte {
	if tag == can.True {
		return can.False
	}
	return tag
}
