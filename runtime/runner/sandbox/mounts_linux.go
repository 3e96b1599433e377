package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"golang.org/x/sys/unix"
)

// configure turns s into what the shim is sent: the configuration and its
// descriptors, of which owned are to be closed afterwards.
func (h *Host) configure(s Spec, hidden map[string]bool) (c config, fds, owned []int, err error) {
	if s.Exec != nil {
		if err := sealed(s.Exec); err != nil {
			return c, nil, nil, err
		}
	}
	mounts := s.mounts()
	if !h.plan.namespaces {
		if s, err = s.flatten(); err != nil {
			return c, nil, nil, err
		}
	}
	for _, m := range mounts {
		b := bind{Source: m.Source, Target: m.Target, Writable: m.Writable, File: -1, Hidden: hidden[m.Target]}
		fd := -1
		switch {
		case m.File != nil:
			fd = int(m.File.Fd())
		case h.plan.privileged && h.plan.namespaces:
			fd, err = h.detach(m)
			if err != nil {
				return c, nil, owned, err
			}
			owned = append(owned, fd)
		}
		if fd >= 0 {
			b.File, fds = len(fds), append(fds, fd)
		}
		c.Binds = append(c.Binds, b)
	}
	for _, f := range s.Files {
		fds = append(fds, int(f.Fd()))
	}
	if s.Exec != nil {
		fds = append(fds, int(s.Exec.Fd()))
	}
	c.Argv, c.Env, c.Dir, c.Files, c.Exec = s.Argv, s.Env, s.Dir, len(s.Files), s.Exec != nil
	return c, fds, owned, nil
}

// sealed refuses an executable that somebody may still change.
func sealed(f *os.File) error {
	const want = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return fault.New(ErrSpec, "the executable is not a memfd: %w", err)
	}
	if got&want != want {
		return fault.New(ErrSpec, "the executable has seals %#x, want at least %#x", got, want)
	}
	return nil
}

// detach returns a copy of m's source as a mount that is nowhere, with the
// attributes that no one inside can take off again.
func (h *Host) detach(m Mount) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fault.New(ErrSetup, "open_tree %s: %w", m.Source, err)
	}
	if m.Writable {
		h.mapOwner(fd)
	}
	attr := unix.MountAttr{Attr_set: attributes(m.Writable)}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return -1, fault.New(ErrSetup, "mount_setattr %s: %w (close: %v)", m.Source, err, unix.Close(fd))
	}
	return fd, nil
}

// mapOwner lets the module's user act as the owner of a writable mount, and what
// it makes there belong to that owner. A file system that cannot map ids stays
// as it is: then the module may write what its permissions let others write.
func (h *Host) mapOwner(fd int) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return
	}
	userns, err := h.idmap(st.Uid, st.Gid)
	if err != nil {
		return
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns)}
	_ = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
}

// idmap returns a user namespace that maps uid and gid on disk to the module's
// user; made once each.
func (h *Host) idmap(uid, gid uint32) (int, error) {
	key := uint64(uid)<<32 | uint64(gid)
	h.mu.Lock()
	defer h.mu.Unlock()
	if fd, ok := h.idmaps[key]; ok {
		return fd, nil
	}
	if h.closed {
		return -1, os.ErrClosed
	}
	if len(h.idmaps) >= maxMounts {
		return -1, fmt.Errorf("more than %d owners of writable mounts", maxMounts)
	}
	fd, err := h.newIDMap(uid, gid)
	if err == nil {
		h.idmaps[key] = fd
	}
	return fd, err
}

// newIDMap makes the namespace with a fleeting shim.
func (h *Host) newIDMap(uid, gid uint32) (int, error) {
	sys := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, GidMappingsEnableSetgroups: true,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: int(uid), HostID: int(h.plan.hostID), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: int(gid), HostID: int(h.plan.hostID), Size: 1}},
	}
	fd := -1
	err := h.fleeting(sys, func(pid int) (err error) {
		fd, err = unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// fleeting starts a shim that is told nothing, and ends it when f returns.
func (h *Host) fleeting(sys *syscall.SysProcAttr, f func(pid int) error) error {
	ours, theirs, err := newChannel()
	if err != nil {
		return err
	}
	fd := uintptr(theirs)
	sys.Pdeathsig = syscall.SIGKILL
	attr := &syscall.ProcAttr{Files: []uintptr{fd, fd, fd, fd}, Sys: sys}
	result := make(chan error)
	h.spawns <- func() {
		pid, _, err := syscall.StartProcess("/proc/self/exe", []string{shimName}, attr)
		if err == nil {
			err = f(pid)
			_ = unix.Kill(pid, unix.SIGKILL)
			_ = retry(func() error { _, err := unix.Wait4(pid, nil, 0, nil); return err })
		}
		result <- err
	}
	return errors.Join(<-result, unix.Close(theirs), ours.close())
}
