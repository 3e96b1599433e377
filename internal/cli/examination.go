package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// examination looks at one node without changing it.
type examination struct{ *node.Node }

// Free space below which doctor warns and fails, in bytes.
const (
	lowSpace = 1 << 30
	noSpace  = 64 << 20
)

func (x *examination) all(ctx context.Context) []checkup {
	checks := []checkup{
		x.folder("config folder", x.Paths.Config), x.folder("data folder", x.Paths.Data), x.folder("cache folder", x.Paths.Cache),
	}
	checks = append(checks, x.keys()...)
	return append(checks, x.trust(), x.policy(), x.store(ctx), x.ledger(ctx), sqliteVersion(), x.engine(), x.space())
}

// folder checks that a folder is private and can be written, or can be made.
func (x *examination) folder(name, dir string) checkup {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writable(ancestor(dir)); err != nil {
			return ill(name, statusFail, "cannot be made: "+err.Error(), fmt.Sprintf("Set MYTHOS_HOME to a folder that you may write, or run: mkdir -p %q", dir))
		}
		return healthy(name, dir+" is made on first use")
	case err != nil:
		return ill(name, statusFail, err.Error(), "Set MYTHOS_HOME to a folder that you may enter.")
	case !info.IsDir():
		return ill(name, statusFail, dir+" is not a folder", "Move the file away, or set MYTHOS_HOME.")
	}
	if err := writable(dir); err != nil {
		return ill(name, statusFail, err.Error(), fmt.Sprintf("Run: chmod u+rwx %q; if its disk is read-only, set MYTHOS_HOME to a folder on another.", dir))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return ill(name, statusWarn, fmt.Sprintf("%s has mode %#o: others may enter it", dir, mode), fmt.Sprintf("Run: chmod 700 %q", dir))
	}
	return healthy(name, dir)
}

// ancestor returns the nearest folder above path that exists.
func ancestor(path string) string {
	for {
		up := filepath.Dir(path)
		if _, err := os.Stat(up); err == nil || up == path {
			return up
		}
		path = up
	}
}

// writable makes a file in dir and removes it.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".mythos-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// keys checks every key file, and says which of the node's own are there.
func (x *examination) keys() []checkup {
	files, err := x.Keys()
	if err != nil {
		return []checkup{broken("keys", err)}
	}
	var out []checkup
	for _, f := range files {
		name := "key " + filepath.Base(f.Path)
		if f.Err != nil {
			out = append(out, broken(name, f.Err))
			continue
		}
		out = append(out, healthy(name, string(f.Role)+" "+f.Agent.KeyID().String()))
	}
	for _, role := range []sig.Role{sig.Dev, sig.Executor} {
		own := filepath.Join(x.KeyDir(), string(role)+".key")
		if !slices.ContainsFunc(files, func(f node.KeyFile) bool { return f.Path == own }) {
			out = append(out, healthy("key "+filepath.Base(own), "is made on first use"))
		}
	}
	return out
}

func (x *examination) trust() checkup {
	t, err := x.Trust()
	if err != nil {
		return broken("trust file", err)
	}
	if _, err := os.Stat(x.TrustPath()); errors.Is(err, fs.ErrNotExist) {
		return healthy("trust file", "there is none: only packages packed here are trusted")
	}
	return healthy("trust file", fmt.Sprintf("%s, entries: %d", x.TrustPath(), len(t.Entries())))
}

func (x *examination) policy() checkup {
	p, err := x.Policy(0)
	switch {
	case err != nil:
		return broken("ring 0 policy", err)
	case p == nil:
		return healthy("ring 0 policy", "the default is made on first use")
	}
	return healthy("ring 0 policy", p.PolicyID.String())
}

// store reads the object store's format and one object.
func (x *examination) store(ctx context.Context) checkup {
	s, err := x.Objects()
	if err != nil {
		return broken("object store", err)
	}
	// The hash of nothing: whether it is there does not matter, only that the
	// store can say so.
	if _, err := s.Has(ctx, cid.Sum(nil)); err != nil {
		return broken("object store", err)
	}
	dir := filepath.Join(x.Paths.Data, "store")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return healthy("object store", "is made on first use")
	}
	if err := writable(dir); err != nil {
		return ill("object store", statusFail, err.Error(), fmt.Sprintf("Run: chmod u+rwx %q; if its disk is read-only, set MYTHOS_HOME to a folder on another.", dir))
	}
	return healthy("object store", dir)
}

// ledger opens the ledger for reading, which checks its schema.
func (x *examination) ledger(ctx context.Context) (c checkup) {
	if !x.HasLedger() {
		return healthy("ledger", "is made on first use")
	}
	log, err := x.ReadLedger()
	if err != nil {
		return broken("ledger", err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			c = broken("ledger", err)
		}
	}()
	if _, err := log.Lookup(ctx, cid.Hash{}); err != nil {
		return broken("ledger", err)
	}
	if x.Settings.Ledger != "" {
		return healthy("ledger", postgres.Redacted(x.Settings.Ledger)+" can be read and its schema is known")
	}
	dir := filepath.Join(x.Paths.Data, "ledger")
	if err := writable(dir); err != nil {
		return ill("ledger", statusFail, err.Error(), fmt.Sprintf("Run: chmod u+rwx %q; if its disk is read-only, set MYTHOS_HOME to a folder on another.", dir))
	}
	return healthy("ledger", dir+" can be read and its schema is known")
}

func sqliteVersion() checkup {
	version, err := journal.EngineVersion()
	if err != nil {
		return broken("SQLite", err)
	}
	return healthy("SQLite", version)
}

func (x *examination) engine() checkup {
	if _, err := x.Engine(); err != nil {
		return broken("wasm engine", err)
	}
	if err := x.CacheFault(); err != nil {
		c := broken("wasm engine", err)
		c.Status = statusWarn // it works, only slower
		return c
	}
	return healthy("wasm engine", fmt.Sprintf("wazero on %s/%s, compiled code in %s", runtime.GOOS, runtime.GOARCH, filepath.Join(x.Paths.Cache, "wasm")))
}

func (x *examination) space() checkup {
	dir := x.Paths.Data
	if _, err := os.Stat(dir); err != nil {
		dir = ancestor(dir)
	}
	free, err := freeSpace(dir)
	if err != nil {
		return ill("disk space", statusWarn, err.Error(), "Check the disk that holds "+dir+".")
	}
	detail := fmt.Sprintf("%d MiB free in %s", free>>20, dir)
	const fix = "Free some space, or set MYTHOS_HOME to a folder on another disk."
	switch {
	case free < noSpace:
		return ill("disk space", statusFail, detail, fix)
	case free < lowSpace:
		return ill("disk space", statusWarn, detail, fix)
	}
	return healthy("disk space", detail)
}
