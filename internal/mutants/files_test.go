package main

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestList holds the list to the project: every file of the listed folders is
// in it or left out for a reason, and so is every folder of libs.
func TestList(t *testing.T) {
	wrong, err := checkList(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
	for _, d := range dirs {
		if len(d.files) > 0 && d.why == "" {
			t.Errorf("%s: no word on what it decides", d.path)
		}
		for name, why := range d.out {
			if why == "" {
				t.Errorf("%s/%s.go is left out without a reason", d.path, name)
			}
		}
		for name, why := range d.fns {
			if why == "" {
				t.Errorf("%s: %s is left out without a reason", d.path, name)
			}
		}
	}
	if n := len(listed()); n < 50 {
		t.Errorf("only %d files are listed", n)
	}
}

// TestListCatches shows what the test above would find.
func TestListCatches(t *testing.T) {
	d := dir{
		path: "libs/x", files: []string{"a", "gone"},
		fns: map[string]reason{"A": makes, "Gone": makes}, out: map[string]string{"b": "for a reason", "lost": "for a reason"},
	}
	wrong, err := d.check(fstest.MapFS{
		"libs/x/a.go":       {Data: []byte("package x\n\nfunc A() {}\n")},
		"libs/x/b.go":       {Data: []byte("package x\n")},
		"libs/x/new.go":     {Data: []byte("package x\n")},
		"libs/x/a_test.go":  {Data: []byte("package x\n")},
		"libs/x/can_gen.go": {Data: []byte("package x\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(wrong, "\n")
	want := strings.Join([]string{
		"libs/x/gone.go is listed and not there",
		"libs/x/lost.go is left out and not there",
		"libs/x/new.go: listed false, left out false; want one of them",
		"libs/x: Gone is left out and not there",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSurvivorsExist keeps the rows of the README about mutants that there are.
func TestSurvivorsExist(t *testing.T) {
	readme, err := os.ReadFile("../../ctvp/README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := survivors(string(readme))
	if err != nil {
		t.Fatal(err)
	}
	all, err := mutants(os.DirFS("../.."), 1)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, m := range all {
		if there[m.Key()] {
			t.Errorf("two mutants are %q", m.Key())
		}
		there[m.Key()] = true
	}
	for key := range rows {
		if !there[key] {
			t.Errorf("ctvp/README.md lists a mutant that there is not: %s", key)
		}
	}
}
