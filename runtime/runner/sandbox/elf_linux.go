package sandbox

import (
	"encoding/binary"
	"os"
	"runtime"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"golang.org/x/sys/unix"
)

// exitCanary is the status of a canary that came through.
const exitCanary = 42

// exitCode returns machine code that does nothing but exit with status 42.
func exitCode(arch string) []byte {
	switch arch {
	case "amd64": // mov eax, 60; mov edi, 42; syscall
		return []byte{0xb8, 60, 0, 0, 0, 0xbf, exitCanary, 0, 0, 0, 0x0f, 0x05}
	case "arm64": // movz w0, 42; movz w8, 93; svc 0
		return []byte{0x40, 0x05, 0x80, 0x52, 0xa8, 0x0b, 0x80, 0x52, 0x01, 0x00, 0x00, 0xd4}
	}
	return nil
}

// elfImage wraps code as a static executable: an ELF header, one segment that is
// readable and executable, and the code behind them.
func elfImage(arch string, code []byte) []byte {
	const base, head = 0x400000, 64 + 56
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[arch]
	size := uint64(head + len(code))
	b := append([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, make([]byte, 9)...)
	le := binary.LittleEndian
	for _, v := range []uint16{2, machine} { // an executable
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1)
	for _, v := range []uint64{base + head, 64, 0} { // entry, program headers, no sections
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint32{1, 5} { // PT_LOAD, read and execute
		b = le.AppendUint32(b, v)
	}
	for _, v := range []uint64{0, base, base, size, size, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	return append(b, code...)
}

// sealedFile returns a memfd that holds image and that nobody can change.
func sealedFile(name string, image []byte) (*os.File, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_EXEC
	fd, err := unix.MemfdCreate(name, flags)
	if err == unix.EINVAL { // before Linux 6.3 every memfd could be executed
		fd, err = unix.MemfdCreate(name, flags&^unix.MFD_EXEC)
	}
	if err != nil {
		return nil, fault.New(ErrSetup, "memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(image)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, fault.New(ErrSetup, "memfd: %w (close: %v)", err, f.Close())
	}
	return f, nil
}

// canaryImage returns the canary's executable, or nil for an architecture that
// has none.
func canaryImage() []byte {
	code := exitCode(runtime.GOARCH)
	if code == nil {
		return nil
	}
	return elfImage(runtime.GOARCH, code)
}
