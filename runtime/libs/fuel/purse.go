package fuel

import "math"

// Purse is the host's side of a call's fuel. It gives the module's global a
// slice at a time, so that the host is asked now and then; what the module can
// use in all does not depend on the slices.
//
//	p, first := NewPurse(limit, slice)  // set the global to first
//	next, ok := p.Settle(global)        // in every host function, and at the end
//
// If ok is false the call is exhausted: trap. Otherwise set the global to next
// if it differs.
type Purse struct {
	limit, rest, slice int64 // rest is not in the global yet
}

// NewPurse returns a purse of limit fuel, at most 2^63-1, and what the global
// is set to first. slice is the most that the global holds at once; below 1, or
// without Options.Yield, it is limit.
func NewPurse(limit uint64, slice int64) (p Purse, first int64) {
	p.limit = int64(min(limit, math.MaxInt64))
	if p.slice = slice; slice < 1 {
		p.slice = p.limit
	}
	first = min(p.slice, p.limit)
	p.rest = p.limit - first
	return p, first
}

// Settle covers a global that is below zero from the rest, and tells whether
// the call may go on.
func (p *Purse) Settle(global int64) (next int64, ok bool) {
	if global >= 0 {
		return global, true
	}
	// At most slice is left in the global afterwards; the sum cannot overflow.
	want := uint64(-(global + 1)) + 1 + uint64(p.slice)
	more := int64(min(want, uint64(p.rest)))
	p.rest -= more
	global += more
	return global, global >= 0
}

// Used returns the fuel that was used when the global has the given value, the
// limit if it is exhausted.
func (p *Purse) Used(global int64) uint64 {
	given := p.limit - p.rest
	if global < 0 && p.rest == 0 {
		return uint64(p.limit)
	}
	return min(uint64(p.limit), uint64(given)-uint64(global))
}
