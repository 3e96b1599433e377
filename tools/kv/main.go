//go:build unix

// Command kv is a tool that keeps values under names in one folder of its host,
// the folder that the grant FsWrite names: put, get, delete and list. A put or
// delete is atomic, durable when it is answered, and happens once however often
// it is tried with the same idempotency id.
//
// The folder is the argument of the module's entry, or where there is none
// field 8 of each request. Requests and answers are records (RFC-MYTHOS-0012 §2),
// described in README.md.
package main

import (
	"os"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

func main() {
	folder := ""
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	tool.Serve(func(c *tool.Call) (tool.Value, error) { return answer(folder, c) })
}

// answer opens the store for one call: the folder is another program's as well.
func answer(folder string, c *tool.Call) (tool.Value, error) {
	q, err := readRequest(folder, c.Payload)
	if err != nil {
		return tool.Value{}, err
	}
	s, err := open(q.folder)
	if err != nil {
		return tool.Value{}, err
	}
	defer s.close()
	switch q.op {
	case "get":
		return s.get(q.key)
	case "list":
		return s.list(q.prefix, q.after, q.limit)
	default: // put and delete
		return s.change(q, c)
	}
}
