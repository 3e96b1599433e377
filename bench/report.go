package main

import (
	"fmt"
	"io"
	"strings"
)

// writeTable writes a Markdown table with columns aligned for a terminal.
func writeTable(w io.Writer, head []string, rows [][]string) {
	width := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	line := func(cells []string, fill string) {
		for i, cell := range cells {
			pad := strings.Repeat(fill, width[i]-len(cell))
			if i == 0 {
				fmt.Fprintf(w, "| %s%s |", cell, pad)
			} else {
				fmt.Fprintf(w, " %s%s |", pad, cell)
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	line(head, " ")
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "--:"
	}
	rule[0] = "---"
	line(rule, "-")
	for _, row := range rows {
		line(row, " ")
	}
}

// bound is the side of a target on which a figure should be.
type bound string

const (
	atLeast bound = "at least"
	atMost  bound = "at most"
	below   bound = "below"
)

// Units of a claim's figure.
const (
	times        = "times"
	milliseconds = "ms"
)

// claim is a figure that the project has set itself a target for.
type claim struct {
	what   string
	bound  bound
	target float64
	unit   string
	got    spread
}

func (c *claim) met() bool {
	switch c.bound {
	case atLeast:
		return c.got.median >= c.target
	case below:
		return c.got.median < c.target
	}
	return c.got.median <= c.target
}

// claimTable writes what was measured beside what was aimed at. A machine with
// other work on it can miss a target; nothing fails because of that.
func claimTable(w io.Writer, claims []claim) {
	if len(claims) == 0 { // of the parts that -only left
		return
	}
	fmt.Fprintln(w, "\n## Targets")
	var rows [][]string
	for _, c := range claims {
		verdict := "missed"
		if c.met() {
			verdict = "met"
		}
		rows = append(rows, []string{c.what, fmt.Sprintf("%s %g %s", c.bound, c.target, c.unit), ratio(c.got), verdict})
	}
	writeTable(w, []string{"claim", "target", "median (p10 .. p90)", ""}, rows)
}

// codecTable compares every codec with the first.
func codecTable(w io.Writer, title string, all []measured) {
	rows := make([][]string, len(all))
	for i, m := range all {
		t := spreadOf(m.ns)
		rows[i] = []string{
			m.name, duration(t.median), duration(t.low) + " .. " + duration(t.high),
			ratio(spreadOf(ratios(m.ns, all[0].ns))), fmt.Sprint(m.bytes), fmt.Sprint(m.allocs),
		}
	}
	writeTable(w, []string{title, "median", "p10 .. p90", "times ours (p10 .. p90)", "B/op", "allocs/op"}, rows)
}

func ratio(s spread) string { return fmt.Sprintf("%.2f (%.2f .. %.2f)", s.median, s.low, s.high) }

// byteSize writes a number of bytes in a readable unit.
func byteSize(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// duration writes nanoseconds in a readable unit.
func duration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.1f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.2f us", ns/1e3)
	}
	return fmt.Sprintf("%.2f ms", ns/1e6)
}

const codecNotes = `
Every round runs all rows of a table in turn, beginning with another one each time; a ratio is
taken within a round. MYTHOS-CAN: the generated structs, strict (minimal integers, ascending
keys, bounds, no trailing bytes). fxamacker/cbor: structs with integer keys, Core Deterministic
encoding, decoding that refuses duplicate keys, unknown fields, tags and indefinite lengths.
protobuf: generated structs, deterministic encoding. "Reused struct" is each codec at its best:
ours lets BYTES alias the input, and allocates lists anew; fxamacker/cbor uses the space of the
old lists and bytes; protobuf resets its message. "New struct" is like for like: every codec
allocates, and nothing decoded shares memory with the input; "sharing its input" is how the
project itself decodes, and "allocating alone" is what the first row pays before it reads a
byte. "Copying the bytes" is what the memory allows.
`
