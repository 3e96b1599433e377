// Command csv-query is a tool that asks a table in CSV a question: which rows,
// which columns, in which order, or counts and sums by group. It is a pure
// function of its request. Numbers are exact decimals; there is no float in it.
//
// Requests and answers are records (RFC-MYTHOS-0012 §2), described in README.md.
package main

import "github.com/mythos-run/mythos/sdk/go/tool"

func main() { tool.Serve(answer) }

func answer(c *tool.Call) (tool.Value, error) {
	q, err := readQuery(c.Payload)
	if err != nil {
		return tool.Value{}, err
	}
	t, err := readTable(q.csv, q.delimiter)
	if err != nil {
		return tool.Value{}, err
	}
	matched, err := q.filter(t)
	if err != nil {
		return tool.Value{}, err
	}
	out, err := q.shape(t, matched)
	if err != nil {
		return tool.Value{}, err
	}
	if err := q.sort(out); err != nil {
		return tool.Value{}, err
	}
	return q.result(out, len(matched))
}
