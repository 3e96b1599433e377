package wasm

import (
	"encoding/binary"
	"math"

	"github.com/tetratelabs/wazero/sys"
)

// errno is a WASI error number.
type errno uint32

const (
	wasiOK     errno = 0
	wasiBadf   errno = 8
	wasiFault  errno = 21
	wasiInval  errno = 28
	wasiSpipe  errno = 70
	wasiNotSup errno = 58
)

const (
	programName = "module\x00" // argv[0]
	clockStart  = 1_000_000    // ns; Go's runtime refuses a clock at 0
	maxVectors  = 1_024        // iovecs, and subscriptions, in one call
	randomStep  = 1 << 16      // bytes between two looks at the deadline

	rightRead  = 1 << 1
	rightWrite = 1 << 6
	rightPoll  = 1 << 27
)

// The functions of wasi_snapshot_preview1 (RFC-MYTHOS-0006 §11.3). Memory out of
// range is EFAULT, and what was done before it was met stays done.

func withErrno(f func(*Host, memory, []uint64) errno) func(*Host, memory, []uint64) {
	return func(h *Host, mem memory, stack []uint64) {
		e := f(h, mem, stack)
		stack[0] = uint64(e)
	}
}

// put32 stores little-endian words one after another.
func put32(mem memory, at uint64, words ...uint32) errno {
	b, ok := mem.view(at, uint64(4*len(words)))
	if !ok {
		return wasiFault
	}
	for i, w := range words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return wasiOK
}

func argsGet(_ *Host, mem memory, stack []uint64) errno {
	text, ok := mem.view(arg(stack, 1), uint64(len(programName)))
	if !ok {
		return wasiFault
	}
	copy(text, programName)
	return put32(mem, arg(stack, 0), uint32(arg(stack, 1)))
}

func argsSizesGet(_ *Host, mem memory, stack []uint64) errno {
	return sizes(mem, stack, 1, uint32(len(programName)))
}

func environGet(*Host, memory, []uint64) errno { return wasiOK }

func environSizesGet(_ *Host, mem memory, stack []uint64) errno { return sizes(mem, stack, 0, 0) }

func sizes(mem memory, stack []uint64, count, size uint32) errno {
	if e := put32(mem, arg(stack, 0), count); e != wasiOK {
		return e
	}
	return put32(mem, arg(stack, 1), size)
}

// clockTimeGet gives every clock the same virtual time.
func clockTimeGet(h *Host, mem memory, stack []uint64) errno {
	if arg(stack, 0) > 3 {
		return wasiInval
	}
	b, ok := mem.view(arg(stack, 2), 8)
	if !ok {
		return wasiFault
	}
	binary.LittleEndian.PutUint64(b, h.now)
	return wasiOK
}

func schedYield(*Host, memory, []uint64) errno { return wasiOK }

// procExit ends the guest. The panic is of wazero's own kind because wazero
// passes that on as it is, without a stack trace; the module stays open.
func procExit(h *Host, _ memory, stack []uint64) {
	h.exited, h.exitCode = true, uint32(arg(stack, 0))
	panic(sys.NewExitError(h.exitCode))
}

func randomGet(h *Host, mem memory, stack []uint64) errno {
	b, ok := mem.view(arg(stack, 0), arg(stack, 1))
	if !ok {
		return wasiFault
	}
	for len(b) > 0 {
		n := min(len(b), randomStep)
		_, _ = h.random.Read(b[:n])
		b = b[n:]
		h.checkDeadline()
	}
	return wasiOK
}

func (h *Host) open(fd uint64) bool { return fd < uint64(len(h.shut)) && !h.shut[fd] }

func fdClose(h *Host, _ memory, stack []uint64) errno {
	fd := arg(stack, 0)
	if !h.open(fd) {
		return wasiBadf
	}
	h.shut[fd] = true
	return wasiOK
}

func fdFdstatGet(h *Host, mem memory, stack []uint64) errno {
	fd := arg(stack, 0)
	if !h.open(fd) {
		return wasiBadf
	}
	rights := uint64(rightWrite | rightPoll)
	if fd == 0 {
		rights = rightRead | rightPoll
	}
	b, ok := mem.view(arg(stack, 1), 24)
	if !ok {
		return wasiFault
	}
	clear(b) // file type unknown, no flags
	binary.LittleEndian.PutUint64(b[8:], rights)
	return wasiOK
}

func fdFdstatSetFlags(h *Host, _ memory, stack []uint64) errno {
	if !h.open(arg(stack, 0)) {
		return wasiBadf
	}
	return wasiOK
}

func fdPrestat(*Host, memory, []uint64) errno { return wasiBadf }

func fdSeek(h *Host, _ memory, stack []uint64) errno {
	if !h.open(arg(stack, 0)) {
		return wasiBadf
	}
	return wasiSpipe
}

// vectors calls f with each buffer of an iovec array until f returns false, and
// returns the sum of what f returns.
func vectors(mem memory, at, count uint64, f func([]byte) (int, bool)) (uint32, errno) {
	if count > maxVectors {
		return 0, wasiInval
	}
	list, ok := mem.view(at, 8*count)
	if !ok {
		return 0, wasiFault
	}
	var total uint64
	for range count {
		ptr, size := binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:])
		list = list[8:]
		b, ok := mem.view(uint64(ptr), uint64(size))
		if !ok {
			return 0, wasiFault
		}
		n, more := f(b)
		total += uint64(n)
		if !more {
			break
		}
	}
	if total > math.MaxUint32 {
		return 0, wasiInval
	}
	return uint32(total), wasiOK
}

func fdRead(h *Host, mem memory, stack []uint64) errno {
	if fd := arg(stack, 0); fd != 0 || !h.open(fd) {
		return wasiBadf
	}
	n, e := vectors(mem, arg(stack, 1), arg(stack, 2), func(b []byte) (int, bool) {
		n := copy(b, h.stdin)
		h.stdin = h.stdin[n:]
		return n, len(h.stdin) > 0
	})
	if e != wasiOK {
		return e
	}
	return put32(mem, arg(stack, 3), n)
}

func fdWrite(h *Host, mem memory, stack []uint64) errno {
	fd := arg(stack, 0)
	if fd == 0 || !h.open(fd) {
		return wasiBadf
	}
	n, e := vectors(mem, arg(stack, 1), arg(stack, 2), func(b []byte) (int, bool) {
		switch {
		case fd == 2:
			_, _ = h.log.Write(h.loggable(b))
		case h.frame != nil:
			_, _ = h.frame.Write(b)
		}
		return len(b), true
	})
	if e != wasiOK {
		return e
	}
	return put32(mem, arg(stack, 3), n)
}
