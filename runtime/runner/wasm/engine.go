package wasm

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// Engine compiles metered modules and makes instances of them. Fuel is counted
// by the module's own code, so every engine counts the same (RFC-MYTHOS-0012
// §10); what else a result depends on is the contract, which Host has. It is
// safe for concurrent use.
type Engine interface {
	// Name is what evidence records: whatever could make a difference to a
	// result, were there a defect.
	Name() string
	// Compile compiles what fuel.Rewrite returned.
	Compile(context.Context, *fuel.Rewritten) (Program, error)
	// Close frees everything; no Program is in use any more.
	Close() error
}

// Program is a compiled module. It is safe for concurrent use.
type Program interface {
	// Instantiate makes a fresh instance whose imports are linked to h. Nothing
	// of the module runs: its start function is an export. An error that is
	// ErrHostMemory says nothing about the module; any other is a trap.
	Instantiate(h *Host) (Instance, error)
	// Close frees the code; no Instance is in use any more.
	Close() error
}

// Instance is one instance of a module, for one goroutine.
type Instance interface {
	// Call calls an exported function () -> (). A panic of a host function comes
	// back as an error that wraps what it panicked with.
	Call(export string) error
	// Fuel and SetFuel are the module's count, SetDepth its room for frames.
	Fuel() int64
	SetFuel(int64)
	Depth() int32
	SetDepth(int32)
	// Globals and SetGlobals are the values of fuel.Rewritten.Globals, in order.
	Globals() []uint64
	SetGlobals([]uint64)
	// Grow makes the memory at least size bytes large, whole pages.
	Grow(size int) error
	// Memory is the whole linear memory, valid until the guest runs again; nil
	// if the module has none.
	Memory() []byte
	// Close frees the instance.
	Close() error
}
