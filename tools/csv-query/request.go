package main

import (
	"strconv"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// Bounds of a question. The table itself is bounded by the size of a request.
const (
	maxColumns    = 1000
	maxConditions = 64
	maxKeys       = 16
	maxAggregates = 64
	maxChoices    = 10000 // of the operator in
)

// query is one question.
type query struct {
	csv       []byte
	choose    []string // none: all columns
	where     []condition
	order     []sortKey
	limit     uint64
	limited   bool
	group     []string
	aggregate []aggregate
	delimiter rune
}

// condition is one comparison; all of a query must hold.
type condition struct {
	column  string
	op      string
	texts   []string  // what to compare with; several for in
	numbers []decimal // the same, if numeric
	numeric bool
}

// sortKey is a column of the output.
type sortKey struct {
	column     string
	descending bool
	numeric    bool
}

// aggregate is one number over the rows of a group.
type aggregate struct {
	fn     string
	column string // "" for count of rows
	name   string // of the output's column
}

func invalid(message string) error { return tool.Fail(400, "query_invalid", message) }

func readQuery(v tool.Value) (*query, error) {
	r, err := record.Read(v, 8)
	if err != nil {
		return nil, err
	}
	q := &query{}
	for _, step := range []func(record.Record) error{q.readTable, q.readWhere, q.readOrder, q.readGroups} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// readTable reads the fields 1 csv, 2 select, 5 limit and 8 delimiter.
func (q *query) readTable(r record.Record) (err error) {
	if !r.Has(1) {
		return invalid("field 1, the table, is missing")
	}
	if q.csv, err = r.Data(1); err != nil {
		return err
	}
	if q.choose, err = r.Texts(2, maxColumns); err != nil {
		return err
	}
	if twice, ok := repeated(q.choose); ok {
		return invalid("select names column " + strconv.Quote(twice) + " twice")
	}
	if q.limited = r.Has(5); q.limited {
		if q.limit, err = r[5].Uint(); err != nil {
			return err
		}
	}
	delimiter, err := r.Text(8)
	if err != nil {
		return err
	}
	switch delimiter {
	case "":
		q.delimiter = ','
	case ",", ";", "\t", "|":
		q.delimiter = rune(delimiter[0])
	default:
		return invalid("delimiter " + strconv.Quote(delimiter) + " is none of , ; | and tab")
	}
	return nil
}

func repeated(names []string) (string, bool) {
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if seen[n] {
			return n, true
		}
		seen[n] = true
	}
	return "", false
}

// readWhere reads field 3, a list of {1 column, 2 op, 3 value, 4 numeric?}.
func (q *query) readWhere(r record.Record) error {
	items, err := r.Items(3, maxConditions)
	if err != nil {
		return err
	}
	for _, item := range items {
		c, err := readCondition(item)
		if err != nil {
			return err
		}
		q.where = append(q.where, c)
	}
	return nil
}

func readCondition(v tool.Value) (c condition, err error) {
	r, err := record.Read(v, 4)
	if err != nil {
		return c, err
	}
	if c.column, err = r[1].Text(); err != nil {
		return c, err
	}
	if c.op, err = r[2].Text(); err != nil {
		return c, err
	}
	if c.numeric, err = r.Bool(4); err != nil {
		return c, err
	}
	values := []tool.Value{r[3]}
	switch c.op {
	case "eq", "ne", "lt", "le", "gt", "ge":
	case "contains", "prefix":
		if c.numeric {
			return c, invalid(c.op + " compares texts, not numbers")
		}
	case "in":
		if values, err = r.Items(3, maxChoices); err != nil {
			return c, err
		}
	default:
		return c, invalid("op " + strconv.Quote(c.op) + " is none of eq, ne, lt, le, gt, ge, in, contains, prefix")
	}
	return c, c.operands(values)
}

// operands reads what a condition compares with: a text, or with numeric a
// decimal in a text; an integer is always a number.
func (c *condition) operands(values []tool.Value) error {
	for i, v := range values {
		text, integer, err := operand(v)
		switch {
		case err != nil:
			return err
		case integer && i == 0 && c.op != "contains" && c.op != "prefix":
			c.numeric = true
		case integer && !c.numeric:
			return invalid("a number among texts, or for " + c.op)
		}
		c.texts = append(c.texts, text)
		if !c.numeric {
			continue
		}
		d, ok := parseDecimal(text)
		if !ok {
			return invalid(strconv.Quote(text) + " is not a decimal number of at most " + strconv.Itoa(maxDigits) + " digits")
		}
		c.numbers = append(c.numbers, d)
	}
	return nil
}

func operand(v tool.Value) (text string, integer bool, err error) {
	switch v.Kind() {
	case tool.KindUint:
		n, err := v.Uint()
		return strconv.FormatUint(n, 10), true, err
	case tool.KindInt:
		n, err := v.Int()
		return strconv.FormatInt(n, 10), true, err
	}
	text, err = v.Text()
	return text, false, err
}

// readOrder reads field 4, a list of {1 column, 2 descending?, 3 numeric?}.
func (q *query) readOrder(r record.Record) error {
	items, err := r.Items(4, maxKeys)
	if err != nil {
		return err
	}
	for _, item := range items {
		var k sortKey
		f, err := record.Read(item, 3)
		if err != nil {
			return err
		}
		if k.column, err = f[1].Text(); err != nil {
			return err
		}
		if k.descending, err = f.Bool(2); err != nil {
			return err
		}
		if k.numeric, err = f.Bool(3); err != nil {
			return err
		}
		q.order = append(q.order, k)
	}
	return nil
}

// readGroups reads the fields 6 group_by and 7 aggregates, a list of {1 fn,
// 2 column?, 3 name?}.
func (q *query) readGroups(r record.Record) (err error) {
	if q.group, err = r.Texts(6, maxKeys); err != nil {
		return err
	}
	items, err := r.Items(7, maxAggregates)
	if err != nil {
		return err
	}
	names := append([]string(nil), q.group...)
	for _, item := range items {
		a, err := readAggregate(item)
		if err != nil {
			return err
		}
		q.aggregate = append(q.aggregate, a)
		names = append(names, a.name)
	}
	if twice, ok := repeated(names); ok {
		return invalid("two columns of the answer are called " + strconv.Quote(twice) + "; name one of them in field 3 of its aggregate")
	}
	if q.grouped() && len(q.choose) > 0 {
		return invalid("select and group_by or aggregates exclude each other: the answer has the group's columns and the aggregates")
	}
	return nil
}

func readAggregate(v tool.Value) (a aggregate, err error) {
	f, err := record.Read(v, 3)
	if err != nil {
		return a, err
	}
	if a.fn, err = f[1].Text(); err != nil {
		return a, err
	}
	if a.column, err = f.Text(2); err != nil {
		return a, err
	}
	if a.name, err = f.Text(3); err != nil {
		return a, err
	}
	switch {
	case a.fn != "count" && a.fn != "sum" && a.fn != "min" && a.fn != "max" && a.fn != "avg":
		return a, invalid("aggregate " + strconv.Quote(a.fn) + " is none of count, sum, min, max, avg")
	case a.fn != "count" && !f.Has(2):
		return a, invalid(a.fn + " needs a column")
	case a.name == "" && f.Has(2):
		a.name = a.fn + "(" + a.column + ")"
	case a.name == "":
		a.name = a.fn
	}
	if !f.Has(2) {
		a.column = ""
	}
	return a, nil
}

func (q *query) grouped() bool { return len(q.group)+len(q.aggregate) > 0 }
