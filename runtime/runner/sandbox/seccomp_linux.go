package sandbox

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Return values of a filter.
const (
	retKill   = 0x80000000
	retAllow  = 0x7fff0000
	retErrno  = 0x00050000
	retEPERM  = retErrno | uint32(unix.EPERM)
	retEACCES = retErrno | uint32(unix.EACCES)
	retENOSYS = retErrno | uint32(unix.ENOSYS)
)

// Offsets in struct seccomp_data; arguments are 64-bit words, low half first on
// every system that has a table.
const (
	offNumber = 0
	offArch   = 4
	offArg0   = 16
	offArg1   = 24
)

// anyNamespace are the clone flags that make a namespace.
const anyNamespace = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// program is a filter under construction.
type program []unix.SockFilter

func (p *program) load(offset uint32) { *p = append(*p, unix.SockFilter{Code: 0x20, K: offset}) }
func (p *program) ret(k uint32)       { *p = append(*p, unix.SockFilter{Code: 0x06, K: k}) }

// jump compares the accumulator with k by code and skips yes or no instructions.
func (p *program) jump(code uint16, k uint32, yes, no uint8) {
	*p = append(*p, unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k})
}

const (
	jumpEqual = 0x15
	jumpFrom  = 0x35 // greater or equal
	jumpBits  = 0x45
)

// denylist returns the filter denylist-v1. A foreign architecture is killed
// first: a filter that only jumps to its default there lets int 0x80 do
// everything.
func denylist() program {
	var p program
	p.load(offArch)
	p.jump(jumpEqual, auditArch, 1, 0)
	p.ret(retKill)
	p.load(offNumber)
	if x32Bit != 0 {
		p.jump(jumpFrom, x32Bit, 0, 1)
		p.ret(retKill)
	}
	for _, n := range denied {
		p.jump(jumpEqual, n, 0, 1)
		p.ret(retEPERM)
	}
	p.jump(jumpEqual, unix.SYS_CLONE3, 0, 1) // flags are behind a pointer; C libraries fall back to clone
	p.ret(retENOSYS)
	p.jump(jumpEqual, unix.SYS_CLONE, 0, 4)
	p.load(offArg0)
	p.jump(jumpBits, anyNamespace, 0, 1)
	p.ret(retEPERM)
	p.ret(retAllow)
	for _, n := range []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} { // AF_VSOCK is in no namespace
		p.jump(jumpEqual, n, 0, 4)
		p.load(offArg0)
		p.jump(jumpEqual, unix.AF_UNIX, 1, 0)
		p.ret(retEACCES)
		p.ret(retAllow)
	}
	p.jump(jumpEqual, unix.SYS_IOCTL, 0, 5)
	p.load(offArg1)
	p.jump(jumpEqual, unix.TIOCSTI, 1, 0)
	p.jump(jumpEqual, unix.TIOCLINUX, 0, 1)
	p.ret(retEPERM)
	p.ret(retAllow)
	p.ret(retAllow)
	return p
}

// filter installs the deny list on this thread, by raw system calls only.
func filter() unix.Errno {
	p := denylist()
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	return errno
}
