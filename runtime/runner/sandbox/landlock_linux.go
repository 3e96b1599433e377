package sandbox

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockVersion returns the kernel's Landlock ABI.
func landlockVersion() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(abi), nil
}

// rulesetAttr is struct landlock_ruleset_attr up to ABI 6.
type rulesetAttr struct{ fs, net, scoped uint64 }

// ruleset returns what an ABI can forbid, and how much of the struct it knows.
func ruleset(abi int) (rulesetAttr, uintptr) {
	a, size := rulesetAttr{fs: 1<<13 - 1}, uintptr(8)
	if abi >= 2 {
		a.fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		a.fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		a.net, size = unix.LANDLOCK_ACCESS_NET_BIND_TCP|unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, 16
	}
	if abi >= 5 {
		a.fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		a.scoped, size = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET|unix.LANDLOCK_SCOPE_SIGNAL, 24
	}
	return a, size
}

// Rights by kind of place. ofFile are those that a rule on a file may have.
const (
	readFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	readTree = readFile | unix.LANDLOCK_ACCESS_FS_READ_DIR
	noWrite  = unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	ofFile   = readFile | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	ofDevice = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	ofProc   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
)

// landlock restricts this thread to the mounts, the devices, /proc and /tmp.
func (s *shim) landlock() error {
	abi, err := landlockVersion()
	if err != nil {
		return err
	}
	attr, size := ruleset(abi)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return errno
	}
	set := int(fd)
	if err := s.rules(set, attr.fs); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	return unix.Close(set)
}

func (s *shim) rules(set int, all uint64) error {
	for _, b := range s.Binds {
		place := b.Target
		if !s.Namespaces {
			place = b.Source
		}
		access := uint64(readTree)
		if b.Writable {
			access = all &^ noWrite
		}
		if b.Hidden {
			continue
		}
		if err := addRule(set, place, access&all); err != nil {
			return err
		}
	}
	for _, d := range devices {
		if err := addRule(set, "/dev/"+d, ofDevice&all); err != nil {
			return err
		}
	}
	if !s.Namespaces {
		return nil
	}
	if s.Proc {
		if err := addRule(set, "/proc", ofProc&all); err != nil {
			return err
		}
	}
	if err := addRule(set, "/", unix.LANDLOCK_ACCESS_FS_READ_DIR); err != nil { // listing the empty root
		return err
	}
	return addRule(set, "/tmp", all&^noWrite)
}

// addRule allows access beneath place.
func addRule(set int, place string, access uint64) error {
	fd, err := unix.Open(place, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= ofFile
	}
	rule := packRule(access, fd)
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(set), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule[0])), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("%s: %s", strings.TrimSpace(place), unix.ErrnoName(errno))
	}
	return unix.Close(fd)
}

// packRule is struct landlock_path_beneath_attr, which is packed.
func packRule(access uint64, fd int) [12]byte {
	var b [12]byte
	*(*[8]byte)(b[:8]) = *(*[8]byte)(unsafe.Pointer(&access))
	n := int32(fd)
	*(*[4]byte)(b[8:]) = *(*[4]byte)(unsafe.Pointer(&n))
	return b
}
