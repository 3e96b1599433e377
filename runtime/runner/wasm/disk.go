package wasm

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tetratelabs/wazero"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// disk is the folder of one engine build's compiled code, inside the folder
// that the options name. wazero names each file by the module, its own version
// and the processor's features, and writes it by temp, sync and rename.
type disk struct {
	dir   string
	cache wazero.CompilationCache
}

// openDisk opens the folder for this engine and toolchain, creating it.
func openDisk(root, engine string) (*disk, error) {
	build := cid.Sum([]byte(engine + "\x00" + runtime.Version()))
	d := &disk{dir: filepath.Join(root, hex.EncodeToString(build[:8]))}
	for _, dir := range []string{root, d.dir} {
		if err := private(dir); err != nil {
			return nil, err
		}
	}
	c, err := wazero.NewCompilationCacheWithDir(d.dir)
	if err != nil {
		return nil, fault.New(ErrCache, "%w", err).About(d.dir)
	}
	d.cache = c
	return d, nil
}

// private makes sure that dir is a folder that only this user can enter.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.New(ErrCache, "%w", err).About(dir)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fault.New(ErrCache, "%w", err).About(dir)
	}
	switch {
	case !info.IsDir():
		return fault.New(ErrCache, "not a folder; compiled code is executed, so a link is not followed").About(dir)
	case !ownedByUser(info):
		return fault.New(ErrCache, "belongs to another user or is open to others (mode %04o); "+
			"compiled code is executed: chmod 700, or name another folder", info.Mode().Perm()).About(dir)
	}
	return nil
}

// clear removes the compiled code. wazero's folder stays: it was made at open.
func (d *disk) clear() error {
	files, err := fs.Glob(os.DirFS(d.dir), "*/*") // d.dir itself may hold a * or [
	for _, f := range files {
		err = errors.Join(err, os.Remove(filepath.Join(d.dir, f)))
	}
	return err
}
