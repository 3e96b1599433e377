package wasm

import "golang.org/x/sys/unix"

// reserve maps size zero bytes that take memory only when they are touched, and
// no more than is: a huge page would give 2 MiB to a guest of 128 KiB.
func reserve(size uint64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err == nil {
		_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses
	}
	return b, err
}

// discard gives the pages of b back to the system, which makes them zero, and
// reports whether it could.
func discard(b []byte) bool { return unix.Madvise(b, unix.MADV_DONTNEED) == nil }

func unreserve(b []byte) { _ = unix.Munmap(b) }
