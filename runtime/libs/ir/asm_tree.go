package ir

import "github.com/mythos-run/mythos/runtime/libs/cid"

// The syntax tree of a file. at is where something stands in the text.

// ref is a name, or the hash that stands for one.
type ref struct {
	at   int
	name string
	hash *cid.Hash
}

// argument is one operand as it was written.
type argument struct {
	at    int
	form  argForm
	text  string // of a name
	value uint64
	i64   int64
	hash  cid.Hash
	typ   ref
}

type argForm uint8

const (
	argReg argForm = iota
	argU64
	argI64
	argHash
	argName
	argNode // &name
	argSelf
	argType // type NAME
)

// title is the name that goes into the bundle.
type title struct {
	name  string
	at    int
	title string
}

type typeDecl struct {
	title
	record bool
	fields []fieldDecl
	tags   []string
}

type fieldDecl struct {
	id       uint32
	name     string
	required bool
	typ      ref
}

type constDecl struct {
	title
	value Const
}

type nodeDecl struct {
	title
	record bool
	typ    ref
	ids    []uint32 // of a record
	values []argument
}

type toolDecl struct {
	title
	iface             uint16
	request, response ref
}

type contractDecl struct {
	title
	exprs []exprDecl
}

type exprDecl struct {
	at   int
	op   uint8
	args []exprDecl
	path *ExprPath
	lits []argument
}

type funcDecl struct {
	title
	code   bool // without a symbol
	args   []ref
	ret    ref
	ops    []opDecl
	labels map[string]int
}

type opDecl struct {
	at     int
	opcode uint8
	args   []argument
}

type taskDecl struct {
	title
	entry     ref
	args      []argument
	budget    Budget
	trace     bool
	attest    bool
	mentioned map[string]bool
}

type fileDecl struct {
	author    *[32]byte
	hint      string
	types     []typeDecl
	consts    []constDecl
	nodes     []nodeDecl
	contracts []contractDecl
	tools     []toolDecl
	funcs     []funcDecl
	tasks     []taskDecl
}
