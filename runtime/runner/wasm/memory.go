package wasm

import "github.com/tetratelabs/wazero/experimental"

// allocator gives one call its linear memory, up to the call's own limit. It
// notes a refused growth, because what the guest does next is judged by it.
//
// A growth beyond the module's declared maximum never gets here: wazero refuses
// it, and that is the module's own doing.
type allocator struct {
	limit   uint64 // bytes, whole pages
	refused bool
	buf     []byte
}

var (
	_ experimental.MemoryAllocator = (*allocator)(nil)
	_ experimental.LinearMemory    = (*allocator)(nil)
)

// Allocate returns the allocator itself: a call has one memory.
func (a *allocator) Allocate(_, _ uint64) experimental.LinearMemory { return a }

// Reallocate grows the memory to size bytes, or returns nil if that is over the
// limit. New bytes are zero. The first size is the module's minimum, which
// module.accepts has compared with the limit: wazero cannot take a nil there.
func (a *allocator) Reallocate(size uint64) []byte {
	if size > a.limit {
		a.refused = true
		return nil
	}
	if size > uint64(cap(a.buf)) {
		// Growth by half keeps a guest that grows page by page linear in time.
		room := min(a.limit, max(size, uint64(cap(a.buf))+uint64(cap(a.buf))/2))
		grown := make([]byte, size, room)
		copy(grown, a.buf)
		a.buf = grown
	}
	a.buf = a.buf[:size]
	return a.buf
}

// Free drops the memory; it is never given to another call.
func (a *allocator) Free() { a.buf = nil }
