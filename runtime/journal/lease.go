package journal

// clocks are what an embedded journal decides about leases with.
type clocks interface {
	now() int64
	mono() (boot string, micros int64)
}

// leaseRow is when a lease ends: on the wall clock, and on the monotonic clock
// of one boot, which decides while that boot lasts (RFC-MYTHOS-0005 §4).
type leaseRow struct {
	wall int64
	boot string // "": the host has no monotonic clock
	mono int64
}

func newLease(t clocks, forMicros int64) leaseRow {
	boot, mono := t.mono()
	return leaseRow{t.now() + forMicros, boot, mono + forMicros}
}

func (l leaseRow) stands(t clocks) bool {
	if boot, mono := t.mono(); boot != "" && boot == l.boot {
		return mono < l.mono
	}
	return t.now() < l.wall
}
