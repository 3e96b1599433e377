package main

import (
	"math/big"
	"strconv"
)

// total is what one aggregate knows of a group.
type total struct {
	count       int // cells that are not empty, or rows
	sum         decimal
	least, most decimal
	min, max    string // as they stand in the table
}

// group is the rows with the same cells in the group's columns.
type group struct {
	cells  []string
	origin int
	totals []total
}

// groups returns one row for each group, in the order in which they first occur
// in the table: the group's cells, then its aggregates. Without group_by all rows
// are one group, which is there even if it is empty.
func (q *query) groups(t *table, matched []int) (*table, error) {
	by, err := t.columnsOf(q.group)
	if err != nil {
		return nil, err
	}
	of := make([]int, len(q.aggregate)) // columns; -1: rows
	out := &table{columns: append([]string(nil), q.group...)}
	for i, a := range q.aggregate {
		of[i] = -1
		if a.column != "" {
			if of[i], err = t.column(a.column); err != nil {
				return nil, err
			}
		}
		out.columns = append(out.columns, a.name)
	}
	found, err := q.collect(t, matched, by, of)
	if err != nil {
		return nil, err
	}
	for _, g := range found {
		row := g.cells
		for i, a := range q.aggregate {
			row = append(row, g.totals[i].show(a.fn))
		}
		out.rows = append(out.rows, row)
		out.origin = append(out.origin, g.origin)
	}
	return out, nil
}

func (q *query) collect(t *table, matched, by, of []int) ([]*group, error) {
	index := make(map[string]*group)
	var found []*group
	start := func(key string, cells []string, origin int) *group {
		g := &group{cells: cells, origin: origin, totals: make([]total, len(q.aggregate))}
		for i := range g.totals {
			g.totals[i].sum = decimal{new(big.Int), 0}
		}
		index[key] = g
		found = append(found, g)
		return g
	}
	if len(by) == 0 {
		start("", nil, 0)
	}
	for _, row := range matched {
		cells := pick(t.rows[row], by)
		key := groupKey(cells)
		g := index[key]
		if g == nil {
			g = start(key, cells, t.origin[row])
		}
		for i, a := range q.aggregate {
			if err := g.totals[i].take(t, a.fn, row, of[i]); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// groupKey joins cells so that different cells give different keys.
func groupKey(cells []string) string {
	var key []byte
	for _, c := range cells {
		key = append(strconv.AppendInt(key, int64(len(c)), 10), ':')
		key = append(key, c...)
	}
	return string(key)
}

// take adds a row. Empty cells are left out of every aggregate of a column.
func (x *total) take(t *table, fn string, row, column int) error {
	if column < 0 {
		x.count++
		return nil
	}
	cell := t.rows[row][column]
	if cell == "" {
		return nil
	}
	if fn == "count" {
		x.count++
		return nil
	}
	d, _, err := t.number(row, column)
	if err != nil {
		return err
	}
	if x.count == 0 || d.compare(x.least) < 0 {
		x.least, x.min = d, cell
	}
	if x.count == 0 || d.compare(x.most) > 0 {
		x.most, x.max = d, cell
	}
	x.sum = x.sum.add(d)
	x.count++
	return nil
}

// show returns the aggregate as a cell; those of no cells at all are empty, but
// for count and sum, which are 0.
func (x *total) show(fn string) string {
	switch {
	case fn == "count":
		return strconv.Itoa(x.count)
	case fn == "sum":
		return x.sum.String()
	case x.count == 0:
		return ""
	case fn == "min":
		return x.min
	case fn == "max":
		return x.max
	default: // "avg", the last one that readAggregate admits
		return x.sum.mean(x.count).String()
	}
}
