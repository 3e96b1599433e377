package wasm

import "github.com/tetratelabs/wazero/experimental"

// linear gives one instance its memory, up to its call's own limit, from the
// pool. It notes a refused growth, because what the guest does next is judged
// by it.
//
// A growth beyond the module's declared maximum never gets here: wazero refuses
// it, and that is the module's own doing.
type linear struct {
	host   *Host
	pool   *pool
	region []byte // reserved, as long as the limit or longer
	bytes  []byte // in use
}

var (
	_ experimental.MemoryAllocator = (*linear)(nil)
	_ experimental.LinearMemory    = (*linear)(nil)
)

// acquire reserves the memory. It is apart from Allocate, which cannot fail.
func (l *linear) acquire() (err error) {
	l.region, err = l.pool.get(l.host.MemoryLimit())
	return err
}

// Allocate returns l itself: an instance has one memory.
func (l *linear) Allocate(_, _ uint64) experimental.LinearMemory { return l }

// Reallocate grows the memory to size bytes where it is, or returns nil if that
// is over the limit. New bytes are zero. The first size is the module's minimum,
// which facts.accepts has compared with the limit: wazero cannot take a nil there.
func (l *linear) Reallocate(size uint64) []byte {
	limit := l.host.MemoryLimit()
	if size > limit {
		l.host.RefuseGrowth()
		return nil
	}
	l.bytes = l.region[:size:limit]
	return l.bytes
}

// Free gives the memory back. It may be called again.
func (l *linear) Free() {
	if l.region != nil {
		l.pool.put(l.region, len(l.bytes))
		l.region, l.bytes = nil, nil
	}
}
