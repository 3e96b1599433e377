//go:build !unix

package wasm

// reserve takes the bytes from Go's heap.
func reserve(size uint64) ([]byte, error) { return make([]byte, size), nil }

func discard([]byte) bool { return false }

func unreserve([]byte) {}
