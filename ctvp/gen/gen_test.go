//go:build !race

// Writing the pack again takes minutes under the race detector, and these tests have
// one goroutine; scripts/test.sh runs them without it.

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/runtime/conformance"
	canon "github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// built makes the pack, which also runs every vector against Go.
func built(t *testing.T) (*pack, map[string][]byte) {
	t.Helper()
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	files, err := p.files()
	if err != nil {
		t.Fatal(err)
	}
	return p, files
}

// TestReproduces: the folder holds what the program writes, to the byte, and
// nothing else; making it twice gives the same.
func TestReproduces(t *testing.T) {
	_, files := built(t)
	if err := compare("..", files); err != nil {
		t.Fatal(err)
	}
	_, again := built(t)
	if !maps.EqualFunc(files, again, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("a second run gives other bytes")
	}
}

// TestAppendOnly: no published line of SHA256SUMS changes or goes. What is
// published is what git's HEAD has; the release archives have no git.
func TestAppendOnly(t *testing.T) {
	_, files := built(t)
	before, ok := published("..")
	if !ok {
		t.Log("no SHA256SUMS in git's HEAD: nothing is published that could have changed")
	}
	if err := lost(before, files["SHA256SUMS"]); err != nil {
		t.Error(err)
	}
	const a, b = "aa  vectors/a\n", "bb  vectors/b\n"
	if err := lost([]byte(a+b), []byte(a+"cc  vectors/aa\n"+b)); err != nil {
		t.Errorf("a line more: %v", err)
	}
	for name, now := range map[string]string{"gone": a, "changed": a + "bc  vectors/b\n"} {
		if err := lost([]byte(a+b), []byte(now)); err == nil || !strings.Contains(err.Error(), "vectors/b") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemas holds every document to the schema that is shipped with it.
func TestSchemas(t *testing.T) {
	p, files := built(t)
	check := func(schema, file string) {
		t.Helper()
		var s, x any
		if err := json.Unmarshal(files[schema], &s); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(files[file], &x); err != nil {
			t.Fatal(err)
		}
		if wrong := conforms(s.(map[string]any), x); wrong != "" {
			t.Errorf("%s: %s", file, wrong)
		}
	}
	check("schemas/manifest.schema.json", "manifest.json")
	for _, v := range p.vectors {
		check("schemas/vector.schema.json", "vectors/"+v.entry.Suite+"/"+v.entry.ID+".json")
	}
	odd := map[string]any{"id": "a-b-001", "suite": "a", "op": "a.b", "doc": "d", "input": map[string]any{}}
	var s map[string]any
	if err := json.Unmarshal(files["schemas/vector.schema.json"], &s); err != nil {
		t.Fatal(err)
	}
	for name, expect := range map[string]any{
		"nothing expected": map[string]any{}, "another member": map[string]any{"error": "a", "code": "a"},
		"no object": "a", "no code": map[string]any{"error": "A B"},
	} {
		odd["expect"] = expect
		if conforms(s, odd) == "" {
			t.Errorf("%s conforms", name)
		}
	}
	odd["expect"] = map[string]any{"error": "a_b", "offset": 3.0}
	if wrong := conforms(s, odd); wrong != "" {
		t.Error(wrong)
	}
}

// conforms says where x breaks a schema of the words that schema.go uses, or "".
func conforms(s map[string]any, x any) string {
	if want, ok := s["type"].(string); ok && want != typeOf(x) && !(want == "number" && typeOf(x) == "integer") {
		return fmt.Sprintf("%v is %s, want %s", x, typeOf(x), want)
	}
	if c, ok := s["const"]; ok && c != x {
		return fmt.Sprintf("%v, want %v", x, c)
	}
	if list, ok := s["enum"].([]any); ok && !slices.Contains(list, x) {
		return fmt.Sprintf("%v is none of %v", x, list)
	}
	if re, ok := s["pattern"].(string); ok && !regexp.MustCompile(re).MatchString(x.(string)) {
		return fmt.Sprintf("%v does not match %s", x, re)
	}
	if n, ok := s["minLength"].(float64); ok && len(x.(string)) < int(n) {
		return "an empty text"
	}
	if n, ok := s["minimum"].(float64); ok && x.(float64) < n {
		return fmt.Sprintf("%v is below %v", x, n)
	}
	if all, ok := s["oneOf"].([]any); ok {
		fits := slices.DeleteFunc(slices.Clone(all), func(o any) bool { return conforms(o.(map[string]any), x) != "" })
		if len(fits) != 1 {
			return fmt.Sprintf("%v fits %d of %d forms", x, len(fits), len(all))
		}
	}
	return conformsInside(s, x)
}

func conformsInside(s map[string]any, x any) string {
	switch x := x.(type) {
	case []any:
		for i, item := range x {
			if of, ok := s["items"].(map[string]any); ok {
				if wrong := conforms(of, item); wrong != "" {
					return fmt.Sprintf("item %d: %s", i, wrong)
				}
			}
		}
	case map[string]any:
		props, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := x[name.(string)]; !ok {
				return fmt.Sprintf("no member %v", name)
			}
		}
		for name, item := range x {
			of, ok := props[name].(map[string]any)
			if !ok {
				if s["additionalProperties"] == false {
					return fmt.Sprintf("member %s is not in the schema", name)
				}
				of, _ = s["additionalProperties"].(map[string]any)
			}
			if wrong := conforms(of, item); wrong != "" {
				return fmt.Sprintf("member %s: %s", name, wrong)
			}
		}
	}
	return ""
}

func typeOf(x any) string {
	switch x := x.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if x == float64(int64(x)) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

// TestEveryCodeHasAVector: a code that an op can give has a vector. The README
// lists the others, each with a reason; a listed code that has a vector, or that
// does not exist, is a mistake there.
func TestEveryCodeHasAVector(t *testing.T) {
	p, _ := built(t)
	have := map[string]bool{}
	for _, v := range p.vectors {
		have[v.entry.Error] = true
		for _, found := range inOutput.FindAllSubmatch(v.body.Expect.Output, -1) {
			have[string(found[1])] = true
		}
	}
	table, err := ctvp.Errors()
	if err != nil {
		t.Fatal(err)
	}
	excused := exceptions(t)
	used := map[string]bool{}
	for _, e := range table {
		i := slices.IndexFunc(excused, func(pattern string) bool {
			ok, err := path.Match(pattern, e.Code)
			return ok && err == nil
		})
		switch {
		case i >= 0 && have[e.Code]:
			t.Errorf("README.md excuses %s, which has a vector", e.Code)
		case i >= 0:
			used[excused[i]] = true
		case !have[e.Code]:
			t.Errorf("%s has no vector and no reason in README.md", e.Code)
		}
	}
	for _, pattern := range excused {
		if !used[pattern] {
			t.Errorf("README.md excuses %s, and there is no such code", pattern)
		}
	}
}

// inOutput finds the codes that stand in an answer: a program's trap, a script's
// refused step.
var inOutput = regexp.MustCompile(`"error(?:_code)?": ?"([a-z0-9_]+)"`)

// exceptions reads the patterns of the README's table of codes without a vector.
func exceptions(t *testing.T) []string {
	t.Helper()
	_, section, ok := strings.Cut(readme(t), "\n## Codes without a vector\n")
	if !ok {
		t.Fatal("README.md has no section on codes without a vector")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var list []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\| [^|]+ \\|$").FindAllStringSubmatch(section, -1) {
		for _, m := range regexp.MustCompile("`([a-z0-9_*]+)`").FindAllStringSubmatch(row[1], -1) {
			list = append(list, m[1])
		}
	}
	if len(list) == 0 {
		t.Fatal("the table of codes without a vector is empty")
	}
	return list
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := ctvp.Files().(interface {
		ReadFile(name string) ([]byte, error)
	}).ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOpsAreDocumented: README.md has each op of Go, and each op of a vector.
func TestOpsAreDocumented(t *testing.T) {
	p, _ := built(t)
	text := readme(t)
	info, err := p.impl.Hello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ops := info.Ops
	for _, v := range p.vectors {
		ops = append(ops, v.body.Op)
	}
	slices.Sort(ops)
	for _, op := range slices.Compact(ops) {
		if !strings.Contains(text, "`"+op+"`") {
			t.Errorf("README.md does not say what %s is", op)
		}
	}
}

// TestSpecsResolve: what a vector or suite cites is a document, or a numbered
// heading in one.
func TestSpecsResolve(t *testing.T) {
	p, _ := built(t)
	cited := map[string]string{}
	for _, s := range p.suites {
		cited[s.Spec] = s.Name
	}
	for _, v := range p.vectors {
		cited[v.entry.Spec] = v.entry.ID
	}
	for spec, by := range cited {
		name, section, deep := strings.Cut(spec, " §")
		text, err := os.ReadFile("../../spec/" + name + ".md")
		switch {
		case err != nil:
			t.Errorf("%s cites %q: %v", by, spec, err)
		case deep && !regexp.MustCompile(`(?m)^##+ `+regexp.QuoteMeta(section)+`\.? `).Match(text):
			t.Errorf("%s cites %q, and there is no such heading", by, spec)
		}
	}
}

// TestKeys: the key files are read as such, and say what they are.
func TestKeys(t *testing.T) {
	p, _ := built(t)
	if len(p.keys) == 0 {
		t.Fatal("no keys")
	}
	for name, text := range p.keys {
		k, role, err := keys.ParseSecret([]byte(text))
		if err != nil || role != keys.Dev || !strings.HasPrefix(k.Agent().Hint, "TEST ONLY") {
			t.Errorf("%s: role %s, hint %q, %v", name, role, k.Agent().Hint, err)
		}
	}
}

// TestBuilderRefuses: a generator that states what Go does not answer, or pads,
// is stopped.
func TestBuilderRefuses(t *testing.T) {
	impl, err := conformance.Local(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(s *suite)
		want string
	}{
		"accepted":     {func(s *suite) { s.invalid("a", "can.decode", "d", in{"hex": x("00")}, "can_tag") }, "accepted"},
		"refused":      {func(s *suite) { s.valid("a", "can.decode", "d", in{"hex": x("09")}, out{}) }, "must be accepted"},
		"another code": {func(s *suite) { s.invalid("a", "can.decode", "d", in{"hex": x("09")}, "can_type") }, "want can_type"},
		"offset":       {func(s *suite) { s.invalidAt("a", "can.decode", "d", in{"hex": x("09")}, "can_tag", 1) }, "want it at byte 1"},
		"output":       {func(s *suite) { s.valid("a", "can.decode", "d", in{"hex": x("00")}, out{"json": 1}) }, "output json"},
		"no op":        {func(s *suite) { s.computed("a", "no.op", "d", in{}) }, "no op"},
		"bad input":    {func(s *suite) { s.computed("a", "can.decode", "d", in{"raw": 1}) }, "unknown field"},
		"Go accepts":   {func(s *suite) { s.refusedByGo("a", "can.decode", "d", in{"hex": x("00")}) }, "accepts"},
		"flag":         {func(s *suite) { s.invalid("a", "can.decode", "d", in{"hex": x("09")}, "can_tag", "odd") }, "not declared"},
		"idle flag":    {func(s *suite) { s.flag("odd", "why") }, "on no vector"},
		"two reasons":  {func(s *suite) { s.flag("odd", "why"); s.flag("odd", "how") }, "two reasons"},
		"positives":    {func(s *suite) { s.computed("a", "can.decode", "d", in{"hex": x("00")}) }, "60 %"},
		"padding": {func(s *suite) {
			for range maxMutation + 1 {
				s.invalid("a", "can.decode", "d", in{"hex": x("09")}, "can_tag")
			}
		}, "more than 10"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPack(impl)
			c.make(p.suite("made", "spec", "doc"))
			if err := p.check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestOpcodesAndTraps: each opcode and each trap that RFC-MYTHOS-0012 lists is in
// a run and in a sealed run.
func TestOpcodesAndTraps(t *testing.T) {
	p, _ := built(t)
	text, err := os.ReadFile("../../spec/RFC-MYTHOS-0012.md")
	if err != nil {
		t.Fatal(err)
	}
	opcodes := listed(t, string(text), "### 4.1 ", "(?m)^\\| ([0-9a-f]{2}) \\| [A-Z_]+ \\|")
	opcodes = append(opcodes, listed(t, string(text), "### 4.6 ", "(?m)^\\| ([0-9a-f]{2}) \\| [A-Z_]+ \\|")...)
	traps := listed(t, string(text), "### 6.5 ", "(?m)^\\| `([a-z_]+)` \\|")
	for op, told := range map[string]string{"ir.run": "error_code", "ir.seal": "seal"} {
		used, ends := map[string]bool{}, ""
		for _, v := range p.vectors {
			if v.body.Op != op || v.entry.Result != conformance.Valid {
				continue
			}
			ends += outputText(t, v.body.Expect.Output, told)
			for _, code := range bundleOpcodes(t, v.body.Input) {
				used[code] = true
			}
		}
		for _, code := range opcodes {
			if !used[code] {
				t.Errorf("opcode %s is in no %s", code, op)
			}
		}
		for _, code := range traps {
			if !strings.Contains(ends, code) {
				t.Errorf("no %s ends with %s", op, code)
			}
		}
	}
}

// listed finds what a pattern captures in a section of a document.
func listed(t *testing.T, text, heading, pattern string) []string {
	t.Helper()
	_, section, _ := strings.Cut(text, "\n"+heading)
	section, _, _ = strings.Cut(section, "\n###")
	var list []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(section, -1) {
		list = append(list, m[1])
	}
	if len(list) < 10 {
		t.Fatalf("%s lists %q", heading, list)
	}
	return list
}

// outputText is a text in an output; hexadecimal digits are what they stand for.
func outputText(t *testing.T, output json.RawMessage, name string) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(output, &all); err != nil {
		t.Fatal(err)
	}
	text, _ := all[name].(string)
	if raw, err := hex.DecodeString(text); err == nil {
		return string(raw)
	}
	return text
}

// bundleOpcodes are the opcodes of an input's bundle, in hexadecimal.
func bundleOpcodes(t *testing.T, input json.RawMessage) []string {
	t.Helper()
	var in struct {
		Hex conformance.Hex `json:"hex"`
	}
	if err := json.Unmarshal(input, &in); err != nil {
		t.Fatal(err)
	}
	var b ir.Bundle
	r := canon.NewReader(in.Hex)
	b.ReadCAN(&r)
	if err := r.Done(); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, op := range b.Ops.Ops {
		list = append(list, fmt.Sprintf("%02x", op.Opcode))
	}
	return list
}
