package process

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sealed returns a memory file with these bytes that nobody can change any
// more, open for reading from its beginning. A program's is executable, and
// holds no descriptor for writing, which would keep it from being executed.
func sealed(name string, b []byte, program bool) (_ *os.File, err error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	how := unix.MFD_NOEXEC_SEAL
	if program {
		how = unix.MFD_EXEC
	}
	fd, err := unix.MemfdCreate(name, flags|how)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	w := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("write a memory file of %d bytes: %w", len(b), err)
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal a memory file: %w", err)
	}
	r, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open a memory file for reading: %w", err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}
