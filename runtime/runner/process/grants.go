package process

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// moduleDir is where a process module finds its tree.
const moduleDir = "/module"

// firstFile is the descriptor of the first secret.
const firstFile = 3

// maxSecret bounds a secret's value in bytes.
const maxSecret = 1 << 20

// environment is what every module is given (RFC-MYTHOS-0006 §12).
func environment() []string {
	return []string{"HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
}

// ours are the paths inside that no grant may cover or lie below.
func ours() []string { return []string{"/dev", "/proc", "/.old", moduleDir, "/run/mythos"} }

// secret is a value that a call was granted.
type secret struct {
	env   string // the variable that names its descriptor
	value []byte
}

// admitGrants refuses what this runner cannot enforce.
func (r *Runner) admitGrants(g *runner.Grants) error {
	switch {
	case g.Blob != nil:
		return fault.New(runner.ErrGrant, "a %s module has no way to read a blob; hand it the bytes, or use a wasm module", r.name())
	case g.Net != nil && r.options.Proxy == nil:
		return fault.New(runner.ErrGrant, "this node has no network for %s modules", r.name())
	case g.Net != nil && r.host.Level() < sandbox.LevelNamespaces:
		return fault.New(runner.ErrGrant, "without a mount namespace a module cannot be given a socket")
	}
	for _, p := range g.Read {
		if err := r.admitPath(p); err != nil {
			return err
		}
	}
	for i, w := range g.Write {
		if err := r.admitPath(w.Path); err != nil {
			return err
		}
		if slices.Contains(g.Read, w.Path) || slices.ContainsFunc(g.Write[:i], func(o runner.FsWrite) bool { return o.Path == w.Path }) {
			return fault.New(runner.ErrGrant, "is granted twice").About(w.Path)
		}
	}
	return nil
}

// admitPath refuses a granted path that cannot stand at the same place inside.
func (r *Runner) admitPath(p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || p == "/tmp" {
		return fault.New(runner.ErrGrant, "want a clean absolute path, not / or /tmp itself").About(p)
	}
	for _, o := range ours() {
		if overlaps(p, o) {
			return fault.New(runner.ErrGrant, "%s belongs to the sandbox", o).About(p)
		}
	}
	if r.kind != runner.KindProcess {
		return nil
	}
	for _, n := range r.interpreters.needs() {
		if overlaps(p, n.Target) {
			return fault.New(runner.ErrGrant, "%s belongs to the interpreter", n.Target).About(p)
		}
	}
	return nil
}

// overlaps reports whether one path is the other or lies below it.
func overlaps(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// secrets reads the values of the granted secrets. An error names none of them.
func secrets(list []runner.Secret) ([]secret, error) {
	var out []secret
	for _, s := range list {
		name := secretEnv(s.Name)
		if slices.ContainsFunc(out, func(o secret) bool { return o.env == name }) {
			return nil, fault.New(runner.ErrGrant, "two secrets would be announced as %s", name).About(s.Name)
		}
		value, err := s.Value()
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", clip(s.Name), err)
		}
		if len(value) > maxSecret {
			return nil, fault.New(runner.ErrGrant, "a secret of %d bytes, at most %d", len(value), maxSecret).About(s.Name)
		}
		out = append(out, secret{name, value})
	}
	return out, nil
}

// secretEnv is the variable that holds the number of a secret's descriptor.
func secretEnv(name string) string {
	upper := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}, name)
	return "MYTHOS_SECRET_" + upper + "_FD"
}

// paths are granted paths, open from their check to the start, so that nobody
// can put another folder in their place in between. An unprivileged host cannot
// hand what is open to a sandbox: there the path is opened again, and whoever may
// write to a folder above it must be trusted.
type paths struct {
	mounts []sandbox.Mount
	open   []*os.File
}

func (r *Runner) paths(g *runner.Grants) (*paths, error) {
	list := &paths{}
	for _, p := range g.Read {
		if err := r.path(list, p, false); err != nil {
			list.close()
			return nil, err
		}
	}
	for _, w := range g.Write {
		if err := r.path(list, w.Path, true); err != nil {
			list.close()
			return nil, err
		}
	}
	return list, nil
}

func (r *Runner) path(list *paths, p string, writable bool) error {
	f, err := openPlain(p)
	if err != nil {
		return fault.New(runner.ErrGrant, "%w (a path with a link in it is not followed: name where it leads)", err).About(p)
	}
	list.open = append(list.open, f)
	m := sandbox.Mount{Source: p, Target: p, Writable: writable}
	if r.host.Level() >= sandbox.LevelNamespaces {
		switch d, err := detach(f); {
		case err == nil && writable: // the sandbox maps the module's user to the owner of a source
			_ = d.Close()
			m.Source = descriptorPath(f)
		case err == nil:
			list.open = append(list.open, d)
			m.Source, m.File = "", d
		case !errors.Is(err, os.ErrPermission):
			return fault.New(runner.ErrGrant, "%w", err).About(p)
		}
	}
	list.mounts = append(list.mounts, m)
	return nil
}

func (l *paths) close() {
	for _, f := range l.open {
		_ = f.Close()
	}
}

// fingerprint is what, beside module, package and share, two calls must have in
// common to meet in one worker: how the process was started.
func (j *job) fingerprint() [32]byte {
	h := sha256.New()
	put := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	m := &j.call.Module
	put(fmt.Sprint(len(m.Entry), len(j.call.Grants.Read), len(j.secrets), m.Limits.MemoryBytes, j.call.Grants.Net != nil))
	for _, s := range m.Entry {
		put(s)
	}
	if j.on != nil {
		put(j.on.Path)
		put(string(j.on.SHA256[:]))
	}
	for _, p := range j.call.Grants.Read {
		put(p)
	}
	for _, s := range j.secrets {
		put(s.env)
		put(string(s.value))
	}
	return [32]byte(h.Sum(nil))
}
