//go:build unix

package wasm

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByUser reports whether the file is this user's and closed to all others.
func ownedByUser(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o077 == 0
}
