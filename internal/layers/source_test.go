package layers

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// file is one parsed Go source file.
type file struct {
	path      string // from the project's root, with slashes
	dir       string
	test      bool // a _test.go file
	nested    bool // in a module of its own
	generated bool
	lines     int
	tree      *ast.File
	fset      *token.FileSet
}

// imports returns the import paths and the name each is known by ("" for the
// package's own).
func (f file) imports() map[string]string {
	m := map[string]string{}
	for _, spec := range f.tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has checked it
		}
		m[p] = ""
		if spec.Name != nil {
			m[p] = spec.Name.Name
		}
	}
	return m
}

// qualified calls visit for every pkg.Name in f, with pkg's import path.
func (f file) qualified(visit func(pkg, name string, at token.Pos)) {
	names := map[string]string{}
	for p, as := range f.imports() {
		if as == "" {
			as = path.Base(p)
		}
		names[as] = p
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// An identifier that the parser resolved is a local name, not a package.
		if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && names[x.Name] != "" {
			visit(names[x.Name], sel.Sel.Name, sel.Pos())
		}
		return true
	})
}

// at renders a position as "dir/file.go:line".
func (f file) at(p token.Pos) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(p).Line)
}

// load parses every Go file of the project, those of nested modules included.
func load(fsys fs.FS) ([]file, error) {
	var files []file
	var modules []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && skipped(name):
			return fs.SkipDir
		case name == "go.mod" && p != name:
			modules = append(modules, path.Dir(p))
		case d.Type().IsRegular() && strings.HasSuffix(name, ".go"):
			f, err := read(fsys, p)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	for i := range files {
		files[i].nested = slices.ContainsFunc(modules, func(m string) bool { return within(files[i].dir, m) })
	}
	return files, err
}

func skipped(dir string) bool {
	return dir[0] == '.' || dir[0] == '_' || slices.Contains([]string{"testdata", "node_modules", "target", "bin", "dist"}, dir)
}

func read(fsys fs.FS, p string) (file, error) {
	src, err := fs.ReadFile(fsys, p)
	if err != nil {
		return file{}, err
	}
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, p, src, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	return file{
		path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"),
		generated: ast.IsGenerated(tree), lines: bytes.Count(src, []byte("\n")), tree: tree, fset: fset,
	}, nil
}

// within reports whether dir is root or below it.
func within(dir, root string) bool {
	return dir == root || strings.HasPrefix(dir, root+"/")
}

// parse loads one file of a made-up project.
func parse(t *testing.T, p, src string) []file {
	t.Helper()
	files, err := load(fstest.MapFS{
		p:              {Data: []byte(src)},
		"bench/go.mod": {Data: []byte("module bench\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantViolation fails unless some violation contains want.
func wantViolation(t *testing.T, got []string, want string) {
	t.Helper()
	if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, want) }) {
		t.Errorf("got %q, want a violation with %q", got, want)
	}
}
