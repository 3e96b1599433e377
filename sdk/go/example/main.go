// Command example is a tool that adds up: for {"numbers": [3, 4], "label": "x"},
// where label may be missing, it answers {"count": 2, "label": "x", "sum": 7}.
// Every SDK has the same example, and all answer the same bytes.
package main

import (
	"strconv"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

func main() { tool.Serve(sum) }

func sum(c *tool.Call) (tool.Value, error) {
	numbers := c.Payload.Get("numbers")
	items, err := numbers.Items()
	if err != nil {
		return tool.Value{}, err // 400 bad_request
	}
	if numbers.Len() == 0 {
		return tool.Value{}, tool.Fail(404, "no_numbers", "there is nothing to add up")
	}
	var total uint64
	for item := range items {
		n, err := item.Uint()
		if err != nil {
			return tool.Value{}, err
		}
		if total+n < total {
			return tool.Value{}, tool.Fail(422, "overflow", "")
		}
		total += n
	}
	tool.Log(tool.Info, "sum of "+strconv.Itoa(numbers.Len())+" numbers")
	members := map[string]tool.Value{"count": tool.Uint(uint64(numbers.Len())), "sum": tool.Uint(total)}
	if label, ok := c.Payload.Lookup("label"); ok {
		members["label"] = label
	}
	return tool.Object(members), nil
}
