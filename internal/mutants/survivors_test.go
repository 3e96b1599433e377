package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const head2 = "# x\n\n" + section + "\n\nWords.\n\n| file | function | mutation | kind | why |\n| --- | --- | --- | --- | --- |\n"

func TestSurvivors(t *testing.T) {
	m := mutant{File: "a.go", Func: "f", Text: "if a [&& -> ||] b {"}
	line := strings.NewReplacer("KIND", equivalent, "REASON", "b is a, said twice").Replace(tableRow(m))
	all, err := survivors(head2 + line + "\n| `b.go` |  | `const n = [1 -> 1 + 1]` | unseen | no op asks for n |\n\n## More\n\n| no | row |\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]survivor{
		m.Key():                        {"a.go", "f", "if a [&& -> ||] b {", equivalent, "b is a, said twice"},
		"b.go  const n = [1 -> 1 + 1]": {"b.go", "", "const n = [1 -> 1 + 1]", unseen, "no op asks for n"},
	}
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(survivor{})); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]string{
		"no section": "# x\n",
		"no reason":  head2 + "| `a.go` | `f` | `x` | unseen | |\n",
		"kind":       head2 + "| `a.go` | `f` | `x` | odd | because it is so |\n",
		"cells":      head2 + "| `a.go` | `f` | unseen | because it is so |\n",
		"twice":      head2 + line + "\n" + line + "\n",
	} {
		if _, err := survivors(bad); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// TestTally: what the exit status says about outcomes.
func TestTally(t *testing.T) {
	at := func(text string) mutant { return mutant{File: "a.go", Func: "f", Text: text} }
	known := map[string]survivor{
		at("equal").Key(): {kind: equivalent, reason: "for a reason"}, at("dark").Key(): {kind: unseen, reason: "for a reason"},
	}
	all := func(n int, more ...outcome) []outcome {
		for range n {
			more = append(more, outcome{mutant: at("x"), verdict: caught, by: "can-x-001"})
		}
		return more
	}
	dark := outcome{mutant: at("dark"), verdict: survived}
	for name, c := range map[string]struct {
		outcomes []outcome
		want     string // of the error; "" is none
	}{
		"all caught":        {all(10), ""},
		"equivalent":        {all(9, outcome{mutant: at("equal"), verdict: survived}), ""},
		"the same program":  {all(9, outcome{mutant: at("y"), verdict: same}), ""},
		"not compiled":      {all(10, outcome{mutant: at("y"), verdict: refused}), ""},
		"one unseen of 20":  {all(19, dark), ""},
		"one unseen of 10":  {all(9, dark), "too few"},
		"not listed":        {all(99, outcome{mutant: at("y"), verdict: survived}), "not listed"},
		"listed and caught": {all(99, outcome{mutant: at("dark"), verdict: caught}), "that are caught"},
	} {
		t.Run(name, func(t *testing.T) {
			tl := &tally{out: &bytes.Buffer{}, want: len(c.outcomes)}
			for _, o := range c.outcomes {
				tl.add(o)
			}
			if tl.refused > 0 {
				tl.want -= tl.refused
			}
			err := tl.finish(1, false, known)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	few := &tally{out: &bytes.Buffer{}, want: 2}
	few.add(all(1)[0])
	if few.finish(1, false, nil) == nil {
		t.Error("one of two mutants is enough")
	}
}

func TestInOrder(t *testing.T) {
	items := make([]int, 100)
	for i := range items {
		items[i] = i
	}
	var got []int
	double := func(_ context.Context, i int) (int, error) { return 2 * i, nil }
	err := inOrder(t.Context(), 3, items, double, func(i int) bool { got = append(got, i); return len(got) < 4 })
	if diff := cmp.Diff([]int{0, 2, 4, 6}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	broken := errors.New("broken")
	err = inOrder(t.Context(), 3, items, func(_ context.Context, i int) (int, error) {
		if i == 5 {
			return 0, broken
		}
		return i, nil
	}, func(int) bool { return true })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestFailure(t *testing.T) {
	const failed = `{"results": [{"id": "can-a-001", "outcome": "passed"}, {"id": "can-b-001", "outcome": "failed"}]}`
	const fine = `{"results": [{"id": "can-a-001", "outcome": "passed"}]}`
	for name, c := range map[string]struct {
		code                 int
		stdout, stderr, want string // want "" is an error
	}{
		"a vector":         {3, failed, "", "can-b-001"},
		"a damaged pack":   {3, "", "mythos: error: ...", "the pack's own check"},
		"a panic":          {2, "", "panic: x\n\ngoroutine 1", "crash"},
		"no memory":        {2, "", "fatal error: runtime: out of memory", "crash"},
		"a usage error":    {2, "", "mythos: error: unknown flag", ""},
		"status 3, all OK": {3, fine, "", ""},
	} {
		got, err := failure(c.code, []byte(c.stdout), c.stderr)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q and %v, want %q", name, got, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		stdout string
		ok     bool
	}{"passed": {fine, true}, "failed": {failed, false}, "nothing ran": {`{"results": []}`, false}, "no report": {"", false}} {
		if err := passed([]byte(c.stdout)); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
