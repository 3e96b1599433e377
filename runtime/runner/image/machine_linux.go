package image

import (
	"fmt"
	"os"

	"github.com/mythos-run/mythos/runtime/runner/sandbox"
	"golang.org/x/sys/unix"
)

// logFile returns an empty memory file for a runtime's log.
func logFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("runtime-log", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("runtime-log", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), "runtime-log"), nil
}

// lowered returns the smaller of want and the limit that this process has: to
// raise one takes a power that nobody needs here.
func lowered(name string, want uint64) uint64 {
	which := map[string]int{
		"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
		"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_NPROC": unix.RLIMIT_NPROC,
	}
	var now unix.Rlimit
	if w, ok := which[name]; ok && unix.Getrlimit(w, &now) == nil {
		return min(want, now.Max)
	}
	return want
}

// isFolder reports what a mount's source is.
func isFolder(m sandbox.Mount) (bool, error) {
	var st unix.Stat_t
	var err error
	if m.File != nil {
		err = unix.Fstat(int(m.File.Fd()), &st)
	} else {
		err = unix.Stat(m.Source, &st)
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}
