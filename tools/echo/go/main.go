//go:build wasip1

// Command echo is the reference tool demo/echo as a wasm module with the
// hostcall abi (RFC-MYTHOS-0006 §11.1): it answers status 200 with its
// request's payload and logs one line for each call. Build it with
//
//	CGO_ENABLED=0 GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o echo.wasm ./tools/echo/go
//
// which gives the same bytes in every folder. It is a reactor, whose entry is
// run: Go's own start is in _initialize, which a runner may do once and for all.
package main

import (
	"os"
	"strconv"
	"unsafe"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

//go:wasmimport mythos_v1 request_len
func requestLen() uint32

//go:wasmimport mythos_v1 request_read
func requestRead(dst unsafe.Pointer, off, n uint32) int32

//go:wasmimport mythos_v1 response_write
func responseWrite(src unsafe.Pointer, n uint32) int32

//go:wasmimport mythos_v1 log
func log(level uint32, text unsafe.Pointer, n uint32)

// The levels of the log hostcall.
const (
	levelInfo  = 1
	levelError = 3
)

func main() {} // a reactor has none

//go:wasmexport run
func run() {
	response := answer(readRequest())
	body := response.AppendCAN(nil)
	if responseWrite(unsafe.Pointer(unsafe.SliceData(body)), uint32(len(body))) < 0 {
		say(levelError, "the response of "+strconv.Itoa(len(body))+" bytes was refused")
		os.Exit(1)
	}
}

func readRequest() []byte {
	b := make([]byte, requestLen())
	requestRead(unsafe.Pointer(unsafe.SliceData(b)), 0, uint32(len(b)))
	return b
}

func answer(request []byte) abi.Response {
	var q abi.Request
	r := can.NewReader(request)
	q.ReadCAN(&r)
	if err := r.Done(); err != nil {
		say(levelError, err.Error())
		return abi.Response{
			Status:  400,
			Payload: can.AppendNull(nil),
			Error:   &abi.Error{Code: "bad_request", Message: err.Error()},
		}
	}
	say(levelInfo, "echo "+strconv.Itoa(len(q.Payload))+" bytes")
	return abi.Response{Status: 200, Payload: q.Payload}
}

func say(level uint32, text string) {
	log(level, unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}
