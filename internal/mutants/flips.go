package main

import (
	"go/ast"
	"go/token"
)

// The kinds of mutants.
const (
	kindOperator = "operator"
	kindNegation = "negation"
	kindConstant = "constant"
	kindReturn   = "return"
)

// binary says what each operator between two values becomes.
var binaryFlips = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS,
	token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
	token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.SHL: token.SHR, token.SHR: token.SHL,
	token.AND: token.OR, token.OR: token.AND, token.XOR: token.OR, token.AND_NOT: token.AND,
}

// assignFlips says it of those that assign.
var assignFlips = map[token.Token]token.Token{
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN, token.REM_ASSIGN: token.MUL_ASSIGN,
	token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN,
	token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN,
	token.XOR_ASSIGN: token.OR_ASSIGN, token.AND_NOT_ASSIGN: token.AND_ASSIGN,
	token.INC: token.DEC, token.DEC: token.INC,
}

// flip adds the mutants of one node.
func (w *walker) flip(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		w.binary(n)
	case *ast.UnaryExpr:
		w.unary(n)
	case *ast.AssignStmt:
		w.assign(n.Tok, n.TokPos)
	case *ast.IncDecStmt:
		w.assign(n.Tok, n.TokPos)
	case *ast.IfStmt:
		w.negate(n.Cond)
	case *ast.ForStmt:
		w.negate(n.Cond)
	case *ast.SwitchStmt:
		w.cases(n)
	case *ast.BasicLit:
		w.constant(n)
	case *ast.Ident:
		w.boolean(n)
	case *ast.ReturnStmt:
		w.returned(n)
	}
}

// binary flips an operator. The parentheses keep the operands what they were,
// whatever binds stronger now.
func (w *walker) binary(n *ast.BinaryExpr) {
	to, ok := binaryFlips[n.Op]
	if !ok {
		return
	}
	opEnd := n.OpPos + token.Pos(len(n.Op.String()))
	with := "(" + w.slice(n.Pos(), n.OpPos) + to.String() + w.slice(opEnd, n.End()) + ")"
	w.replace(kindOperator, n.Pos(), n.End(), with, n.OpPos, n.Op.String(), to.String())
}

// unary drops a "not", a sign or a complement.
func (w *walker) unary(n *ast.UnaryExpr) {
	if n.Op == token.NOT || n.Op == token.SUB || n.Op == token.XOR {
		w.replace(kindOperator, n.Pos(), n.End(), w.text(n.X), n.Pos(), w.text(n), w.text(n.X))
	}
}

func (w *walker) assign(op token.Token, at token.Pos) {
	if to, ok := assignFlips[op]; ok {
		end := at + token.Pos(len(op.String()))
		w.replace(kindOperator, at, end, to.String(), at, op.String(), to.String())
	}
}

// cases negates the conditions of a switch without a value.
func (w *walker) cases(n *ast.SwitchStmt) {
	if n.Tag != nil {
		return
	}
	for _, s := range n.Body.List {
		for _, c := range s.(*ast.CaseClause).List {
			w.negate(c)
		}
	}
}

// negate adds the negation of a condition, unless flipping its operator is that
// already.
func (w *walker) negate(c ast.Expr) {
	if c == nil || flipNegates(c) {
		return
	}
	w.replace(kindNegation, c.Pos(), c.End(), "!("+w.text(c)+")", c.Pos(), w.text(c), "!("+w.text(c)+")")
}

// flipNegates reports whether one of the flips of c itself is "not c".
func flipNegates(c ast.Expr) bool {
	switch c := ast.Unparen(c).(type) {
	case *ast.BinaryExpr:
		return c.Op == token.EQL || c.Op == token.NEQ
	case *ast.UnaryExpr:
		return c.Op == token.NOT
	case *ast.Ident:
		return c.Name == "true" || c.Name == "false"
	}
	return false
}

// constant moves an integer up and down.
func (w *walker) constant(n *ast.BasicLit) {
	if n.Kind != token.INT && n.Kind != token.CHAR {
		return
	}
	for _, by := range []string{" + 1", " - 1"} {
		w.replace(kindConstant, n.Pos(), n.End(), "("+n.Value+by+")", n.Pos(), n.Value, n.Value+by)
	}
}

// boolean swaps true and false, in a return or elsewhere.
func (w *walker) boolean(n *ast.Ident) {
	swap := map[string]string{"true": "false", "false": "true"}
	if to, ok := swap[n.Name]; ok {
		w.replace(kindConstant, n.Pos(), n.End(), to, n.Pos(), n.Name, to)
	}
}

// returned makes a returned error nil, a returned code empty and a returned bool
// its opposite, going by the types that the function declares.
func (w *walker) returned(n *ast.ReturnStmt) {
	if len(w.types) == 0 || len(n.Results) == 0 {
		return
	}
	types := results(w.types[len(w.types)-1])
	if len(types) != len(n.Results) {
		return // it passes on what another function returns
	}
	for i, x := range n.Results {
		old := w.text(x)
		switch t := w.text(types[i]); {
		case (t == "error" || t == "*fault.Error") && old != "nil":
			w.replace(kindReturn, x.Pos(), x.End(), "nil", x.Pos(), old, "nil")
		case t == "fault.Code" && old != `""`:
			w.replace(kindReturn, x.Pos(), x.End(), `""`, x.Pos(), old, `""`)
		case t == "bool" && !flipNegates(x):
			w.replace(kindReturn, x.Pos(), x.End(), "!("+old+")", x.Pos(), old, "!("+old+")")
		}
	}
}

// results returns the type of each result.
func results(t *ast.FuncType) []ast.Expr {
	var types []ast.Expr
	if t.Results == nil {
		return nil
	}
	for _, f := range t.Results.List {
		for range max(1, len(f.Names)) {
			types = append(types, f.Type)
		}
	}
	return types
}
