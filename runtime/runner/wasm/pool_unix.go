//go:build unix && !linux

package wasm

import "golang.org/x/sys/unix"

// reserve maps size zero bytes that take memory only when they are touched.
func reserve(size uint64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

// discard reports false: only Linux promises zeros where pages were given back.
func discard([]byte) bool { return false }

func unreserve(b []byte) { _ = unix.Munmap(b) }
