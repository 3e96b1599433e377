package local

import (
	"errors"
	"os"
	"syscall"
)

// syncData makes a file's bytes durable, and of its metadata what reading them
// takes.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// startSync asks for a part of a file to be written out, and does not wait. That
// it is durable only syncing says, so a failure is not this call's to report.
func startSync(f *os.File, off, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(f.Fd()), off, n, write)
}
