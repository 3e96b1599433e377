// Command gen writes the conformance pack: manifest.json, flags.json,
// SHA256SUMS, schemas/, keys/ and vectors/ of the folder ctvp, to the byte, from
// fixed seeds and with the product's own encoders.
//
//	go run ./ctvp/gen            # write what has changed, remove what is gone
//	go run ./ctvp/gen -check     # write nothing; fail if anything would change
//
// Each suite is one function in its own file; suites.go lists them, pack.go is
// what they call. A generator states what the specification says about an input,
// and the Go implementation is run once on each to see that it agrees: if it does
// not, nothing is written.
//
// SHA256SUMS is append-only: a published vector never changes. The generator
// refuses to change or drop a line that git's HEAD has, unless -rewrite says that
// the vectors were never published.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if anything would change")
	rewrite := flag.Bool("rewrite", false, "let published vectors change or go")
	dir := flag.String("dir", "ctvp", "the folder of the pack")
	flag.Parse()
	if err := run(*dir, *check, *rewrite); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string, check, rewrite bool) error {
	p, err := build()
	if err != nil {
		return err
	}
	files, err := p.files()
	if err != nil {
		return err
	}
	if check {
		return compare(dir, files)
	}
	if !rewrite {
		if err := appendOnly(dir, files["SHA256SUMS"]); err != nil {
			return err
		}
	}
	if err := write(dir, files); err != nil {
		return err
	}
	fmt.Println(p.summary())
	return nil
}
