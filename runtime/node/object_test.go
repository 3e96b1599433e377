package node_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// TestOpenObject: what lies beside the ledger is as much at hand as what is in the
// store, and what is nowhere makes neither.
func TestOpenObject(t *testing.T) {
	home := t.TempDir()
	n := at(t, home)
	_, err := n.OpenObject(t.Context(), cid.Sum(nil))
	if !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("in an empty home: %v", err)
	}
	if _, err := os.Stat(filepath.Join(home, "ledger")); !os.IsNotExist(err) {
		t.Errorf("looking made a ledger: %v", err)
	}
	pkg := packHere(t, n, packtest.Spec{})
	r, err := n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	x, _, err := receipt.Decode(r.Result.Effects[0].Receipt)
	if err != nil {
		t.Fatal(err)
	}
	store, err := n.Objects()
	if err != nil {
		t.Fatal(err)
	}
	if there, err := store.Has(t.Context(), x.RequestHash); there || err != nil {
		t.Fatalf("the request is in the store: %v", err)
	}
	stored, err := store.Put(t.Context(), []byte("stored"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []cid.Hash{x.RequestHash, stored} {
		object, err := n.OpenObject(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(object)
		if err != nil || cid.Sum(b) != id {
			t.Errorf("%s holds %q, %v", id, b, err)
		}
		if err := object.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.OpenObject(t.Context(), cid.Sum(nil)); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("nowhere: %v", err)
	}
}

// TestCacheFault: a cache folder that cannot be used costs time and nothing else.
func TestCacheFault(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"a file": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"open to others": func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "wasm"), 0o700), os.Chmod(filepath.Join(dir, "wasm"), 0o777))
		},
		"nothing": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			pkg := packHere(t, at(t, home), packtest.Spec{})
			n := at(t, home)
			if err := os.RemoveAll(n.Paths.Cache); err != nil {
				t.Fatal(err)
			}
			if err := spoil(n.Paths.Cache); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Run(t.Context(), node.RunOptions{Package: pkg, RunID: "r"}); err != nil {
				t.Error(err)
			}
			err := n.CacheFault()
			if name == "nothing" && err != nil || name != "nothing" && !errors.Is(err, wasm.ErrCache) {
				t.Errorf("the fault is %v", err)
			}
		})
	}
}
