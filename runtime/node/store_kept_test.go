package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/export"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/closure/closuretest"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// collect makes what is in the store old and collects.
func collect(t *testing.T, n *Node, now *time.Time) local.Collected {
	t.Helper()
	*now = now.Add(3 * time.Hour)
	x, err := n.Collect(t.Context(), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func wantThere(t *testing.T, s cas.Store, what string, id cid.Hash) {
	t.Helper()
	if there, err := s.Has(t.Context(), id); err != nil || !there {
		t.Errorf("%s: there %v, %v", what, there, err)
	}
}

// names appends to a ledger, which others may use, an entry that names an object.
func names(t *testing.T, log ledger.Log, id cid.Hash) {
	t.Helper()
	raw, _, err := sig.Sign(&ledger.RingState{Ring: 1, Seq: 1, Name: fmt.Sprint("demo/", time.Now().UnixNano()), PackageID: &cid.Hash{1}, PromotionID: &id, Time: 1}, sig.NewKey([32]byte{3}, ""))
	if err == nil {
		err = log.SetRing(t.Context(), raw)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestHalfRestored: a ledger whose restore was interrupted, or that is gone but for
// what was moved aside, lets nothing be removed.
func TestHalfRestored(t *testing.T) {
	n, s, now := aged(t)
	named := mustPut(t, s, []byte("named by the ledger")).CID
	log, err := n.EmbeddedLedger(t.Context(), LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names(t, log, named)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := errors.Join(log.Backup(t.Context(), backup, journal.BackupOptions{}), log.Close()); err != nil {
		t.Fatal(err)
	}
	collect(t, n, now)
	wantThere(t, s, "named by the ledger", named)

	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	n.Clock = func() time.Time { return at }
	restore := func() (string, error) {
		src, err := journal.OpenFile(backup, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		return n.RestoreLedger(t.Context(), src, LedgerOptions{}, journal.RestoreOptions{MoveAside: true})
	}
	refused := func(when string) {
		t.Helper()
		*now = now.Add(3 * time.Hour)
		if x, err := n.Collect(t.Context(), false, nil); !errors.Is(err, journal.ErrUnavailable) {
			t.Errorf("%s: collected %+v, %v", when, x, err)
		}
	}
	aside, err := restore()
	if err != nil {
		t.Fatal(err)
	}
	collect(t, n, now)
	at = at.Add(time.Second)
	blocked := filepath.Join(filepath.Dir(aside), "replaced-"+at.Format("20060102T150405.000000Z"))
	write(t, blocked, nil)
	if _, err := restore(); err == nil {
		t.Fatal("restored over a file")
	}
	refused("a restore that did not end")
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Second)
	if _, err := restore(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(n.ledgerDir(), "ledger.db")); err != nil {
		t.Fatal(err)
	}
	refused("a ledger that is gone")
	if err := os.Rename(filepath.Join(aside, "ledger.db"), filepath.Join(n.ledgerDir(), "ledger.db")); err != nil {
		t.Fatal(err)
	}
	collect(t, n, now)
	wantThere(t, s, "named by the ledger", named)
}

// TestUsedLedgers: a ledger that was written from here lets nothing be removed while
// it cannot be read, until it is forgotten; so does a list that is damaged.
func TestUsedLedgers(t *testing.T) {
	n, s, now := aged(t)
	garbage := mustPut(t, s, []byte("garbage")).CID
	n.Settings.LedgerPasswordFile = filepath.Join(t.TempDir(), "nowhere")
	const address = "postgres://u@127.0.0.1:1/db?application_name=x"
	for range 2 {
		if err := n.noteLedger(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := n.usedLedgers(); err != nil || len(list) != 1 || list[0].PasswordFile != n.Settings.LedgerPasswordFile {
		t.Errorf("the list: %v, %v", list, err)
	}
	n.Settings.LedgerPasswordFile = ""
	*now = now.Add(3 * time.Hour)
	x, err := n.Collect(t.Context(), false, nil)
	if err == nil || !strings.Contains(err.Error(), "--forget-ledger postgres://127.0.0.1:1/db") {
		t.Fatalf("collected %+v, %v", x, err)
	}
	wantThere(t, s, "after a refusal", garbage)
	for address, want := range map[string]bool{"postgres://127.0.0.1:2/db": false, "postgres://127.0.0.1:1/db": true} {
		if known, err := n.ForgetLedger(t.Context(), address); err != nil || known != want {
			t.Errorf("forgot %s: %v, %v", address, known, err)
		}
	}
	if x := collect(t, n, now); x.Removed != 1 {
		t.Errorf("collected %+v, want one removed", x)
	}
	write(t, n.usedPath(), []byte("{}"))
	if x, err := n.Collect(t.Context(), false, nil); !errors.Is(err, ErrLedgers) {
		t.Errorf("a damaged list: %+v, %v", x, err)
	}
}

// TestSharedLedgerKept: what a shared ledger names stays though the collection is not
// told of it, and what the node's own names stays though it is told of another.
func TestSharedLedgerKept(t *testing.T) {
	url := os.Getenv("MYTHOS_TEST_POSTGRES")
	if url == "" {
		const how = "no PostgreSQL to test with: run the tests by scripts/postgres.sh, or set MYTHOS_TEST_POSTGRES"
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	n, s, now := aged(t)
	own, shared := mustPut(t, s, []byte("own")).CID, mustPut(t, s, []byte("shared")).CID
	for address, id := range map[string]cid.Hash{"": own, url: shared} {
		n.Settings.Ledger = address
		log, err := n.Ledger(t.Context(), LedgerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		names(t, log, id)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, address := range []string{"", url} {
		n.Settings.Ledger = address
		collect(t, n, now)
		wantThere(t, s, "own", own)
		wantThere(t, s, "shared", shared)
	}
}

// TestPromotedKept: the package that a ring runs, the one it would go back to, and the
// evidence of attestations stay; another package goes.
func TestPromotedKept(t *testing.T) {
	n, s, now := aged(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys := map[sig.Role]string{}
	trusted := map[sig.Role]sig.AgentID{sig.Publisher: packtest.Key().Agent()}
	for _, role := range []sig.Role{sig.Policy, sig.Operator, sig.Verifier} {
		keys[role] = filepath.Join(t.TempDir(), "key")
		key, err := GenerateKey(keys[role], role, "")
		must(err)
		trusted[role] = key.Agent()
	}
	for role, key := range trusted {
		_, _, err := n.AddTrust(t.Context(), gate.TrustEntry{Role: role, Keys: []sig.AgentID{key}})
		must(err)
	}
	file := write(t, filepath.Join(t.TempDir(), "1.json"), source(t, 1, func(p *rings.Policy) { p.Claims = nil }))
	_, err := n.SignPolicies(t.Context(), []string{file}, keys[sig.Policy], "")
	must(err)
	keep := func(version string) cid.Hash {
		src, err := n.OpenPackage(t.Context(), packtest.Build(t, packtest.Spec{Version: version}).Dir)
		must(err)
		pkg, err := n.Load(t.Context(), src, 0)
		must(err)
		id, err := n.Keep(t.Context(), pkg)
		must(errors.Join(err, src.Close()))
		return id
	}
	var versions []cid.Hash
	for _, v := range []string{"0.1.0", "0.2.0", "0.3.0"} {
		id := keep(v)
		versions = append(versions, id)
		_, err = n.Promote(t.Context(), PromoteOptions{Package: id.String(), Ring: 1, Key: keys[sig.Operator]})
		must(err)
	}
	report := write(t, filepath.Join(t.TempDir(), "report"), []byte("the verifier's report"))
	_, err = n.Attest(t.Context(), AttestOptions{Package: versions[2].String(), Claim: receipt.EvalPass, Result: 1, Key: keys[sig.Verifier], Evidence: []string{report}})
	must(err)
	if x := collect(t, n, now); x.Removed == 0 {
		t.Errorf("collected %+v: the first version is in no ring", x)
	}
	wantThere(t, s, "evidence", cid.Sum([]byte("the verifier's report")))
	for i, id := range versions {
		_, err := closure(t.Context(), s, id)
		if err == nil {
			_, err = renewClosure(t.Context(), s, id)
		}
		if (err == nil) != (i > 0) {
			t.Errorf("version %d: %v", i, err)
		}
	}
}

// TestLargeKept: what an object of any size names stays, and the files of a tree that
// is itself in chunks.
func TestLargeKept(t *testing.T) {
	for _, before := range []int{3 << 20, 5 << 20, 5<<20 - 70, 6<<20 - 20 - 5, 6<<20 - 3} {
		n, s, now := aged(t)
		named := mustPut(t, s, []byte("named by a transcript")).CID
		top, err := s.Put(t.Context(), append(can.AppendBytes(make([]byte, before), named[:]), "and more"...))
		if err == nil {
			_, err = s.Pin(top)
		}
		if err != nil {
			t.Fatal(err)
		}
		collect(t, n, now)
		wantThere(t, s, fmt.Sprintf("behind %d bytes", before), named)
	}
	n, s, now := aged(t)
	file := mustPut(t, s, []byte("a file"))
	var x manifest.Tree
	for i := range 25_000 {
		x.Entries = append(x.Entries, manifest.TreeEntry{Path: fmt.Sprintf("%0120d", i), CID: file.CID, Size: file.Size, SHA256: file.SHA256})
	}
	id := mustPut(t, s, x.AppendCAN(nil))
	if id.Flat() {
		t.Fatal("the tree is one object")
	}
	ir := mustPut(t, s, []byte("ir"))
	list := []manifest.Artifact{
		{Kind: manifest.KindIR, CID: ir.CID, Size: ir.Size, SHA256: ir.SHA256, MediaType: "application/x-test"},
		{Kind: manifest.KindTree, CID: id.CID, Size: id.Size, SHA256: id.SHA256, MediaType: "application/x-test"},
	}
	slices.SortFunc(list, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	raw, err := manifest.Sign(&manifest.Manifest{
		Name: "demo", Version: "1.0.0", Requires: manifest.Requires{ExecutorMinVersion: "0.1.0"}, Artifacts: list,
		Entrypoints: []manifest.Entrypoint{{Name: "main", Bundle: ir.CID}},
	}, sig.NewKey([32]byte{1}, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Pin(t.Context(), mustPut(t, s, raw).CID); err != nil {
		t.Fatal(err)
	}
	collect(t, n, now)
	wantThere(t, s, "a file of a large tree", file.CID)
}

// TestSlowPull: a pull that takes longer than a collection waits ends with all of it.
func TestSlowPull(t *testing.T) {
	n, s, now := aged(t)
	src := memory.New(memory.Options{})
	root := closuretest.Put(t, src)
	r := transfer.Named{Name: "r", Remote: remote.Over(folder.Open(t.TempDir()))}
	if _, err := transfer.Push(t.Context(), src, r, root, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	removed, when := int64(0), int64(2)
	o := transfer.Options{Workers: 1, OnProgress: func(p transfer.Progress) {
		if p.Objects == when && when <= 11 { // also in the second round
			when += 9
			removed += collect(t, n, now).Removed
		}
	}}
	if _, err := transfer.Pull(t.Context(), []transfer.Named{r}, s, root, o); err != nil {
		t.Fatal(err)
	}
	if removed < 3 || when != 20 {
		t.Errorf("the collections removed %d objects, the next is due at %d: too few to tell", removed, when)
	}
	if _, err := renewClosure(t.Context(), s, root); err != nil {
		t.Error(err)
	}
}

// TestSlowKeep: what was lost while the rest was stored is stored again.
func TestSlowKeep(t *testing.T) {
	n, s, now := aged(t)
	times := 0
	id, err := keepWhole(t.Context(), s, func() (cid.Hash, error) {
		times++
		id := tree(t, s)
		if times == 1 {
			collect(t, n, now)
		}
		return id, nil
	})
	if err != nil || times != 2 {
		t.Errorf("stored %d times, %v", times, err)
	}
	if _, err := renewClosure(t.Context(), s, id); err != nil {
		t.Error(err)
	}
	if _, err := keepWhole(t.Context(), s, func() (cid.Hash, error) { return cid.Sum([]byte("absent")), nil }); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("what never comes: %v", err)
	}
}

// reading calls do once it has given a number of bytes.
type reading struct {
	io.Reader
	left int
	do   func()
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.left -= n; r.left <= 0 && r.do != nil {
		r.do()
		r.do = nil
	}
	return n, err
}

// TestSlowImport: what an import brings stays while the rest comes within the hour,
// however many hours it takes; what a longer pause costs makes it fail.
func TestSlowImport(t *testing.T) {
	from := memory.New(memory.Options{})
	var ids []cid.Hash
	for i := range 120 {
		id, err := from.Put(t.Context(), bytes.Repeat([]byte{byte(i)}, 60_000))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var carried bytes.Buffer
	if err := export.Write(t.Context(), &carried, from, ids[:1], ids, export.Options{}); err != nil {
		t.Fatal(err)
	}
	for pause, want := range map[time.Duration]error{30 * time.Minute: nil, 3 * time.Hour: cas.ErrNotFound} {
		n, s, now := aged(t)
		n.Clock = func() time.Time { return *now }
		in := io.Reader(bytes.NewReader(carried.Bytes()))
		for at := 5_000_000; at < carried.Len(); at += 600_000 {
			in = &reading{in, at, func() {
				*now = now.Add(pause)
				if _, err := n.Collect(t.Context(), false, nil); err != nil {
					t.Error(err)
				}
			}}
		}
		if _, err := n.Import(t.Context(), in, nil); !errors.Is(err, want) {
			t.Errorf("pauses of %s: %v, want %v", pause, err, want)
		}
		if want == nil {
			for _, id := range ids {
				wantThere(t, s, "imported", id)
			}
		}
	}
}
