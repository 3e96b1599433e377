package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen makes a pipe hold at least n bytes if the system lets it, and returns
// what it holds.
func widen(f *os.File, n int) int {
	room := pipeRoom
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if got, err := unix.FcntlInt(fd, unix.F_SETPIPE_SZ, n); err == nil {
				room = got
			} else if got, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil {
				room = got
			}
		})
	}
	return room
}

// unread returns how many bytes of a pipe its reader has not taken (FIONREAD, of
// which TIOCINQ is Linux's other name).
func unread(f *os.File) int {
	n := -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			if got, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
				n = got
			}
		})
	}
	return n
}
