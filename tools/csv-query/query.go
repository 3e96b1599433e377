package main

import (
	"slices"
	"strings"
)

// filter returns the rows for which every condition holds.
func (q *query) filter(t *table) ([]int, error) {
	names := make([]string, len(q.where))
	for i, c := range q.where {
		names[i] = c.column
	}
	columns, err := t.columnsOf(names)
	if err != nil {
		return nil, err
	}
	var matched []int
	for row := range t.rows {
		all := true
		for i := 0; i < len(q.where) && all; i++ {
			if all, err = q.where[i].holds(t, row, columns[i]); err != nil {
				return nil, err
			}
		}
		if all {
			matched = append(matched, row)
		}
	}
	return matched, nil
}

// holds reports whether a cell satisfies the condition. An empty cell is no
// number: no numeric condition holds for it, ne included.
func (c *condition) holds(t *table, row, column int) (bool, error) {
	if !c.numeric {
		return c.holdsText(t.rows[row][column]), nil
	}
	d, ok, err := t.number(row, column)
	if err != nil || !ok {
		return false, err
	}
	if c.op == "in" {
		return slices.ContainsFunc(c.numbers, func(x decimal) bool { return d.compare(x) == 0 }), nil
	}
	return compares(c.op, d.compare(c.numbers[0])), nil
}

func (c *condition) holdsText(cell string) bool {
	switch c.op {
	case "in":
		return slices.Contains(c.texts, cell)
	case "contains":
		return strings.Contains(cell, c.texts[0])
	case "prefix":
		return strings.HasPrefix(cell, c.texts[0])
	}
	return compares(c.op, strings.Compare(cell, c.texts[0]))
}

// compares reports whether an order of -1, 0 or 1 is what op asks for.
func compares(op string, order int) bool {
	switch op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "lt":
		return order < 0
	case "le":
		return order <= 0
	case "gt":
		return order > 0
	default: // "ge", the last one that readCondition admits
		return order >= 0
	}
}

// shape returns the table of the answer, unsorted: the chosen columns of the rows
// that matched, or one row for each group.
func (q *query) shape(t *table, matched []int) (*table, error) {
	if q.grouped() {
		return q.groups(t, matched)
	}
	names := q.choose
	if len(names) == 0 {
		names = t.columns
	}
	columns, err := t.columnsOf(names)
	if err != nil {
		return nil, err
	}
	out := &table{columns: names}
	for _, row := range matched {
		out.rows = append(out.rows, pick(t.rows[row], columns))
		out.origin = append(out.origin, t.origin[row])
	}
	return out, nil
}

func pick(row []string, columns []int) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = row[c]
	}
	return out
}

// sort sorts the answer's rows by bytes or, where a key says so, by number; an
// empty cell comes before all numbers. Rows that compare equal keep their order.
func (q *query) sort(t *table) error {
	for i := len(q.order) - 1; i >= 0; i-- { // stable, so the first key is sorted by last
		if err := t.sortBy(q.order[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) sortBy(k sortKey) error {
	column, err := t.column(k.column)
	if err != nil {
		return err
	}
	type keyed struct {
		row    []string
		origin int
		number *decimal
	}
	rows := make([]keyed, len(t.rows))
	for i, row := range t.rows {
		rows[i] = keyed{row: row, origin: t.origin[i]}
		if !k.numeric {
			continue
		}
		d, ok, err := t.number(i, column)
		if err != nil {
			return err
		}
		if ok {
			rows[i].number = &d
		}
	}
	slices.SortStableFunc(rows, func(a, b keyed) int {
		order := strings.Compare(a.row[column], b.row[column])
		if k.numeric {
			order = compareNumbers(a.number, b.number)
		}
		if k.descending {
			return -order
		}
		return order
	})
	for i, r := range rows {
		t.rows[i], t.origin[i] = r.row, r.origin
	}
	return nil
}

// compareNumbers compares numbers of which nil, none, is the least.
func compareNumbers(a, b *decimal) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return a.compare(*b)
}
