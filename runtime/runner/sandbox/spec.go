package sandbox

import (
	"path"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Bounds of a Spec; far above what a module needs.
const (
	maxMounts  = 200
	maxFiles   = 64
	maxStrings = 1 << 20 // bytes of Argv and Env together
	maxSize    = 1 << 50 // the largest size that a limit may name
)

// filled returns l with its defaults, or what is wrong with it.
func (l Limits) filled() (Limits, error) {
	if l.Memory < 0 || l.Pids < 0 || l.TmpBytes < 0 || l.FileBytes < 0 {
		return l, fault.New(ErrSpec, "a limit is negative")
	}
	if max(l.Memory, l.TmpBytes, l.FileBytes) > maxSize || l.Pids > 1<<22 || l.NoFile > 1<<20 || l.CPU > 1<<32 {
		return l, fault.New(ErrSpec, "a limit is out of range")
	}
	orElse(&l.Memory, 64<<20)
	orElse(&l.TmpBytes, 64<<20)
	orElse(&l.FileBytes, 64<<20)
	orElse(&l.Pids, 64)
	orElse(&l.NoFile, 256)
	l.Memory, l.Pids, l.NoFile = max(l.Memory, MinMemory), max(l.Pids, MinPids), max(l.NoFile, 16)
	return l, nil
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

// check returns what is wrong with s.
func (s *Spec) check() error {
	if len(s.Argv) == 0 {
		return fault.New(ErrSpec, "no program")
	}
	if s.Exec == nil && !clean(s.Argv[0]) {
		return fault.New(ErrSpec, "program %q is not a clean absolute path", s.Argv[0])
	}
	if s.Dir != "" && s.Dir != "/" && !clean(s.Dir) {
		return fault.New(ErrSpec, "folder %q is not a clean absolute path", s.Dir)
	}
	size := 0
	for _, v := range s.Argv {
		size += len(v) + 1
		if strings.ContainsRune(v, 0) {
			return fault.New(ErrSpec, "an argument holds a zero byte")
		}
	}
	for _, v := range s.Env {
		size += len(v) + 1
		if strings.ContainsRune(v, 0) || strings.IndexByte(v, '=') < 1 {
			return fault.New(ErrSpec, "an environment entry is not KEY=VALUE")
		}
	}
	if size > maxStrings {
		return fault.New(ErrSpec, "%d bytes of arguments and environment, at most %d", size, maxStrings)
	}
	if len(s.Mounts)+len(s.Sockets) > maxMounts || len(s.Files) > maxFiles {
		return fault.New(ErrSpec, "%d mounts and %d descriptors, at most %d and %d", len(s.Mounts)+len(s.Sockets), len(s.Files), maxMounts, maxFiles)
	}
	return s.checkMounts()
}

func (s *Spec) checkMounts() error {
	seen := map[string]bool{}
	for _, m := range s.mounts() {
		switch {
		case m.File == nil && m.Source != "/" && !clean(m.Source), m.File != nil && m.Source != "":
			return fault.New(ErrSpec, "mount of %q: want one of an absolute source and a detached mount", m.Target)
		case !clean(m.Target) || reserved(m.Target):
			return fault.New(ErrSpec, "mount target %q is not a clean absolute path, or is the sandbox's own", m.Target)
		case seen[m.Target]:
			return fault.New(ErrSpec, "mount target %q twice", m.Target)
		}
		seen[m.Target] = true
	}
	return nil
}

// mounts returns the mounts and, as mounts of one file, the sockets.
func (s *Spec) mounts() []Mount {
	out := append([]Mount{}, s.Mounts...)
	for _, k := range s.Sockets {
		out = append(out, Mount{Source: k.Source, Target: k.Target})
	}
	return out
}

func clean(p string) bool {
	return len(p) > 1 && len(p) < 4096 && p[0] == '/' && path.Clean(p) == p && !strings.ContainsRune(p, 0)
}

// reserved reports whether the sandbox itself puts something at p.
func reserved(p string) bool {
	for _, own := range []string{"/dev", "/proc", oldRoot} {
		if p == own || strings.HasPrefix(p, own+"/") {
			return true
		}
	}
	return p == "/tmp"
}

// oldRoot is where the host's root hangs while a sandbox is built.
const oldRoot = "/.old"

// below rewrites p, a path inside, to the host's: what a module is told where
// there is no mount namespace.
func below(p string, mounts []Mount) string {
	best := -1
	for i, m := range mounts {
		if m.File == nil && (p == m.Target || strings.HasPrefix(p, m.Target+"/")) && (best < 0 || len(m.Target) > len(mounts[best].Target)) {
			best = i
		}
	}
	if best < 0 {
		return p
	}
	return mounts[best].Source + p[len(mounts[best].Target):]
}

// flatten returns s as a process without a mount namespace must be given it:
// arguments, folder and values of the environment that are paths inside become
// paths of the host.
func (s Spec) flatten() (Spec, error) {
	mounts := s.mounts()
	for _, m := range mounts {
		if m.File != nil {
			return s, fault.New(ErrSpec, "a detached mount needs mount namespaces")
		}
	}
	argv, env := make([]string, len(s.Argv)), make([]string, len(s.Env))
	for i, a := range s.Argv {
		argv[i] = below(a, mounts)
	}
	for i, e := range s.Env {
		key, value, _ := strings.Cut(e, "=")
		env[i] = key + "=" + below(value, mounts)
	}
	s.Argv, s.Env = argv, env
	if s.Dir != "" {
		s.Dir = below(s.Dir, mounts)
	}
	return s, nil
}
