// Command echo is the reference tool demo/echo: it answers its payload,
// whatever value that is, and logs one line for each call. It builds as a wasm
// module with the hostcall abi, a reactor whose entry is run,
//
//	CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o echo.wasm ./tools/echo/go
//
// which gives the same bytes in every folder, and as a native executable:
//
//	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o echo ./tools/echo/go
package main

import (
	"strconv"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

func main() { tool.Serve(echo) }

func echo(c *tool.Call) (tool.Value, error) {
	tool.Log(tool.Info, "echo "+strconv.Itoa(len(c.Payload.Raw()))+" bytes")
	return c.Payload, nil
}
