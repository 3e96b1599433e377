// Package indextest is the acceptance suite of index.Index.
package indextest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Run tries an index. open returns a new, empty one and a function that opens the
// same one again beside it, or, if one alone may be open, after closing it.
func Run(t *testing.T, open func(t *testing.T) (x index.Index, again func() index.Index)) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, index.Index, func() index.Index)
	}{
		{"Publish", publish},
		{"Race", race},
		{"Attestations", attestations},
		{"Cancelled", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, again := open(t)
			test.run(t, x, again)
		})
	}
}

func hash(text string) cid.Hash { return cid.Sum([]byte(text)) }

// Entry returns an entry with the manifest of a text.
func Entry(name, version, manifest string) index.Entry {
	hint := sig.NewKey([32]byte{2}, "a hint")
	return index.Entry{
		Name: name, Version: version, Manifest: hash(manifest), PackageID: hash("package of " + manifest),
		Publishers: []sig.AgentID{sig.NewKey([32]byte{1}, "").Agent(), hint.Agent()}, Time: 1_700_000_000_000_001,
	}
}

func publish(t *testing.T, x index.Index, again func() index.Index) {
	a, b, c := Entry("demo/echo", "1.0.0", "a"), Entry("demo/echo", "1.0.1", "b"), Entry("demo", "1.0.0", "a")
	c.Publishers = nil
	for _, e := range []index.Entry{a, b, c} {
		stands, added, err := x.Publish(t.Context(), e)
		same(t, []any{stands, added, err}, []any{e, true, nil})
	}
	other := Entry("demo/echo", "1.0.0", "other")
	for _, e := range []index.Entry{a, other} {
		stands, added, err := x.Publish(t.Context(), e)
		same(t, []any{stands, added, err}, []any{a, false, nil})
	}
	noError(t, x.Close())
	x = again()
	defer x.Close()
	got, ok, err := x.Version(t.Context(), "demo/echo", "1.0.1")
	same(t, []any{got, ok, err}, []any{b, true, nil})
	for _, ask := range [][2]string{{"demo/echo", "2.0.0"}, {"demo/ech", "1.0.0"}, {"DEMO", "1.0.0"}, {"", ""}, {"demo%", "1.0.0"}} {
		if _, ok, err := x.Version(t.Context(), ask[0], ask[1]); ok || err != nil {
			t.Errorf("%v: %t, %v", ask, ok, err)
		}
	}
	all, err := x.Versions(t.Context(), "demo/echo")
	noError(t, err)
	slices.SortFunc(all, func(a, b index.Entry) int { return slices.Compare([]byte(a.Version), []byte(b.Version)) })
	same(t, all, []index.Entry{a, b})
	ids, err := x.Package(t.Context(), a.PackageID)
	same(t, []any{ids, err}, []any{[]cid.Hash{a.Manifest}, nil})
	if ids, err = x.Package(t.Context(), hash("none")); len(ids) != 0 || err != nil {
		t.Errorf("a package that is not there: %v, %v", ids, err)
	}
}

func race(t *testing.T, x index.Index, _ func() index.Index) {
	defer x.Close()
	const writers, rounds = 8, 20
	for round := range rounds {
		version := fmt.Sprintf("1.0.%d", round)
		results := make([]index.Entry, writers)
		wins := make([]bool, writers)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				var err error
				if results[i], wins[i], err = x.Publish(t.Context(), Entry("demo", version, fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		won := slices.Index(wins, true)
		if won < 0 || slices.Contains(wins[won+1:], true) {
			t.Fatalf("winners: %v", wins)
		}
		for _, r := range results {
			same(t, r, Entry("demo", version, fmt.Sprint(won)))
		}
	}
}

func attestations(t *testing.T, x index.Index, again func() index.Index) {
	subject := hash("subject")
	var want []cid.Hash
	for i := range 25 {
		id := hash(fmt.Sprint(i))
		want = append(want, id)
		noError(t, x.Attest(t.Context(), subject, id))
		noError(t, x.Attest(t.Context(), subject, id))
		noError(t, x.Attest(t.Context(), hash("other"), id))
	}
	slices.SortFunc(want, cid.Hash.Compare)
	noError(t, x.Close())
	x = again()
	defer x.Close()
	var got []cid.Hash
	for after := (cid.Hash{}); ; after = got[len(got)-1] {
		page, err := x.Attestations(t.Context(), subject, after, 10)
		noError(t, err)
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	same(t, got, want)
	noError(t, x.Ping(t.Context()))
}

func cancelled(t *testing.T, x index.Index, _ func() index.Index) {
	defer x.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := x.Publish(ctx, Entry("demo", "1.0.0", "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("publish: %v", err)
	}
	if _, ok, err := x.Version(t.Context(), "demo", "1.0.0"); ok || err != nil {
		t.Errorf("a cancelled publish left an entry: %t, %v", ok, err)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("want -, got +:\n%s", diff)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
