// Package remotetest is the acceptance suite of remote.Remote and remote.Index.
package remotetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// Run tries a remote; open returns a new, empty one. What it does not support
// must be ErrUnsupported.
func Run(t *testing.T, open func(t *testing.T) remote.Remote) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, remote.Remote)
	}{
		{"Objects", objects},
		{"Ranges", ranges},
		{"WrongBytes", wrongBytes},
		{"Concurrent", concurrent},
		{"List", list},
		{"Cancelled", cancelled},
		{"Names", names},
		{"NameRace", nameRace},
		{"Attestations", attestations},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := open(t)
			t.Cleanup(func() { noError(t, r.Close()) })
			test.run(t, r)
		})
	}
}

func put(t *testing.T, r remote.Remote, data []byte) cid.Hash {
	t.Helper()
	noError(t, r.Put(t.Context(), buckettest.Value(data)))
	return cid.Sum(data)
}

func objects(t *testing.T, r remote.Remote) {
	var ids []cid.Hash
	for i, size := range []int{0, 1, 300, 64 << 10, 4<<20 + 1} {
		data := buckettest.Random(uint64(i), size)
		id := put(t, r, data)
		if again := put(t, r, data); again != id {
			t.Error("another id")
		}
		got, err := remote.Fetch(t.Context(), r, id, 8<<20)
		if noError(t, err); !bytes.Equal(got, data) {
			t.Errorf("%d bytes: others came back", size)
		}
		n, err := r.Head(t.Context(), id)
		if noError(t, err); n != int64(size) {
			t.Errorf("head of %d bytes: %d", size, n)
		}
		ids = append(ids, id, cid.Sum([]byte{byte(i), 1, 2}))
	}
	there, err := r.Has(t.Context(), ids)
	if noError(t, err); !slices.Equal(there, []bool{true, false, true, false, true, false, true, false, true, false}) {
		t.Errorf("has: %v", there)
	}
	if there, err = r.Has(t.Context(), nil); err != nil || len(there) != 0 {
		t.Errorf("has of nothing: %v, %v", there, err)
	}
	if _, err := remote.Fetch(t.Context(), r, ids[1], 10); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if _, err := remote.Fetch(t.Context(), r, ids[4], 10); !errors.Is(err, cas.ErrTooLarge) {
		t.Errorf("get of more than asked for: %v", err)
	}
	if _, err := r.Head(t.Context(), ids[1]); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("head: %v", err)
	}
	if err := r.Delete(t.Context(), ids[0]); !errors.Is(err, remote.ErrUnsupported) {
		noError(t, err)
		if _, err := r.Head(t.Context(), ids[0]); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("head after delete: %v", err)
		}
	}
}

func ranges(t *testing.T, r remote.Remote) {
	data := buckettest.Random(1, 1000)
	id := put(t, r, data)
	for _, x := range []struct{ off, n, from, to int64 }{
		{0, 10, 0, 10}, {0, 0, 0, 0}, {990, 11, 990, 1000}, {500, -1, 500, 1000}, {1000, 5, 0, 0}, {2000, -1, 0, 0}, {0, -1, 0, 1000},
	} {
		rc, err := r.Get(t.Context(), id, x.off, x.n)
		noError(t, err)
		got, err := io.ReadAll(rc)
		noError(t, errors.Join(err, rc.Close()))
		if !bytes.Equal(got, data[x.from:x.to]) {
			t.Errorf("%d bytes from %d: got %d", x.n, x.off, len(got))
		}
	}
}

func wrongBytes(t *testing.T, r remote.Remote) {
	good := buckettest.Random(1, 100_000)
	for name, data := range map[string][]byte{"flipped": append(slices.Clone(good[:99_999]), good[99_999]^1), "short": good[:99_999], "empty": nil} {
		v := buckettest.Value(data)
		v.Sum, v.Size = cid.Sum(good), 100_000
		if err := r.Put(t.Context(), v); !errors.Is(err, cas.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Head(t.Context(), cid.Sum(good)); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("something was kept: %v", err)
	}
}

func concurrent(t *testing.T, r remote.Remote) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			data := buckettest.Random(uint64(i%4), 50_000)
			if err := r.Put(t.Context(), buckettest.Value(data)); err != nil {
				t.Error(err)
				return
			}
			if got, err := remote.Fetch(t.Context(), r, cid.Sum(data), 1<<20); err != nil || !bytes.Equal(got, data) {
				t.Errorf("fetch: %v", err)
			}
		})
	}
	all.Wait()
}

func list(t *testing.T, r remote.Remote) {
	var want []remote.Object
	for i := range 20 {
		want = append(want, remote.Object{CID: put(t, r, buckettest.Random(uint64(i), i)), Size: int64(i)})
	}
	slices.SortFunc(want, func(a, b remote.Object) int { return a.CID.Compare(b.CID) })
	var got []remote.Object
	for o, err := range r.List(t.Context()) {
		if errors.Is(err, remote.ErrUnsupported) {
			return
		}
		noError(t, err)
		got = append(got, o)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func cancelled(t *testing.T, r remote.Remote) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Put(ctx, buckettest.Value([]byte("x"))); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := remote.Fetch(ctx, r, cid.Sum(nil), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
}

// Key is the key that signs what the suite publishes.
func Key() sig.Key { return sig.NewKey([32]byte{7}, "") }

// Stranger is a key that signs nothing of it.
func Stranger() sig.Key { return sig.NewKey([32]byte{8}, "") }

func signers() []sig.AgentID { return []sig.AgentID{Key().Agent()} }

// Manifest returns the signed manifest of a package whose content is one byte.
func Manifest(t *testing.T, name, version string, task byte) []byte {
	t.Helper()
	raw, err := manifest.Sign(&manifest.Manifest{
		Name: name, Version: version, Requires: manifest.Requires{ExecutorMinVersion: "0.1.0"},
		Artifacts:   []manifest.Artifact{{CID: cid.Sum([]byte{task}), Size: 1, SHA256: cid.Sum([]byte{task}), Kind: manifest.KindIR, MediaType: "application/x-test"}},
		Entrypoints: []manifest.Entrypoint{{Name: "main", Bundle: cid.Sum([]byte{task}), TaskID: cid.Hash{task}}},
	}, Key())
	noError(t, err)
	return raw
}

func names(t *testing.T, r remote.Remote) {
	x, ok := r.(remote.Index)
	if !ok {
		t.Skip("this kind of remote has no index")
	}
	put(t, r, []byte{1})
	put(t, r, []byte{2})
	ids := map[string]cid.Hash{}
	for _, v := range []string{"1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "0.1.0-Alpha+Build.7"} {
		ids[v] = put(t, r, Manifest(t, "demo/echo", v, 1))
		noError(t, x.Publish(t.Context(), ids[v], signers()))
		noError(t, x.Publish(t.Context(), ids[v], signers()))
	}
	other := put(t, r, Manifest(t, "demo", "1.0.0", 1))
	noError(t, x.Publish(t.Context(), other, signers()))
	if err := x.Publish(t.Context(), put(t, r, Manifest(t, "demo/echo", "1.0.0", 2)), signers()); !errors.Is(err, remote.ErrTaken) {
		t.Errorf("a version was pointed at another package: %v", err)
	}
	if err := x.Publish(t.Context(), cid.Sum([]byte("none")), signers()); !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("publish what is not there: %v", err)
	}
	for version, want := range ids {
		if got, err := x.Resolve(t.Context(), "demo/echo", version); err != nil || got != want {
			t.Errorf("%s: %v, %v", version, got, err)
		}
	}
	if got, err := x.Resolve(t.Context(), "demo/echo", ""); err != nil || got != ids["1.10.0"] {
		t.Errorf("newest: %v, %v", got, err)
	}
	if got, err := x.Resolve(t.Context(), "demo", ""); err != nil || got != other {
		t.Errorf("newest of another name: %v, %v", got, err)
	}
	for _, ask := range [][2]string{{"demo/echo", "3.0.0"}, {"demo/ech", "1.0.0"}, {"demo/ech", ""}} {
		if _, err := x.Resolve(t.Context(), ask[0], ask[1]); !errors.Is(err, remote.ErrNoVersion) {
			t.Errorf("%v: %v", ask, err)
		}
	}
	var order []string
	for v, err := range x.Versions(t.Context(), "demo/echo") {
		noError(t, err)
		if order = append(order, v.Version); v.Manifest != ids[v.Version] {
			t.Errorf("%s: %v", v.Version, v.Manifest)
		}
	}
	if want := []string{"0.1.0-Alpha+Build.7", "1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1"}; !slices.Equal(order, want) {
		t.Errorf("versions: %q, want %q", order, want)
	}
}

func nameRace(t *testing.T, r remote.Remote) {
	x, ok := r.(remote.Index)
	if !ok {
		t.Skip("this kind of remote has no index")
	}
	var ids []cid.Hash
	for i := range byte(8) {
		put(t, r, []byte{i})
		ids = append(ids, put(t, r, Manifest(t, "demo", "1.0.0", i)))
	}
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { errs[i] = x.Publish(t.Context(), id, signers()) })
	}
	all.Wait()
	stands, err := x.Resolve(t.Context(), "demo", "1.0.0")
	noError(t, err)
	for i, err := range errs {
		if won := ids[i] == stands; won != (err == nil) || !won && !errors.Is(err, remote.ErrTaken) {
			t.Errorf("publisher %d, winner %t: %v", i, won, err)
		}
	}
}

func attestations(t *testing.T, r remote.Remote) {
	x, ok := r.(remote.Index)
	if !ok {
		t.Skip("this kind of remote has no index")
	}
	subject := cid.Sum([]byte("subject"))
	var want []cid.Hash
	for i := range 3 {
		a := receipt.Attestation{SubjectHash: subject, ClaimType: receipt.ContractPass, Result: 1, TimeObserved: int64(i)}
		raw, _, err := sig.Sign(&a, Key())
		noError(t, err)
		id := put(t, r, raw)
		noError(t, x.Attest(t.Context(), id))
		noError(t, x.Attest(t.Context(), id))
		want = append(want, id)
	}
	if err := x.Attest(t.Context(), put(t, r, []byte("no attestation"))); err == nil {
		t.Error("something that is no attestation was taken")
	}
	var got []cid.Hash
	for id, err := range x.Attestations(t.Context(), subject) {
		noError(t, err)
		got = append(got, id)
	}
	slices.SortFunc(got, cid.Hash.Compare)
	slices.SortFunc(want, cid.Hash.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for range x.Attestations(t.Context(), cid.Sum([]byte("other"))) {
		t.Error("another subject has attestations")
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
