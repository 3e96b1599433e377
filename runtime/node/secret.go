package node

import (
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes about secrets.
const (
	ErrSecretMissing fault.Code = "secret_missing"   // no file of that name
	ErrSecretFile    fault.Code = "secret_file_mode" // a file that others may read, or one that is too large
)

// maxSecret bounds a secret, in bytes.
const maxSecret = 64 << 10

// Secret returns the value of a secret of this node: the bytes of the file of that
// name in the folder secrets of the config folder, of mode 0600 as key files are.
// A line end at the end is not part of it.
func (n *Node) Secret(name string) ([]byte, error) {
	if err := caps.CheckScope(caps.ScopeOf(&caps.SecretRead{Name: name})); err != nil || filepath.Base(name) != name {
		return nil, fault.New(ErrSecretMissing, "%q is no name of a secret", name)
	}
	path := filepath.Join(n.Paths.Config, "secrets", name)
	info, err := os.Stat(path)
	switch {
	case isMissing(err):
		return nil, fault.New(ErrSecretMissing, "this node has no secret %q; write it there, mode 0600", name).About(path)
	case err != nil:
		return nil, pathError(path, err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fault.New(ErrSecretFile, "others may use it (mode %04o): chmod 600", info.Mode().Perm()).About(path)
	case info.Size() > maxSecret:
		return nil, fault.New(ErrSecretFile, "%d bytes, at most %d", info.Size(), maxSecret).About(path)
	}
	raw, err := readFile(path, maxSecret)
	if len(raw) > 0 && raw[len(raw)-1] == '\n' {
		raw = raw[:len(raw)-1]
	}
	return raw, err
}
