package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// survivor is a row of ctvp/README.md: a mutant that no vector catches, and why.
type survivor struct {
	file, fn, text string
	kind           string // equivalent or unseen
	reason         string
}

// The kinds of survivors.
const (
	equivalent = "equivalent" // no vector could ever tell: verdicts and outputs are the same
	unseen     = "unseen"     // it behaves otherwise where no vector looks; it counts as not caught
)

// Key is that of the mutant.
func (s survivor) Key() string { return s.file + " " + s.fn + " " + s.text }

// section is the heading of the table in the README.
const section = "## Mutants that survive"

// survivors reads the table that follows the heading: file, function, mutation,
// kind and reason, with code in backquotes and "|" as "\|".
func survivors(readme string) (map[string]survivor, error) {
	_, rest, ok := strings.Cut(readme, "\n"+section+"\n")
	if !ok {
		return nil, fmt.Errorf("no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	all := map[string]survivor{}
	rows := 0
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if rows++; rows <= 2 {
			continue // the head and the line under it
		}
		s, err := row(line)
		if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", section, rows-2, err)
		}
		if _, twice := all[s.Key()]; twice {
			return nil, fmt.Errorf("%s: %q stands twice", section, s.Key())
		}
		all[s.Key()] = s
	}
	if rows == 1 {
		return nil, fmt.Errorf("%s: half a table", section)
	}
	return all, nil
}

func row(line string) (survivor, error) {
	const hidden = "\x00"
	cells := strings.Split(strings.ReplaceAll(line, `\|`, hidden), "|")
	if len(cells) != 7 {
		return survivor{}, fmt.Errorf("%d cells, want 5", len(cells)-2)
	}
	cells = cells[1:6]
	for i, c := range cells {
		c = strings.ReplaceAll(strings.TrimSpace(c), hidden, "|")
		if i < 3 {
			c = strings.Trim(c, "`")
		}
		cells[i] = c
	}
	s := survivor{cells[0], cells[1], cells[2], cells[3], cells[4]}
	switch {
	case !slices.Contains([]string{equivalent, unseen}, s.kind):
		return s, fmt.Errorf("kind %q, want %s or %s", s.kind, equivalent, unseen)
	case s.file == "" || s.text == "" || len(s.reason) < 10:
		return s, errors.New("a file, a mutation or a reason is missing")
	}
	return s, nil
}

// tableRow writes a mutant as a row, for whoever has to add it.
func tableRow(m mutant) string {
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
	}
	return fmt.Sprintf("| %s | %s | %s | KIND | REASON |", code(m.File), code(m.Func), code(m.Text))
}
