//go:build !linux

package process

import (
	"errors"
	"os"
	"path/filepath"
)

// openPlain opens a file or folder that is no link itself; the sandbox that
// would show it is Linux's alone.
func openPlain(path string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil && real != path {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("is a link")}
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// detach needs mounts without a place, which only Linux has.
func detach(*os.File) (*os.File, error) { return nil, os.ErrPermission }

// descriptorPath names what f is.
func descriptorPath(f *os.File) string { return f.Name() }
