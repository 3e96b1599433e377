package wasm

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/runnertest"
)

// TestPoolGivesZeros: whatever was written to a region, small or large, what
// comes out of the pool is zero, and it is the same region again.
func TestPoolGivesZeros(t *testing.T) {
	p := newPool()
	defer p.close()
	for _, used := range []int{1, pageSize, clearBytes, clearBytes + pageSize, 4 * clearBytes} {
		r, err := p.get(4 * clearBytes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r[:used] {
			r[i] = 0xff
		}
		p.put(r, used)
		again, err := p.get(4 * clearBytes)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(again, func(b byte) bool { return b != 0 }) {
			t.Errorf("after %d bytes were used, the next region is not zero", used)
		}
		p.put(again, 0)
	}
}

// TestPoolIsBounded: what is idle does not grow with the number of calls.
func TestPoolIsBounded(t *testing.T) {
	p := newPool()
	var out [][]byte
	for i := range 3 * idleRegions {
		r, err := p.get(uint64(smallestRegion) << (i % 3))
		if err != nil {
			t.Fatal(err)
		}
		if want := smallestRegion << (i % 3); len(r) != want {
			t.Errorf("a region of %d bytes, want %d", len(r), want)
		}
		out = append(out, r)
	}
	for _, r := range out {
		p.put(r, 1)
	}
	if len(p.idle) != idleRegions {
		t.Errorf("%d regions are idle, want %d", len(p.idle), idleRegions)
	}
	p.close()
}

// TestMemoryIsNotShared: calls that fill all their memory never see another's,
// one after another and at the same time.
func TestMemoryIsNotShared(t *testing.T) {
	a := hostcallCode()
	// Answers 1 byte of each end, then fills the memory with the request's first.
	last := int32(runnertest.MemoryBytes - 1)
	g := a.with(join(
		c32(runnertest.MemoryBytes/pageSize-2), opMemoryGrow, 0, opDrop,
		a.answer(last, 1), a.answer(reqAt-1, 1),
		c32(0), c32(reqAt), opI32Load, 2, 0, c32(runnertest.MemoryBytes), opPrefix, fcFill, 0), "")
	m := bind(g.bytes(), a.abi)
	r := open(t, Options{})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for range 50 {
				res, err := r.Run(t.Context(), runner.Call{Module: m, Request: bytes.Repeat([]byte{byte('a' + w)}, 4)})
				if err != nil || string(res.Response) != "\x00\x00" {
					t.Errorf("%v %x (%s), %v", res.Outcome, res.Response, res.Detail, err)
				}
			}
		})
	}
	all.Wait()
}
