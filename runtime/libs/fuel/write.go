package fuel

import "github.com/mythos-run/mythos/runtime/libs/fault"

// write puts the sections of the rewritten module together.
func (m *module) write() ([]byte, error) {
	var yield uint32
	if m.options.Yield {
		yield = m.typeOf(signature{})
	}
	data, segments := m.mergedData()
	w := &writer{out: make([]byte, 0, len(m.code)+len(data)+len(m.newElements)+1<<14)}
	w.out = append(w.out, "\x00asm\x01\x00\x00\x00"...)
	w.section(secType, append(m.vector(secType, m.added), m.newTypes...))
	w.section(secImport, m.importSection(yield))
	w.section(secFunction, append(m.vector(secFunction, m.helpers), m.helperTypes...))
	w.section(secTable, m.newTables)
	w.section(secMemory, m.section[secMemory].b)
	w.section(secGlobal, m.globalSection())
	w.section(secExport, m.exportSection())
	w.section(secElement, m.newElements)
	if m.namesData {
		w.section(secDataCount, appendU32(nil, uint32(segments)))
	}
	w.code(m)
	w.section(secData, data)
	if len(w.out) > maxWritten {
		return nil, fault.New(ErrTooLarge, "the rewritten module has %d bytes, at most %d", len(w.out), maxWritten)
	}
	return w.out, nil
}

type writer struct{ out []byte }

// section appends a section unless it is empty.
func (w *writer) section(id byte, body []byte) {
	if len(body) > 0 {
		w.out = append(appendU32(append(w.out, id), uint32(len(body))), body...)
	}
}

// code appends the code section without building it first: it is the largest.
func (w *writer) code(m *module) {
	count := appendU32(nil, uint32(len(m.functions)-len(m.imports)+m.helpers))
	size := len(count) + len(m.code) + len(m.helperBodies)
	w.out = append(appendU32(append(w.out, secCode), uint32(size)), count...)
	w.out = append(append(w.out, m.code...), m.helperBodies...)
}

// vector returns an original section's body, its count raised by more.
func (m *module) vector(id, more int) []byte {
	c := cursor{b: m.section[id].b}
	n := 0
	if len(c.b) > 0 {
		n = int(c.u32())
	}
	if n+more == 0 {
		return nil
	}
	return append(appendU32(make([]byte, 0, len(c.b)+64), uint32(n+more)), c.b[c.off:]...)
}

func (m *module) importSection(yield uint32) []byte {
	if !m.options.Yield {
		return m.vector(secImport, 0)
	}
	out := appendName(appendName(m.vector(secImport, 1), HostModule), YieldImport)
	return appendU32(append(out, 0), yield)
}

func (m *module) globalSection() []byte {
	out := appendU32(make([]byte, 0, len(m.newGlobals)+32), uint32(len(m.globals)+2))
	out = append(out, m.newGlobals...)
	out = append(out, i64, 1, opI64Const, 0, opEnd)
	return append(appendS64(append(out, i32, 1, opI32Const), Depth), opEnd)
}

func (m *module) exportSection() []byte {
	more := uint32(2)
	if m.hasStart {
		more++
	}
	if m.detached {
		more += uint32(m.mutables)
	}
	out := appendU32(make([]byte, 0, len(m.newExports)+64), m.exports+more)
	out = append(out, m.newExports...)
	out = appendU32(append(appendName(out, FuelExport), 3), m.fuelGlobal())
	out = appendU32(append(appendName(out, DepthExport), 3), m.depthGlobal())
	if m.hasStart {
		out = appendU32(append(appendName(out, StartExport), 0), m.shift(m.start))
	}
	if m.detached {
		for i, name := range m.changing() {
			out = appendU32(append(appendName(out, name), 3), uint32(i))
		}
	}
	return out
}
