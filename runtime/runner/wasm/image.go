package wasm

import (
	"bytes"
	"context"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

// image is what an instance holds before its entry is called: memory and
// globals, and the fuel it took to get there. A module has one of its data
// segments. One that is initialised by _initialize may have a second, taken
// once after that has run: then each call begins where it ended, with the fuel
// that it used charged as if it had run again (RFC-MYTHOS-0006 §11).
//
// That is the same for every request because of what _initialize may call
// without the second image being given up: functions that answer the same to
// all, among them random_get, whose stream for the start function and
// _initialize is not the request's.
type image struct {
	size    int // of the memory, bytes
	parts   []fuel.Data
	globals []uint64 // nil: those the module begins with
	fuel    uint64
}

// The bounds of taking an image of an initialised module; one beyond them is
// initialised anew in each call.
const (
	maxImage    = 8 << 20 // bytes of memory that are kept
	imageMemory = 64 << 20
	imageFuel   = 1_000_000_000
	imageTime   = 2 * time.Second
	imagePart   = 4096
)

// restore puts an instance into the state of an image.
func (i *image) restore(x Instance) error {
	if err := x.Grow(i.size); err != nil {
		return err
	}
	memory := x.Memory()
	for _, p := range i.parts {
		copy(memory[p.Offset:], p.Bytes)
	}
	if i.globals != nil {
		x.SetGlobals(i.globals)
	}
	return nil
}

// fits reports whether a call under these limits would have come to this state.
func (i *image) fits(h *Host) bool {
	return uint64(i.size) <= h.MemoryLimit() && (h.limits.Fuel == nil || i.fuel <= *h.limits.Fuel)
}

// initialised runs the start function and _initialize of a module and returns
// the image of its state, nil if a call might come to another one.
func (m *module) initialised() *image {
	if !m.initialize || !m.detached {
		return nil
	}
	fuelLimit := uint64(imageFuel)
	h := newHost(context.Background(), &runner.Call{Module: runner.Module{
		Limits: runner.Limits{Timeout: imageTime, MemoryBytes: imageMemory, Fuel: &fuelLimit},
	}}, defaultSlice)
	x, err := m.program.Instantiate(h)
	if err != nil {
		return nil
	}
	defer func() { _ = x.Close() }() // frees memory only
	h.instance = x
	x.SetFuel(h.meter.first)
	if m.first.restore(x) != nil || h.initialize(m, true) != nil || h.exited {
		return nil
	}
	used, exhausted := h.meter.end(x.Fuel())
	if exhausted || h.particular || h.small {
		return nil
	}
	return capture(x, used)
}

// capture takes an image of an instance, nil if it is too large.
func capture(x Instance, used uint64) *image {
	memory := x.Memory()
	i := &image{size: len(memory), globals: x.Globals(), fuel: used}
	var zero [imagePart]byte
	kept := 0
	for at := 0; at < len(memory); {
		end := at
		for end < len(memory) && !bytes.Equal(memory[end:end+imagePart], zero[:]) {
			end += imagePart
		}
		if end == at {
			at += imagePart
			continue
		}
		if kept += end - at; kept > maxImage {
			return nil
		}
		i.parts = append(i.parts, fuel.Data{Offset: uint32(at), Bytes: bytes.Clone(memory[at:end])})
		at = end
	}
	return i
}
