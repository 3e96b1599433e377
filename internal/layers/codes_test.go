package layers

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/mythos-run/mythos/ctvp"
)

const faultPath = module + "/runtime/libs/fault"

var codeForm = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// TestErrorCodes holds ctvp/errors.json and the constants of type fault.Code
// to each other: what is raised is documented, what is documented exists.
func TestErrorCodes(t *testing.T) {
	table, err := ctvp.Errors()
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, e := range table {
		listed = append(listed, e.Code)
	}
	for _, v := range checkCodes(project(t), listed) {
		t.Error(v)
	}
}

// checkCodes compares the codes that files declare with those listed.
func checkCodes(files []file, listed []string) []string {
	var out []string
	declared := map[string]string{}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, c := range codes(f) {
			switch first := declared[c.text]; {
			case c.text == "":
				out = append(out, fmt.Sprintf("%s: a code is declared as a plain string constant", c.at))
			case !codeForm.MatchString(c.text):
				out = append(out, fmt.Sprintf("%s: code %q is not snake_case", c.at, c.text))
			case first != "":
				out = append(out, fmt.Sprintf("%s: code %q is already declared at %s", c.at, c.text, first))
			default:
				declared[c.text] = c.at
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(declared)) {
		if !slices.Contains(listed, code) {
			out = append(out, fmt.Sprintf("%s: code %q is not in ctvp/errors.json", declared[code], code))
		}
	}
	for _, code := range listed {
		if declared[code] == "" {
			out = append(out, fmt.Sprintf("ctvp/errors.json: code %q is declared nowhere", code))
		}
	}
	return out
}

// code is one declared code; text is empty if it is no literal.
type code struct{ text, at string }

// codes returns the constants and variables of type fault.Code in f, written
// either way: `C fault.Code = "x"` or `C = fault.Code("x")`.
func codes(f file) []code {
	isCode := codeType(f)
	var out []code
	ast.Inspect(f.tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, v := range spec.Values {
			call, conv := v.(*ast.CallExpr)
			switch {
			case spec.Type != nil && isCode(spec.Type):
			case conv && len(call.Args) == 1 && isCode(call.Fun):
				v = call.Args[0]
			default:
				continue
			}
			if _, again := v.(*ast.SelectorExpr); again {
				continue // another package's constant under a second name
			}
			out = append(out, code{literal(v), f.at(spec.Names[i].Pos())})
		}
		return true
	})
	return out
}

// codeType returns a test for expressions that name fault.Code in f.
func codeType(f file) func(ast.Expr) bool {
	as, imported := f.imports()[faultPath]
	if as == "" {
		as = "fault"
	}
	return func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.SelectorExpr:
			x, ok := e.X.(*ast.Ident)
			return imported && ok && x.Name == as && e.Sel.Name == "Code"
		case *ast.Ident:
			return f.dir == "runtime/libs/fault" && e.Name == "Code"
		}
		return false
	}
}

// literal returns the text of a string literal, or "".
func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return text
}

func TestCodesCatch(t *testing.T) {
	head := `package a; import "` + faultPath + `"; `
	for name, c := range map[string]struct {
		path, src string
		listed    []string
		want      string
	}{
		"not listed":          {"a/a.go", head + `const E fault.Code = "a_b"`, nil, "not in ctvp/errors.json"},
		"conversion":          {"a/a.go", head + `const E = fault.Code("a_b")`, nil, "not in ctvp/errors.json"},
		"renamed import":      {"a/a.go", `package a; import f "` + faultPath + `"; const E f.Code = "a_b"`, nil, "not in ctvp/errors.json"},
		"in a function":       {"a/a.go", head + `func g() { const e fault.Code = "a_b" }`, nil, "not in ctvp/errors.json"},
		"not declared":        {"a/a.go", head + `const E fault.Code = "a_b"`, []string{"a_b", "b_c"}, "declared nowhere"},
		"only in a test":      {"a/a_test.go", head + `const E fault.Code = "a_b"`, []string{"a_b"}, "declared nowhere"},
		"twice":               {"a/a.go", head + `const E, F fault.Code = "a_b", "a_b"`, []string{"a_b"}, "already declared"},
		"computed":            {"a/a.go", head + `const E fault.Code = "a" + "b"`, nil, "plain string"},
		"not snake_case":      {"a/a.go", head + `const E fault.Code = "aB"`, nil, "snake_case"},
		"in fault itself":     {"runtime/libs/fault/a.go", `package fault; type Code string; const E Code = "a_b"`, nil, "not in ctvp/errors.json"},
		"trailing underscore": {"a/a.go", head + `const E fault.Code = "a_"`, nil, "snake_case"},
	} {
		t.Run(name, func(t *testing.T) { wantViolation(t, checkCodes(parse(t, c.path, c.src), c.listed), c.want) })
	}
	if v := checkCodes(parse(t, "a/a.go", head+`const E fault.Code = "a_b"`), []string{"a_b"}); len(v) != 0 {
		t.Errorf("a listed code was refused: %q", v)
	}
}
