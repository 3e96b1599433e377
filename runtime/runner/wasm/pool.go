package wasm

import (
	"math/bits"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	// smallestRegion is what the least memory limit reserves: address space costs
	// nothing, and few sizes make regions fit for many modules.
	smallestRegion = 1 << 20
	// clearBytes is up to where used memory is cleared and stays with the process.
	// What a larger guest used goes back to the system, which clears it as well.
	clearBytes = 8 << 20
	// idleRegions is how many regions are kept for later calls; with clearBytes it
	// bounds what an idle pool holds.
	idleRegions = 16
)

// pool keeps cleared memory for instances. Memory from the system costs more
// than most calls; memory from Go's heap would be cleared by the collector's
// leave, and copied to grow. A region is reserved for the whole limit of a call
// and gets pages as they are touched.
//
// What comes out of the pool is zero in every byte: that is all that keeps one
// call's data from the next.
type pool struct {
	mu   sync.Mutex
	idle [][]byte // least recently used first
}

func newPool() *pool { return &pool{} }

// regionSize is the power of two that holds limit bytes.
func regionSize(limit uint64) uint64 {
	return max(smallestRegion, uint64(1)<<bits.Len64(limit-1))
}

// get returns a zero region of at least limit bytes.
func (p *pool) get(limit uint64) ([]byte, error) {
	size := regionSize(limit)
	p.mu.Lock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if r := p.idle[i]; uint64(len(r)) == size {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.mu.Unlock()
			return r, nil
		}
	}
	p.mu.Unlock()
	r, err := reserve(size)
	if err != nil {
		return nil, fault.New(ErrHostMemory, "cannot reserve %d bytes of memory: %w", size, err)
	}
	return r, nil
}

// put takes a region back whose first used bytes may have been written.
func (p *pool) put(r []byte, used int) {
	if used <= clearBytes {
		clear(r[:used])
	} else if !discard(r[:used]) {
		unreserve(r)
		return
	}
	p.mu.Lock()
	var old []byte
	if len(p.idle) == idleRegions {
		old = p.idle[0]
		p.idle = append(p.idle[:0], p.idle[1:]...)
	}
	p.idle = append(p.idle, r)
	p.mu.Unlock()
	if old != nil {
		unreserve(old)
	}
}

// close frees what is idle.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.idle {
		unreserve(r)
	}
	p.idle = nil
}
