//go:build wasip1

// Command http-fetch is a tool that performs one HTTP request, as a wasm module
// of the hostcall abi whose package asks for NetConnect. The host resolves,
// connects, does TLS and asks the grant about every connection; the module sees
// the response alone. Build it with
//
//	CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o http-fetch.wasm ./tools/http-fetch
package main

import (
	"unsafe"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/http-fetch/fetch"
)

// The hostcalls of RFC-MYTHOS-0006 §11.1.

//go:wasmimport mythos_v1 http
func hostHTTP(request unsafe.Pointer, n uint32) int32

//go:wasmimport mythos_v1 http_read
func hostHTTPRead(dst unsafe.Pointer, off, n uint32) int32

func main() {
	tool.Serve(func(c *tool.Call) (tool.Value, error) { return fetch.Answer(c, perform) })
}

func perform(request []byte) ([]byte, int) {
	n := hostHTTP(unsafe.Pointer(unsafe.SliceData(request)), uint32(len(request)))
	if n <= 0 {
		return nil, int(n)
	}
	response := make([]byte, n)
	return response, int(hostHTTPRead(unsafe.Pointer(unsafe.SliceData(response)), 0, uint32(n)))
}
