package ir

import "strings"

// maxNesting bounds parentheses and nots; a valid expression has 12 levels.
const maxNesting = 64

func (p *parser) funcItem(t token, code bool) {
	d := funcDecl{code: code, labels: map[string]int{}}
	if code {
		d.title.at = t.at
	} else {
		d.title = p.title("function", true)
		p.inside("(", ")", func() { d.args = append(d.args, p.typeRef()) })
		p.expect("->")
		d.ret = p.typeRef()
	}
	p.expect("{")
	if p.ok() && p.peek().kind != tokNewline {
		p.reject(p.peek(), "the end of the line")
	}
	for p.ok() && !p.accept("}") {
		p.statement(&d)
	}
	p.file.funcs = append(p.file.funcs, d)
}

// statement reads one line of a body.
func (p *parser) statement(d *funcDecl) {
	t := p.take()
	if t.kind == tokNewline {
		return
	}
	if t.kind != tokIdent {
		p.reject(t, `an op, a label or "}"`)
		return
	}
	if p.accept(":") {
		if _, twice := d.labels[t.text]; twice {
			p.fail(ErrAsmName, t.at, "the label %q is defined twice", t.text)
		}
		d.labels[t.text] = len(d.ops)
		if p.peek().kind == tokNewline {
			p.take()
			return
		}
		if t = p.take(); t.kind != tokIdent {
			p.reject(t, "an op")
			return
		}
	}
	p.op(d, t)
	if end := p.peek(); p.ok() && end.kind != tokNewline {
		p.reject(end, `"," or the end of the line`)
	}
}

func (p *parser) op(d *funcDecl, t token) {
	opcode, ok := mnemonic(t.text)
	if !ok {
		p.fail(ErrAsmSyntax, t.at, "%q is not an op%s", clip(t.text), suggest(t.text, mnemonics()))
		return
	}
	op := opDecl{at: t.at, opcode: opcode}
	if k := p.peek().kind; k != tokNewline && k != tokEnd {
		op.args = append(op.args, p.argument())
		for p.accept(",") {
			op.args = append(op.args, p.argument())
		}
	}
	d.ops = append(d.ops, op)
}

func mnemonic(name string) (uint8, bool) {
	for _, opcode := range opcodes() {
		if s, _ := specOf(opcode); s.name == name {
			return opcode, true
		}
	}
	return 0, false
}

func mnemonics() []string {
	var out []string
	for _, opcode := range opcodes() {
		s, _ := specOf(opcode)
		out = append(out, s.name)
	}
	return out
}

func (p *parser) taskItem() {
	d := taskDecl{title: p.title("task", false), mentioned: map[string]bool{}}
	p.expect("=")
	d.entry = p.ref("a function or a symbol's hash")
	p.inside("(", ")", func() { d.args = append(d.args, p.argument()) })
	if !p.is("budget") {
		if p.ok() {
			p.fail(ErrBudgetMissing, p.peek().at, "task %s has no budget: write budget cpu_us=N io=N writes=N", d.name)
		}
		return
	}
	p.take()
	for p.ok() && p.peek().kind == tokIdent {
		p.setting(&d)
	}
	for _, need := range []string{"cpu_us", "io", "writes"} {
		if p.ok() && !d.mentioned[need] {
			p.fail(ErrBudgetMissing, d.at, "the budget of task %s lacks %s", d.name, need)
		}
	}
	p.file.tasks = append(p.file.tasks, d)
}

// settingWords may stand in a task behind "budget".
func settingWords() []string {
	return []string{"cpu_us", "io", "writes", "max_depth", "tokens", "deadline_us", "max_spawn", "trace", "attest"}
}

func (p *parser) setting(d *taskDecl) {
	t := p.take()
	if d.mentioned[t.text] {
		p.fail(ErrAsmSyntax, t.at, "%q stands twice", t.text)
		return
	}
	d.mentioned[t.text] = true
	b := &d.budget
	switch t.text {
	case "trace":
		d.trace = true
	case "attest":
		d.attest = true
	case "cpu_us":
		b.CPUMicros = p.assigned(1<<64-1, t.text)
	case "io":
		b.IOCount = uint32(p.assigned(1<<32-1, t.text))
	case "writes":
		b.StateWrites = uint32(p.assigned(1<<32-1, t.text))
	case "tokens":
		b.Tokens = new(uint64)
		*b.Tokens = p.assigned(1<<64-1, t.text)
	case "deadline_us":
		b.DeadlineMicros = new(uint64)
		*b.DeadlineMicros = p.assigned(1<<64-1, t.text)
	case "max_depth":
		b.MaxDepth = new(uint16)
		*b.MaxDepth = uint16(p.assigned(1<<16-1, t.text))
	case "max_spawn":
		b.MaxSpawn = new(uint16)
		*b.MaxSpawn = uint16(p.assigned(1<<16-1, t.text))
	default:
		p.fail(ErrAsmSyntax, t.at, "%q is not one of %s%s", clip(t.text), strings.Join(settingWords(), ", "), suggest(t.text, settingWords()))
	}
}

func (p *parser) assigned(limit uint64, what string) uint64 {
	p.expect("=")
	return p.number(limit, what)
}

func (p *parser) contractItem() {
	d := contractDecl{title: p.title("contract", true)}
	p.expect("=")
	p.expect("requires")
	d.exprs = append(d.exprs, p.or(0))
	p.expect("ensures")
	d.exprs = append(d.exprs, p.or(0))
	if p.ok() && p.accept("invariant") {
		d.exprs = append(d.exprs, p.or(0))
	}
	p.file.contracts = append(p.file.contracts, d)
}

func (p *parser) or(level int) exprDecl {
	return p.chain("or", ExprOr, func() exprDecl { return p.chain("and", ExprAnd, func() exprDecl { return p.unary(level) }) })
}

// chain reads operands joined by one word into one Expr, or the operand alone.
func (p *parser) chain(word string, op uint8, one func() exprDecl) exprDecl {
	first := one()
	if !p.ok() || !p.is(word) {
		return first
	}
	e := exprDecl{at: first.at, op: op, args: []exprDecl{first}}
	for p.ok() && p.accept(word) {
		e.args = append(e.args, one())
	}
	return e
}

func (p *parser) unary(level int) exprDecl {
	t := p.peek()
	if level >= maxNesting {
		p.fail(ErrAsmSyntax, t.at, "the expression nests more than %d levels", maxNesting)
	}
	if !p.ok() {
		return exprDecl{}
	}
	e := exprDecl{at: t.at}
	if t.kind == tokPunct && t.text == "(" {
		p.open++
		p.take()
		e = p.or(level + 1)
		closed := p.is(")")
		p.open--
		if !closed {
			p.reject(p.peek(), `")"`)
		}
		p.take()
		return e
	}
	switch t = p.take(); t.text {
	case "not":
		e.op, e.args = ExprNot, []exprDecl{p.unary(level + 1)}
	case "true":
		e.op = ExprTrue
	case "false":
		e.op = ExprFalse
	case "has_tool":
		e.op, e.lits = ExprHasTool, []argument{p.argument()}
	case "has_status":
		e.op, e.lits = ExprHasStatus, []argument{p.argument()}
	case "subject", "inputs", "episode":
		p.comparison(&e, t.text)
	default:
		p.reject(t, "an expression")
	}
	return e
}

func (p *parser) comparison(e *exprDecl, root string) {
	e.path = &ExprPath{Segments: []uint32{}}
	switch root {
	case "inputs":
		e.path.Root = RootInputs
	case "episode":
		e.path.Root = RootEpisode
	}
	for p.ok() && p.accept(".") {
		e.path.Segments = append(e.path.Segments, uint32(p.number(1<<32-1, "a path segment")))
	}
	t := p.take()
	switch t.text {
	case "==":
		e.op = ExprEQ
	case "!=":
		e.op = ExprNE
	case "<":
		e.op = ExprLT
	case "<=":
		e.op = ExprLE
	case ">":
		e.op = ExprGT
	case ">=":
		e.op = ExprGE
	case "in":
		e.op = ExprInSet
		p.inside("{", "}", func() { e.lits = append(e.lits, p.argument()) })
		return
	default:
		p.reject(t, "a comparison (== != < <= > >= in)")
		return
	}
	e.lits = []argument{p.argument()}
}
