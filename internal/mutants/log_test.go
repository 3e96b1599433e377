package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestLog: an interrupted run goes on where it ended, unless the program is
// another one.
func TestLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	tried := 0
	try := func(_ context.Context, m mutant) (outcome, error) {
		tried++
		return outcome{m, caught, "can-x-001"}, nil
	}
	run := func(program byte, wantTried int) {
		t.Helper()
		l, err := openLog(name, [32]byte{program})
		if err != nil {
			t.Fatal(err)
		}
		defer l.file.Close()
		tried = 0
		for _, text := range []string{"a", "b"} {
			o, err := l.keep(try)(t.Context(), mutant{Text: text})
			if err != nil || o.verdict != caught || o.by != "can-x-001" || o.Text != text {
				t.Fatalf("got %+v, %v", o, err)
			}
		}
		if tried != wantTried {
			t.Errorf("program %d: tried %d mutants, want %d", program, tried, wantTried)
		}
	}
	run(1, 2)
	run(1, 0)
	run(2, 2)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b[:len(b)-9], 0o644); err != nil { // the last line is cut
		t.Fatal(err)
	}
	run(2, 1)
	run(2, 0)
}
