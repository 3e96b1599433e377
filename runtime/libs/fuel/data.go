package fuel

import (
	"cmp"
	"slices"
)

// gapBytes is how far two segments may be apart to become one: less than what
// a segment costs to describe and to copy.
const gapBytes = 64

// segmentData is a data segment as it was read.
type segmentData struct {
	active bool
	at     uint32 // active: address
	bytes  []byte
}

// checkData validates the data section. It comes last because instructions
// before it decide whether segments may be merged.
func (m *module) checkData() error {
	c := &m.section[secData]
	n := 0
	if c.base != 0 {
		n = c.count(ErrTooLarge, maxSegments, "data segments")
	}
	if c.err == nil && m.data >= 0 && m.data != n {
		c.base = max(c.base, 8)
		c.fail(ErrMalformed, "%d data segments, and %d announced", n, m.data)
	}
	m.dataSegments = make([]segmentData, 0, n)
	for ; n > 0 && c.err == nil; n-- {
		m.dataSegments = append(m.dataSegments, m.readData(c))
	}
	c.end("the data section")
	if c.err != nil {
		return c.err
	}
	m.stats.DataSegments = len(m.dataSegments)
	return nil
}

func (m *module) readData(c *cursor) (d segmentData) {
	flags := c.u32()
	if c.err == nil && flags > 2 {
		c.fail(ErrMalformed, "unknown data segment %d", flags)
	}
	if flags == 2 {
		if i := c.u32(); c.err == nil && i != 0 {
			c.fail(ErrMultiMemory, "data for memory %d: multiple memories are not accepted", i)
		}
	}
	if flags != 1 {
		d.active = true
		expr := m.constant(c, i32, m.scratch[:0])
		m.scratch = expr
		if c.err == nil {
			d.at = address(expr)
		}
		if c.err == nil && !m.hasMemory {
			c.fail(ErrInvalid, "a data segment in a module without a memory")
		}
	}
	d.bytes = c.take(uint64(c.u32()))
	if c.err == nil && d.active && d.end() > uint64(m.minPages)*pageSize {
		c.fail(ErrSegment, "a data segment of %d bytes at %d in a memory of %d pages", len(d.bytes), d.at, m.minPages)
	}
	return d
}

// address reads a constant expression that constant has found to be an i32.
func address(expr []byte) uint32 {
	c := cursor{b: expr, off: 1}
	return uint32(c.signed(32))
}

// mergedData returns the data section and its number of segments. Segments are
// merged if no instruction names one; the memory after instantiation stays as
// it was.
func (m *module) mergedData() (out []byte, n int) {
	if m.detached {
		return nil, 0
	}
	all := m.dataSegments
	if !m.namesData {
		all = merge(all)
	}
	m.stats.DataMerged = len(all)
	if len(all) == 0 {
		return nil, 0
	}
	size := 16
	for i := range all {
		size += len(all[i].bytes) + 16
	}
	out = appendU32(make([]byte, 0, size), uint32(len(all)))
	for i := range all {
		d := &all[i]
		if d.active {
			out = appendS64(append(out, 0, opI32Const), int64(int32(d.at)))
			out = append(out, opEnd)
		} else {
			out = append(out, 1)
		}
		out = append(appendU32(out, uint32(len(d.bytes))), d.bytes...)
	}
	return out, len(all)
}

// merge joins active segments that are not far apart. If none overlap, their
// order means nothing: they are sorted, and a small gap between two is filled
// with the zeros that are there. If some overlap, a later one writes over an
// earlier one: they stay in order, and each is joined to the one before it only
// where they touch or overlap. Passive segments, which no instruction names, are
// dropped. Apart from the sorting, which toolchains have done, the time is linear.
func merge(in []segmentData) []segmentData {
	all := make([]segmentData, 0, len(in))
	for _, d := range in {
		if d.active && len(d.bytes) > 0 {
			all = append(all, d)
		}
	}
	ascending := func(a, b segmentData) int { return cmp.Compare(a.at, b.at) }
	sorted := all
	if !slices.IsSortedFunc(all, ascending) {
		sorted = slices.SortedFunc(slices.Values(all), ascending)
	}
	gap := uint64(gapBytes)
	for i := 1; i < len(sorted); i++ {
		if uint64(sorted[i].at) < sorted[i-1].end() {
			sorted, gap = all, 0
			break
		}
	}
	return joined(sorted, gap)
}

// joined makes one segment of each that begins in the one before it, or at most
// gap bytes behind, painting them over each other in order.
func joined(in []segmentData, gap uint64) []segmentData {
	out := in[:0:0]
	for i := 0; i < len(in); {
		start, end := uint64(in[i].at), in[i].end()
		j := i + 1
		for ; j < len(in) && uint64(in[j].at) >= start && uint64(in[j].at) <= end+gap; j++ {
			end = max(end, in[j].end())
		}
		d := in[i]
		if j > i+1 {
			d.bytes = make([]byte, end-start)
			for _, part := range in[i:j] {
				copy(d.bytes[uint64(part.at)-start:], part.bytes)
			}
		}
		out = append(out, d)
		i = j
	}
	return out
}

// end is the address after a segment's last byte.
func (d *segmentData) end() uint64 { return uint64(d.at) + uint64(len(d.bytes)) }
