package fuel

// sections of a module that these tests assemble, by id; each is a body.
type sectionsOf map[byte][]byte

// wasm writes the sections in the format's order.
func (s sectionsOf) wasm() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range []byte{1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11} {
		if body, ok := s[id]; ok {
			out = append(appendU32(append(out, id), uint32(len(body))), body...)
		}
	}
	return out
}

// with returns s with more sections, which replace its own.
func (s sectionsOf) with(more sectionsOf) sectionsOf {
	out := sectionsOf{}
	for _, from := range []sectionsOf{s, more} {
		for id, body := range from {
			out[id] = body
		}
	}
	return out
}

// vec is a vector of items that are encoded already.
func vec(items ...[]byte) []byte {
	out := appendU32(nil, uint32(len(items)))
	for _, b := range items {
		out = append(out, b...)
	}
	return out
}

func join(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func sized(b []byte) []byte { return append(appendU32(nil, uint32(len(b))), b...) }

// funcType is a function type.
func funcType(params, results string) []byte {
	return join(0x60, sized([]byte(params)), sized([]byte(results)))
}

// bodyOf is a function body: groups of locals, and code without the final end.
func bodyOf(groups []byte, code ...any) []byte {
	return sized(join(groups, join(code...), 0x0b))
}

var noLocals = []byte{0}

// single is a module with a memory, a table, a mutable i32 global and one
// function, with a type, that is not exported.
func single(params, results string, code ...any) sectionsOf {
	return sectionsOf{
		1:  vec(funcType(params, results)),
		3:  {1, 0},
		4:  {1, 0x70, 0, 1},
		5:  {1, 0, 1},
		6:  {1, i32, 1, 0x41, 0, 0x0b},
		10: vec(bodyOf(noLocals, code...)),
	}
}

func schedule1() Options { return Options{Schedule: Schedule1} }
