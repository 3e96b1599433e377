package process

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// Interpreter is one runtime of this machine that process modules may ask for.
type Interpreter struct {
	Name    string   // "node" or "python3"
	Path    string   // the executable itself: absolute, no link
	Version string   // numbers joined by dots, such as "20.20.2"
	SHA256  cid.Hash // of the executable
	Needs   []Need   // what it reads beside the module, shown to it read-only
}

// Need is a file or folder of this machine that an interpreter reads.
type Need struct {
	Source string // absolute and without links; "": an empty folder
	Target string // where the interpreter looks for it
}

// String returns name and version as evidence and people see them.
func (i *Interpreter) String() string { return i.Name + "/v" + i.Version }

// Bounds of asking an interpreter about itself.
const (
	askTime  = 20 * time.Second
	askBytes = 64 << 10
)

// usual is where interpreters are looked for that no configuration names.
func usual() []string { return []string{"/usr/local/bin", "/usr/bin"} }

// names are the runtimes that a module can ask for (RFC-MYTHOS-0006 §4).
func names() []string { return []string{"node", "python3"} }

// Memory remembers what was found out about an interpreter, by a key that
// changes when its file does. It must give back what it was given.
type Memory interface {
	Recall(key string) (Interpreter, bool)
	Remember(key string, i Interpreter)
}

// Discover finds the interpreters of this machine. configured maps a name to an
// absolute path, which then is the only place looked at; other names are looked
// for in /usr/local/bin and /usr/bin. Each is run to ask its version and what it
// needs, unless known, which may be nil, recalls that. The error tells which
// configured ones cannot be used (module_runtime_unusable); what is returned
// beside it can be.
func Discover(ctx context.Context, configured map[string]string, known Memory) ([]Interpreter, error) {
	var found []Interpreter
	var all error
	for _, name := range names() {
		for _, path := range places(name, configured[name]) {
			i, err := recall(ctx, name, path, known)
			switch {
			case err == nil && !has(found, i.Path):
				found = append(found, i)
			case err != nil && configured[name] != "":
				all = errors.Join(all, err)
			}
		}
	}
	for name := range configured {
		if name != names()[0] && name != names()[1] {
			all = errors.Join(all, fault.New(ErrRuntime, "no module can ask for it; there are node and python3").About(name))
		}
	}
	return found, all
}

// places lists where a runtime is looked for.
func places(name, configured string) []string {
	if configured != "" {
		return []string{configured}
	}
	var paths []string
	for _, dir := range usual() {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}

// recall inspects the interpreter at path, or remembers having done so.
func recall(ctx context.Context, name, path string, known Memory) (Interpreter, error) {
	key := ""
	if real, err := filepath.EvalSymlinks(path); err == nil && known != nil {
		if info, err := os.Stat(real); err == nil {
			key = fmt.Sprintf("%s %s %d %d %o", name, real, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
	}
	if key != "" {
		if i, ok := known.Recall(key); ok && i.present() {
			return i, nil
		}
	}
	i, err := Inspect(ctx, name, path)
	if err == nil && key != "" {
		known.Remember(key, i)
	}
	return i, err
}

// present reports whether what the interpreter reads is still where it was.
func (i *Interpreter) present() bool {
	for _, n := range i.Needs {
		if n.Source == "" {
			continue
		}
		if _, err := os.Lstat(n.Source); err != nil {
			return false
		}
	}
	return true
}

func has(list []Interpreter, path string) bool {
	for _, i := range list {
		if i.Path == path {
			return true
		}
	}
	return false
}

// Inspect returns what there is to know about the interpreter at path, which
// may be a link. It runs the interpreter.
func Inspect(ctx context.Context, name, path string) (Interpreter, error) {
	i, err := inspect(ctx, name, path)
	if err != nil {
		var known *fault.Error
		if errors.As(err, &known) {
			return Interpreter{}, err
		}
		return Interpreter{}, fault.New(ErrRuntime, "%w", err).About(path)
	}
	return i, nil
}

func inspect(ctx context.Context, name, path string) (Interpreter, error) {
	if !filepath.IsAbs(path) {
		return Interpreter{}, fault.New(ErrRuntime, "want an absolute path").About(path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Interpreter{}, err
	}
	i := Interpreter{Name: name, Path: real}
	if i.SHA256, err = hashProgram(real); err != nil {
		return Interpreter{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	said, err := ask(ctx, nil, real, "--version")
	if err != nil {
		return Interpreter{}, err
	}
	prefix := map[string]string{"node": "v", "python3": "Python 3"}[name]
	if i.Version = readVersion(said); i.Version == "" || prefix == "" || !strings.HasPrefix(said, prefix) {
		return Interpreter{}, fault.New(ErrRuntime, "--version says %.100q, which is no version of %s", said, name).About(path)
	}
	i.Needs, err = needs(ctx, &i)
	return i, err
}

// hashProgram hashes an ELF executable. A script is refused by a message that
// helps: the shims of version managers are scripts.
func hashProgram(path string) (cid.Hash, error) {
	f, err := os.Open(path)
	if err != nil {
		return cid.Hash{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return cid.Hash{}, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return cid.Hash{}, fmt.Errorf("not an executable file: %w", fs.ErrPermission)
	}
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return cid.Hash{}, err
	}
	if string(magic[:]) != "\x7fELF" {
		return cid.Hash{}, fault.New(ErrRuntime, "not an ELF executable; a version manager's shim is a script: "+
			"name the interpreter that it starts").About(path)
	}
	h := sha256.New()
	h.Write(magic[:])
	if _, err := io.Copy(h, f); err != nil {
		return cid.Hash{}, err
	}
	return cid.Hash(h.Sum(nil)), nil
}

// ask runs a program of this machine without a shell and returns the beginning
// of what it writes to stdout.
func ask(ctx context.Context, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append([]string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin", "HOME=/nonexistent"}, env...)
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second // a child that keeps stdout open
	out := &head{room: askBytes}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return string(out.b), nil
}

// head keeps the first room bytes that are written to it.
type head struct {
	b    []byte
	room int
}

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), h.room-len(h.b))]...)
	return len(p), nil
}

// installed is an interpreter and what its file was when it was inspected.
type installed struct {
	Interpreter
	file os.FileInfo
}

// same reports whether the file at the interpreter's path is still that one.
func (i *installed) same() bool {
	now, err := os.Lstat(i.Path)
	return err == nil && i.file != nil && os.SameFile(now, i.file) &&
		now.Size() == i.file.Size() && now.ModTime().Equal(i.file.ModTime())
}

// pick returns the first interpreter that a module can run on. One whose file
// has changed since it was inspected, as by an upgrade, is inspected again.
func (r *Runner) pick(ctx context.Context, want runner.Runtime) (*installed, error) {
	r.interpreters.Lock()
	defer r.interpreters.Unlock()
	here := ""
	for n := range r.interpreters.list {
		i := &r.interpreters.list[n]
		if i.Name != want.Name {
			continue
		}
		if !i.same() {
			if err := i.renew(ctx); err != nil {
				return nil, err
			}
		}
		if meets(i.Version, want.Version) {
			found := *i
			return &found, nil
		}
		here += fmt.Sprintf(", %s at %s", i.Version, i.Path)
	}
	if here != "" {
		return nil, fault.New(ErrRuntimeVersion, "the module wants %s %s, here is %s", want.Name, clip(want.Version), here[2:])
	}
	return nil, fault.New(ErrRuntimeMissing, "the module wants %s %s, and none is here (%s)",
		clip(want.Name), clip(want.Version), r.interpreters.present())
}

// renew inspects the interpreter at the same path again.
func (i *installed) renew(ctx context.Context) error {
	file, err := os.Lstat(i.Path)
	if err != nil {
		return fault.New(ErrRuntimeMissing, "%s was here and is gone: %w", i.String(), err).About(i.Path)
	}
	now, err := Inspect(ctx, i.Name, i.Path)
	if err != nil {
		return err
	}
	*i = installed{now, file}
	return nil
}
