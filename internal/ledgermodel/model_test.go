package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestModel explores the small configurations and searches every mutant.
func TestModel(t *testing.T) {
	var out bytes.Buffer
	if err := run(&out, true); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
}

// A search that breaks an invariant shows the shortest way there, in words.
func TestTrace(t *testing.T) {
	for _, c := range controls() {
		if c.broken != DoubtRetried {
			continue
		}
		r, err := c.search(configs(true))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(r.Trace, "\n")
		for _, part := range []string{"the lease of id 1 ends", "register 2 of id 1", "sends its request of register 2"} {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in the trace:\n%s", part, text)
			}
		}
		if len(r.Trace) != 7 {
			t.Errorf("the trace has %d steps, the shortest has 7:\n%s", len(r.Trace), text)
		}
	}
}

// Renaming executors and back gives the same world, and every order occurs once.
func TestOrders(t *testing.T) {
	if n := len(orders(3)); n != 6 {
		t.Fatalf("%d orders of three", n)
	}
	w := World{Slot: [maxSlots]Slot{{At: looked}, {At: sent}, {At: signed, Commit: Entry{Kind: Commit, By: 2}}}}
	w.add(0, Entry{Kind: Register, By: 1})
	seen := map[World]bool{}
	for _, to := range orders(3) {
		back := make([]uint8, 3)
		for i, j := range to {
			back[j] = uint8(i)
		}
		n := w.renamed(to, false)
		seen[n] = true
		if n.renamed(back, false) != w {
			t.Errorf("order %v is not undone by %v", to, back)
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d different worlds of six orders", len(seen))
	}
}
