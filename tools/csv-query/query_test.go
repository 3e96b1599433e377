package main

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
	"pgregory.net/rapid"
)

const sales = `region,item,price,note
north,apple,1.50,
south,pear,2.25,"say ""hi"""
north,pear,-0.75,a
east,apple,,"b,c"
north,plum,10,B
`

// rec builds a record: fields from 1 on, nil for one that is absent.
func rec(fields ...any) tool.Value {
	var pairs []tool.Pair
	for i, f := range fields {
		if f != nil {
			pairs = append(pairs, record.Pair(uint64(i+1), value(f)))
		}
	}
	return tool.Map(pairs...)
}

func value(x any) tool.Value {
	switch x := x.(type) {
	case tool.Value:
		return x
	case string:
		return tool.Text(x)
	case bool:
		return tool.Bool(x)
	case int:
		if x < 0 {
			return tool.Int(int64(x))
		}
		return tool.Uint(uint64(x))
	case []byte:
		return tool.Bytes(x)
	case []any:
		items := make([]tool.Value, len(x))
		for i, v := range x {
			items[i] = value(v)
		}
		return tool.List(items...)
	}
	panic("no such value")
}

func list(items ...any) []any { return items }

// ask returns the columns, rows and the count of matches, as lines.
func ask(t *testing.T, request tool.Value) ([]string, error) {
	t.Helper()
	v, err := answer(&tool.Call{Payload: request})
	if err != nil {
		return nil, err
	}
	r, err := record.Read(v, 3)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := r.Texts(1, maxColumns)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{strings.Join(columns, "|")}
	rows, err := r[2].Items()
	if err != nil {
		t.Fatal(err)
	}
	for row := range rows {
		items, err := row.Items()
		if err != nil {
			t.Fatal(err)
		}
		var cells []string
		for cell := range items {
			s, err := cell.Text()
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, s)
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	matched, err := r[3].Uint()
	if err != nil {
		t.Fatal(err)
	}
	return append(lines, strconv.FormatUint(matched, 10)), nil
}

func TestQueries(t *testing.T) {
	where := func(c ...any) tool.Value { return rec(sales, list("item"), list(rec(c...))) }
	for name, c := range map[string]struct {
		request tool.Value
		want    string // lines, joined by a space each
	}{
		"everything":           {rec([]byte(sales)), `region|item|price|note north|apple|1.50| south|pear|2.25|say_"hi" north|pear|-0.75|a east|apple||b,c north|plum|10|B 5`},
		"columns":              {rec(sales, list("price", "item"), nil, nil, 2), "price|item 1.50|apple 2.25|pear 5"},
		"no column is all":     {rec("a,b\n1,2\n", list()), "a|b 1|2 1"},
		"limit 0":              {rec(sales, list("item"), nil, nil, 0), "item 5"},
		"text eq":              {where("region", "eq", "north"), "item apple pear plum 3"},
		"text ne":              {where("region", "ne", "north"), "item pear apple 2"},
		"text order is bytes":  {where("note", "lt", "a"), "item apple plum 2"},
		"text against digits":  {where("price", "gt", "1"), "item apple pear plum 3"},
		"integer":              {where("price", "gt", 2), "item pear plum 2"},
		"negative integer":     {where("price", "le", -0), "item pear 1"},
		"decimal":              {where("price", "ge", "2.2500", true), "item pear plum 2"},
		"empty is no number":   {where("price", "ne", 10), "item apple pear pear 3"},
		"in texts":             {where("item", "in", list("pear", "plum")), "item pear pear plum 3"},
		"in numbers":           {where("price", "in", list("10.0", "1.5"), true), "item apple plum 2"},
		"in nothing":           {where("item", "in", list()), "item 0"},
		"contains":             {where("note", "contains", ","), "item apple 1"},
		"prefix":               {where("item", "prefix", "p"), "item pear pear plum 3"},
		"all conditions":       {rec(sales, list("item"), list(rec("region", "eq", "north"), rec("price", "lt", 5))), "item apple pear 2"},
		"order by text":        {rec(sales, list("item", "price"), nil, list(rec("item"), rec("price", true, true))), "item|price apple|1.50 apple| pear|2.25 pear|-0.75 plum|10 5"},
		"order by number":      {rec(sales, list("price"), nil, list(rec("price", nil, true))), "price  -0.75 1.50 2.25 10 5"},
		"order is stable":      {rec(sales, list("region", "item"), nil, list(rec("region", true))), "region|item south|pear north|apple north|pear north|plum east|apple 5"},
		"one group":            {rec(sales, nil, nil, nil, nil, nil, list(rec("count"), rec("count", "price"), rec("sum", "price"), rec("avg", "price"))), "count|count(price)|sum(price)|avg(price) 5|4|13.00|3.25 5"},
		"one group of no rows": {rec(sales, nil, list(rec("item", "eq", "fig")), nil, nil, nil, list(rec("count"), rec("sum", "price"), rec("min", "price"), rec("avg", "price"))), "count|sum(price)|min(price)|avg(price) 0|0|| 0"},
		"groups": {
			rec(sales, nil, nil, list(rec("n", true, true), rec("region")), 2, list("region"), list(rec("count", nil, "n"), rec("min", "price", "least"), rec("max", "price"))),
			"region|n|least|max(price) north|3|-0.75|10 east|1|| 5",
		},
		"distinct":      {rec(sales, nil, nil, nil, nil, list("item")), "item apple pear plum 5"},
		"delimiter":     {rec("a;b\n1,5;2\n", nil, nil, nil, nil, nil, nil, ";"), "a|b 1,5|2 1"},
		"mark and CRLF": {rec("\ufeffa,b\r\n1,2\r\n\r\n", list("a")), "a 1 1"},
		"header alone":  {rec("a,b"), "a|b 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, c.request)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], " ", "_")
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	where := func(c ...any) tool.Value { return rec(sales, nil, list(rec(c...))) }
	sum := list(rec("sum", "price"))
	long := make([]any, maxConditions+1)
	for i := range long {
		long[i] = rec("item", "eq", "x")
	}
	for name, c := range map[string]struct {
		request tool.Value
		code    string
		says    string
	}{
		"no map":                  {tool.Text(sales), "bad_request", ""},
		"no table":                {rec(), "query_invalid", "field 1"},
		"a table of numbers":      {rec(5), "bad_request", ""},
		"an unknown field":        {rec(sales, nil, nil, nil, nil, nil, nil, nil, 1), "field_unknown", "field 9"},
		"an unknown condition":    {where("item", "eq", "x", nil, 1), "field_unknown", "field 5"},
		"a limit of text":         {rec(sales, nil, nil, nil, "2"), "bad_request", ""},
		"no header":               {rec(""), "csv_empty", ""},
		"not UTF-8":               {rec([]byte("a\n\xff\n")), "csv_utf8", ""},
		"ragged":                  {rec("a,b\n1,2\n\n3\n"), "csv_ragged", "row 2 (line 4)"},
		"a lone quote":            {rec("a,b\n1,2\n3,x\"y\n"), "csv_syntax", "row 2 (line 3)"},
		"an open quote":           {rec("a,b\n1,\"2\n"), "csv_syntax", "row 1"},
		"a broken header":         {rec("a,\"b\n"), "csv_syntax", "the header"},
		"a column twice":          {rec("a,b,a\n"), "csv_header", `"a"`},
		"too many columns":        {rec(strings.Repeat(",", maxColumns) + "\n"), "csv_too_wide", "1001 columns"},
		"no such column":          {rec(sales, list("cost")), "column_unknown", `"cost" is none of "region", "item"`},
		"selected twice":          {rec(sales, list("item", "item")), "query_invalid", "twice"},
		"no such where":           {where("cost", "eq", "x"), "column_unknown", `"cost"`},
		"no such op":              {where("item", "like", "x"), "query_invalid", `"like"`},
		"a number for contains":   {where("item", "contains", 5), "query_invalid", "contains"},
		"numeric prefix":          {where("item", "prefix", "5", true), "query_invalid", "prefix"},
		"no decimal":              {where("price", "eq", "1e3", true), "query_invalid", `"1e3"`},
		"mixed choices":           {where("price", "in", list("a", 5)), "query_invalid", "number among texts"},
		"no value":                {where("price", "eq"), "bad_request", ""},
		"too many conditions":     {rec(sales, nil, long), "list_too_long", "65 items"},
		"no number":               {where("item", "gt", 5), "csv_number", `row 1, column "item": "apple"`},
		"no number to add":        {rec(sales, nil, nil, nil, nil, nil, list(rec("sum", "note"))), "csv_number", `row 2, column "note"`},
		"no number to sort by":    {rec(sales, nil, nil, list(rec("region", nil, true))), "csv_number", `row 1, column "region"`},
		"sorting by what is gone": {rec(sales, list("item"), nil, list(rec("price"))), "column_unknown", `"price"`},
		"no such aggregate":       {rec(sales, nil, nil, nil, nil, nil, list(rec("median", "price"))), "query_invalid", `"median"`},
		"a sum of nothing":        {rec(sales, nil, nil, nil, nil, nil, list(rec("sum"))), "query_invalid", "needs a column"},
		"a sum of what":           {rec(sales, nil, nil, nil, nil, nil, list(rec("sum", "cost"))), "column_unknown", `"cost"`},
		"two names":               {rec(sales, nil, nil, nil, nil, nil, list(rec("sum", "price"), rec("sum", "price"))), "query_invalid", `"sum(price)"`},
		"select with groups":      {rec(sales, list("item"), nil, nil, nil, nil, sum), "query_invalid", "exclude"},
		"no such group":           {rec(sales, nil, nil, nil, nil, list("cost")), "column_unknown", `"cost"`},
		"no such delimiter":       {rec(sales, nil, nil, nil, nil, nil, nil, "::"), "query_invalid", "delimiter"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ask(t, c.request)
			var f *tool.Failure
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a failure", err)
			}
			if f.Code != c.code || !strings.Contains(f.Message, c.says) {
				t.Errorf("got %s %q, want %s %q", f.Code, f.Message, c.code, c.says)
			}
		})
	}
}

func TestDecimals(t *testing.T) {
	for _, s := range []string{"", "-", ".5", "5.", "+5", "1e3", "1,5", " 5", "0x5", "--5", "1.2.3", strings.Repeat("9", maxDigits+1), "５"} {
		if _, ok := parseDecimal(s); ok {
			t.Errorf("%q was taken for a number", s)
		}
	}
	for in, want := range map[string]string{"0": "0", "-0": "0", "-0.00": "0.00", "007": "7", "-1.50": "-1.50", "0.05": "0.05"} {
		if d, ok := parseDecimal(in); !ok || d.String() != want {
			t.Errorf("%q: got %v %v, want %s", in, d, ok, want)
		}
	}
	for in, want := range map[string]string{"1/3": "0.333333", "2/3": "0.666667", "-2/3": "-0.666667", "0.000001/2": "0.0000005", "1/2": "0.5", "3/1": "3", "-0.0000000001/3": "-0.0000000000333333", "1/64": "0.015625", "1/128": "0.007812", "3/128": "0.023438"} {
		n, by, _ := strings.Cut(in, "/")
		d, _ := parseDecimal(n)
		count, err := strconv.Atoi(by)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.mean(count).String(); got != want {
			t.Errorf("mean %s: got %s, want %s", in, got, want)
		}
	}
}

// Sums, means and orders agree with rational arithmetic.
func TestDecimalsAreExact(t *testing.T) {
	number := rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,12})?`)
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.SliceOfN(number, 1, 20).Draw(t, "cells")
		sum, exact := decimal{new(big.Int), 0}, new(big.Rat)
		scale := 0
		for _, c := range cells {
			d, ok := parseDecimal(c)
			if !ok {
				t.Fatalf("%q is no number", c)
			}
			r, _ := new(big.Rat).SetString(c)
			if first, _ := parseDecimal(cells[0]); d.compare(first) != r.Cmp(rat(t, cells[0])) {
				t.Fatalf("%s against %s", c, cells[0])
			}
			sum, exact, scale = sum.add(d), exact.Add(exact, r), max(scale, d.scale)
		}
		if want := exact.FloatString(scale); sum.String() != want {
			t.Fatalf("sum: got %s, want %s", sum, want)
		}
		mean := rat(t, sum.mean(len(cells)).String())
		off := mean.Sub(mean, exact.Quo(exact, new(big.Rat).SetInt64(int64(len(cells)))))
		half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), pow10(scale+avgDigits)))
		if off.Abs(off).Cmp(half) > 0 {
			t.Fatalf("the mean of %v is off by %v", cells, off)
		}
	})
}

func rat(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// FuzzQuery: no request makes the tool panic, and the same request gives the
// same answer.
func FuzzQuery(f *testing.F) {
	f.Add(rec(sales, nil, nil, list(rec("n", true, true)), 2, list("region"), list(rec("count", nil, "n"))).Raw())
	f.Add(rec(sales, list("item"), list(rec("price", "in", list("10.0"), true)), list(rec("item"))).Raw())
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := tool.Parse(raw)
		if err != nil {
			return
		}
		one, err1 := answer(&tool.Call{Payload: v})
		two, err2 := answer(&tool.Call{Payload: v})
		if string(one.Raw()) != string(two.Raw()) || (err1 == nil) != (err2 == nil) || err1 != nil && err1.Error() != err2.Error() {
			t.Errorf("%x %v, then %x %v", one.Raw(), err1, two.Raw(), err2)
		}
	})
}
