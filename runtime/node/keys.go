package node

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// DevKey returns the local dev key, making it on first use.
func (n *Node) DevKey() (sig.Key, error) { return n.own(sig.Dev) }

// ExecutorKey returns this node's executor key, making it on first use.
func (n *Node) ExecutorKey() (sig.Key, error) { return n.own(sig.Executor) }

// KeyDir returns the folder of this user's keys.
func (n *Node) KeyDir() string { return filepath.Join(n.Paths.Config, "keys") }

// own returns the key file named after a role.
func (n *Node) own(role sig.Role) (sig.Key, error) {
	path := n.ownPath(role)
	k, got, err := LoadKey(path)
	if isMissing(err) {
		if k, err = GenerateKey(path, role, ""); err == nil || !errors.Is(err, ErrKeyExists) {
			return k, err
		}
		k, got, err = LoadKey(path) // another process made it meanwhile
	}
	if err == nil && got != role {
		err = fault.New(ErrKeyRole, "a key of role %s, want %s", got, role).About(path)
	}
	return k, err
}

func (n *Node) ownPath(role sig.Role) string { return filepath.Join(n.KeyDir(), string(role)+".key") }

// GenerateKey makes a key and writes its file with mode 0600. It never replaces
// a file.
func GenerateKey(path string, role sig.Role, hint string) (sig.Key, error) {
	var seed [32]byte
	rand.Read(seed[:]) // never fails: the program ends if the system has no randomness
	k := sig.NewKey(seed, hint)
	text := sig.FormatSecret(k, role)
	if _, _, err := sig.ParseSecret([]byte(text)); err != nil {
		return sig.Key{}, about(path, err)
	}
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return sig.Key{}, pathError(path, err)
	}
	err := atomicfile.WriteNew(path, []byte(text), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return sig.Key{}, fault.New(ErrKeyExists, "the file exists and is not replaced").About(path)
	}
	return k, pathError(path, err)
}

// LoadKey reads a secret key from a file, from a file descriptor ("fd:3") or
// from an environment variable ("env:NAME").
func LoadKey(from string) (sig.Key, sig.Role, error) {
	text, err := secretText(from)
	if err != nil {
		return sig.Key{}, "", err
	}
	k, role, err := sig.ParseSecret(text)
	return k, role, about(from, err)
}

func secretText(from string) ([]byte, error) {
	if name, ok := strings.CutPrefix(from, "env:"); ok {
		text := strings.TrimSuffix(os.Getenv(name), "\n")
		if text == "" {
			return nil, fault.New(ErrPath, "the environment variable is empty or not set").About(from)
		}
		return []byte(text + "\n"), nil // NAME=$(cat FILE) loses the last line's end
	}
	if num, ok := strings.CutPrefix(from, "fd:"); ok {
		fd, err := strconv.ParseUint(num, 10, 16)
		if err != nil {
			return nil, fault.New(ErrPath, "%q is no file descriptor", num).About(from)
		}
		f := os.NewFile(uintptr(fd), from)
		if f == nil {
			return nil, fault.New(ErrPath, "the file descriptor is not open").About(from)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, sig.MaxKeyFile+1))
		return b, pathError(from, err)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, pathError(from, err)
	}
	defer f.Close()
	info, err := f.Stat() // of what is read, not of what has the name by now
	if err != nil {
		return nil, pathError(from, err)
	}
	text, err := readAll(f, from, sig.MaxKeyFile)
	if err != nil {
		return nil, err
	}
	// The mode of a public key file does not matter and would only mislead.
	if _, _, err := sig.ParsePublic(text); err == nil {
		return nil, fault.New(sig.ErrKeyFile, "a public key file where a secret one is due").About(from)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.New(ErrKeyMode, "mode %#o lets others read it: run chmod 600", mode).About(from)
	}
	return text, nil
}

// LoadPublic reads a public key file.
func LoadPublic(path string) (sig.AgentID, sig.Role, error) {
	b, err := readFile(path, sig.MaxKeyFile)
	if err != nil {
		return sig.AgentID{}, "", err
	}
	a, role, err := sig.ParsePublic(b)
	return a, role, about(path, err)
}

// KeyFile is one key of the key folder.
type KeyFile struct {
	Path  string
	Role  sig.Role
	Agent sig.AgentID
	Err   error // why the file is no usable key
}

// Keys lists the key folder's *.key files, by name.
func (n *Node) Keys() ([]KeyFile, error) {
	paths, err := filepath.Glob(filepath.Join(n.KeyDir(), "*.key"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var keys []KeyFile
	for _, p := range paths {
		k, role, err := LoadKey(p)
		keys = append(keys, KeyFile{Path: p, Role: role, Agent: k.Agent(), Err: err})
	}
	return keys, nil
}

// readHead reads the first bytes of a file, at most n.
func readHead(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, n))
	return b, pathError(path, err)
}

// readFile reads a whole file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(path, err)
	}
	defer f.Close()
	return readAll(f, path, limit)
}

func readAll(f *os.File, path string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, pathError(path, err)
	case int64(len(b)) > limit:
		return nil, fault.New(ErrPath, "more than %d bytes", limit).About(path)
	}
	return b, nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// pathError gives a file system error its code and path.
func pathError(path string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(ErrPath, "%w", cause(err)).About(path)
}

// cause takes the path off an error whose subject will name it.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// about names the file that an error is about.
func about(path string, err error) error {
	if e, ok := err.(*fault.Error); ok && e.Subject == "" {
		return e.About(path)
	}
	return err
}
