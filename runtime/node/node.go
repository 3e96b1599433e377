// Package node puts one local node together: its folders, keys, trust file,
// ring policy, object store, ledger and runners, and the executor over them. It
// is what both commands share. Everything that is made on first use is made
// here: the dev key, the executor's key, the default policy of ring 0.
//
// Under the config folder: keys/dev.key, keys/executor.key and whatever else
// the user generates there, trust.json, ring0.policy, registries.json (credentials of
// registries), and the locks of those files. Under the data folder: store/ (objects),
// ledger/, ledgers.json (the shared ledgers that were written), signers/ (public keys that signed packages here), names/ (which versions of
// a package were pulled and run), and packed/, one empty file per
// package that was packed here, named by its package id: the packages for which
// the dev key is a publisher. Under the cache folder: wasm/ (compiled
// code), wasm.key (of the MAC on it), pull/ (of pulls that were cut off), process/
// (materialised trees), image/ (unpacked images) and interpreters.json (what is known of this machine's node and python3).
package node

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// Codes of this package.
const (
	ErrKeyMode   fault.Code = "key_file_mode"  // a secret key file that others may read
	ErrKeyExists fault.Code = "key_exists"     // a key file that would be overwritten
	ErrKeyRole   fault.Code = "key_role"       // a key of another role than is due
	ErrNotHolder fault.Code = "cap_not_holder" // a proof without its leaf issuer's key
	ErrPath      fault.Code = "file_unusable"  // a file that cannot be read or written
)

// Options makes a Node.
type Options struct {
	Paths   config.Paths     // required
	Clock   func() time.Time // required
	Version string           // this build's semantic version; required

	Settings config.Settings

	// IsRefusal reports whether a code says that something was refused, and not that
	// this host failed or was asked wrongly. nil: every code does.
	IsRefusal func(fault.Code) bool
}

// Node is a local node. Its parts are opened when they are first asked for; it
// is not safe for concurrent use.
type Node struct {
	Options
	objects    *local.Store
	engine     *wasm.Runner
	cacheFault error
	processes  processes
}

// New returns a Node; it touches no file.
func New(o Options) *Node { return &Node{Options: o} }

// Close closes what was opened.
func (n *Node) Close() error {
	errs := []error{n.processes.close()}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	if n.objects != nil {
		errs = append(errs, n.objects.Close())
	}
	return errors.Join(errs...)
}

// Objects opens the object store.
func (n *Node) Objects() (cas.Store, error) {
	if n.objects == nil {
		s, err := local.OpenWith(filepath.Join(n.Paths.Data, "store"), local.Options{Clock: n.Clock})
		if err != nil {
			return nil, err
		}
		n.objects = s
	}
	return n.objects, nil
}

// Engine returns the wasm runner. Without a usable folder for compiled code it
// keeps that in memory, and CacheFault says why.
func (n *Node) Engine() (*wasm.Runner, error) {
	if n.engine == nil {
		r, err := n.diskEngine()
		if errors.Is(err, wasm.ErrCache) {
			n.cacheFault = err
			r, err = wasm.New(wasm.Options{Now: n.Clock})
		}
		if err != nil {
			return nil, err
		}
		n.engine = r
	}
	return n.engine, nil
}

// diskEngine returns a runner that keeps compiled code in the cache folder, under
// a key of this node's own.
func (n *Node) diskEngine() (*wasm.Runner, error) {
	key, err := n.cacheKey()
	if err != nil {
		return nil, fault.New(wasm.ErrCache, "%w", err).About(n.cacheKeyPath())
	}
	return wasm.New(wasm.Options{CacheDir: filepath.Join(n.Paths.Cache, "wasm"), CacheKey: key, Now: n.Clock})
}

func (n *Node) cacheKeyPath() string { return filepath.Join(n.Paths.Cache, "wasm.key") }

// cacheKey returns the key of the MAC on compiled code, making it on first use.
// It signs nothing, and without it modules are compiled anew; so it is
// kept with the cache, where a run that is refused may leave it.
func (n *Node) cacheKey() ([]byte, error) {
	path := n.cacheKeyPath()
	key, err := os.ReadFile(path)
	if !isMissing(err) {
		return key, cause(err)
	}
	key = make([]byte, 32)
	rand.Read(key) // never fails: the program ends if the system has no randomness
	if err := atomicfile.MkdirAll(n.Paths.Cache, 0o700); err != nil {
		return nil, cause(err)
	}
	err = atomicfile.WriteNew(path, key, 0o600)
	if errors.Is(err, fs.ErrExist) { // another process made it meanwhile
		key, err = os.ReadFile(path)
	}
	return key, cause(err)
}

// CacheFault returns why the engine that was opened keeps compiled code in memory
// only; nil if it does not.
func (n *Node) CacheFault() error { return n.cacheFault }

// Trust reads the trust file; a missing one is empty.
func (n *Node) Trust() (*gate.Trust, error) { return gate.LoadTrust(n.TrustPath()) }

// TrustPath returns where the trust file is.
func (n *Node) TrustPath() string { return filepath.Join(n.Paths.Config, "trust.json") }

// MarkPacked remembers that a package was packed here.
func (n *Node) MarkPacked(id cid.Hash) error {
	if err := n.canMark(); err != nil {
		return err
	}
	dir := n.packedDir()
	return pathError(dir, atomicfile.Write(filepath.Join(dir, id.Hex()), nil, 0o600))
}

// canMark makes the folder that MarkPacked writes to and fails if it cannot be
// written, so that no package is written that could not be run here.
func (n *Node) canMark() error {
	dir := n.packedDir()
	if err := atomicfile.MkdirAll(dir, 0o700); err != nil {
		return pathError(dir, err)
	}
	f, err := atomicfile.Create(filepath.Join(dir, "probe"), 0o600)
	if err != nil {
		return pathError(dir, err)
	}
	return pathError(dir, f.Close())
}

func (n *Node) packedDir() string { return filepath.Join(n.Paths.Data, "packed") }

// Packed reports whether a package was packed here.
func (n *Node) Packed(id cid.Hash) bool {
	_, err := readFile(filepath.Join(n.packedDir(), id.Hex()), 0)
	return err == nil
}

// NewRunID returns a fresh run id: the time, for people who sort, and 80 random
// bits.
func (n *Node) NewRunID() string {
	return n.Clock().UTC().Format("20060102T150405Z-") + rand.Text()[:16]
}
