//go:build unix

package process

import "golang.org/x/sys/unix"

// nowait: a pipe can be read without waiting.
const nowait = true

// readNow reads what a pipe holds without waiting: 0 and no error at its end,
// errNothingYet if it is open and empty.
func readNow(fd uintptr, buf []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), buf)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, errNothingYet
		default:
			return 0, err
		}
	}
}
