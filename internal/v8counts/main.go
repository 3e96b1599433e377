// Command v8counts prepares the check of the golden counts against V8, which
// scripts/v8.sh runs: v8counts GOLDEN GUESTS OUT reads the table of golden
// counts, takes each of its guests from GUESTS/NAME.wasm, compares it with the
// table's digest, and writes it to OUT as run.mjs beside this file runs it:
// metered by schedule 1, with a check in every segment and without a host
// function that refills (RFC-MYTHOS-0012 §10.3).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: v8counts GOLDEN GUESTS OUT")
		os.Exit(2)
	}
	if err := prepare(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "v8counts:", err)
		os.Exit(1)
	}
}

func prepare(golden, guests, out string) error {
	b, err := os.ReadFile(golden)
	if err != nil {
		return err
	}
	var table struct {
		Guests []struct{ Guest, Module string }
	}
	if err := json.Unmarshal(b, &table); err != nil {
		return fmt.Errorf("%s: %w", golden, err)
	}
	for _, g := range table.Guests {
		code, err := os.ReadFile(filepath.Join(guests, g.Guest+".wasm"))
		if err != nil {
			return err
		}
		if got := cid.Sum(code).Hex(); got != g.Module {
			return fmt.Errorf("%s: the module is %s, the table has %s: run the golden test first", g.Guest, got, g.Module)
		}
		m, err := fuel.Rewrite(code, fuel.Options{Schedule: fuel.Schedule1, CheckEverySegment: true})
		if err != nil {
			return fmt.Errorf("%s: %w", g.Guest, err)
		}
		name := strings.ReplaceAll(g.Guest, "/", "_") + ".wasm"
		if err := os.WriteFile(filepath.Join(out, name), m.Wasm, 0o600); err != nil {
			return err
		}
	}
	return nil
}
