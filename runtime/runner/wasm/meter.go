package wasm

import (
	"errors"
	"math"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

// defaultSlice is how much fuel a guest gets at a time before it comes back to
// the host, where the deadline is looked at and Go's scheduler and collector get
// their turn: neither can interrupt machine code that is not Go's. It lasts 15 to
// 50 us where code runs at full speed, some 10 ms where every third instruction
// misses all caches, and 60 ms where every one touches a page for the first time. No count and no result depends on it
// (RFC-MYTHOS-0012 §10.3).
const defaultSlice = 250_000

// meter is a call's fuel and time.
type meter struct {
	purse    fuel.Purse
	first    int64 // what the module's count begins with
	deadline time.Time
}

func newMeter(l *runner.Limits, slice int64) (m meter) {
	limit := uint64(math.MaxInt64) // a module without a limit is counted all the same
	if l.Fuel != nil {
		limit = *l.Fuel
	}
	m.purse, m.first = fuel.NewPurse(limit, slice)
	m.deadline = time.Now().Add(l.Timeout)
	return m
}

// end settles for the last time, and returns what was used and whether it was
// more than the limit.
func (m *meter) end(global int64) (used uint64, exhausted bool) {
	next, ok := m.purse.Settle(global)
	return m.purse.Used(next), !ok
}

// errExhausted and errDeadline unwind a guest out of a host function.
var (
	errExhausted = errors.New("the fuel is used up")
	errDeadline  = errors.New("the wall clock limit ended the call")
)

// settle covers what the guest has used, or ends it.
func (h *Host) settle() {
	global := h.instance.Fuel()
	next, ok := h.meter.purse.Settle(global)
	if !ok {
		panic(errExhausted)
	}
	if next != global {
		h.instance.SetFuel(next)
	}
}

// checkDeadline is called in each host function, and again and again in those
// whose work the guest can make long.
func (h *Host) checkDeadline() {
	if h.over() {
		panic(errDeadline)
	}
}

// over reports whether the call's time is up.
func (h *Host) over() bool { return h.ctx.Err() != nil || time.Now().After(h.meter.deadline) }

// yield is called by a guest whose slice is used up, and in the middle of long
// bulk operations. Host.Call has done all there is to do.
func yield(*Host, memory, []uint64) {}
