package layers

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// checkLayers returns one line for every breach of the tables.
func checkLayers(files []file) []string {
	var out []string
	for _, f := range files {
		add := func(format string, args ...any) {
			out = append(out, f.path+": "+fmt.Sprintf(format, args...))
		}
		checkSyntax(f, add)
		if f.test {
			continue
		}
		checkNever(f, add)
		if f.nested {
			continue // its go.mod is its own affair
		}
		checkRank(f, add)
		checkConfined(f, add)
		if lib, ok := strings.CutPrefix(f.dir, "runtime/libs/"); ok {
			checkLib(f, lib, add)
			checkPurity(f, add)
		}
	}
	return out
}

type report = func(format string, args ...any)

// checkSyntax refuses what would blind the other checks or hide an effect of
// merely importing a package.
func checkSyntax(f file, add report) {
	for imp, as := range f.imports() {
		if as == "." {
			add("dot import of %s", imp)
		}
	}
	if f.nested && f.generated {
		return // another project's generator
	}
	for _, d := range f.tree.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			add("declares init: do the work in a constructor")
		}
	}
}

// own returns the folder of one of our packages.
func own(imp string) (dir string, ok bool) {
	return strings.CutPrefix(imp, module+"/")
}

// standard reports whether imp belongs to the standard library: its first
// element has no dot.
func standard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// row returns the layer of dir: the longest one that covers it.
func row(dir string) (layer, bool) {
	var best layer
	for _, l := range layers {
		if within(dir, l.dir) && len(l.dir) > len(best.dir) {
			best = l
		}
	}
	return best, best.dir != ""
}

func checkRank(f file, add report) {
	from, ok := row(f.dir)
	if !ok {
		add("%s is not in the layer table; add a row with a reason", f.dir)
		return
	}
	for imp := range f.imports() {
		dir, local := own(imp)
		if !local {
			continue
		}
		to, ok := row(dir)
		switch {
		case !ok:
			add("imports %s, which is not in the layer table", dir)
		case to.rank > from.rank:
			add("imports %s: points up, from %q to %q", dir, from.dir, to.dir)
		case suite(dir) && !suite(f.dir):
			add("imports %s: acceptance suites are imported only in tests", dir)
		}
	}
}

// suite reports whether dir is a package for tests, like castest.
func suite(dir string) bool {
	return strings.HasSuffix(path.Base(dir), "test")
}

func checkNever(f file, add report) {
	for imp := range f.imports() {
		dir, local := own(imp)
		if !local {
			continue
		}
		for _, b := range never {
			if within(f.dir, b.from) && !within(dir, b.from) && slices.ContainsFunc(b.to, func(to string) bool { return covers(to, dir) }) {
				add("imports %s: %s", dir, b.reason)
			}
		}
	}
}

// covers reports whether dir is banned by to; a trailing slash means "below".
func covers(to, dir string) bool {
	if strings.HasSuffix(to, "/") {
		return strings.HasPrefix(dir, to)
	}
	return within(dir, to)
}

func checkConfined(f file, add report) {
	for imp := range f.imports() {
		if slices.ContainsFunc(testOnly, func(p string) bool { return within(imp, p) }) {
			if !suite(f.dir) {
				add("imports %s: allowed only in tests", imp)
			}
			continue
		}
		known := false
		for _, c := range confined {
			if !within(imp, c.path) {
				continue
			}
			known = true
			if !slices.ContainsFunc(c.dirs, func(d string) bool { return within(f.dir, d) }) {
				add("imports %s: confined to %v (%s)", imp, c.dirs, c.reason)
			}
		}
		if _, local := own(imp); !known && !local && !standard(imp) {
			add("imports %s: a dependency with no row in confined", imp)
		}
	}
}

func checkLib(f file, lib string, add report) {
	lib, _, _ = strings.Cut(lib, "/")
	allowed, known := edges[lib]
	if !known {
		add("%s is not in the table of libs; add it to edges", lib)
	}
	for imp := range f.imports() {
		dir, local := own(imp)
		to, isLib := strings.CutPrefix(dir, "runtime/libs/")
		to, _, _ = strings.Cut(to, "/")
		switch {
		case local && !isLib:
			add("imports %s: libs import only libs", dir)
		case local && to != lib && !slices.Contains(allowed, to):
			add("imports %s: not an allowed edge", dir)
		case !local && !standard(imp):
			add("imports %s: libs have no dependencies", imp)
		case !local && !slices.Contains(pure, imp):
			add("imports %s: libs are pure", imp)
		}
	}
}

func checkPurity(f file, add report) {
	f.qualified(func(pkg, name string, at token.Pos) {
		if slices.Contains(impure[pkg], name) {
			add("line %s: %s.%s: libs are pure, pass the value in", f.at(at), path.Base(pkg), name)
		}
	})
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add("line %s: go statement: libs start no goroutine", f.at(n.Pos()))
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "print" || id.Name == "println") {
				add("line %s: %s: libs print nothing", f.at(n.Pos()), id.Name)
			}
		}
		return true
	})
}
