//go:build !cgo

package main

import "errors"

// wasmtimeMissing says why there is no wasmtime here.
const wasmtimeMissing = "not built (needs cgo and a C compiler)"

// wasmtimeEcho is wasmtime where it could not be built.
type wasmtimeEcho struct{}

func newWasmtime(guest) (*wasmtimeEcho, error) {
	return nil, errors.New("wasmtime: " + wasmtimeMissing)
}

func (*wasmtimeEcho) call([]byte) ([]byte, error) {
	return nil, errors.New("wasmtime: " + wasmtimeMissing)
}

func (*wasmtimeEcho) Close() {}
