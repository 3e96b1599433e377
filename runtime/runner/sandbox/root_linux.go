package sandbox

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// devices are the nodes of /dev.
var devices = []string{"null", "zero", "random", "urandom"}

// scaffold builds the root that every module has: nothing of it depends on the
// module, so a parked shim has it already. The host's root stays at oldRoot,
// where no mount hides a source that is still to come.
func (s *shim) scaffold() {
	must("mount-private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	base, err := mountRoot()
	must("mount-root", err)
	must("chdir-root", unix.Chdir(base))
	for _, d := range []string{"tmp", "dev", "proc", oldRoot[1:]} {
		must("mkdir-"+d, unix.Mkdir(d, 0o755))
	}
	must("pivot_root", unix.PivotRoot(".", oldRoot[1:]))
	must("chdir-root", unix.Chdir("/"))
	for _, d := range devices {
		s.device(d)
	}
	if s.Proc {
		must("proc", unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "subset=pid,hidepid=invisible"))
	}
	must("tmp", unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC,
		"mode=1777,nr_inodes=65536,size="+strconv.FormatInt(s.Limits.TmpBytes, 10)))
}

// mountRoot mounts the memory file system that becomes the root on a folder
// that is there; which one does not matter, because pivot_root moves it.
func mountRoot() (string, error) {
	var err error
	for _, base := range []string{"/tmp", "/mnt", "/usr", "/etc"} {
		err = unix.Mount("tmpfs", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,nr_inodes=8192,mode=755")
		if err != unix.ENOENT && err != unix.ENOTDIR {
			return base, err
		}
	}
	return "", err
}

func (s *shim) device(name string) {
	to := "/dev/" + name
	fd, err := unix.OpenTree(unix.AT_FDCWD, oldRoot+to, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	must("open_tree-"+name, err)
	must("attach-"+name, attach(fd, to, false, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC))
}

// mounts attaches the module's mounts and lets go of the host's root.
func (s *shim) mounts() {
	old, err := unix.Open(oldRoot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must("open-old", err)
	slices.SortStableFunc(s.Binds, func(a, b bind) int { return strings.Compare(a.Target, b.Target) }) // parents first
	for _, b := range s.Binds {
		fd := -1
		if b.File >= 0 && b.File < len(s.fds) {
			fd = s.fds[b.File]
		} else {
			fd, err = openSource(old, b.Source)
			must("open_tree "+b.Source, err)
		}
		must("attach "+b.Target, attachAny(fd, b.Target, attributes(b.Writable)))
	}
	// Descriptors of mounts are used up; what is left is the module's.
	var rest []int
	for i, fd := range s.fds {
		if !slices.ContainsFunc(s.Binds, func(b bind) bool { return b.File == i }) {
			rest = append(rest, fd)
		}
	}
	s.fds = rest
	must("close-old", unix.Close(old))
	must("umount-old", unix.Unmount(oldRoot, unix.MNT_DETACH))
	must("rmdir-old", unix.Rmdir(oldRoot))
	must("root-read-only", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
}

// attributes are what a mount gets on top of what it has.
func attributes(writable bool) uint64 {
	if writable {
		return unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	}
	return unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_RDONLY
}

// openSource detaches a copy of a host path. Links in it mean what they mean on
// the host, whose root is at old.
func openSource(old int, source string) (int, error) {
	fd, err := unix.Openat2(old, source, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return -1, err
	}
	tree, err := unix.OpenTree(fd, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if e := unix.Close(fd); err == nil {
		err = e
	}
	return tree, err
}

func attachAny(fd int, target string, attr uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	return attach(fd, target, st.Mode&unix.S_IFMT == unix.S_IFDIR, attr)
}

// attach puts a detached mount at target, which it makes if it is not there,
// and uses fd up. No link is followed on the way.
func attach(fd int, target string, dir bool, attr uint64) error {
	if err := makeTarget(target, dir); err != nil {
		return err
	}
	at, err := unix.Openat2(unix.AT_FDCWD, target, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return err
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attr}); err != nil {
		return err
	}
	if err := unix.MoveMount(fd, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return err
	}
	if err := unix.Close(at); err != nil {
		return err
	}
	return unix.Close(fd)
}

// makeTarget makes the folders that lead to target, and target as a folder or
// an empty file.
func makeTarget(target string, dir bool) error {
	var st unix.Stat_t
	if unix.Lstat(target, &st) == nil {
		return nil
	}
	parent := path.Dir(target)
	if parent != "/" {
		if err := makeTarget(parent, true); err != nil {
			return err
		}
	}
	if dir {
		return unix.Mkdir(target, 0o755)
	}
	fd, err := unix.Open(target, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
