package dataset

import (
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

func u64(n uint64) *ir.Operand { return &ir.Operand{Kind: ir.KindU64, U64: &n} }
func i64(n int64) *ir.Operand  { return &ir.Operand{Kind: ir.KindI64, I64: &n} }

func hashLit(s string) *ir.Operand {
	h := hashOf(s)
	return &ir.Operand{Kind: ir.KindHash, Hash: &h}
}

func path(segments ...uint32) *ir.ExprPath {
	return &ir.ExprPath{Root: ir.RootEpisode, Segments: segments}
}

func compareTo(op uint8, lit *ir.Operand, segments ...uint32) ir.Expr {
	return ir.Expr{Op: op, Path: path(segments...), Lit: lit}
}

func join(op uint8, args ...ir.Expr) ir.Expr { return ir.Expr{Op: op, Args: args} }

func TestPredicates(t *testing.T) {
	w := newWorld()
	ok, bad := w.receipt(t, "echo", 200), w.receipt(t, "rm", 500)
	id := w.episode(t, "four", "red", 50, ok, bad)
	root := w.corpus(t, id)
	no := ir.Expr{Op: ir.ExprFalse}
	tool := func(s string) ir.Expr { return ir.Expr{Op: ir.ExprHasTool, Lit: hashLit(s)} }
	status := func(n uint64) ir.Expr { return ir.Expr{Op: ir.ExprHasStatus, Lit: u64(n)} }
	in := func(set ...ir.Operand) ir.Expr { return ir.Expr{Op: ir.ExprInSet, Path: path(3), Set: set} }
	for name, c := range map[string]struct {
		x    ir.Expr
		want bool
	}{
		"true":                 {yes(), true},
		"false":                {no, false},
		"eq time":              {compareTo(ir.ExprEQ, i64(50), 5), true},
		"eq is typed":          {compareTo(ir.ExprEQ, u64(50), 5), false},
		"ne":                   {compareTo(ir.ExprNE, i64(50), 5), false},
		"ne other":             {compareTo(ir.ExprNE, i64(51), 5), true},
		"ne of another type":   {compareTo(ir.ExprNE, u64(50), 5), false},
		"ne missing":           {compareTo(ir.ExprNE, i64(50), 6), true},
		"eq missing":           {compareTo(ir.ExprEQ, i64(50), 6), false},
		"lt":                   {compareTo(ir.ExprLT, i64(51), 5), true},
		"lt equal":             {compareTo(ir.ExprLT, i64(50), 5), false},
		"le equal":             {compareTo(ir.ExprLE, i64(50), 5), true},
		"le lower":             {compareTo(ir.ExprLE, i64(49), 5), false},
		"gt":                   {compareTo(ir.ExprGT, i64(-51), 5), true},
		"gt equal":             {compareTo(ir.ExprGT, i64(50), 5), false},
		"ge equal":             {compareTo(ir.ExprGE, i64(50), 5), true},
		"ge higher":            {compareTo(ir.ExprGE, i64(51), 5), false},
		"unsigned":             {compareTo(ir.ExprGE, u64(4), 2, 1, 2), true},
		"unsigned higher":      {compareTo(ir.ExprGT, u64(4), 2, 1, 2), false},
		"order over types":     {compareTo(ir.ExprLT, u64(51), 5), false},
		"order of text":        {compareTo(ir.ExprGE, u64(0), 2, 1, 3), false},
		"order of hashes":      {compareTo(ir.ExprLE, hashLit("red"), 3), false},
		"hash":                 {compareTo(ir.ExprEQ, hashLit("red"), 3), true},
		"other hash":           {compareTo(ir.ExprEQ, hashLit("blue"), 3), false},
		"list item":            {compareTo(ir.ExprEQ, &ir.Operand{Kind: ir.KindHash, Hash: &bad}, 2, 2, 1), true},
		"past the list":        {compareTo(ir.ExprEQ, &ir.Operand{Kind: ir.KindHash, Hash: &bad}, 2, 2, 2), false},
		"through a leaf":       {compareTo(ir.ExprNE, i64(50), 5, 1), true},
		"inside a hash":        {compareTo(ir.ExprEQ, u64(1), 3, 1), true},
		"in":                   {in(*hashLit("blue"), *hashLit("red")), true},
		"not in":               {in(*hashLit("blue"), *u64(3)), false},
		"subject is not there": {ir.Expr{Op: ir.ExprNE, Path: &ir.ExprPath{Root: ir.RootSubject}, Lit: u64(1)}, true},
		"inputs are not there": {ir.Expr{Op: ir.ExprEQ, Path: &ir.ExprPath{Root: ir.RootInputs}, Lit: u64(1)}, false},
		"and":                  {join(ir.ExprAnd, yes(), yes(), no), false},
		"and all":              {join(ir.ExprAnd, yes(), yes()), true},
		"or":                   {join(ir.ExprOr, no, no, yes()), true},
		"or none":              {join(ir.ExprOr, no, no), false},
		"not":                  {join(ir.ExprNot, no), true},
		"tool":                 {tool("rm"), true},
		"tool not used":        {tool("cp"), false},
		"status":               {status(200), true},
		"status not seen":      {status(201), false},
		"receipts, first":      {join(ir.ExprAnd, tool("rm"), yes()), true},
		"receipts, deep":       {join(ir.ExprNot, join(ir.ExprAnd, yes(), tool("cp"))), true},
	} {
		t.Run(name, func(t *testing.T) {
			d := def(ModeAll, nil, root)
			d.Query.Predicate = c.x
			if got := slices.Contains(chosen(t, w, d), id); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestPredicateRefused(t *testing.T) {
	deep := func(n int) ir.Expr {
		x := yes()
		for range n - 1 {
			x = join(ir.ExprNot, x)
		}
		return x
	}
	wide := func(n int) ir.Expr { return join(ir.ExprAnd, slices.Repeat([]ir.Expr{yes()}, n)...) }
	set := func(n int) ir.Expr {
		return ir.Expr{Op: ir.ExprInSet, Path: path(5), Set: slices.Repeat([]ir.Operand{*i64(1)}, n)}
	}
	long := func(n int) ir.Expr { return compareTo(ir.ExprEQ, u64(1), make([]uint32, n)...) }
	two := *u64(1)
	two.I64 = i64(1).I64
	for name, c := range map[string]struct {
		x  ir.Expr
		ok bool
	}{
		"12 levels":              {deep(12), true},
		"13 levels":              {deep(13), false},
		"1024 arguments":         {wide(1024), true},
		"1025 arguments":         {wide(1025), false},
		"4096 expressions":       {join(ir.ExprAnd, wide(1024), wide(1024), wide(1024), wide(1019)), true},
		"4097 expressions":       {join(ir.ExprAnd, wide(1024), wide(1024), wide(1024), wide(1020)), false},
		"1024 items":             {set(1024), true},
		"1025 items":             {set(1025), false},
		"64 segments":            {long(64), true},
		"65 segments":            {long(65), false},
		"root 3":                 {ir.Expr{Op: ir.ExprEQ, Path: &ir.ExprPath{Root: 3}, Lit: u64(1)}, false},
		"unknown op":             {ir.Expr{Op: 3}, false},
		"true with a path":       {ir.Expr{Op: ir.ExprTrue, Path: path()}, false},
		"eq without a path":      {ir.Expr{Op: ir.ExprEQ, Lit: u64(1)}, false},
		"eq without a literal":   {ir.Expr{Op: ir.ExprEQ, Path: path()}, false},
		"eq with a set":          {ir.Expr{Op: ir.ExprEQ, Path: path(), Lit: u64(1), Set: []ir.Operand{*u64(1)}}, false},
		"not of two":             {join(ir.ExprNot, yes(), yes()), false},
		"and of one":             {join(ir.ExprAnd, yes()), false},
		"not of nothing":         {ir.Expr{Op: ir.ExprNot}, false},
		"a constant":             {compareTo(ir.ExprEQ, &ir.Operand{Kind: ir.KindConst, ConstRef: ptr(uint32(0))}, 5), false},
		"a register":             {compareTo(ir.ExprEQ, &ir.Operand{Kind: ir.KindReg, U64: ptr(uint64(0))}, 5), false},
		"a number without one":   {compareTo(ir.ExprEQ, &ir.Operand{Kind: ir.KindU64}, 5), false},
		"a number twice":         {compareTo(ir.ExprEQ, &two, 5), false},
		"a hash without one":     {compareTo(ir.ExprEQ, &ir.Operand{Kind: ir.KindHash}, 5), false},
		"tool by number":         {ir.Expr{Op: ir.ExprHasTool, Lit: u64(1)}, false},
		"status by hash":         {ir.Expr{Op: ir.ExprHasStatus, Lit: hashLit("x")}, false},
		"status by i64":          {ir.Expr{Op: ir.ExprHasStatus, Lit: i64(200)}, false},
		"a bad one further down": {join(ir.ExprOr, yes(), ir.Expr{Op: 99}), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := def(ModeAll, nil)
			d.Query.Predicate = c.x
			_, _, err := Seal(d)
			if c.ok {
				wantCode(t, err, "")
				return
			}
			wantCode(t, err, ErrPredicate)
		})
	}
}

// A predicate that looks at receipts gets all of them, verified, or nothing.
func TestReceiptsAreVerified(t *testing.T) {
	w := newWorld()
	a, b := w.receipt(t, "echo", 200), w.receipt(t, "rm", 500)
	root := w.corpus(t, w.episode(t, "x", "c", 1, a, b))
	d := def(ModeAll, nil, root)
	d.Query.Predicate = ir.Expr{Op: ir.ExprHasTool, Lit: hashLit("echo")}
	x := open(t, d)
	good := w.things[b]
	w.things[b] = w.things[a]
	_, err := x.Select(w.source(), nil)
	wantCode(t, err, ErrEpisode)
	w.things[b] = append(good[:len(good):len(good)], 0)
	_, err = x.Select(w.source(), nil)
	wantCode(t, err, can.ErrTrailing)

	e, err := OpenEpisode(w.things[w.episode(t, "x", "c", 1, a, b)])
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, e.AddReceipt(good), ErrEpisode) // b before a
	wantCode(t, e.AddReceipt(make([]byte, MaxReceipt+1)), ErrEpisode)
	wantCode(t, e.AddReceipt(w.things[a]), "")
	s := x.NewSelector()
	wantCode(t, s.Add(e), ErrEpisode) // one is missing
	wantCode(t, s.Add(e), ErrEpisode)
	_, err = s.Chosen()
	wantCode(t, err, ErrEpisode)
	wantCode(t, e.AddReceipt(good), "")
	wantCode(t, e.AddReceipt(good), ErrEpisode) // one too many
	s = x.NewSelector()
	wantCode(t, s.Add(e), "")
	if ids, err := s.Chosen(); err != nil || !slices.Equal(ids, sorted(e.ID())) {
		t.Errorf("got %v, %v", ids, err)
	}
	_, err = s.Chosen()
	wantCode(t, err, ErrDefinition)
}
