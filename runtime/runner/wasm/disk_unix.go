//go:build unix

package wasm

import (
	"io/fs"
	"os"
	"syscall"
)

// openEntry opens a file for reading. It follows no link, and does not wait for
// the other end of a pipe.
func openEntry(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// ownedByUser reports whether the file is this user's and closed to all others.
func ownedByUser(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}
