package sandbox

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"
)

// canary is a shim that, instead of trusting that its steps did what they said,
// tries what a module must not be able to do, and says what happened.
type canary struct {
	Host     int    // process id of the executor, invisible inside
	HostFile string // a file of the host that is not inside
	Abstract string // abstract socket on which the host listens
	Hidden   string // a readable file inside that no Landlock rule covers

	seen map[Feature]string // what went wrong, by feature; "" if it was stopped
}

// expect notes whether err is what it must be.
func (c *canary) expect(x Feature, what string, err error, want ...unix.Errno) {
	if c.seen == nil {
		c.seen = map[Feature]string{}
	}
	for _, w := range want {
		if err == w {
			if _, ok := c.seen[x]; !ok {
				c.seen[x] = ""
			}
			return
		}
	}
	c.seen[x] = fmt.Sprintf("the canary's %s gave %v, want %v", what, err, want)
}

// before tries what namespaces and mounts must stop, while seccomp and Landlock
// are not there yet to stop it for them.
func (c *canary) before(namespaces bool) {
	if !namespaces {
		return
	}
	pid := error(unix.ESRCH)
	if unix.Getpid() != 1 {
		pid = unix.EEXIST
	}
	c.expect(FeaturePID, "being process 1", pid, unix.ESRCH)
	c.expect(FeatureNet, "connection to the host's abstract socket", c.connect(), unix.ECONNREFUSED)
	c.expect(FeatureMount, "reading of a host file", tryOpen(c.HostFile, unix.O_RDONLY), unix.ENOENT)
	c.expect(FeatureRoot, "writing to the root", tryOpen("/canary-new", unix.O_CREAT|unix.O_WRONLY), unix.EROFS)
	c.expect(FeatureRoot, "writing to its own file", tryOpen(c.Hidden, unix.O_WRONLY), unix.EROFS, unix.EACCES, unix.ETXTBSY)
	user := error(unix.EPERM)
	if unix.Geteuid() != insideID {
		user = unix.EEXIST
	}
	c.expect(FeatureUser, "being another user", user, unix.EPERM)
}

func (c *canary) connect() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + c.Abstract})
}

func tryOpen(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// after tries what is left once every step is done, and returns what it saw.
func (c *canary) after(s *setup) string {
	if s.Landlock {
		c.expect(FeatureLandlock, "reading of a file without a rule", tryOpen(c.Hidden, unix.O_RDONLY), unix.EACCES)
	}
	if s.Seccomp {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		c.expect(FeatureSeccomp, "AF_INET socket", err, unix.EACCES)
		c.expect(FeatureSeccomp, "unshare", unix.Unshare(unix.CLONE_NEWUSER), unix.EPERM)
	}
	if s.Namespaces {
		c.expect(FeatureUser, "taking user 0", unix.Setuid(0), unix.EPERM, unix.EINVAL)
		c.expect(FeatureMount, "mount", unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""), unix.EPERM)
	}
	body, err := json.Marshal(c.seen)
	if err != nil {
		return "{}"
	}
	return string(body)
}
