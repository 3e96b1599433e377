package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// mutant is one small change of a source file.
type mutant struct {
	File       string // slash-separated, from the root of the project
	Func       string // the function, as "Reader.Uint"; "" outside of functions
	Line, Col  int
	Kind       string // operator, negation, constant or return
	Text       string // the line with "[old -> new]" where it changes, clipped
	start, end int    // what is replaced, in bytes
	with       string
}

// ID says where the mutant is.
func (m mutant) ID() string { return fmt.Sprintf("%s:%d:%d %s", m.File, m.Line, m.Col, m.Kind) }

// Key names the mutant whatever the lines above it are.
func (m mutant) Key() string { return m.File + " " + m.Func + " " + m.Text }

// apply returns the mutated source.
func (m mutant) apply(src []byte) []byte {
	return slices.Concat(src[:m.start], []byte(m.with), src[m.end:])
}

// order sorts mutants by SHA-256(seed || key): a shuffle in which an edit of one
// line moves no other line's mutants.
func order(all []mutant, seed uint64) {
	rank := func(m mutant) [32]byte {
		return sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, seed), m.Key()...))
	}
	ranks := make(map[string][32]byte, len(all))
	for _, m := range all {
		ranks[m.Key()] = rank(m)
	}
	slices.SortFunc(all, func(a, b mutant) int {
		x, y := ranks[a.Key()], ranks[b.Key()]
		return cmp.Or(slices.Compare(x[:], y[:]), cmp.Compare(a.Key(), b.Key()))
	})
}

// enumerate returns every mutant of one file, in the order of the source, but
// for those of the functions, constants and variables in except.
func enumerate(file string, src []byte, except []string) ([]mutant, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	w := &walker{file: file, src: src, at: fset.File(tree.FileStart)}
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if name := funcName(d); !slices.Contains(except, name) {
				w.walk(name, d)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				v, ok := s.(*ast.ValueSpec)
				if ok && !slices.ContainsFunc(v.Names, func(n *ast.Ident) bool { return slices.Contains(except, n.Name) }) {
					w.walk("", v)
				}
			}
		}
	}
	w.number()
	return w.found, nil
}

// funcName is "Uint" or, of a method, "Reader.Uint".
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}

// declarations returns the names of the functions, constants and variables that a
// file declares.
func declarations(src []byte) ([]string, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, funcName(d))
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					for _, n := range v.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names, nil
}

// walker collects the mutants of one file.
type walker struct {
	file  string
	src   []byte
	at    *token.File
	fn    string
	types []*ast.FuncType // of the functions around the node, innermost last
	found []mutant
}

func (w *walker) walk(fn string, d ast.Node) {
	w.fn = fn
	var stack []ast.Node
	ast.Inspect(d, func(n ast.Node) bool {
		if n == nil {
			if functionType(stack[len(stack)-1]) != nil {
				w.types = w.types[:len(w.types)-1]
			}
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		if t := functionType(n); t != nil {
			w.types = append(w.types, t)
		}
		w.flip(n)
		return true
	})
}

func functionType(n ast.Node) *ast.FuncType {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return n.Type
	case *ast.FuncLit:
		return n.Type
	}
	return nil
}

// text returns the source of a node.
func (w *walker) text(n ast.Node) string { return w.slice(n.Pos(), n.End()) }

func (w *walker) slice(from, to token.Pos) string {
	return string(w.src[w.at.Offset(from):w.at.Offset(to)])
}

// replace adds the mutant in which the source from..to is with. The text shows
// old and changed, which stand at mark in the file.
func (w *walker) replace(kind string, from, to token.Pos, with string, mark token.Pos, old, changed string) {
	start, end := w.at.Offset(mark), w.at.Offset(mark)+len(old)
	before := string(w.src[:start])
	before = strings.TrimLeft(before[strings.LastIndexByte(before, '\n')+1:], "\t ")
	after, _, _ := strings.Cut(string(w.src[end:]), "\n")
	place := w.at.Position(mark)
	w.found = append(w.found, mutant{
		File: w.file, Func: w.fn, Line: place.Line, Col: place.Column, Kind: kind,
		Text:  tail(before) + "[" + brief(old) + " -> " + brief(changed) + "]" + head(after),
		start: w.at.Offset(from), end: w.at.Offset(to), with: with,
	})
}

// number tells mutants of one function and text apart: the second one is "#2".
func (w *walker) number() {
	seen := map[string]int{}
	for i := range w.found {
		m := &w.found[i]
		seen[m.Key()]++
		if n := seen[m.Key()]; n > 1 {
			m.Text += fmt.Sprintf(" #%d", n)
		}
	}
}

// shown is how much of a line stands on each side of a change.
const shown = 40

func head(s string) string {
	if r := []rune(s); len(r) > shown {
		return string(r[:shown]) + "..."
	}
	return s
}

func tail(s string) string {
	if r := []rune(s); len(r) > shown {
		return "..." + string(r[len(r)-shown:])
	}
	return s
}

// brief is s on one line.
func brief(s string) string { return head(strings.Join(strings.Fields(s), " ")) }
