//go:build linux || darwin

package cli

import "syscall"

// freeSpace returns the bytes that this user may still write on the disk that
// holds dir.
func freeSpace(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
