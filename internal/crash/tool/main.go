// Command tool is the native tool of the crash harness: it appends the effect's
// idempotency id, 32 bytes, to the file that its payload names, and answers the
// payload. So its invocations are counted outside the system under test, in one
// write that a kill of the executor cannot take back. With the argument "probe" it
// is the tool's probe (RFC-MYTHOS-0006 §10): it tells whether the id is in the file.
package main

import (
	"errors"
	"os"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "probe" {
		tool.Serve(probe)
		return
	}
	tool.Serve(count)
}

func count(c *tool.Call) (tool.Value, error) {
	path, err := c.Payload.Text()
	if err != nil {
		return tool.Value{}, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return tool.Value{}, err
	}
	_, err = f.Write(c.IdemID[:])
	return c.Payload, errors.Join(err, f.Close())
}

func probe(c *tool.Call) (tool.Value, error) {
	path, err := c.Payload.Text()
	if err != nil {
		return tool.Value{}, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return tool.Value{}, err
	}
	outcome := "not_invoked"
	for ; len(raw) >= 32; raw = raw[32:] {
		if [32]byte(raw[:32]) == c.IdemID {
			outcome = "committed"
		}
	}
	return tool.Map(tool.Pair{Key: tool.Text("outcome"), Value: tool.Text(outcome)}), nil
}
