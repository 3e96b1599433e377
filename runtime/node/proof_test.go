package node_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// proofFile writes a capability for the package's first tool, issued by a key.
func proofFile(t *testing.T, p packtest.Package, by sig.Key, subject sig.AgentID) string {
	t.Helper()
	scope := caps.ToolCall{ToolID: p.Manifest.Modules[0].ToolID, MaxCalls: 10}
	raw, _, err := caps.Issue(caps.Capability{
		Subject: subject, NotBefore: time.Now().Add(-time.Hour).UnixMicro(), ExpiresAt: time.Now().Add(time.Hour).UnixMicro(),
		Scope: caps.Scope{Kind: caps.KindToolCall, Payload: scope.AppendCAN(nil)},
	}, by)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "p.cap", caps.EncodeProof([][]byte{raw}))
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyFile(t *testing.T, k sig.Key, role sig.Role) string {
	return write(t, "k.key", []byte(sig.FormatSecret(k, role)))
}

// TestProofs: a proof counts with its holder's key, from an authority of the trust
// file; a refused one leaves no ledger.
func TestProofs(t *testing.T) {
	authority, stranger := sig.NewKey([32]byte{0xa}, ""), sig.NewKey([32]byte{0x5}, "")
	home := t.TempDir()
	n := at(t, home)
	trust(t, n, sig.Publisher, packtest.Key().Agent())
	trust(t, n, sig.Authority, authority.Agent())
	exec, err := n.ExecutorKey()
	if err != nil {
		t.Fatal(err)
	}
	dev, err := n.DevKey()
	if err != nil {
		t.Fatal(err)
	}
	p := packtest.Build(t, packtest.Spec{})
	good := proofFile(t, p, authority, exec.Agent())
	run := func(key string, proofs ...string) error {
		_, err := n.Run(t.Context(), node.RunOptions{Package: p.Dir, RunID: "r", Proofs: proofs, Key: key})
		return err
	}
	authorityFile := keyFile(t, authority, sig.Authority)
	for name, c := range map[string]struct {
		key   string
		proof string
		code  fault.Code
	}{
		"no key":          {"", good, node.ErrNotHolder},
		"another's key":   {keyFile(t, stranger, sig.Authority), good, node.ErrNotHolder},
		"no such key":     {filepath.Join(home, "none"), good, node.ErrPath},
		"no such proof":   {authorityFile, filepath.Join(home, "none"), node.ErrPath},
		"too long":        {authorityFile, write(t, "long", make([]byte, caps.MaxProof+1)), caps.ErrTooLong},
		"far too long":    {authorityFile, write(t, "longer", make([]byte, 1<<20)), caps.ErrTooLong},
		"untrusted root":  {keyFile(t, stranger, sig.Authority), proofFile(t, p, stranger, exec.Agent()), caps.ErrUntrusted},
		"another subject": {authorityFile, proofFile(t, p, authority, stranger.Agent()), caps.ErrSubject},
		// As soon as a proof is given, the dev authority takes no part.
		"the dev key's": {keyFile(t, dev, sig.Dev), proofFile(t, p, dev, exec.Agent()), caps.ErrUntrusted},
	} {
		err := run(c.key, c.proof)
		if !errors.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "ledger")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused proof made the ledger: %v", err)
	}
	if err := run(authorityFile, good); err != nil {
		t.Errorf("a good proof: %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	k := sig.NewKey([32]byte{1}, "")
	open := keyFile(t, k, sig.Publisher)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := node.LoadKey(open)
	wantCode(t, err, node.ErrKeyMode)
	public := write(t, "pub", []byte(sig.FormatPublic(k.Agent(), sig.Publisher)))
	if err := os.Chmod(public, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err = node.LoadKey(public)
	wantCode(t, err, sig.ErrKeyFile)
	_, _, err = node.LoadKey(write(t, "long", make([]byte, 1<<20)))
	wantCode(t, err, node.ErrPath)
	_, _, err = node.LoadKey(t.TempDir())
	wantCode(t, err, node.ErrPath)
	got, role, err := node.LoadKey(keyFile(t, k, sig.Publisher))
	if err != nil || role != sig.Publisher || !got.Agent().Equal(k.Agent()) {
		t.Errorf("%s %v", role, err)
	}
	path := filepath.Join(t.TempDir(), "a", "b", "k.key")
	if _, err := node.GenerateKey(path, sig.Operator, "op"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = node.GenerateKey(path, sig.Operator, "op")
	wantCode(t, err, node.ErrKeyExists)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the key was replaced: %v", err)
	}

	// A file that stands where the node's own key should is of the role it says.
	n := at(t, t.TempDir())
	own := filepath.Join(n.KeyDir(), "executor.key")
	if _, err := node.GenerateKey(own, sig.Publisher, ""); err != nil {
		t.Fatal(err)
	}
	_, err = n.ExecutorKey()
	wantCode(t, err, node.ErrKeyRole)
}
