package fuel

import (
	"iter"
	"strconv"
)

// detachable reports whether memory and globals are all of the module's state:
// no instruction alters a table, drops a segment or copies from one, and no
// global that changes holds a reference.
func (m *module) detachable() bool {
	for _, g := range m.globals {
		if g.mutable && isRef(g.kind) {
			return false
		}
	}
	return !m.namesData && !m.altersTables
}

// detach gives the data and the globals to the host.
func (m *module) detach(out *Rewritten) {
	all := merge(m.dataSegments)
	m.stats.DataMerged = len(all)
	m.detached, out.Detached = true, true
	for _, d := range all {
		out.Data = append(out.Data, Data{d.at, d.bytes})
	}
	for _, name := range m.changing() {
		out.Globals = append(out.Globals, name)
	}
}

// changing yields the mutable globals of the original and the names of their
// exports, ascending.
func (m *module) changing() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i, g := range m.globals {
			if g.mutable && !yield(i, globalExport+strconv.Itoa(i)) {
				return
			}
		}
	}
}
