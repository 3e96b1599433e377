package main

import (
	"go/format"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `package small

import "errors"

const most = 3

var table = []bool{true}

type list [2]int

// check is here.
func check(n int, err error) (bool, error) {
	if n < most && err == nil {
		return n == 0, nil
	}
	for i := 0; i >= n; i++ {
		switch {
		case !odd(i), i > 'a':
			return true, errors.New("no")
		}
	}
	f := func() error { return err }
	return odd(n), f()
}

func (r *reader[T]) skipped() bool { return r.n+1 == 2 }

func both() (bool, error) { return check(1, nil) }

const unused = 4
`

func TestEnumerate(t *testing.T) {
	found, err := enumerate("small.go", []byte(small), []string{"reader.skipped", "unused"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, strings.TrimPrefix(m.ID(), "small.go:")+" | "+m.Func+" | "+m.Text)
	}
	want := []string{
		"5:14 constant |  | const most = [3 -> 3 + 1]",
		"5:14 constant |  | const most = [3 -> 3 - 1]",
		"7:20 constant |  | var table = []bool{[true -> false]}",
		"13:5 negation | check | if [n < most && err == nil -> !(n < most && err == nil)] {",
		"13:14 operator | check | if n < most [&& -> ||] err == nil {",
		"13:7 operator | check | if n [< -> <=] most && err == nil {",
		"13:21 operator | check | if n < most && err [== -> !=] nil {",
		"14:12 operator | check | return n [== -> !=] 0, nil",
		"14:15 constant | check | return n == [0 -> 0 + 1], nil",
		"14:15 constant | check | return n == [0 -> 0 - 1], nil",
		"16:14 negation | check | for i := 0; [i >= n -> !(i >= n)]; i++ {",
		"16:11 constant | check | for i := [0 -> 0 + 1]; i >= n; i++ {",
		"16:11 constant | check | for i := [0 -> 0 - 1]; i >= n; i++ {",
		"16:16 operator | check | for i := 0; i [>= -> >] n; i++ {",
		"16:23 operator | check | for i := 0; i >= n; i[++ -> --] {",
		"18:17 negation | check | case !odd(i), [i > 'a' -> !(i > 'a')]:",
		"18:8 operator | check | case [!odd(i) -> odd(i)], i > 'a':",
		"18:19 operator | check | case !odd(i), i [> -> >=] 'a':",
		"18:21 constant | check | case !odd(i), i > ['a' -> 'a' + 1]:",
		"18:21 constant | check | case !odd(i), i > ['a' -> 'a' - 1]:",
		`19:17 return | check | return true, [errors.New("no") -> nil]`,
		`19:11 constant | check | return [true -> false], errors.New("no")`,
		"22:29 return | check | f := func() error { return [err -> nil] }",
		"23:9 return | check | return [odd(n) -> !(odd(n))], f()",
		"23:17 return | check | return odd(n), [f() -> nil]",
		"28:42 constant | both | ...unc both() (bool, error) { return check([1 -> 1 + 1], nil) }",
		"28:42 constant | both | ...unc both() (bool, error) { return check([1 -> 1 - 1], nil) }",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, m := range found {
		if _, err := format.Source(m.apply([]byte(small))); err != nil {
			t.Errorf("%s: %v", m.ID(), err)
		}
	}
}

// TestApply keeps the operands of a flipped operator what they were.
func TestApply(t *testing.T) {
	const src = "package p\n\nvar x = a && b && c\n"
	found, err := enumerate("p.go", []byte(src), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, strings.TrimPrefix(strings.TrimSpace(string(m.apply([]byte(src)))), "package p\n\nvar x = "))
	}
	if diff := cmp.Diff([]string{"(a && b || c)", "(a || b) && c"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestKeys tells equal changes of one function apart.
func TestKeys(t *testing.T) {
	const line = "\tif a == b {\n\t\treturn\n\t}\n"
	found, err := enumerate("p.go", []byte("package p\n\nfunc f(a, b int) {\n"+line+line+"}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[0].Key() != "p.go f if a [== -> !=] b {" || found[1].Key() != found[0].Key()+" #2" {
		t.Errorf("got %+v", found)
	}
}

// TestOrder: one seed, one order, which an edit elsewhere does not touch.
func TestOrder(t *testing.T) {
	keys := func(src string, seed uint64) []string {
		found, err := enumerate("small.go", []byte(src), nil)
		if err != nil {
			t.Fatal(err)
		}
		order(found, seed)
		var all []string
		for _, m := range found {
			all = append(all, m.Key())
		}
		return all
	}
	first := keys(small, 1)
	if diff := cmp.Diff(first, keys(small, 1)); diff != "" {
		t.Error(diff)
	}
	if slices.Equal(first, keys(small, 2)) {
		t.Error("another seed gives the same order")
	}
	longer := keys(strings.Replace(small, "const most", "// a line\nconst more = 7\n\nconst most", 1), 1)
	longer = slices.DeleteFunc(longer, func(k string) bool { return strings.Contains(k, "const more") })
	if diff := cmp.Diff(first, longer); diff != "" {
		t.Errorf("a new line moved others:\n%s", diff)
	}
}
