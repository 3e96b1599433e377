package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// table is a header and rows of as many cells.
type table struct {
	columns []string
	rows    [][]string
	origin  []int // of each row: its number in the input, the first below the header is 1
}

// readTable reads CSV as RFC 4180 has it: a header, then rows of as many cells;
// quotes only around whole cells; LF or CRLF. Empty lines are left out, and so is
// a byte order mark.
func readTable(raw []byte, delimiter rune) (*table, error) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if !utf8.Valid(raw) {
		return nil, tool.Fail(422, "csv_utf8", "the table is not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.Comma = delimiter
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, tool.Fail(422, "csv_empty", "the table has no header")
	}
	if err != nil {
		return nil, syntax(err, 0)
	}
	if len(header) > maxColumns {
		return nil, tool.Fail(422, "csv_too_wide", "the table has "+strconv.Itoa(len(header))+" columns, at most "+strconv.Itoa(maxColumns))
	}
	if twice, ok := repeated(header); ok {
		return nil, tool.Fail(422, "csv_header", "two columns are called "+strconv.Quote(twice))
	}
	t := &table{columns: header}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, syntax(err, len(t.rows)+1)
		}
		t.rows = append(t.rows, row)
		t.origin = append(t.origin, len(t.rows))
	}
}

// syntax says what is wrong with a row; 0 is the header.
func syntax(err error, row int) error {
	code, where := "csv_syntax", "row "+strconv.Itoa(row)
	if row == 0 {
		where = "the header"
	}
	var p *csv.ParseError
	if !errors.As(err, &p) {
		return tool.Fail(422, code, where+": "+err.Error())
	}
	if errors.Is(p.Err, csv.ErrFieldCount) {
		return tool.Fail(422, "csv_ragged", where+" (line "+strconv.Itoa(p.Line)+") has another number of cells than the header")
	}
	return tool.Fail(422, code, where+" (line "+strconv.Itoa(p.Line)+"): "+p.Err.Error())
}

// column returns the position of a column.
func (t *table) column(name string) (int, error) {
	i := slices.Index(t.columns, name)
	if i < 0 {
		return 0, tool.Fail(422, "column_unknown", "column "+strconv.Quote(name)+" is none of "+strings.Join(quoted(t.columns, 20), ", "))
	}
	return i, nil
}

// quoted returns the first few names, quoted.
func quoted(names []string, most int) []string {
	var out []string
	for i, n := range names {
		if i == most {
			return append(out, "...")
		}
		out = append(out, strconv.Quote(n))
	}
	return out
}

// columnsOf returns the positions of several columns.
func (t *table) columnsOf(names []string) ([]int, error) {
	out := make([]int, len(names))
	for i, name := range names {
		var err error
		if out[i], err = t.column(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// number returns the number in a cell; ok is false if the cell is empty.
func (t *table) number(row, column int) (d decimal, ok bool, err error) {
	cell := t.rows[row][column]
	if cell == "" {
		return decimal{}, false, nil
	}
	d, ok = parseDecimal(cell)
	if !ok {
		shown := cell
		if len(shown) > 80 {
			shown = shown[:80]
		}
		return decimal{}, false, tool.Fail(422, "csv_number",
			"row "+strconv.Itoa(t.origin[row])+", column "+strconv.Quote(t.columns[column])+": "+strconv.Quote(shown)+" is not a decimal number")
	}
	return d, true, nil
}

// result encodes the answer: {1 columns, 2 rows, 3 matched}.
func (q *query) result(t *table, matched int) (tool.Value, error) {
	rows := t.rows
	if q.limited && uint64(len(rows)) > q.limit {
		rows = rows[:q.limit]
	}
	list := make([]tool.Value, len(rows))
	for i, row := range rows {
		list[i] = texts(row)
	}
	return tool.Map(record.Pair(1, texts(t.columns)), record.Pair(2, tool.List(list...)), record.Pair(3, tool.Uint(uint64(matched)))), nil
}

func texts(cells []string) tool.Value {
	items := make([]tool.Value, len(cells))
	for i, c := range cells {
		items[i] = tool.Text(c)
	}
	return tool.List(items...)
}
