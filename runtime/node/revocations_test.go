package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// list signs a revocation list of now.
func list(t *testing.T, by sig.Key, seq uint64, freshFor time.Duration, revoked ...cid.Hash) []byte {
	t.Helper()
	now := time.Now()
	raw, _, err := caps.SignRevocations(caps.Revocations{
		Seq: seq, Issued: now.Add(-time.Hour).UnixMicro(), NextUpdate: now.Add(freshFor).UnixMicro(), Revoked: revoked,
	}, by)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestRevocationsAreKept: the newest list of each issuer stands, across nodes of one
// home, and what it replaced does not come back.
func TestRevocationsAreKept(t *testing.T) {
	home := t.TempDir()
	a, b := sig.NewKey([32]byte{0xa}, ""), sig.NewKey([32]byte{0xb}, "")
	add := func(raw []byte) (bool, error) {
		_, fresh, err := at(t, home).AddRevocations(t.Context(), raw)
		return fresh, err
	}
	second := list(t, a, 2, time.Hour, cid.Sum([]byte("x")))
	if fresh, err := add(second); err != nil || !fresh {
		t.Fatalf("%v %v", fresh, err)
	}
	if fresh, err := add(second); err != nil || fresh {
		t.Errorf("the same list again: %v %v", fresh, err)
	}
	_, err := add(list(t, a, 1, time.Hour))
	wantCode(t, err, caps.ErrRevocationSeq)
	_, err = add(list(t, a, 2, 2*time.Hour))
	wantCode(t, err, caps.ErrRevocationSeq)
	if _, err := add(list(t, b, 1, time.Hour)); err != nil {
		t.Errorf("another issuer has its own count: %v", err)
	}
	bent := append([]byte{}, second...)
	bent[len(bent)-1] ^= 1
	if _, err := add(bent); err == nil {
		t.Error("a forged list was accepted")
	}
	lists, err := at(t, home).Revocations()
	if err != nil || len(lists) != 2 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	got, err := at(t, home).RevocationsOf(a.Agent())
	if err != nil || got.Mark().Seq != 2 || !got.Names(cid.Sum([]byte("x"))) {
		t.Errorf("%v", err)
	}
}

// TestRevocationsReachARun: what the home has accepted counts for each run, a list
// that cannot be read refuses what it might revoke, and a capability that demands one
// fails closed without.
func TestRevocationsReachARun(t *testing.T) {
	authority := sig.NewKey([32]byte{0xa}, "")
	home := t.TempDir()
	n := at(t, home)
	trust(t, n, sig.Publisher, packtest.Key().Agent())
	trust(t, n, sig.Authority, authority.Agent())
	exec, err := n.ExecutorKey()
	if err != nil {
		t.Fatal(err)
	}
	p := packtest.Build(t, packtest.Spec{})
	issue := func(required bool) (string, cid.Hash) {
		scope := caps.ToolCall{ToolID: p.Manifest.Modules[0].ToolID, MaxCalls: 10}
		raw, id, err := caps.Issue(caps.Capability{
			Subject: exec.Agent(), NotBefore: time.Now().Add(-time.Hour).UnixMicro(), ExpiresAt: time.Now().Add(time.Hour).UnixMicro(),
			Scope: caps.ScopeOf(&scope), RevocationRequired: required,
		}, authority)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, "p.cap", caps.EncodeProof([][]byte{raw})), id
	}
	runs := 0
	run := func(proof string) error {
		runs++
		_, err := at(t, home).Run(t.Context(), node.RunOptions{
			Package: p.Dir, RunID: string(rune('a' + runs)), Proofs: []string{proof}, Key: keyFile(t, authority, sig.Authority),
		})
		return err
	}
	accept := func(raw []byte) {
		if _, _, err := at(t, home).AddRevocations(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	plain, plainID := issue(false)
	strict, _ := issue(true)
	if err := run(plain); err != nil {
		t.Error(err)
	}
	wantCode(t, run(strict), caps.ErrRevocation)
	accept(list(t, authority, 1, -time.Minute))
	wantCode(t, run(strict), caps.ErrRevocation) // stale
	accept(list(t, authority, 2, time.Hour))
	if err := run(strict); err != nil {
		t.Errorf("with a fresh list: %v", err)
	}
	accept(list(t, authority, 3, time.Hour, plainID))
	wantCode(t, run(plain), caps.ErrRevoked)
	if err := run(strict); err != nil {
		t.Errorf("another capability of the issuer: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(home, "revocations", "*.list"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("no list"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(strict); err == nil || errors.Is(err, caps.ErrRevocation) {
		t.Errorf("with a damaged list: %v", err)
	}
	if _, _, err := at(t, home).AddRevocations(t.Context(), list(t, authority, 4, time.Hour)); err == nil {
		t.Error("a list was accepted over one whose seq cannot be read")
	}
}

// TestProofFiles: a proof is written once, with a mode of its own, and found again.
func TestProofFiles(t *testing.T) {
	n := at(t, t.TempDir())
	p := packtest.Build(t, packtest.Spec{})
	proof, err := node.LoadProof(proofFile(t, p, sig.NewKey([32]byte{0xa}, ""), sig.NewKey([32]byte{0xe}, "").Agent()))
	if err != nil {
		t.Fatal(err)
	}
	path, err := n.SaveProof("", proof)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	_, err = n.SaveProof("", proof)
	wantCode(t, err, node.ErrProofExists)
	kept, err := n.Proofs()
	if err != nil || len(kept) != 1 || kept[0].Path != path || kept[0].Proof.LeafID() != proof.LeafID() {
		t.Errorf("%v %v", kept, err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := n.Proofs(); err != nil || len(kept) != 1 || kept[0].Err == nil {
		t.Errorf("%v %v", kept, err)
	}
}

// TestParsePower reads what is over a node, and refuses what is not whole.
func TestParsePower(t *testing.T) {
	id := cid.Sum([]byte("p"))
	for text, want := range map[string]caps.Power{
		"clock":                             &caps.Clock{},
		"run=" + id.String():                &caps.PackageRun{PackageID: id},
		"run=" + id.String() + ":2":         &caps.PackageRun{PackageID: id, Ring: 2},
		"publish=acme/":                     &caps.PackagePublish{NamePrefix: "acme/"},
		"blob-write=scratch:100,text/plain": &caps.BlobWrite{Namespace: "scratch", MaxSize: 100, MediaAllow: []string{"text/plain"}},
	} {
		got, err := node.ParsePower(text)
		if err != nil || string(got.Payload) != string(want.AppendCAN(nil)) || got.Kind != want.Kind() {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "run=", "run=sha256:00", "run=" + id.String() + ":256", "run=" + id.String() + ":-1", "publish=", "blob-write=scratch", "blob-write=scratch:100", "blob-write=scratch:x,text/plain", "fly=1"} {
		if _, err := node.ParsePower(text); !errors.Is(err, node.ErrGrant) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
