package process

import (
	"encoding/binary"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Offsets and values of the 64-bit ELF header (System V gABI, chapter 4).
const (
	elfHeader      = 64
	elfSegment     = 56
	elfClass64     = 2
	elfLittle      = 1
	elfExecutable  = 2 // ET_EXEC
	elfShared      = 3 // ET_DYN: an executable that may be loaded anywhere
	segmentDynamic = 2 // PT_DYNAMIC
	segmentLoader  = 3 // PT_INTERP
	dynamicNull    = 0
	dynamicNeeded  = 1 // DT_NEEDED
)

// machines maps a platform to its ELF machine.
func machines() map[string]uint16 {
	return map[string]uint16{"linux/amd64": 62, "linux/arm64": 183, "linux/riscv64": 243, "linux/loong64": 258}
}

// checkNative refuses what is not a static ELF executable for platform: one
// that names no dynamic loader and no library. The bytes are hostile, so no
// count or offset of theirs is believed.
func checkNative(b []byte, platform string) error {
	bad := func(format string, args ...any) error { return fault.New(ErrNative, format, args...) }
	machine, known := machines()[platform]
	switch {
	case !known:
		return bad("this machine is %s, where no native module can run", platform)
	case len(b) < elfHeader || string(b[:4]) != "\x7fELF":
		return bad("not an ELF executable; a script needs kind process and a runtime")
	case b[4] != elfClass64 || b[5] != elfLittle:
		return bad("ELF class %d, byte order %d; want 64 bits, little-endian, as %s is", b[4], b[5], platform)
	}
	le := binary.LittleEndian
	if kind := le.Uint16(b[16:]); kind != elfExecutable && kind != elfShared {
		return bad("ELF type %d is not an executable", kind)
	}
	if m := le.Uint16(b[18:]); m != machine {
		return bad("made for %s, this machine is %s", machineName(m), platform)
	}
	at, size, count := le.Uint64(b[32:]), le.Uint16(b[54:]), uint64(le.Uint16(b[56:]))
	end := uint64(len(b))
	if size != elfSegment || count == 0 || at > end || count*elfSegment > end-at {
		return bad("its table of segments is not in the file")
	}
	for i := range count {
		if err := checkSegment(b, b[at+i*elfSegment:][:elfSegment]); err != nil {
			return err
		}
	}
	return nil
}

// checkSegment refuses a segment that asks for a loader or a library.
func checkSegment(b, segment []byte) error {
	le := binary.LittleEndian
	off, size, end := le.Uint64(segment[8:]), le.Uint64(segment[32:]), uint64(len(b))
	switch le.Uint32(segment) {
	case segmentLoader:
		return fault.New(ErrNative, "dynamically linked, and there is nothing to link with: build it static "+
			"(Go: CGO_ENABLED=0; Rust: a musl target; C: -static)")
	case segmentDynamic:
		if off > end || size > end-off {
			return fault.New(ErrNative, "its dynamic segment is not in the file")
		}
		for d := b[off : off+size]; len(d) >= 16; d = d[16:] {
			switch le.Uint64(d) {
			case dynamicNull:
				return nil
			case dynamicNeeded:
				return fault.New(ErrNative, "wants shared libraries, and there are none: build it static")
			}
		}
	}
	return nil
}

func machineName(m uint16) string {
	for platform, code := range machines() {
		if code == m {
			return strings.TrimPrefix(platform, "linux/")
		}
	}
	return "another processor"
}
